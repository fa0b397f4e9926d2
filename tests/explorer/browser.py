"""Chromium with the page, through selenium: only what the tests ask of it."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
PROBES = (Path(__file__).parent / "probes.js").read_text(encoding="utf-8")
KEYS = {"left": Keys.ARROW_LEFT, "right": Keys.ARROW_RIGHT, "tab": Keys.TAB}
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """A browser whose page is the explorer."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, hash_: str = "") -> None:
        """The page from the disk, once it says that it is ready."""
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + hash_)
        self.until("document.documentElement.dataset.ready === 'yes'")
        self.js(PROBES)
        self.settle()

    def go(self, hash_: str = "") -> None:
        """The open page at another address: the state of `hash_`, and of nothing that was there before."""
        self.js("window.scrollTo(0, 0); document.activeElement.blur(); Explorer.writeHash()")
        self.js("location.hash = arguments[0]", hash_)
        self.until(
            f"Explorer.toHash(Explorer.state) === Explorer.toHash(Explorer.fromHash({json.dumps(hash_)}))"
        )
        self.until("Explorer.waiting() === 0")
        self.settle()

    def js(self, code: str, *arguments: Any) -> Any:
        """What `code`, the body of a function, returns."""
        return self.driver.execute_script(code, *arguments)  # type: ignore[no-untyped-call]

    def until(self, condition: str, seconds: float = 20) -> None:
        """Waits until the JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.js(f"return {condition}"):
            assert time.monotonic() < end, f"{condition} is still false after {seconds} s"
            time.sleep(0.02)

    def settle(self) -> None:
        """Two frames: what was asked for has been drawn."""
        code = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        self.driver.execute_async_script(code)  # type: ignore[no-untyped-call]

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.settle()

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def press(self, selector: str, *keys: str) -> None:
        """Focuses the element, and types keys by name."""
        self.js("document.querySelector(arguments[0]).focus()", selector)
        self.type(*keys)

    def type(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*(KEYS[key] for key in keys)).perform()
        self.settle()

    def drag(self, selector: str, dx: int) -> None:
        """Takes the element by its middle and carries it dx pixels to the right."""
        chain = self._at(selector, 0, 0).click_and_hold()
        chain.move_by_offset(dx // 2, 0).move_by_offset(dx - dx // 2, 0).release().perform()
        self.settle()

    def point(self, selector: str, x: int, y: int, press: bool = False) -> None:
        """The pointer to (x, y) from the middle of the element, and a click there."""
        chain = self._at(selector, x, y)
        (chain.click() if press else chain).perform()
        self.settle()

    def _at(self, selector: str, x: int, y: int) -> ActionChains:
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        return ActionChains(self.driver, duration=0).move_to_element_with_offset(
            self.find(selector), x, y
        )

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)  # type: ignore[no-untyped-call]

    def size(self, width: int, height: int, ratio: float = 1) -> None:
        """The viewport as a screen of this size has it, narrower than any window too."""
        screen = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **screen)
        self.settle()

    def media(self, **features: str) -> None:
        """media(prefers_color_scheme="dark")."""
        listed = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=listed)
        self.settle()

    def errors(self) -> list[str]:
        """What the console holds since the last call, and what the page caught."""
        logged = [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return logged + list(self.js("return window.Explorer ? Explorer.faults.splice(0) : []"))

    def picture(self, path: Path, **options: Any) -> None:
        path.write_bytes(
            base64.b64decode(self.devtools("Page.captureScreenshot", **options)["data"])
        )


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with a profile in `folder`; it ends with the block."""
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (*FLAGS, f"--user-data-dir={folder}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
