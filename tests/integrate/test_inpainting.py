"""Replacement: what is kept, what it costs no order, and how far it is from the conditional law."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    Grid,
    Known,
    Repaint,
    SeededNoise,
    Solver,
    WithNoise,
    inpaint,
    karras,
    log_snr,
    partial_start,
    solve,
    unit_noise,
)
from flowsolve.errors import StateError
from flowsolve.ode import ODE
from flowsolve.problems import Digits, Gaussian, Mixture
from flowsolve_solvers import RK4, Adams, DDIMEta, DPMSolverPP2M, Euler, Heun, UniPC
from tests.helpers import Asked, says

MIXTURE, MASK = Mixture(), torch.tensor([False, True])
NOISE = unit_noise(range(8), (2,), torch.float64)
KNOWN = torch.stack([torch.full((8,), math.nan), torch.linspace(-1, 1, 8)], 1).double()
GRID = karras(9, 10.0, 0.05).to_zero()


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M(), Adams(3), UniPC(3)], ids=repr)
def test_the_known_part_runs_straight_to_the_data(solver: Solver) -> None:
    """data + σ noise at every node, for one step and many, in either chart; the hole may hold NaN."""
    done = inpaint(MIXTURE, KNOWN, MASK, NOISE, grid=GRID, solver=solver, keep=1)
    for point in done.path:
        want = KNOWN[:, 1] + point.sigma * NOISE[:, 1]
        torch.testing.assert_close(point.x[:, 1], want, rtol=0, atol=1e-13)
    assert bool((done.x[:, 0] != KNOWN[:, 1]).all())
    assert done.nfe == solve(MIXTURE, NOISE, Grid(GRID[:-1]), solver).nfe + 1


def test_from_infinity_and_from_a_guess() -> None:
    done = inpaint(MIXTURE, KNOWN, MASK, NOISE, grid=GRID.from_infinity(), solver=Euler(), keep=1)
    torch.testing.assert_close(done.path[1].x[:, 1], KNOWN[:, 1] + 10 * NOISE[:, 1])
    guess = KNOWN.nan_to_num(0.3)
    held = Known(MIXTURE, KNOWN, MASK)
    part = partial_start(held, guess, NOISE, GRID, Euler(), strength=0.5)
    torch.testing.assert_close(part.x[:, 1], KNOWN[:, 1], rtol=0, atol=1e-15)
    assert part.nfe == 5


def test_masks_of_one_sample_of_all_and_of_nothing() -> None:
    each = torch.zeros(8, 2, dtype=torch.bool)
    each[::2, 1] = True
    x = inpaint(MIXTURE, KNOWN, each, NOISE, grid=GRID, solver=Heun()).x
    torch.testing.assert_close(
        x[::2], inpaint(MIXTURE, KNOWN, MASK, NOISE, grid=GRID, solver=Heun()).x[::2]
    )
    free = solve(MIXTURE, 10 * NOISE, Grid(GRID[:-1]), Heun()).x
    torch.testing.assert_close(x[1::2], MIXTURE.x0(free, GRID[-2])[1::2])
    whole = KNOWN.nan_to_num(0.3)
    all_of_it = inpaint(MIXTURE, whole, torch.tensor(True), NOISE, grid=GRID, solver=Heun()).x
    torch.testing.assert_close(all_of_it, whole)


def replaced(ode: ODE, known: Tensor, noise: Tensor, grid: Grid, solver: Solver) -> Tensor:
    """The state replaced after every step of a method that knows nothing of it; no memory, one step a time."""
    x = torch.where(MASK, known + grid[0] * noise, grid[0] * noise)
    for s, t in pairwise(grid):
        x = torch.where(MASK, known + t * noise, solve(ode, x, Grid((s, t)), solver).x)
    return x


def test_replacing_the_state_is_the_same_for_euler_and_costs_others_their_order() -> None:
    """Heun's second evaluation sees the known part where the network took it, not where it is put."""
    ends = (10.0, 0.05)
    held = Known(MIXTURE, KNOWN, MASK)
    start = torch.where(MASK, KNOWN + 10 * NOISE, 10 * NOISE)
    torch.testing.assert_close(
        replaced(MIXTURE, KNOWN, NOISE, log_snr(20, *ends), Euler()),
        solve(held, start, log_snr(20, *ends), Euler()).x, rtol=0, atol=1e-13,
    )  # fmt: skip
    fine = solve(held, start, log_snr(300, *ends), RK4()).x
    inside, outside = [], []
    for n in (80, 160):
        grid = log_snr(n, *ends)
        inside.append(float((solve(held, start, grid, Heun()).x - fine).norm()))
        outside.append(float((replaced(MIXTURE, KNOWN, NOISE, grid, Heun()) - fine).norm()))
    assert abs(math.log2(inside[0] / inside[1]) - 2) < 0.2
    assert abs(math.log2(outside[0] / outside[1]) - 1) < 0.2


