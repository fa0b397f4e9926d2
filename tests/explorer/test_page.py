"""The page in a real browser: opened from the disk, operated, and compared with the library."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import solve
from flowsolve.explorer.page import page
from flowsolve.explorer.plans import cases, export, methods
from flowsolve.explorer.scenes import SIGMA_MAX, SIGMA_MIN, scene
from flowsolve.explorer.sprites import shipped
from flowsolve.ode import Wrapped
from tests.explorer.browser import BROWSER, DRIVER, Browser, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver"),
]
STEPS = (1, 2, 4, 6, 12)
SLIDERS = ("n", "zoom", "step", "sample", "level", "eta", "digits")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    path.write_text(page({**export(steps=STEPS), "sprites": shipped()}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(file)
        yield browser


@pytest.fixture
def browser(shared: Browser) -> Iterator[Browser]:
    """The page as one finds it; whatever a test does, it leaves no error behind."""
    shared.size(1280, 900)
    shared.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    shared.go()
    yield shared
    assert shared.errors() == []


def state(browser: Browser) -> dict[str, Any]:
    return dict(browser.js("return Explorer.state"))


def caption(browser: Browser, figure: str) -> str:
    browser.until("Explorer.waiting() === 0")
    return browser.text(f"#{figure}-words")


def shown(browser: Browser, figure: str) -> int:
    """A number that another picture on this canvas would change."""
    return hash(browser.js("return document.querySelector('#' + arguments[0] + ' canvas').toDataURL()", figure))


# ---- what it is --------------------------------------------------------------------------------------------


def test_it_asks_for_nothing_but_itself(browser: Browser) -> None:
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    assert browser.js("return document.querySelectorAll('[src^=http],link[href],a[href^=http]').length") == 0


def test_every_figure_is_drawn_and_says_in_words_what_it_shows(browser: Browser) -> None:
    browser.until("Explorer.errorRows().done && Explorer.waiting() === 0")
    blank = """return [...document.querySelectorAll('.plot canvas')].filter((c) => c.offsetParent).filter((c) =>
        c.toDataURL() === Object.assign(document.createElement('canvas'), {width: c.width, height: c.height}).toDataURL()).length"""
    assert browser.js(blank) == 0
    silent = """return [...document.querySelectorAll('[role=img][aria-labelledby]')].filter((f) => f.offsetParent)
        .filter((f) => document.getElementById(f.getAttribute('aria-labelledby')).textContent.trim().length < 40)
        .map((f) => f.id)"""
    assert browser.js(silent) == []


def test_links_lead_to_the_docs_or_are_not_there(browser: Browser, file: Path, tmp_path: Path) -> None:
    assert browser.js("return [...document.querySelectorAll('a[data-page]')].filter((a) => !a.hidden).length") == 0
    beside = tmp_path / "beside.html"
    beside.write_text(file.read_text("utf-8").replace('data-docs=""', 'data-docs="."'), "utf-8")
    browser.open(beside)
    found = "[...document.querySelectorAll('a[data-page]')].map((a) => a.getAttribute('href'))"
    addresses = browser.js(f"return {found}")
    browser.open(file)
    docs = Path(__file__).parents[2] / "docs"
    assert len(addresses) >= 8
    for address in addresses:
        name, _, anchor = address.removeprefix("./").partition("#")
        text = (docs / name).with_suffix(".md").read_text("utf-8")
        heads = [h.lower().replace(" ", "-").replace(".", "") for h in text.split("\n") if h.startswith("#")]
        assert not anchor or any(h.lstrip("#").strip("-") == anchor for h in heads), address


# ---- the same numbers as the library -----------------------------------------------------------------------


class Known(Wrapped):
    """Noise that both sides can make: one value for each interval."""

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return torch.full_like(x, math.sin(s + 2 * t + again))


@pytest.mark.parametrize("name", ["modes2", "three"])
def test_the_page_replays_every_method_on_every_grid_as_the_library_solves_it(browser: Browser, name: str) -> None:
    problem = scene(name).problem()
    x = SIGMA_MAX * torch.randn(16, *problem.event, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    keys, answers = [], []
    for method in methods():
        for _, key, n, solver, grid in cases(method, STEPS):
            name_, grid_, schedule_ = [*key.split("|"), *["karras", "linear"][key.count("|") :]]
            keys.append([name_, grid_, schedule_, n])
            answers.append(solve(Known(problem), x, grid, solver).x)
    code = """const [name, x, keys] = arguments, problem = Flow.problem(name);
        const noise = (number, count, s, t, again) => new Float64Array(count).fill(Math.sin(s + 2 * t + again));
        return keys.map((k) => Array.from(Flow.replay(Flow.plan(...k), problem, Float64Array.from(x), noise).x));"""
    found = torch.tensor(browser.js(code, name, x.flatten().tolist(), keys), dtype=torch.float64)
    exact = torch.stack(answers).reshape(len(keys), -1)
    off = ((found - exact).abs() / (1 + exact.abs())).amax(1)
    assert len(keys) > 500
    assert float(off.max()) < 1e-12, keys[int(off.argmax())]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_the_step_is_one_number_in_eq_12_eq_13_and_as_eulers(browser: Browser, schedule: str) -> None:
    for sample in (0, 5, 11):
        browser.go(f"#schedule={schedule}&n=6&sample={sample}&step=3")
        ways = browser.js("return [...document.querySelectorAll('[data-way]')].map((o) => o.textContent)")
        assert len(ways) == 3
        assert len(set(ways)) == 1
        arrived = browser.js("return Explorer.run('solver', Explorer.LINES, true).path[3].x[arguments[0]]", sample)
        assert abs(float(ways[0].replace("−", "-")) - arrived) < 1e-9
        assert "This is the step that DDIM (Euler) took." in browser.text("#step-words")


def test_errors_and_slopes_are_those_of_the_library(browser: Browser) -> None:
    browser.until("Explorer.errorRows().done")
    problem = scene("modes2").problem()
    x = torch.tensor(browser.js("return Array.from(Explorer.start(Explorer.JUDGED))"), dtype=torch.float64)
    exact = problem.flow(x, SIGMA_MAX, SIGMA_MIN)
    for method in methods():
        if method.key not in ("euler", "heun", "dpmpp_2m", "unipc", "euler_velocity"):
            continue
        rows = browser.js("return Explorer.errorRows().rows[arguments[0]]", method.key)
        errors = {r["n"]: r["error"] for r in rows}
        right = {
            n: float((solve(problem, x, grid, solver).x - exact).square().mean().sqrt())
            for _, key, n, solver, grid in cases(method, (6, 12))
            if key.split("|")[1:] in (["uniform", "cosine"], [])
        }
        assert errors[6] == pytest.approx(right[6], rel=1e-9)
        assert errors[12] == pytest.approx(right[12], rel=1e-9)
        slope = browser.js("return Explorer.slopeAt(Explorer.errorRows().rows, arguments[0], 12).slope", method.key)
        assert slope == pytest.approx(math.log(right[6] / right[12]) / math.log(2), rel=1e-6)


# ---- operated ----------------------------------------------------------------------------------------------


def test_the_switch_changes_the_coordinates(browser: Browser) -> None:
    before = shown(browser, "trajectories-plot")
    browser.click("[data-choose='coords=bar']")
    assert "straight line along ε" in caption(browser, "trajectories")
    assert shown(browser, "trajectories-plot") != before
    assert browser.js("return document.querySelector(\"[data-choose='coords=bar']\").getAttribute('aria-pressed')") == "true"
    # nodes of a DDIM step and the point half way lie on one line of the screen
    bent = """const L = Explorer.lineOnScreen(2, 4); const [a, b, c] = L;
        return Math.abs((b[0]-a[0]) * (c[1]-a[1]) - (b[1]-a[1]) * (c[0]-a[0])) / Math.hypot(c[0]-a[0], c[1]-a[1])"""
    assert browser.js(bent) < 1e-6
    browser.click("[data-choose='coords=t']")
    assert browser.js(bent) > 0.5


def test_the_switch_moves_unless_motion_is_unwanted(browser: Browser) -> None:
    browser.media(prefers_reduced_motion="no-preference")
    start = shown(browser, "trajectories-plot")
    browser.click("[data-choose='coords=bar']")
    on_the_way = shown(browser, "trajectories-plot")
    browser.until("!Explorer.moving()")
    assert len({start, on_the_way, shown(browser, "trajectories-plot")}) == 3


@pytest.mark.parametrize("slider", SLIDERS)
def test_sliders_move_by_key_and_the_figure_follows(browser: Browser, slider: str) -> None:
    figure = {"level": "samples-a", "eta": "noise-plot"}.get(slider, "trajectories-plot")
    if slider == "zoom":
        browser.click("[data-choose='coords=bar']")
    before, said, picture = state(browser), browser.text(f"#out-{slider}"), shown(browser, figure)
    browser.press(f"#in-{slider}", "right")
    browser.until("Explorer.waiting() === 0")
    assert state(browser)[slider] > before[slider]
    assert browser.text(f"#out-{slider}") != said
    assert browser.js(f"return document.querySelector('#in-{slider}').getAttribute('aria-valuetext')") == browser.text(f"#out-{slider}")
    assert slider == "digits" or shown(browser, figure) != picture
    browser.press(f"#in-{slider}", "left")
    assert state(browser) == before


def test_a_level_is_dragged_and_every_figure_follows(browser: Browser) -> None:
    said = [caption(browser, figure) for figure in ("levels", "table")]
    levels = browser.js("return Explorer.levels()")
    browser.drag("#levels-plot [data-k='2'] .knob", 60)
    moved = browser.js("return Explorer.levels()")
    assert state(browser)["grid"] == "dragged"
    assert moved[:2] == pytest.approx(levels[:2], rel=1e-4)
    assert 0.4 < moved[2] / levels[2] < 0.8  # 60 of about 650 pixels for a factor of 8000
    assert moved[3:] == pytest.approx(levels[3:], rel=1e-4)
    assert all(a != b for a, b in zip(said, [caption(browser, f) for f in ("levels", "table")], strict=True))
    browser.drag("#levels-plot [data-k='2'] .knob", 300)  # as far as the next level and no further
    assert browser.js("const v = Explorer.levels(); return v[2] > v[3]")


def test_levels_move_by_arrow_keys_come_and_go(browser: Browser) -> None:
    handle = "#levels-plot [data-k='1']"
    before = browser.js("return Explorer.levels()")
    browser.press(handle, "right", "right")
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
    at = browser.js("""const p = Explorer.lineOnScreen(3, 9)[2], b = document.querySelector('#trajectories-plot').getBoundingClientRect();
        return [Math.round(p[0] - b.width / 2), Math.round(p[1] - b.height / 2)]""")
    browser.point("#trajectories-plot", *at)
    assert (state(browser)["step"], state(browser)["sample"]) == (3, 9)
    assert "Step 3 of 4" in browser.text("#step-words")


def test_charts_say_what_euler_is_in_each(browser: Browser) -> None:
    said = set()
    for chart in ("noise", "data", "flow", "velocity", "time"):
        browser.click(f"[data-choose='chart={chart}']")
        browser.until("Explorer.waiting() === 0")
        said.add(browser.text("#charts-say"))
    assert len(said) == 5
    paths = """const s = Explorer.state; return ['euler', 'euler_data', 'euler_flow', 'euler_velocity'].map((k) =>
        Array.from(Explorer.replay(Explorer.plan(k), Explorer.start(17, true), 1).x))"""
    noise, data, flow, velocity = (torch.tensor(x, dtype=torch.float64) for x in browser.js(paths))
    assert torch.allclose(noise, data, rtol=0, atol=1e-12)
    assert torch.allclose(noise, flow, rtol=0, atol=1e-12)
    assert float((noise - velocity).abs().max()) > 0.01


def test_noise_splits_what_eta_zero_keeps_together(browser: Browser) -> None:
    browser.go("#eta=0")
    assert "all end at" in caption(browser, "noise")
    browser.go("#eta=100")
    assert "they end between" in caption(browser, "noise")


def test_guidance_is_there_for_classes_and_moves_them(browser: Browser) -> None:
    assert browser.js("return document.querySelector('#guidance').hidden")
    browser.go("#scene=classes")
    assert not browser.js("return document.querySelector('#guidance').hidden")
    mean = "const x = Explorer.run('solver', Explorer.CROWD).x; let m = 0; x.forEach((v) => m += v * v); return m / x.length"
    before = browser.js(mean)
    browser.press("#in-scale", *["right"] * 12)
    assert state(browser)["scale"] == 5
    assert browser.js(mean) != pytest.approx(before, rel=0.02)


# ---- the address, the keyboard, the looks ------------------------------------------------------------------


def test_the_address_holds_the_state(browser: Browser, file: Path) -> None:
    wanted = "#scene=three&seed=4&solver=heun&other=dpmpp_2m&n=12&grid=log_snr&schedule=linear&coords=bar&axis=log&zoom=70&sample=2&step=6&chart=data&level=40&eta=25&digits=20&theme=dark"
    browser.open(file, wanted)
    assert browser.js("return Explorer.toHash(Explorer.state)") == wanted[1:]
    browser.press("#in-eta", "right")
    browser.until("location.hash.includes('eta=26')")
    browser.js("location.hash = '#scene=ring&n=2'")
    browser.until("Explorer.state.scene === 'ring' && Explorer.state.n === 2 && Explorer.state.solver === 'euler'")
    browser.click("#copy")
    assert browser.text("#copied") in ("Link copied", "The link is in the address bar")


@pytest.mark.parametrize("wrong", ["#scene=none&solver=x&n=1e9", "#grid=dragged&levels=3,4,a", "#n=abc&=&step=-4&sample=99", "#%E0%A4%A&scene=%E0%A4%A", "#label=9&scene=classes&scale=1e400&level=-3&eta=900&zoom=1000&chart=x&axis=y&coords=z&theme=q"])
def test_an_address_that_is_wrong_does_no_harm(browser: Browser, file: Path, wrong: str) -> None:
    browser.open(file, wrong)
    browser.until("Explorer.waiting() === 0")
    assert browser.js("return document.querySelectorAll('[data-way]').length") == 3


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(browser: Browser) -> None:
    wanted = browser.js("""const all = [...document.querySelectorAll('button, select, input, a[href], [role=slider]')];
        return all.filter((n) => n.checkVisibility()).map((n, i) => (n.dataset.no = i, i))""")
    reached = set()
    browser.js("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(0, len(wanted) + 8, 8):
        for _ in range(8):
            browser.type("tab")
            reached.add(browser.js("return document.activeElement.dataset.no"))
    assert {str(n) for n in wanted} <= reached
    nameless = """return [...document.querySelectorAll('button, select, input, [role=slider], [role=img], img')]
        .filter((n) => !(n.textContent.trim() || n.closest('label') || n.getAttribute('aria-label') || n.getAttribute('aria-labelledby') || n.alt))
        .map((n) => n.outerHTML.slice(0, 80))"""
    assert browser.js(nameless) == []


def test_dark_and_light_by_the_system_by_the_button_and_by_the_address(browser: Browser, file: Path) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.js(colour)
    browser.media(prefers_color_scheme="dark")
    browser.settle()
    dark = browser.js(colour)
    assert dark != light
    browser.click("#theme")
    assert browser.js(colour) == light
    browser.open(file, "#theme=dark")
    assert browser.js(colour) == dark


@pytest.mark.parametrize("width", [360, 768])
@pytest.mark.parametrize("hash_", ["", "#scene=classes&other=heun&coords=bar&n=12", "#grid=dragged&levels=80,40,20,9,4,2,1,0.5,0.2,0.1,0.04,0.01&solver=rk4"])
def test_nothing_is_wider_than_the_screen(browser: Browser, width: int, hash_: str) -> None:
    browser.size(width, 740)
    browser.go(hash_)
    assert browser.js("return document.documentElement.scrollWidth") <= width
    wide = """return [...document.querySelectorAll('body *')].filter((n) => n.checkVisibility() && !n.closest('.formula, .skip'))
        .filter((n) => { const r = n.getBoundingClientRect(); return r.right > innerWidth + 0.5 || r.left < -0.5; })
        .map((n) => n.tagName + '.' + n.getAttribute('class') + ' ' + n.textContent.slice(0, 30))"""
    assert browser.js(wide) == []


def test_print_leaves_the_controls_out(browser: Browser) -> None:
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    assert not browser.js("return document.querySelector('#controls').checkVisibility()")
    assert browser.js("return document.querySelector('#trajectories-plot').checkVisibility()")
    browser.devtools("Emulation.setEmulatedMedia", media="")


def test_a_slider_moves_the_figure_within_a_tenth_of_a_second(browser: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of docs/explorer.md: from the event to the frame after the drawn one, median and largest of 12."""
    browser.until("Explorer.errorRows().done && Explorer.waiting() === 0")
    browser.click("[data-choose='coords=bar']")
    measured = {}
    for slider in SLIDERS:
        browser.js("Explorer.timings.length = 0")
        browser.press(f"#in-{slider}", *["right", "left"] * 8)
        times = browser.js("return Explorer.timings.map((t) => t.ms)")
        measured[slider] = (statistics.median(times), max(times), len(times))
    with capsys.disabled():
        print("\nslider, median ms, largest ms, moves:", json.dumps(measured))
    assert all(median < 100 for median, _, _ in measured.values()), measured
