"""Chromium through its driver: the W3C WebDriver protocol over HTTP, with the standard library alone."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PROBES = (Path(__file__).parent / "probes.js").read_text(encoding="utf-8")
KEYS = {
    "left": "\ue012",
    "up": "\ue013",
    "right": "\ue014",
    "down": "\ue015",
    "tab": "\ue004",
    "end": "\ue010",
}
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One session of chromedriver at `address`."""

    def __init__(self, address: str, size: tuple[int, int], folder: Path) -> None:
        self.address = address
        options = {
            "binary": BROWSER,
            "args": [*FLAGS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self.session = ""
        answer = self.ask("POST", "/session", capabilities={"alwaysMatch": wanted})
        self.session = f"/session/{answer['sessionId']}"

    def ask(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + self.session + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path, hash_: str = "") -> None:
        """The page from the disk, once it says that it is ready."""
        self.ask("POST", "/url", url="about:blank")
        self.ask("POST", "/url", url=page.as_uri() + hash_)
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
        return self.ask("POST", "/execute/sync", script=code, args=list(arguments))

    def until(self, condition: str, seconds: float = 20) -> None:
        """Waits until the JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.js(f"return {condition}"):
            assert time.monotonic() < end, f"{condition} is still false after {seconds} s"
            time.sleep(0.02)

    def settle(self) -> None:
        """Two frames: what was asked for has been drawn."""
        code = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        self.ask("POST", "/execute/async", script=code, args=[])

    def find(self, selector: str) -> str:
        found = self.ask("POST", "/element", using="css selector", value=selector)
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        self.ask("POST", f"/element/{self.find(selector)}/click")
        self.settle()

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def press(self, selector: str, *keys: str) -> None:
        """Focuses the element, and types keys by name."""
        self.js("document.querySelector(arguments[0]).focus()", selector)
        self.type(*keys)

    def type(self, *keys: str) -> None:
        actions = [{"type": what, "value": KEYS[k]} for k in keys for what in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])
        self.settle()

    def drag(self, selector: str, dx: int) -> None:
        """Takes the element by its middle and carries it dx pixels to the right."""
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        at = {ELEMENT: self.find(selector)}
        moves = [
            {"type": "pointerMove", "origin": at, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            *({"type": "pointerMove", "origin": "pointer", "x": x, "y": 0} for x in (dx // 2, dx - dx // 2)),
            {"type": "pointerUp", "button": 0},
        ]  # fmt: skip
        self.pointer(moves)

    def point(self, selector: str, x: int, y: int, press: bool = False) -> None:
        """The pointer to (x, y) from the middle of the element, and a click there."""
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        moves: list[dict[str, Any]] = [
            {"type": "pointerMove", "origin": {ELEMENT: self.find(selector)}, "x": x, "y": y}
        ]
        if press:
            moves += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self.pointer(moves)

    def pointer(self, moves: list[dict[str, Any]]) -> None:
        mouse = {
            "type": "pointer",
            "id": "mouse",
            "parameters": {"pointerType": "mouse"},
            "actions": moves,
        }
        self.ask("POST", "/actions", actions=[mouse])
        self.settle()

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def size(self, width: int, height: int, ratio: float = 1) -> None:
        """The viewport as a screen of this size has it, narrower than any window too."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=False,
        )
        self.settle()

    def media(self, **features: str) -> None:
        """media(prefers_color_scheme="dark")."""
        listed = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=listed)
        self.settle()

    def errors(self) -> list[str]:
        """What the console holds since the last call, and what the page caught."""
        logged = [entry["message"] for entry in self.ask("POST", "/se/log", type="browser")]
        return logged + list(self.js("return window.Explorer ? Explorer.faults.splice(0) : []"))

    def picture(self, path: Path, whole: bool = True) -> None:
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(folder: Path, size: tuple[int, int] = (1280, 900)) -> Iterator[Browser]:
    """A browser, and its driver on a free port; both end with the block."""
    assert DRIVER is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 20
        while True:
            try:
                browser = Browser(f"http://127.0.0.1:{port}", size, folder)
                break
            except (ConnectionError, urllib.error.URLError):
                assert time.monotonic() < end, "chromedriver does not answer"
                time.sleep(0.05)
        try:
            yield browser
        finally:
            browser.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)
