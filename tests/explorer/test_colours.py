"""The lines of one figure of the page can be told apart, by colour blind readers too, in light and in dark."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations

import pytest

look = pytest.importorskip("tests.plot.test_look", reason="has CIEDE2000")
LINES = (
    "a",
    "b",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "eighth",
)  # seventh is of methods with noise: no line


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'], ids=["light", "dark"])
def test_lines_differ_to_a_deuteranope(theme: str) -> None:
    css = (files("flowsolve.explorer") / "page" / "style.css").read_text(encoding="utf-8")
    colours = dict(
        re.findall(r"--(\w+): (#[0-9a-f]{6})", css.split(theme, 1)[1].split("\n}", 1)[0])
    )
    seen = [look.lab(colours[name], look.DEUTERANOPIA) for name in LINES]
    assert min(look.ciede2000(one, other) for one, other in combinations(seen, 2)) >= 12