# --- the law -------------------------------------------------------------------------------------

PLANE = Gaussian(sigma_max=80.0, sigma_min=0.01)
VALUE, MANY = 0.6, 500
MEAN, DEVIATION = 0.5 + 0.3 / 0.4 * (VALUE + 0.3), math.sqrt(0.5 - 0.3**2 / 0.4)
STEPS = karras(12, 80.0, 0.01)


def unknown(solver: Solver) -> tuple[float, float]:
    """The mean of the unknown coordinate of PLANE given the other, and its standard error."""
    known = torch.full((MANY, 2), VALUE, dtype=torch.float64)
    noise = unit_noise(range(MANY), (2,), torch.float64)
    x = inpaint(PLANE, known, MASK, noise, grid=STEPS, solver=solver).x[:, 0]
    return float(x.mean()), float(x.std()) / math.sqrt(MANY)


def test_replacement_is_not_the_conditional_law_and_resampling_comes_nearer() -> None:
    """Of the way from the mean 0.5 to the conditional mean 1.175, replacement goes about a third."""
    gaps = []
    for repeats in (1, 3, 16):
        mean, err = unknown(Repaint(Heun(), repeats, range(MANY)))
        gaps.append((MEAN - mean, err))
    plain, err = unknown(Heun())
    assert (MEAN - plain, err) == gaps[0]
    for (more, e), (less, f) in pairwise(gaps):
        assert less + 3 * math.hypot(e, f) < more
    assert 0.25 < (plain - 0.5) / (MEAN - 0.5) < 0.45
    assert gaps[-1][0] < gaps[0][0] / 4


def test_new_noise_at_every_level_changes_nothing_in_the_mean() -> None:
    """The state replaced by data + σ noise, one noise or another at every level: equally far off."""
    many = 4000
    known = torch.full((many, 2), VALUE, dtype=torch.float64)
    noise = unit_noise(range(many), (2,), torch.float64)
    x = new = torch.where(MASK, known + 80 * noise, 80 * noise)
    draw = torch.Generator().manual_seed(0)
    for s, t in pairwise(karras(25, 80.0, 0.01)):
        x, new = (Euler().step(PLANE, y, s, t) for y in (x, new))
        z = torch.randn(many, 2, dtype=torch.float64, generator=draw)
        x, new = (torch.where(MASK, known + t * a, y) for a, y in ((noise, x), (z, new)))
    one, other = x[:, 0], new[:, 0]
    err = math.hypot(float(one.std()), float(other.std())) / math.sqrt(many)
    assert abs(float(one.mean() - other.mean())) < 4 * err
    assert MEAN - float(other.mean()) > 20 * err


def test_resampling_without_a_known_part_leaves_the_law() -> None:
    """Restart: the marginal of PLANE, and its spread, within the errors of 500 samples."""
    x = 80 * unit_noise(range(MANY), (2,), torch.float64)
    x = solve(PLANE, x, karras(24, 80.0, 0.01), Repaint(Heun(), 3, range(MANY), jump=4)).x
    for k, variance in ((0, 0.5), (1, 0.4)):
        assert abs(float(x[:, k].mean()) - PLANE.mean[k]) < 4 * math.sqrt(variance / MANY)
        assert abs(float(x[:, k].var()) / variance - 1) < 4 * math.sqrt(2 / MANY)


# --- the schedule of RePaint ---------------------------------------------------------------------


