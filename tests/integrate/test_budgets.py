"""The largest grid within a budget, whatever the spacing does: it always ends, and equals brute force."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
import torch

from flowsolve import Grid, Solver, karras, log_snr, sample
from flowsolve.errors import BudgetError, GridError
from flowsolve.integrate import cost as costs
from flowsolve.integrate.cost import cost, fit
from flowsolve.interop.diffusers import read_config
from flowsolve.problems import Mixture
from flowsolve_solvers import ALL, PNDM, RK4, STOCHASTIC, DPMSolver3, Euler, Heun, Plan, UniPC
from tests.helpers import says

SHORT = {
    "shift_terminal": ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift_terminal": 0.1}, 2),
    "PNDM": ({"_class_name": "PNDMScheduler"}, 2),
    "DDIM to σ_0": ({"_class_name": "DDIMScheduler", "set_alpha_to_one": False}, 2),
    "Euler to σ_min": (
        {"_class_name": "EulerDiscreteScheduler", "final_sigmas_type": "sigma_min",
         "timestep_spacing": "leading"}, 2,
    ),
}  # fmt: skip


def from_five(n: int) -> Grid:
    if n < 5:
        raise GridError(f"this spacing has 5 steps at least, not {n}")
    return log_snr(n, 10, 0.1)


def even(n: int) -> Grid:
    if n % 2:
        raise GridError(f"this spacing has even n only, not {n}")
    return log_snr(n, 10, 0.1)


@pytest.mark.parametrize("nfe", [2, 8, 28])
@pytest.mark.parametrize("name", SHORT)
def test_a_scheduler_with_a_shortest_grid(name: str, nfe: int) -> None:
    """docs/diffusers.md's recipe: n = 1 has no grid, and every other budget has one."""
    reading = read_config(SHORT[name][0])
    with pytest.raises(GridError):
        reading.spacing(1)
    grid = fit(Euler(), nfe, reading.spacing)
    assert grid == list(_all(Euler(), nfe, reading.spacing).values())[-1]
    assert cost(Euler(), grid) <= nfe
    done = sample(Mixture(), torch.zeros(1, 2).double(), reading.spacing, UniPC(3), nfe=nfe)
    assert 0 < done.nfe <= nfe


def test_the_least_budget_that_works_is_named() -> None:
    for solver, nfe, least in ((Euler(), 4, 5), (Heun(), 9, 10), (RK4(), 3, 20)):
        says(
            BudgetError,
            f"{solver!r} needs at least {least} evaluations (n = 5, where this spacing has its shortest "
            f"grid), but nfe = {nfe}. Give a larger budget, or a method with fewer evaluations a step.",
            lambda s=solver, b=nfe: fit(s, b, from_five),
        )
        assert fit(solver, least, from_five).steps == 5


def test_a_spacing_with_gaps() -> None:
    assert [fit(Euler(), nfe, even).steps for nfe in (2, 3, 4, 7, 100, 101)] == [
        2,
        2,
        4,
        6,
        100,
        100,
    ]
    assert fit(Heun(), 10, even).steps == 4


def test_a_spacing_that_stops_growing() -> None:
    """It once was asked for ever longer grids."""
    three = Grid([3, 2, 1])
    assert fit(Euler(), 10, lambda n: three) == three
    assert fit(Euler(), 2, lambda n: three) == three
    says(
        BudgetError,
        "Euler() needs at least 2 evaluations (one step), but nfe = 1.",
        lambda: fit(Euler(), 1, lambda n: three),
    )
    assert fit(Heun(), 30, lambda n: log_snr(min(n, 7), 10, 0.1)).steps == 7


