"""SEEDS: what it is without noise, and its steps as its paper's code and ComfyUI's have them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowsolve import DATA, Grid, Solver, karras, solve, tabulate
from flowsolve.integrate.cost import cost
from flowsolve.ode import ODE, SeededNoise, WithNoise
from flowsolve.problems import Mixture
from flowsolve_solvers import ERSDE, RES2S, RES3S, SDE_ETA, SEEDS2, SEEDS3, DDIMEta, DPMSolverPP2S

PROBLEM = Mixture()
SEEDS = range(6)
X = PROBLEM.start(SEEDS, torch.float64)
NOISY = WithNoise(PROBLEM, SeededNoise(SEEDS))
GRID = karras(4, PROBLEM.sigma_max, PROBLEM.sigma_min)


@pytest.mark.parametrize(
    ("solver", "same"),
    [
        (SEEDS2(0.0), DPMSolverPP2S()),
        (SEEDS2(0.0, r=0.7), DPMSolverPP2S(0.7)),
        (SEEDS2(0.0, r=0.7, variant="b"), RES2S(0.7)),
        (SEEDS3(0.0), RES3S()),
        (SEEDS3(0.0, r1=0.4), RES3S(0.4)),
    ],
    ids=repr,
)
def test_without_noise(solver: Solver, same: Solver) -> None:
    assert not solver.stochastic
    assert solver.order == same.order
    a, b = tabulate(solver, GRID).matrix, tabulate(same, GRID).matrix
    assert abs(a - b).max() <= 1e-12 * abs(b).max()


def phi_1(h: float) -> float:
    return math.expm1(h) / h


def phi_2(h: float) -> float:
    return (phi_1(h) - 1) / h


def carried(z: list[Tensor], parts: list[float], h: float) -> Tensor:
    """The noise of deviation √(1 - e^-2h...) after parts r of a step, as the codes write it (η = 1)."""
    out = torch.zeros_like(z[0])
    for r, new in zip(parts, z, strict=False):
        out = math.exp(-r * h) * out + math.sqrt(-math.expm1(-2 * r * h)) * new
    return out


def published_2(ode: ODE, x: Tensor, s: float, t: float, r: float, variant: str) -> Tensor:
    """Data prediction, η = 1, α = 1: nfsrules/SEEDS for r = 1/2, ComfyUI's sample_seeds_2 for any r."""
    h = math.log(s / t)
    m = s ** (1 - r) * t**r
    z = [ode.noise(x, s, m), ode.noise(x, m, t)]
    D = ode.x0(x, s)
    x_m = (m / s) ** 2 * x - math.expm1(-2 * r * h) * D + m * carried(z[:1], [r], h)
    D_m = ode.x0(x_m, m)
    whole = -math.expm1(-2 * h)
    weight = whole / (2 * r) if variant == "a" else 2 * h * phi_2(-2 * h) / r
    return (t / s) ** 2 * x + whole * D + weight * (D_m - D) + t * carried(z, [r, 1 - r], h)


def published_3(ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
    """ComfyUI's sample_seeds_3, η = 1, r = 1/3 and 2/3."""
    h = math.log(s / t)
    s1, s2 = s * math.exp(-(1 / 3) * h), s * math.exp(-(2 / 3) * h)
    z = [ode.noise(x, s, s1), ode.noise(x, s1, s2), ode.noise(x, s2, t)]
    D = ode.x0(x, s)
    x1 = (s1 / s) ** 2 * x - math.expm1(-2 * h / 3) * D + s1 * carried(z[:1], [1 / 3], h)
    D1 = ode.x0(x1, s1)
    a32 = 2 * phi_2(-4 * h / 3)
    a31 = phi_1(-4 * h / 3) - a32
    x2 = (s2 / s) ** 2 * x + (4 * h / 3) * (a31 * D + a32 * D1) + s2 * carried(z, [1 / 3] * 2, h)
    D2 = ode.x0(x2, s2)
    b3 = phi_2(-2 * h) * 1.5
    b1 = phi_1(-2 * h) - b3
    return (t / s) ** 2 * x + 2 * h * (b1 * D + b3 * D2) + t * carried(z, [1 / 3] * 3, h)


@pytest.mark.parametrize("variant", ["a", "b"])
@pytest.mark.parametrize("r", [0.5, 0.7])
def test_seeds_2_as_published(r: float, variant: str) -> None:
    found = SEEDS2(r=r, variant=variant).step(NOISY, X, 3.0, 1.1)
    torch.testing.assert_close(
        found, published_2(NOISY, X, 3.0, 1.1, r, variant), rtol=1e-12, atol=1e-12
    )


def test_seeds_3_as_published() -> None:
    found = SEEDS3().step(NOISY, X, 3.0, 1.1)
    torch.testing.assert_close(found, published_3(NOISY, X, 3.0, 1.1), rtol=1e-12, atol=1e-12)


def test_seeds_1() -> None:
    one, two = (solve(NOISY, X, GRID, s).x for s in (ERSDE(1, family=SDE_ETA), DDIMEta(1.0)))
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("solver", "each"), [(SEEDS2(), 2), (SEEDS3(), 3)], ids=repr)
def test_noise_of_a_step_has_its_variance(solver: Solver, each: int) -> None:
    """t² (1 - (t/s)^2η), whatever the stages: x₀ is constant here, so what is left is the noise."""

    class Still(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x / sigma

    n = 20_000
    x = torch.zeros(n, 1, dtype=torch.float64)
    ode = WithNoise(Still(), SeededNoise(range(n)))
    end = solve(ode, x, Grid([3.0, 1.0]), solver).x
    assert float(end.square().mean()) == pytest.approx(1 - 1 / 9, rel=0.03)
    assert cost(solver, karras(3, 10, 0.1)) == 3 * each
    assert not DATA.has_zero  # a last step to 0 is DDIM's
    assert cost(solver, karras(3, 10, 0.1).to_zero()) == 3 * each + 1


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match=r"SEEDS2 needs stages in this order between 0 and 1"):
        SEEDS2(r=1.0)
    with pytest.raises(ValueError, match=r"SEEDS3 needs stages .*\(0.7, 0.5\)"):
        SEEDS3(r1=0.7, r2=0.5)
    with pytest.raises(ValueError, match=r"SEEDS2 has variants a and b, not 'c'"):
        SEEDS2(variant="c")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"SEEDS3 needs eta >= 0"):
        SEEDS3(eta=-1.0)
