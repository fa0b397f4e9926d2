"""Kernels against the noise that was drawn, quadrature, differences, and the formulas of other codes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    OneStep,
    SeededNoise,
    Solver,
    WithNoise,
    karras,
    linear_beta,
    sample,
    solve,
    unit_noise,
)
from flowsolve.analysis import Rollout, kernels, rollout
from flowsolve.errors import GridError, StateError, TableError
from flowsolve.ode import Wrapped
from flowsolve.problems import Mixture, Mixture1D
from flowsolve_solvers import (
    STOCHASTIC,
    Ancestral,
    DDIMEta,
    DPMSolverPPSDE,
    Euler,
    Heun,
    Scipy,
)
from flowsolve_solvers.ddim import posterior
from tests.helpers import noisy, says

GRID = Grid([5, 2.2, 0.9, 0.3, 0.1])
X = unit_noise(range(8), Mixture().event, torch.float64) * GRID[0]
every = pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)


class Seen(Wrapped):
    """Notes every state at which it is asked, and every noise; one list for its copies."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.log: list[tuple[str, Tensor]] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.log.append(("state", x))
        return super().eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.log.append(("state", x))
        return super().x0(x, sigma)

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.log.append(("noise", super().noise(x, s, t, again)))
        return self.log[-1][1]


class Bent(Wrapped):
    """x₀ + θ sin x₀, and the ε of that: a network with a parameter."""

    def __init__(self, ode: ODE, theta: Tensor) -> None:
        super().__init__(ode)
        self.theta = theta

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        plain = super().x0(x, sigma)
        return plain + self.theta * plain.sin()

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return (x - self.x0(x, sigma)) / sigma