def test_a_spacing_that_grows_slowly_or_fast() -> None:
    assert fit(Euler(), 10, lambda n: log_snr((n + 2) // 3, 10, 0.1)).steps == 10
    assert fit(Euler(), 10, lambda n: log_snr(4 * n, 10, 0.1)).steps == 8
    assert fit(Euler(), 10, lambda n: log_snr(n if n < 5 else n + 90, 10, 0.1)).steps == 4


def test_a_spacing_with_a_longest_grid() -> None:
    def up_to_60(n: int) -> Grid:
        if n > 60:
            raise GridError(f"60 steps at most, not {n}")
        return log_snr(n, 10, 0.1)

    assert fit(Euler(), 60, up_to_60).steps == 60
    assert fit(Heun(), 120, up_to_60).steps == 60
    says(GridError, "60 steps at most, not 61", lambda: fit(Euler(), 61, up_to_60))
    says(GridError, "60 steps at most, not 61", lambda: fit(Euler(), 500, up_to_60))


def test_a_spacing_without_a_grid() -> None:
    """Its own error, that of n = 1."""
    says(
        GridError,
        "log_snr",
        lambda: fit(Euler(), 10, lambda n: log_snr(n, 0.1, 10)),
    )


def test_a_spacing_whose_ends_are_not_settled() -> None:
    says(
        BudgetError,
        f"nfe= needs a function of n alone, but got {karras!r:.80}. Settle its ends: "
        "lambda n: karras(n, 80, 0.002).",
        lambda: fit(Euler(), 10, karras),  # type: ignore[arg-type]
    )


def test_levels_will_do_for_a_grid() -> None:
    levels = lambda n: [2.0**-k for k in range(n + 1)]  # noqa: E731
    assert fit(Euler(), 6, levels) == Grid(levels(6))  # type: ignore[arg-type]


def _all(solver: Solver, nfe: int, spacing: Callable[[int], Grid]) -> dict[int, Grid]:
    """Every grid within the budget for n up to nfe + 1, the last whose n - 1 steps can be."""
    grids = {}
    for n in range(1, nfe + 2):
        try:
            grid = spacing(n)
        except GridError:
            continue
        if cost(solver, grid) <= nfe:
            grids[n] = grid
    return grids


@pytest.mark.parametrize("seed", range(40))
def test_any_spacing_against_brute_force(seed: int) -> None:
    """Refusals, jumps and falls at random, with and without the ends ∞ and 0."""
    draw = random.Random(seed)
    shape = {
        n: (max(1, n + draw.choice([-1, 0, 0, 0, 1, 5, 12])), draw.random(), draw.random())
        for n in range(1, 5000)
    }
    rough = draw.random() / 2

    def spacing(n: int) -> Grid:
        steps, refuse, ends = shape[n]
        if refuse < rough:
            raise GridError(f"no {n}")
        grid = log_snr(steps, 10, 0.1)
        if ends < 0.2:
            return grid.to_zero()
        return grid.from_infinity().to_zero() if ends < 0.4 else grid

    solver = draw.choice([Euler(), Heun(), RK4(), DPMSolver3(), PNDM(), UniPC(3), Plan()])
    for nfe in (1, 2, 3, 5, 8, 12, 20, 33):
        within = _all(solver, nfe, spacing)
        if not within:
            with pytest.raises((BudgetError, GridError)) as error:
                fit(solver, nfe, spacing)
            if error.type is BudgetError:
                least = int(str(error.value).split("at least ")[1].split()[0])
                assert nfe < least == cost(solver, fit(solver, least, spacing))
            continue
        n, grid = max(within.items())
        left = [shape[k][1] >= rough for k in range(n + 1, nfe + 2)]
        if left and not any(left) and cost(solver, grid) < nfe:
            with pytest.raises(GridError, match=f"no {n + 1}$"):
                fit(solver, nfe, spacing)
        else:
            assert fit(solver, nfe, spacing) == grid


def test_it_stays_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few runs on the stand-in, and none that goes far beyond the budget."""
    runs = []
    real = costs._tally

    def counted(*args):
        out = real(*args)
        runs.append(out.nfe)
        return out

    monkeypatch.setattr(costs, "_tally", counted)
    for solver, nfe in itertools.product((Euler(), Heun(), RK4(), UniPC(3)), (10, 100, 300)):
        runs.clear()
        fit(solver, nfe, lambda n: karras(n, 80, 0.002).to_zero())
        assert len(runs) < 20
        assert max(runs) <= nfe + 4


@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_a_longer_grid_costs_no_less(solver: Solver) -> None:
    """What `fit` assumes of a method."""
    for change in (lambda g: g, Grid.to_zero, lambda g: g.from_infinity().to_zero()):
        spent = [cost(solver, change(karras(n, 10, 0.05))) for n in range(1, 14)]
        assert spent == sorted(spent)
