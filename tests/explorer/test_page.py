"""The page in a real browser: whole, from the disk alone, and with the library's numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from flowsolve import solve
from flowsolve.explorer.plans import cases, methods
from flowsolve.explorer.scenes import SIGMA_MAX, SIGMA_MIN, scene
from flowsolve.ode import Wrapped
from tests.explorer.conftest import STEPS

if TYPE_CHECKING:
    from tests.explorer.browser import Browser

pytestmark = pytest.mark.browser
DOCS = Path(__file__).parents[2] / "docs"


def test_it_asks_for_nothing_but_itself(browser: Browser) -> None:
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    assert (
        browser.js(
            "return document.querySelectorAll('[src^=http], link[href], a[href^=http]').length"
        )
        == 0
    )


def test_every_figure_is_drawn_and_says_in_words_what_it_shows(browser: Browser) -> None:
    browser.until("Explorer.errorRows().done && Explorer.waiting() === 0")
    assert browser.js("return Probe.blank()") == 0
    assert browser.js("return Probe.silent()") == []


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("modes2", {"grid": "karras", "n": 24}),
        ("three", {"grid": "dragged", "levels": "80,20,5,2,1,0.5,0.1,0.01"}),
    ],
)
def test_every_method_is_drawn_or_says_why_not(
    browser: Browser, name: str, chosen: dict[str, object]
) -> None:
    assert browser.js("return Probe.tour(...arguments)", name, chosen) == []
    assert "64 evaluations" in browser.js(
        "Explorer.set({solver: 'rk4', grid: 'karras', n: 24}); return Explorer.why('rk4')"
    )


def test_links_lead_to_the_docs_or_are_not_there(
    browser: Browser, file: Path, tmp_path: Path
) -> None:
    assert browser.js("return Probe.visible('a[data-page]').length") == 0
    beside = tmp_path / "beside.html"
    beside.write_text(file.read_text("utf-8").replace('data-docs=""', 'data-docs="."'), "utf-8")
    browser.open(beside)
    found = browser.js("return Probe.visible('a[data-page]').map((a) => a.getAttribute('href'))")
    browser.open(file)
    assert len(found) >= 8
    for address in found:
        name, _, anchor = address.removeprefix("./").partition("#")
        text = (DOCS / name).with_suffix(".md").read_text("utf-8")
        heads = [
            re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-")
            for h in text.split("\n")
            if h[:1] == "#"
        ]
        assert not anchor or anchor in heads, address


class Known(Wrapped):
    """Noise that both sides can make: one value for each interval."""

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return torch.full_like(x, math.sin(s + 2 * t + again))


@pytest.mark.parametrize("name", ["modes2", "three"])
def test_every_plan_replayed_in_the_page_is_what_the_library_solves(
    browser: Browser, name: str
) -> None:
    problem = scene(name).problem()
    noise = torch.randn(
        16, *problem.event, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    x, keys, answers = SIGMA_MAX * noise, [], []
    for method in methods():
        for _, key, n, solver, grid in cases(method, STEPS):
            keys.append([*key.split("|"), *["karras", "linear"][key.count("|") :], n])
            answers.append(solve(Known(problem), x, grid, solver).x)
    ends = browser.js("return Probe.replays(...arguments)", name, x.flatten().tolist(), keys)
    exact = torch.stack(answers).reshape(len(keys), -1)
    off = ((torch.tensor(ends, dtype=torch.float64) - exact).abs() / (1 + exact.abs())).amax(1)
    assert len(keys) > 500
    assert float(off.max()) < 1e-12, keys[int(off.argmax())]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_a_step_is_one_number_by_eq_12_eq_13_and_euler(browser: Browser, schedule: str) -> None:
    for sample in (0, 5, 11):
        browser.go(f"#schedule={schedule}&n=6&sample={sample}&step=3")
        ways = browser.js("return Probe.visible('[data-way]').map((o) => o.textContent)")
        assert len(ways) == 3
        assert len(set(ways)) == 1
        path = "Explorer.run('solver', Explorer.LINES, true).path"
        arrived = browser.js(f"return {path}[3].x[arguments[0]]", sample)
        assert float(ways[0].replace("−", "-")) == pytest.approx(arrived, abs=1e-9)
        assert "This is the step that DDIM (Euler) took." in browser.text("#step-words")


def test_errors_and_slopes_are_those_of_the_library(browser: Browser) -> None:
    browser.until("Explorer.errorRows().done")
    problem = scene("modes2").problem()
    x = torch.tensor(
        browser.js("return Array.from(Explorer.start(Explorer.JUDGED))"), dtype=torch.float64
    )
    exact = problem.flow(x, SIGMA_MAX, SIGMA_MIN)  # type: ignore[attr-defined]
    for method in methods():
        if method.key not in ("euler", "euler_velocity", "heun", "dpmpp_2m", "unipc", "default"):
            continue
        rows = browser.js("return Explorer.errorRows().rows[arguments[0]]", method.key)
        errors = {row["n"]: row["error"] for row in rows}
        for _, key, n, solver, grid in cases(method, (6, 12)):
            if key.split("|")[1:] in (
                ["uniform", "cosine"],
                [],
            ):  # the grid that the page begins with, or its own
                right = float((solve(problem, x, grid, solver).x - exact).square().mean().sqrt())
                assert errors[n] == pytest.approx(right, rel=1e-8)
        slope = browser.js(
            "return Explorer.slopeAt(Explorer.errorRows().rows, arguments[0], 12).slope", method.key
        )
        assert slope == pytest.approx(math.log(errors[6] / errors[12], 2), rel=1e-9)


def test_euler_is_ddim_in_three_charts_and_another_method_in_the_fourth(browser: Browser) -> None:
    said = set()
    for chart in ("noise", "data", "flow", "velocity", "time"):
        browser.click(f"[data-choose='chart={chart}']")
        browser.until("Explorer.waiting() === 0")
        said.add(browser.text("#charts-say"))
    assert len(said) == 5
    noise, data, flow, velocity = (
        torch.tensor(browser.js("return Probe.ends(arguments[0])", key), dtype=torch.float64)
        for key in ("euler", "euler_data", "euler_flow", "euler_velocity")
    )
    assert torch.allclose(noise, data, rtol=0, atol=1e-12)
    assert torch.allclose(noise, flow, rtol=0, atol=1e-12)
    assert float((noise - velocity).abs().max()) > 0.01


def test_what_the_examples_say_is_so(browser: Browser) -> None:
    def show(name: str) -> None:
        browser.js(
            "Probe.visible('.try a').find((a) => a.textContent === arguments[0]).click()", name
        )
        browser.until("Explorer.errorRows().done && Explorer.waiting() === 0")

    def error(key: str, nfe: int) -> float:
        rows = browser.js("return Explorer.errorRows().rows[arguments[0]]", key)
        return float(next(row["error"] for row in rows if row["nfe"] == nfe))

    show("Heun overtakes DDIM")
    assert browser.js(
        "return !!document.querySelector('#errors-legend').closest('section').querySelector('#try-say')"
    )
    assert error("heun", 12) > error("euler", 12)
    assert error("heun", 24) < error("euler", 24)
    show("a narrow mode")
    for key, order in (("euler", 1), ("dpmpp_2m", 2)):
        assert math.log(error(key, 12) / error(key, 24), 2) < 0.8 * order
    show("guidance")
    guided = browser.js("return Probe.power()")
    browser.go("#scene=classes&scale=1&n=12")
    assert guided > 1.1 * browser.js("return Probe.power()")
