"""The exercises of the lessons: their checks let the solution through, and stop what is wrong.

Lessons are executed when the docs are built. Here only their imports, functions and classes are, and lines
that make a name from calls of the library alone.
"""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowsolve import OneStep
from flowsolve_solvers import Heun

LESSONS = sorted((Path(__file__).parents[2] / "docs" / "lessons").glob("*.py"))
# names that checks of a lesson need besides its definitions
KEPT = {"3_order": {"problem", "start", "truth"}, "4_charts": {"problem"}}


@cache
def lesson(stem: str) -> dict[str, Any]:
    """The names that a lesson defines, without running it."""
    (path,) = [p for p in LESSONS if p.stem == stem]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    body = [
        node
        for node in tree.body
        if isinstance(node, kinds)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in KEPT.get(stem, ()))
    ]
    module = ModuleType(f"lesson_{stem[0]}")  # dataclasses look their module up
    sys.modules[module.__name__] = module
    exec(compile(ast.Module(body, []), str(path), "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


@dataclass(frozen=True, repr=False)
class EulerTwice(OneStep):
    """Two halves of an Euler step: consistent and of order 1.      a wrong answer"""

    order = 2

    def step(self, ode: Any, x: Any, s: float, t: float) -> Any:
        m = (s + t) / 2
        x = x + (m - s) * ode.eps(x, s)
        return x + (t - m) * ode.eps(x, m)


def euler(eps: Any, x: Any, s: float, t: float) -> Any:
    return x + (t - s) * eps(x, s)


def backwards(eps: Any, x: Any, levels: Any) -> Any:
    for s, t in pairwise(levels):
        x = x - (t - s) * eps(x, s)
    return x


def late(eps: Any, x: Any, levels: Any) -> Any:
    """Each step with ε at the level that it goes to."""
    for s, t in pairwise(levels):
        x = x + (t - s) * eps(x, t)
    return x


# (lesson, check): answers that the check must refuse
WRONG: dict[tuple[str, str], list[Any]] = {
    ("1_ddim_is_euler", "encode"): [backwards, late, lambda eps, x, levels: x],
    ("1_ddim_is_euler", "euler_in_variance"): [
        euler,
        lambda eps, x, s, t: x + (t**2 - s**2) / (2 * t) * eps(x, s),
    ],
    ("2_five_networks", "eps_from_v"): [
        lambda v, x_t, alpha, s: alpha * x_t - s * v,  # x₀
        lambda v, x_t, alpha, s: s * x_t - alpha * v,
    ],
    ("2_five_networks", "x0_from_score"): [
        lambda score, x, sigma: x + sigma**2 * score,  # of VE
        lambda score, x, sigma: x - sigma**2 / math.sqrt(1 + sigma**2) * score,
    ],
    ("3_order", "two_points"): [
        lambda r, s, t: (1.5 * (t - s), -0.5 * (t - s)),
        lambda r, s, t: (t - s, 0.0),
    ],
    ("3_order", "start"): [euler, lambda eps, x, s, t: x + (t - s) * eps(x, t)],
    ("4_charts", "line_in_lambda"): [
        lambda h, before: (math.expm1(h) * (1 + h / 2 / before), -math.expm1(h) * h / 2 / before),
        lambda h, before: (math.expm1(h), 0.0),
    ],
    ("4_charts", "dpm_2"): [
        lambda eps, x, s, t, r: x
        + (t - s) * eps(x + (math.sqrt(s * t) - s) * eps(x, s), math.sqrt(s * t)),
        lambda eps, x, s, t, r: x
        + (t - s) * eps(x + r * (t - s) * eps(x, s), s + r * (t - s)),
    ],
    ("5_ddpm", "ancestral"): [
        lambda s, t, eta: (t, eta * t),
        lambda s, t, eta: (t * math.sqrt(1 - eta**2), eta * t),  # the right marginal, another posterior
        lambda s, t, eta: (t, 0.0),
    ],
    ("5_ddpm", "between"): [
        lambda a, b, w: (1 - w) * a + w * b,
        lambda a, b, w: a,
        lambda a, b, w: a if w < 0.6 else b,
    ],
    ("6_your_own", "sampler"): [Heun, EulerTwice, lambda: EulerTwice()],
    ("6_your_own", "levels"): [
        lambda n: [10 + (0.05 - 10) * k / n for k in range(n + 1)],
        lambda n: [10 * (0.05 / 10) ** (k / (n + 1)) for k in range(n + 2)],
        lambda n: [8 * (0.05 / 8) ** (k / n) for k in range(n + 1)],
    ],
}  # fmt: skip
RIGHT = {"start": "midpoint", "sampler": "Ralston"}  # where the solution has another name
EXERCISES = [*WRONG]


def check(exercise: tuple[str, str], answer: Any) -> str:
    """What the check prints."""
    checker: Callable[[Any], None] = lesson(exercise[0])[f"check_{exercise[1]}"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        checker(answer)
    return printed.getvalue()


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e[1])
def test_the_solution_is_right(exercise: tuple[str, str]) -> None:
    solution = lesson(exercise[0])[RIGHT.get(exercise[1], exercise[1])]
    assert check(exercise, solution).startswith("right")


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e[1])
def test_wrong_answers_are_refused(exercise: tuple[str, str]) -> None:
    for answer in WRONG[exercise]:
        with pytest.raises(AssertionError) as caught:
            check(exercise, answer)
        assert str(caught.value), "it says what is wrong"


def titles(text: str, mark: str) -> list[str]:
    return re.findall(rf"^# (.+)\n# {re.escape(mark)}{{3,}}$", text, re.MULTILINE)


def exercises_of(paths: Iterable[Path]) -> set[tuple[str, str]]:
    return {
        (p.stem, name)
        for p in paths
        for name in re.findall(r"^def check_(\w+)", p.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_every_lesson_has_two_exercises_with_solutions() -> None:
    assert len(LESSONS) == 6
    assert exercises_of(LESSONS) == set(EXERCISES)
    for path in LESSONS:
        text = path.read_text(encoding="utf-8")
        assert len([t for t in titles(text, "-") if t.startswith("Exercise")]) == 2, path.name
        assert titles(text, "^") == ["Solution"] * 2, path.name
        assert re.match(r'r"""\n' + path.stem[0] + r"\. (.+)\n=+\n", text), path.name
