"""The page operated by a browser driver: switch, sliders, levels, points, address, keyboard, widths."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.explorer.browser import Browser


pytestmark = pytest.mark.browser
SLIDERS = ("n", "zoom", "step", "sample", "level", "eta", "digits")
BAR = "[data-choose='coords=bar']"
WRONG = {
    "keys": "#scene=none&solver=x&n=1e9",
    "levels": "#grid=dragged&levels=3,4,a",
    "numbers": "#n=abc&=&step=-4&sample=99&label=9&scale=1e400&level=-3&eta=900&zoom=1000",
    "escapes": "#%E0%A4%A&scene=%E0%A4%A",
    "choices": "#scene=classes&chart=x&axis=y&coords=z&theme=q",
}
FULL = {
    "first": "",
    "classes": "#scene=classes&other=heun&coords=bar&n=12",
    "levels": "#grid=dragged&levels=80,40,20,9,4,2,1,0.5,0.2,0.1,0.04,0.01&solver=rk4",
}


def state(browser: Browser) -> dict[str, Any]:
    return dict(browser.js("return Explorer.state"))


def caption(browser: Browser, figure: str) -> str:
    browser.until("Explorer.waiting() === 0")
    return browser.text(f"#{figure}-words")


def picture(browser: Browser, figure: str) -> str:
    return str(
        browser.js(
            "return document.querySelector('#' + arguments[0] + ' canvas').toDataURL()", figure
        )
    )


def test_the_switch_makes_straight_lines_of_the_steps(browser: Browser) -> None:
    before = picture(browser, "trajectories-plot")
    assert browser.js("return Probe.bent(2, 4)") > 0.5
    browser.click(BAR)
    assert browser.js("return Probe.bent(2, 4)") < 1e-6
    assert "straight line along ε" in caption(browser, "trajectories")
    assert picture(browser, "trajectories-plot") != before
    assert (
        browser.js("return document.querySelector(arguments[0]).getAttribute('aria-pressed')", BAR)
        == "true"
    )
    browser.click("[data-choose='coords=t']")
    assert picture(browser, "trajectories-plot") == before


def test_the_switch_moves_unless_motion_is_unwanted(browser: Browser) -> None:
    browser.media(prefers_reduced_motion="no-preference")
    start = picture(browser, "trajectories-plot")
    browser.click(BAR)
    on_the_way = picture(browser, "trajectories-plot")
    browser.until("!Explorer.moving()")
    assert len({start, on_the_way, picture(browser, "trajectories-plot")}) == 3


@pytest.mark.parametrize("slider", SLIDERS)
def test_sliders_move_by_key_and_the_figure_follows(browser: Browser, slider: str) -> None:
    figure = {"level": "samples-a", "eta": "noise-plot"}.get(slider, "trajectories-plot")
    if slider == "zoom":
        browser.click(BAR)
    before, said, drawn = state(browser), browser.text(f"#out-{slider}"), picture(browser, figure)
    browser.press(f"#in-{slider}", "right")
    browser.until("Explorer.waiting() === 0")
    assert state(browser)[slider] > before[slider]
    now = browser.text(f"#out-{slider}")
    assert now != said
    assert (
        browser.js(f"return document.querySelector('#in-{slider}').getAttribute('aria-valuetext')")
        == now
    )
    assert slider == "digits" or picture(browser, figure) != drawn
    browser.press(f"#in-{slider}", "left")
    assert state(browser) == before


def test_a_level_is_dragged_and_every_figure_follows(browser: Browser) -> None:
    said = [caption(browser, figure) for figure in ("levels", "table")]
    levels = browser.js("return Explorer.levels()")
    browser.drag("#levels-plot [data-k='2'] .knob", 60)
    moved = browser.js("return Explorer.levels()")
    assert state(browser)["grid"] == "dragged"
    assert moved[:2] == pytest.approx(levels[:2], rel=1e-4)
    assert 0.4 < moved[2] / levels[2] < 0.8  # 60 of about 690 pixels for a factor of 8000
    assert moved[3:] == pytest.approx(levels[3:], rel=1e-4)
    assert all(was != caption(browser, f) for was, f in zip(said, ("levels", "table"), strict=True))
    browser.drag("#levels-plot [data-k='2'] .knob", 300)  # as far as the next level, and no further
    assert browser.js("const v = Explorer.levels(); return v[2] > v[3] && v[2] < 1.02 * v[3]")


def test_levels_move_by_arrow_keys_come_and_go(browser: Browser) -> None:
    before = browser.js("return Explorer.levels()")
    browser.press("#levels-plot [data-k='1']", "right", "right")
    after = browser.js("return Explorer.levels()")
    assert after[1] == pytest.approx(before[1] / 1.04**2, rel=1e-4)
    assert browser.js("return document.activeElement.dataset.k") == "1"
    browser.click("#add-level")
    assert browser.js("return Explorer.levels().length") == 6
    assert browser.text("#out-n") == "5 steps, 5 evaluations"
    browser.click("#drop-level")
    assert browser.js("return Explorer.levels().length") == 5


def test_a_point_of_the_error_figure_chooses_method_and_steps(browser: Browser) -> None:
    browser.until("Explorer.errorRows().done")
    at = browser.js("return Explorer.pointOf('heun', 6)")
    browser.point("#errors-plot", *at)
    assert "Heun (EDM): 12 evaluations" in browser.text("#errors-words")
    assert "slope" in browser.text("#errors-plot svg")
    browser.point("#errors-plot", *at, press=True)
    assert (state(browser)["solver"], state(browser)["n"]) == ("heun", 6)
    assert browser.js("return document.querySelector('#in-solver').value") == "heun"


def test_the_cursor_chooses_the_step(browser: Browser) -> None:
    browser.point("#trajectories-plot", *browser.js("return Probe.place(3, 9)"))
    assert (state(browser)["step"], state(browser)["sample"]) == (3, 9)
    assert "Step 3 of 4" in browser.text("#step-words")


def test_noise_splits_what_eta_zero_keeps_together(browser: Browser) -> None:
    browser.go("#eta=0")
    assert "all end at" in caption(browser, "noise")
    browser.go("#eta=100")
    assert "they end between" in caption(browser, "noise")


def test_guidance_is_there_for_classes_and_moves_them(browser: Browser) -> None:
    assert browser.js("return Probe.visible('#guidance').length") == 0
    browser.go("#scene=classes")
    assert browser.js("return Probe.visible('#guidance').length") == 1
    before = browser.js("return Probe.power()")
    browser.press("#in-scale", *["right"] * 12)
    assert state(browser)["scale"] == 5
    assert browser.js("return Probe.power()") > 1.02 * before


def test_the_address_holds_the_state(browser: Browser, file: Path) -> None:
    wanted = (
        "#scene=three&seed=4&solver=heun&other=dpmpp_2m&n=12&grid=log_snr&schedule=linear&coords=bar&axis=log"
        "&zoom=70&sample=2&step=6&chart=data&level=40&eta=25&digits=20&theme=dark"
    )
    browser.open(file, wanted)
    assert browser.js("return Explorer.toHash(Explorer.state)") == wanted[1:]
    browser.press("#in-eta", "right")
    browser.until("location.hash.includes('eta=26')")
    browser.js("location.hash = '#scene=ring&n=2'")
    browser.until(
        "Explorer.state.scene === 'ring' && Explorer.state.n === 2 && Explorer.state.solver === 'euler'"
    )
    browser.click("#copy")
    assert browser.text("#copied") in ("Link copied", "The link is in the address bar")


@pytest.mark.parametrize("wrong", WRONG)
def test_an_address_that_is_wrong_does_no_harm(browser: Browser, wrong: str) -> None:
    browser.go(WRONG[wrong])
    assert browser.js("return Probe.visible('[data-way]').length") == 3
    assert browser.js("return Probe.blank()") == 0


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(browser: Browser) -> None:
    wanted, reached = browser.js("return Probe.numbered()"), set()
    for _ in range(len(wanted) + 2):
        browser.type("tab")
        reached.add(browser.js("return document.activeElement.dataset.no"))
    assert set(wanted) <= reached
    assert browser.js("return Probe.nameless()") == []


def test_dark_by_the_system_by_the_button_and_by_the_address(browser: Browser) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.js(colour)
    browser.media(prefers_color_scheme="dark")
    dark = browser.js(colour)
    assert dark != light
    browser.click("#theme")
    assert browser.js(colour) == light
    browser.media(prefers_color_scheme="light")
    browser.go("#theme=dark")
    assert browser.js(colour) == dark


@pytest.mark.parametrize("width", [360, 768])
@pytest.mark.parametrize("what", FULL)
def test_nothing_is_wider_than_the_screen(browser: Browser, width: int, what: str) -> None:
    browser.size(width, 740)
    browser.go(FULL[what])
    assert (
        browser.js("return Probe.visible('#in-solver').length") == 0
    )  # folded away, until one asks for it
    browser.click("summary")
    assert browser.js("return document.documentElement.scrollWidth") <= width
    assert browser.js("return Probe.wide()") == []


def test_print_leaves_the_controls_out(browser: Browser) -> None:
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    assert browser.js("return Probe.visible('#controls, .bar, .buttons').length") == 0
    assert browser.js("return Probe.visible('#trajectories-plot').length") == 1
    browser.devtools("Emulation.setEmulatedMedia", media="")


def test_a_slider_moves_what_one_sees_within_a_tenth_of_a_second(
    browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    """Makes the table of docs/explorer.md: from the event to the frame after the one that was drawn."""
    browser.until("Explorer.errorRows().done")
    browser.click(BAR)
    rows = {}
    for slider in SLIDERS:
        browser.press(f"#in-{slider}", "right")
        browser.js("Explorer.timings.length = 0")
        for key in ["left", "right"] * 4:
            browser.type(key)
        times = browser.js("return Explorer.timings.map((t) => t.ms)")
        rows[slider] = statistics.median(times)
        with capsys.disabled():
            print(f"| {slider} | {rows[slider]:.0f} | {max(times):.0f} |")
    assert max(rows.values()) < 100, rows
