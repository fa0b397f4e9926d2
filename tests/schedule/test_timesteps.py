"""Labels by other people's formulas, and grids that know their neighbours."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowsolve import (
    VPSDE,
    Grid,
    from_alphas_cumprod,
    leading,
    linear_beta,
    linspace,
    sample,
    scaled_linear_beta,
    solve,
    tabulate,
    tau_linear,
    tau_quadratic,
    trailing,
)
from flowsolve.errors import GridError
from flowsolve.integrate.cost import cost
from flowsolve.problems import Mixture
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve_solvers import Euler, WrongNeighbour

CLOCK = linear_beta()
COUNTS = (1, 2, 3, 5, 7, 10, 50, 61, 100, 333, 999, 1000)


def labels(grid: Grid, clock: DiscreteClock = CLOCK) -> list[float]:
    """Without the final level 0."""
    return [clock.t(s) for s in grid if s > 0]


def sigma(t: int, clock: DiscreteClock = CLOCK) -> float:
    a = clock.alphas_cumprod[t]
    return math.sqrt((1 - a) / a)


def check(grid: Grid, expected: list[int], clock: DiscreteClock = CLOCK) -> None:
    """σ of the table, to round-off, and then 0."""
    assert list(grid) == pytest.approx([sigma(t, clock) for t in expected] + [0], rel=1e-13)


@pytest.mark.parametrize("n", [n for n in COUNTS if 1000 % n == 0])
def test_the_papers_linear_labels(n: int) -> None:
    """ermongroup/ddim, runners/diffusion.py: range(0, T, T // n)."""
    seq = list(range(0, 1000, 1000 // n))
    check(tau_linear(n, clock=CLOCK), seq[::-1])


def test_the_papers_linear_labels_where_n_does_not_divide() -> None:
    assert labels(tau_linear(3, clock=CLOCK)) == pytest.approx([666, 333, 0], abs=1e-6)
    seven = labels(tau_linear(7, clock=CLOCK))  # their range has 8 labels, 994 the highest
    assert seven == pytest.approx([857, 714, 571, 428, 285, 142, 0], abs=1e-6)


@pytest.mark.parametrize("n", [n for n in COUNTS if n <= 333])
def test_the_papers_quadratic_labels(n: int) -> None:
    """[int(s) for s in np.linspace(0, sqrt(0.8 T), n) ** 2], their repetitions once."""
    seq = [int(s) for s in list(np.linspace(0, np.sqrt(1000 * 0.8), n) ** 2)]
    check(tau_quadratic(n, clock=CLOCK), sorted(set(seq), reverse=True))


def test_the_quadratic_labels_start_low_and_repeat() -> None:
    assert labels(tau_quadratic(10, clock=CLOCK))[0] == pytest.approx(800, abs=1.5)
    assert tau_quadratic(50, clock=CLOCK).steps == 49  # 0 came twice
    assert tau_quadratic(50, clock=CLOCK, final="first").steps == 48


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("n", [n for n in COUNTS if n < 1000])
def test_leading(n: int, offset: int) -> None:
    """diffusers: DDIM, DDPM, PNDM, Euler, Heun, LMS, KDPM2; and DPM-Solver, DEIS, UniPC."""
    ddim = (np.arange(0, n) * (1000 // n)).round()[::-1].astype(int) + offset
    check(leading(n, clock=CLOCK, steps_offset=offset), list(ddim))
    dpm = (np.arange(0, n + 1) * (1000 // (n + 1))).round()[::-1][:-1].astype(int) + offset
    if dpm[0] > 999:
        with pytest.raises(GridError, match="labels go from 1000 to 2"):
            leading(n, clock=CLOCK, steps_offset=offset, variant="dpm")
    else:
        check(leading(n, clock=CLOCK, steps_offset=offset, variant="dpm"), list(dpm))


@pytest.mark.parametrize("n", COUNTS)
def test_trailing(n: int) -> None:
    """np.arange(T, 0, -T / n) is a number too long for some n (61): theirs then ends with label -1."""
    theirs = np.round(np.arange(1000, 0, -1000 / n)).astype(int)[:n] - 1
    check(trailing(n, clock=CLOCK), list(theirs))


def test_trailing_halves_fall_as_in_numpy() -> None:
    """T/n as np.arange rounds it: for 50 of the first 1000 n another half comes out than of T - i T/n."""
    other = []
    for n in range(1, 1001):
        theirs = np.round(np.arange(1000, 0, -1000 / n)).astype(int)[:n] - 1
        stride = 1000 - (1000 - 1000 / n)
        assert [round(1000 - i * stride) - 1 for i in range(n)] == list(theirs)
        if [round(1000 - i * (1000 / n)) - 1 for i in range(n)] != list(theirs):
            other.append(n)
    assert (len(other), other[:3]) == (50, [48, 96, 112])
    for n in other[:5]:
        theirs = np.round(np.arange(1000, 0, -1000 / n)).astype(int)[:n] - 1
        check(trailing(n, clock=CLOCK), list(theirs))
    assert labels(trailing(48, clock=CLOCK))[3] == pytest.approx(936, abs=1e-6)


@pytest.mark.parametrize("n", [n for n in COUNTS if n < 1000])
def test_linspace(n: int) -> None:
    check(linspace(n, clock=CLOCK), list(np.linspace(0, 999, n).round()[::-1].astype(int)))
    dpm = np.linspace(0, 999, n + 1).round()[::-1][:-1].astype(int)
    check(linspace(n, clock=CLOCK, variant="dpm"), list(dpm))
    euler = linspace(n, clock=CLOCK, variant="euler")
    expected = [CLOCK.sigma(float(t)) for t in np.linspace(0, 999, n)[::-1]]
    assert list(euler) == pytest.approx([*expected, 0], rel=1e-12)


def test_ten_of_a_thousand() -> None:
    """What the words mean, written out."""

    def of(spacing: Callable[..., Grid], **options: Any) -> list[int]:
        return [round(t) for t in labels(spacing(10, clock=CLOCK, **options))]

    assert of(leading) == of(tau_linear) == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]
    assert of(leading, variant="dpm") == [900, 810, 720, 630, 540, 450, 360, 270, 180, 90]
    assert of(trailing) == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert of(linspace) == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert of(linspace, variant="dpm") == [999, 899, 799, 699, 599, 500, 400, 300, 200, 100]
    assert labels(leading(7, clock=CLOCK))[0] == pytest.approx(852)


def test_halves_go_to_even() -> None:
    """As numpy rounds: T = 5, n = 2 has 2.5 on its way."""
    small = from_alphas_cumprod([0.9, 0.8, 0.7, 0.6, 0.5])
    assert labels(trailing(2, clock=small), small) == pytest.approx([4, 1], abs=1e-9)
    assert labels(linspace(3, clock=small), small) == pytest.approx([4, 2, 0], abs=1e-9)


@pytest.mark.parametrize("spacing", [tau_linear, tau_quadratic, leading, trailing, linspace])
def test_the_final_level(spacing: Callable[..., Grid]) -> None:
    zero, first = (spacing(10, clock=CLOCK, final=f) for f in ("zero", "first"))
    assert zero[-1] == 0
    assert first[-1] == pytest.approx(sigma(0), rel=1e-13)
    # a step from σ_0 to σ_0 would cost an evaluation and go nowhere
    inner = zero[:-1] if zero[-2] > first[-1] else zero[:-2]
    assert first[:-1] == inner
    assert zero.name == f"{spacing.__name__}[{CLOCK}]"
    assert first.name == f"{zero.name}, to σ_0"


def test_names_say_the_options() -> None:
    name = leading(5, clock=scaled_linear_beta(), steps_offset=1, variant="dpm", final="first").name
    assert name == "leading(steps_offset=1, variant=dpm)[scaled_linear_beta(T=1000)], to σ_0"
    assert linspace(5, clock=CLOCK, variant="euler").name == f"linspace(variant=euler)[{CLOCK}]"


@given(st.integers(2, 60), st.data())
def test_every_grid_falls_on_every_table(T: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, T - 1))
    clock = linear_beta(T, 0.01, 0.3)
    grids = [
        spacing(n, clock=clock, **options)
        for spacing, options in (
            (tau_linear, {}),
            (trailing, {}),
            (leading, {}),
            (leading, {"variant": "dpm"}),
            (linspace, {}),
            (linspace, {"variant": "dpm"}),
            (linspace, {"variant": "euler"}),
        )
    ]
    for grid in grids:
        assert grid.steps == n
        assert grid[-1] == 0
    assert tau_quadratic(n, clock=clock).steps <= n


MANY = "{}: linear_beta(T=1000) has 1000 labels, too few for n = 1001 steps."
WHOLE = "{}: n must be a whole number of at least 1, but got n = {!r}."
EVERY = [tau_linear, tau_quadratic, leading, trailing, linspace]


@pytest.mark.parametrize("spacing", EVERY)
def test_errors_that_all_share(spacing: Callable[..., Grid]) -> None:
    name = spacing.__name__

    def fails(text: str, n: Any, **options: Any) -> None:
        with pytest.raises(GridError, match=f"^{re.escape(text)}$"):
            spacing(n, **{"clock": CLOCK, **options})

    fails(MANY.format(name), 1001)
    for n in (0, -3, 2.0, True, "10"):
        fails(WHOLE.format(name, n), n)
    fails(f'{name}: final must be "zero" or "first" (σ_0), but got None.', 5, final=None)
    fails(
        f"{name}: labels 0 ... T-1 belong to a discrete clock such as linear_beta(), but got VPSDE(). "
        "On a continuous clock take uniform_t or quadratic_t.",
        5,
        clock=VPSDE(),
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: leading(10, clock=CLOCK, variant="euler"),  # type: ignore[arg-type]
            "leading(variant=euler): variant = 'euler' is not one of ddim, dpm.",
        ),
        (
            lambda: linspace(10, clock=CLOCK, variant="karras"),  # type: ignore[arg-type]
            "linspace(variant=karras): variant = 'karras' is not one of ddim, dpm, euler.",
        ),
        (
            lambda: leading(10, clock=CLOCK, steps_offset=100),
            "leading(steps_offset=100): the labels go from 1000 to 100, but linear_beta(T=1000) has "
            "labels from 999 to 0. Lower steps_offset, or take fewer steps.",
        ),
        (
            lambda: leading(10, clock=CLOCK, steps_offset=-1),
            "leading(steps_offset=-1): the labels go from 899 to -1, but linear_beta(T=1000) has "
            "labels from 999 to 0. Lower steps_offset, or take fewer steps.",
        ),
        (
            lambda: leading(1000, clock=CLOCK, variant="dpm"),
            "leading(variant=dpm): linear_beta(T=1000) has 1000 labels, too few for n = 1000 steps and "
            "the label left out.",
        ),
        (
            lambda: linspace(1, clock=CLOCK, final="first"),
            "linspace[linear_beta(T=1000)], to σ_0: the only label is 0, which leaves no step to σ_0.",
        ),
    ],
)  # fmt: skip
def test_errors(make: Callable[[], Grid], text: str) -> None:
    with pytest.raises(GridError, match=f"^{re.escape(text)}$"):
        make()


def test_no_torch() -> None:
    code = "import flowsolve, sys; flowsolve.trailing; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------- diffusers' wrong neighbour

PROBLEM = Mixture(sigma_max=CLOCK.sigma(999), sigma_min=CLOCK.sigma(0))


def test_the_wrong_neighbour_is_ddim_where_labels_are_evenly_apart() -> None:
    for grid in (leading(10, clock=CLOCK), trailing(20, clock=CLOCK)):
        a, b = (tabulate(solver, grid) for solver in (WrongNeighbour(CLOCK), Euler()))
        np.testing.assert_allclose(a.matrix, b.matrix, rtol=1e-9, atol=1e-9)
        assert cost(WrongNeighbour(CLOCK), grid) == grid.steps


def test_the_wrong_neighbour_by_its_labels() -> None:
    """linspace(3) is 999, 500, 0: it goes from 999 to 666 and calls it 500, from there to 167, from 0 to 0."""
    x = want = PROBLEM.start(range(4), torch.float64)
    grid = linspace(3, clock=CLOCK)
    assert labels(grid) == pytest.approx([999, 500, 0], abs=1e-6)
    for s, reached, t in ((999, 666, 500), (500, 167, 0)):
        want = want + (sigma(reached) - sigma(s)) * PROBLEM.eps(want, sigma(s))
        want = want * math.sqrt((1 + sigma(t) ** 2) / (1 + sigma(reached) ** 2))
    want = PROBLEM.x0(want, sigma(0))
    got = sample(PROBLEM, x / grid[0], grid, WrongNeighbour(CLOCK)).x
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_the_wrong_neighbour_does_not_converge() -> None:
    errors = []
    for solver in (Euler(), WrongNeighbour(CLOCK)):
        x = PROBLEM.start(range(16), torch.float64)
        ends = [
            sample(PROBLEM, x / PROBLEM.sigma_max, linspace(n, clock=CLOCK), solver).x
            for n in (600, 900)
        ]
        errors.append(float((ends[0] - ends[1]).abs().max()))
    assert errors[0] < 0.05 < 0.1 < errors[1]


def test_the_wrong_neighbour_only_goes_down() -> None:
    x = PROBLEM.start(range(2), torch.float64)
    with pytest.raises(GridError, match=r"WrongNeighbour goes down the labels of a clock, not up"):
        solve(PROBLEM, x, leading(5, clock=CLOCK, final="first").reversed(), WrongNeighbour(CLOCK))