@every
def test_mean_and_noise_are_the_state_that_the_method_was_at(solver: Solver) -> None:
    """The states are those of `solve`, next asked after each draw, and y = mean + v z."""
    seen = Seen(noisy(Mixture()))
    end = solve(seen, X, GRID, solver, check=False).x
    log = [*seen.log, ("state", end)]
    after = [b for (kind, _), (_, b) in pairwise(log) if kind == "noise"]
    run = rollout(noisy(Mixture()), X, GRID, solver)
    torch.testing.assert_close(run.x, end, rtol=1e-12, atol=1e-12)
    assert len(after) == len(run.states) == len(run.kernels) == len(kernels(solver, GRID))
    ends = sorted((k.interval for k in run.kernels), reverse=True)
    assert all(t >= s for (_, t), (s, _) in pairwise(ends))  # so all noises are independent
    rows = zip(after, run.states, run.means(noisy(Mixture())), run.noises, run.kernels, strict=True)
    for state, y, mean, z, kernel in rows:
        torch.testing.assert_close(y, state, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(y, mean + kernel.deviation * z, rtol=1e-12, atol=1e-12)


@every
def test_log_prob_is_the_normals(solver: Solver) -> None:
    """And under the network that made the run the ratio is 1, whether it is asked again or not."""
    run = rollout(noisy(Mixture()), X, GRID, solver)
    drawn = run.log_prob()
    assert drawn.shape == (8, len(run.kernels))
    for i, (z, k) in enumerate(zip(run.noises, run.kernels, strict=True)):
        normal = torch.distributions.Normal(torch.zeros_like(z), k.deviation)
        expected = normal.log_prob(k.deviation * z).sum(1)
        torch.testing.assert_close(drawn[:, i], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(run.log_prob(noisy(Mixture())), drawn, rtol=1e-9, atol=1e-9)
    assert not run.log_prob(noisy(Mixture())).requires_grad


LINE = Mixture1D()
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


class Given(Wrapped):
    """The m-th noise is `nodes`, all others are 0.4."""

    def __init__(self, ode: ODE, m: int, nodes: Tensor) -> None:
        super().__init__(ode)
        self.m, self.nodes, self.count = m, nodes, [0]

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.count[0] += 1
        return self.nodes if self.count[0] == self.m + 1 else torch.full_like(x, 0.4)


@every
def test_against_quadrature(solver: Solver) -> None:
    """In 1-D, each kernel with its past held: the density sums to 1, with the mean and variance of the states
    that `solve` itself is at when the m-th noise goes through the nodes of Gauss and Hermite.
    """
    nodes, weights = torch.tensor(NODES), torch.tensor(WEIGHTS / WEIGHTS.sum())
    x = torch.full_like(nodes, 3.0)
    base = rollout(Given(LINE, -1, nodes), x, GRID, solver)
    for m, kernel in enumerate(base.kernels):
        seen = Seen(Given(LINE, m, nodes))
        end = solve(seen, x, GRID, solver, check=False).x
        pairs = pairwise([*seen.log, ("state", end)])
        y = [b for (kind, _), (_, b) in pairs if kind == "noise"][m]
        mean = float(weights @ y)
        variance = float(weights @ (y - mean) ** 2)
        assert variance == pytest.approx(kernel.deviation**2, rel=1e-10)
        line = mean + kernel.deviation * torch.linspace(-9, 9, 40, dtype=torch.float64)
        states = (*base.states[:m], line, *base.states[m + 1 :])
        moved = Rollout(base.recurrence, base.kernels, x, states, base.noises, base.x)
        density = moved.log_prob(LINE)[:, m].exp()
        step = line[1] - line[0]
        assert float(density.sum() * step) == pytest.approx(1, abs=1e-10)
        assert float((density * line).sum() * step) == pytest.approx(mean, abs=1e-9)
        assert float((density * (line - mean) ** 2).sum() * step) == pytest.approx(
            variance, rel=1e-9
        )


@every
def test_gradient_in_the_network(solver: Solver) -> None:
    """Of a run that another network has made, against differences; the run itself has none."""
    run = rollout(noisy(Mixture()), X, GRID, solver)
    theta = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    total = run.log_prob(Bent(Mixture(), theta)).sum()
    (slope,) = torch.autograd.grad(total, theta)
    h = 1e-5
    above, below = (run.log_prob(Bent(Mixture(), theta.detach() + d)).sum() for d in (h, -h))
    assert float(slope) == pytest.approx(float(above - below) / (2 * h), rel=1e-6)
    assert abs(float(slope)) > 1
    assert not any(y.requires_grad for y in (*run.states, *run.noises, run.x))


def test_ddim_is_the_posterior_of_ddpm() -> None:
    """q(x̄_t | x̄_s, x₀) with the network's x₀."""
    for eta in (1.0, 0.5):
        run = rollout(noisy(Mixture()), X, GRID, DDIMEta(eta))
        means, x = run.means(Mixture()), X
        for (s, t), mean, kernel, y in zip(
            pairwise(GRID), means, run.kernels, run.states, strict=True
        ):
            a, b, v = posterior(s, t, eta)
            torch.testing.assert_close(mean, a * x + b * Mixture().x0(x, s), rtol=1e-12, atol=1e-12)
            assert kernel.deviation == pytest.approx(v, rel=1e-12)
            assert (kernel.sigma, kernel.interval) == (t, (s, t))
            x = y


def test_the_convention_of_ddpo() -> None:
    """Its mean over values of the density of x_t, for DDIM with η: Eq. 12 and 16 of the DDIM paper."""
    clock = linear_beta()
    net = lambda x, t: torch.tanh(x + t[:, None] / 500)  # noqa: E731
    ode = noisy(DiffusionODE(net, EpsPrediction(clock)))
    labels = [800.0, 600.0, 400.0, 200.0]
    grid, eta = Grid([clock.sigma(t) for t in labels]), 0.7
    run = rollout(ode, X, grid, DDIMEta(eta))
    bars = [1 / (1 + s * s) for s in grid]  # ᾱ
    x_t, found = X * math.sqrt(bars[0]), run.log_prob(ode, mean=True, scaled=True)
    for i, ((a, b), label) in enumerate(zip(pairwise(bars), labels, strict=False)):
        eps = net(x_t, torch.full((8,), label, dtype=torch.float64))
        sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        x0 = (x_t - math.sqrt(1 - a) * eps) / math.sqrt(a)
        mean = math.sqrt(b) * x0 + math.sqrt(1 - b - sigma**2) * eps
        x_t = run.states[i] * math.sqrt(b)
        expected = torch.distributions.Normal(mean, sigma).log_prob(x_t).mean(1)
        torch.testing.assert_close(found[:, i], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(run.log_prob(mean=True, scaled=True), found, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(run.log_prob(mean=True) * 2, run.log_prob())


@dataclass(frozen=True, repr=False)
class FlowGRPO(OneStep):
    """Eq. 9 of Flow-GRPO, in x_t = x̄/(1+σ) and the flow's time σ/(1+σ), with a = 0.7."""

    order, stochastic = 1, True

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        (time, dt, std) = times(s, t)
        u = x / (1 + s)
        v = (u - ode.x0(x, s)) / time
        mean = u * (1 + std**2 / (2 * time) * dt) + v * (1 + std**2 * (1 - time) / (2 * time)) * dt
        return (mean + ode.noise(x, s, t) * std * math.sqrt(-dt)) * (1 + t)


def times(s: float, t: float) -> tuple[float, float, float]:
    """Time, its step and the deviation √(t/(1-t)) a."""
    time = s / (1 + s)
    return time, t / (1 + t) - time, 0.7 * math.sqrt(time / (1 - time))


def test_the_convention_of_flow_grpo() -> None:
    """Its sde_step_with_logprob, on the states that it would have recorded."""
    net = lambda x, t: torch.tanh(x - t[:, None])  # noqa: E731
    ode = noisy(DiffusionODE(net, FlowPrediction()))
    run = rollout(ode, X, GRID, FlowGRPO())
    found, x_t = run.log_prob(ode, mean=True, scaled=True), X / (1 + GRID[0])
    for i, (s, t) in enumerate(pairwise(GRID)):
        time, dt, std = times(s, t)
        v = net(x_t, torch.full((8,), time, dtype=torch.float64))
        mean = (
            x_t * (1 + std**2 / (2 * time) * dt) + v * (1 + std**2 * (1 - time) / (2 * time)) * dt
        )
        x_t = run.states[i] / (1 + t)
        normal = torch.distributions.Normal(mean, std * math.sqrt(-dt))
        torch.testing.assert_close(found[:, i], normal.log_prob(x_t).mean(1), rtol=1e-9, atol=1e-9)


def test_one_backward_pass_for_each_mean() -> None:
    """The parts of the gradient of a method without memory, each with a graph of its own."""
    run = rollout(noisy(Mixture()), X, GRID, DDIMEta())
    theta = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(run.log_prob(Bent(Mixture(), theta)).sum(), theta)
    means = run.means(Bent(Mixture(), theta))
    for kernel, y, mean in zip(run.kernels, run.states, means, strict=True):
        (-(y - mean).square().sum() / (2 * kernel.deviation**2)).backward()
    torch.testing.assert_close(theta.grad, whole)


@pytest.mark.parametrize("solver", [DDIMEta(), DPMSolverPPSDE(), Ancestral()], ids=repr)
def test_from_infinity_to_zero(solver: Solver) -> None:
    """The step to 0 draws nothing and has no kernel."""
    net = lambda x, t: torch.tanh(x + t[:, None])  # noqa: E731
    ode = noisy(DiffusionODE(net, FlowPrediction()))
    grid, noise = karras(3, 8, 0.1).from_infinity().to_zero(), X / GRID[0]
    run = rollout(ode, noise, grid, solver)
    torch.testing.assert_close(run.x, sample(ode, noise, grid, solver).x)
    assert len(run.kernels) == (6 if isinstance(solver, DPMSolverPPSDE) else 3)
    assert [k.alpha for k in run.kernels] == pytest.approx([1 / (1 + k.sigma) for k in run.kernels])
    torch.testing.assert_close(run.log_prob(ode), run.log_prob(), rtol=1e-9, atol=1e-9)


def test_half_precision_adds_up_in_float32() -> None:
    run = rollout(noisy(Mixture()), X.bfloat16(), GRID, DDIMEta())
    assert (run.x.dtype, run.log_prob().dtype) == (torch.bfloat16, torch.float32)


@dataclass(frozen=True, repr=False)
class Own(Solver):
    """Euler, and a noise that is drawn before the evaluation and subtracted after it; or two noises."""

    twice: bool = False
    order, stochastic = 1, True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for s, t in pairwise(grid):
            noise = ode.noise(x, s, t)
            x = x + (t - s) * ode.eps(x, s) - t * noise
            yield x + ode.noise(x, s, t, 1) if self.twice else x


def test_a_noise_that_is_drawn_before_the_evaluation() -> None:
    run = rollout(noisy(Mixture()), X, GRID, Own())
    assert [(k.stage, k.deviation) for k in run.kernels] == [
        (i, pytest.approx(t)) for i, t in enumerate(GRID[1:])
    ]
    torch.testing.assert_close(run.x, solve(noisy(Mixture()), X, GRID, Own()).x)
    torch.testing.assert_close(run.log_prob(Mixture()), run.log_prob(), rtol=1e-9, atol=1e-9)


def test_what_is_refused() -> None:
    says(TableError, "Heun() draws no noise on this grid, so its steps have no densities.",
         lambda: kernels(Heun(), GRID))  # fmt: skip
    says(TableError, "Scipy() chooses its steps", lambda: kernels(Scipy(), GRID))
    says(TableError, "Own(twice=True) shows 2 noises at once in the state at σ = 0.1, from which they",
         lambda: kernels(Own(twice=True), GRID))  # fmt: skip
    says(TableError, "Euler() draws no noise", lambda: rollout(Mixture(), X, GRID, Euler()))
    says(GridError, "DDIMEta() draws noise, so it only goes down",
         lambda: rollout(noisy(Mixture()), X, GRID.reversed(), DDIMEta()))  # fmt: skip
    says(StateError, "this method is stochastic and needs noise",
         lambda: rollout(Mixture(), X, GRID, DDIMEta()))  # fmt: skip
    plain = WithNoise(Mixture(), SeededNoise(range(3)))
    with pytest.raises(StateError):
        rollout(plain, X, GRID, DDIMEta())