class Echo(ODE):
    """ε is the state itself."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x


def jumps(top: int, length: int, repeats: int) -> list[int]:
    """The labels evaluated by Lugmayr et al. 2022, get_schedule_jump, until the last at 0."""
    left = {t: repeats - 1 for t in range(0, top - length, length)}
    t, seen = top - 1, []
    while True:
        seen.append(t)
        if t == 0 and not left.get(0, 0):
            return seen
        if left.get(t, 0):
            seen.pop()
            left[t] -= 1
            t += length
        else:
            t -= 1


@pytest.mark.parametrize(
    ("top", "length", "repeats"), [(21, 5, 3), (20, 5, 3), (8, 1, 4), (9, 3, 1), (4, 10, 2)]
)
def test_the_schedule_is_the_papers(top: int, length: int, repeats: int) -> None:
    """Labels top - 1 to 0 as levels top to 1, then 0: evaluated at the same ones in the same order."""
    grid = Grid(range(top, -1, -1))
    ode = Asked(Echo())
    x = torch.zeros(2, 1, dtype=torch.float64)
    got = partial_start(ode, x, x, grid, Repaint(Euler(), repeats, [0, 1], length), strength=1.0)
    assert [round(s) - 1 for s in ode.levels] == jumps(top, length, repeats)
    assert got.nfe == ode.calls


def test_passes_draw_noise_of_their_own() -> None:
    """From a state of 0 and ε = 0, what is left is the sum of all renoisings: their variances add."""

    class Zero(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.zeros_like(x)

    x = torch.zeros(1, 4000, dtype=torch.float64)
    for repeats in (2, 6):
        out = solve(Zero(), x, Grid((2.0, 1.0)), Repaint(Euler(), repeats, [3])).x
        assert abs(float(out.var()) / (3 * (repeats - 1)) - 1) < 5 * math.sqrt(2 / 4000)
    noisy = WithNoise(Zero(), SeededNoise([3]))
    two = [noisy.noise(x, 2.0, 1.0), noisy.noise(x, 2.0, 1.0, again=1)]
    assert abs(float((two[0] * two[1]).mean())) < 5 / math.sqrt(4000)


def test_a_memory_starts_anew_in_each_part_and_only_if_repeated() -> None:
    held, x = Known(MIXTURE, KNOWN, MASK), 10 * NOISE
    grid = Grid(GRID[:-1])

    def once(solver: Solver, again: int, jump: int) -> Tensor:
        return solve(held, x, grid, Repaint(solver, again, range(8), jump)).x

    torch.testing.assert_close(
        once(DPMSolverPP2M(), 1, 1), solve(held, x, grid, DPMSolverPP2M()).x, rtol=0, atol=0
    )
    torch.testing.assert_close(once(DPMSolverPP2M(), 3, 1), once(Euler(), 3, 1))
    assert not torch.allclose(once(DPMSolverPP2M(), 3, 3), once(Euler(), 3, 3))


def test_a_stochastic_method_and_batches() -> None:
    """DDPM with the x₀ replaced, repeated; a sample alone is the same as in its batch."""
    solver = Repaint(DDIMEta(1.0), 3, range(8))
    x = inpaint(MIXTURE, KNOWN, MASK, NOISE, grid=GRID, solver=solver).x
    alone = inpaint(
        MIXTURE, KNOWN[3:4], MASK, NOISE[3:4], grid=GRID, solver=Repaint(DDIMEta(1.0), 3, [3])
    ).x
    torch.testing.assert_close(x[3:4], alone)
    torch.testing.assert_close(x[:, 1], KNOWN[:, 1])
    assert (solver.stochastic, solver.order, solver.adaptive) == (True, 1, False)


def test_half_a_digit() -> None:
    """The upper half of digits comes back as it was."""
    digits = Digits()
    known = digits.data()[:4]
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    noise = unit_noise(range(4), digits.event)
    done = inpaint(
        digits, known, mask, noise, grid=karras(9, 150.0, 0.02).to_zero(), solver=DPMSolverPP2M()
    )
    torch.testing.assert_close(done.x[..., :4, :], known[..., :4, :], rtol=0, atol=0)
    assert float((done.x - known)[..., 4:, :].abs().amax((1, 2, 3)).min()) > 0.1
    assert done.nfe == 10


def test_errors() -> None:
    fit = r"does not fit known data of \(8, 2\) on cpu"
    says(StateError, "the mask must be a boolean tensor, True where the data are known, but is torch.float32.",
         lambda: Known(MIXTURE, KNOWN, MASK.float()))  # fmt: skip
    says(StateError, "the mask must be a boolean tensor, True where the data are known, but is list.",
         lambda: Known(MIXTURE, KNOWN, [True]))  # type: ignore[arg-type]  # fmt: skip
    for shape in ((3,), (8, 1, 2), (7, 2)):
        with pytest.raises(StateError, match=fit):
            Known(MIXTURE, KNOWN, torch.zeros(shape, dtype=torch.bool))
    says(
        StateError,
        "known must be a floating-point tensor",
        lambda: Known(MIXTURE, KNOWN.int(), MASK),
    )
    says(StateError, "the known data are (1, 2), torch.float64 on cpu, but the state is (8, 2)",
         lambda: solve(Known(MIXTURE, KNOWN[:1], MASK), NOISE, Grid((2.0, 1.0)), Euler()))  # fmt: skip
    says(StateError, "Known wraps an ODE, not 0.", lambda: Known(0, KNOWN, MASK))  # type: ignore[arg-type]
    says(
        StateError,
        "noise of (1, 2)",
        lambda: inpaint(MIXTURE, KNOWN, MASK, NOISE[:1], grid=GRID, solver=Euler()),
    )
    for options in ({"repeats": 0}, {"repeats": 2.0}, {"repeats": 2, "jump": True}):
        ((name, value),) = [(k, v) for k, v in options.items() if k == "jump" or len(options) == 1]
        says(ValueError, f"Repaint: {name} is a whole number from 1, but got {value!r}.",
             lambda options=options: Repaint(Euler(), seeds=[0], **options))  # fmt: skip
    says(StateError, "solver must be a Solver instance", lambda: Repaint("ddim", 2, [0]))  # type: ignore[arg-type]
    two = Repaint(Euler(), 2, [0, 1])
    says(StateError, "there are 2 seeds for 8 samples",
         lambda: inpaint(MIXTURE, KNOWN, MASK, NOISE, grid=GRID, solver=two))  # fmt: skip
