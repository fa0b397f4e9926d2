"""log p against closed forms: its value, its order by every method, Hutchinson's error."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from flowsolve import (
    LOG_SIGMA,
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Guided,
    SeededNoise,
    Solver,
    VPrediction,
    karras,
    log_snr,
    solve,
    unit_noise,
)
from flowsolve.integrate import dequantise, log_prob, ve_prior, vp_prior
from flowsolve.problems import Gaussian, Mixture, Mixture1D, exact_network
from flowsolve_solvers import ALL, RK4, DPMSolverPP2M, Euler, Heun, Scipy, Torchdiffeq

FINE = RK4(LOG_SIGMA)
MIXTURE = Mixture()
GRID = log_snr(20, 10, 0.05)


def states(n: int, event: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, *event, dtype=dtype, generator=torch.Generator().manual_seed(0))


def gaussian_density(x: Tensor, sigma: float) -> Tensor:
    """log N(x̄; m, C + σ²) of the default Gaussian, by torch."""
    g = Gaussian()
    return law(g.mean, g.covariance, sigma).log_prob(x)


def law(mean: object, covariance: object, sigma: float) -> MultivariateNormal:
    m, c = (torch.tensor(a, dtype=torch.float64) for a in (mean, covariance))
    return MultivariateNormal(m, c + sigma**2 * torch.eye(len(m), dtype=torch.float64))


CLOSED = [
    (Gaussian(), gaussian_density),
    (Mixture1D(), Mixture1D().log_density),
    (MIXTURE, MIXTURE.log_density),
]


@pytest.mark.parametrize(("problem", "density"), CLOSED, ids=lambda p: getattr(p, "name", ""))
def test_the_closed_form(problem: Mixture, density: Callable[[Tensor, float], Tensor]) -> None:
    x = states(16, problem.event)
    got = log_prob(problem, x, log_snr(200, 10, 0.05), FINE, prior=density)
    torch.testing.assert_close(got.log_p, density(x, 0.05), rtol=0, atol=1e-6)
    assert got.stderr.equal(torch.zeros(16, dtype=torch.float64))
    back = solve(problem, got.noise, log_snr(200, 10, 0.05), FINE)
    torch.testing.assert_close(back.x, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_every_method_keeps_its_order(solver: Solver) -> None:
    """Four points of Adams are still 0.3 below it to 0.9 above at so few steps. The path is solve's."""
    problem = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    x, errors = torch.linspace(-1.5, 1.5, 32, dtype=torch.float64), []
    for n in (40, 80):
        grid = karras(n, 1.0, 0.2)
        got = log_prob(problem, x, grid, solver, prior=problem.log_density)
        errors.append(float((got.log_p - problem.log_density(x, 0.2)).square().mean().sqrt()))
    assert got.noise.allclose(solve(problem, x, grid.reversed(), solver).x, rtol=0, atol=1e-12)
    slope = math.log2(errors[0] / errors[1])
    assert solver.order - 0.3 < slope < solver.order + 0.9, errors


@pytest.mark.parametrize("solver", [Euler(), Heun(), FINE, DPMSolverPP2M()], ids=repr)
def test_the_order_in_two_dimensions(solver: Solver) -> None:
    problem = Mixture(sigma_max=1.0, sigma_min=0.2)
    x, errors = states(8, (2,)), []
    for n in (80, 160):
        got = log_prob(problem, x, karras(n, 1.0, 0.2), solver, prior=problem.log_density)
        errors.append(float((got.log_p - problem.log_density(x, 0.2)).square().mean().sqrt()))
    assert abs(math.log2(errors[0] / errors[1]) - solver.order) < 0.2, errors


@pytest.mark.parametrize("solver", [Scipy("RK45", 1e-8, 1e-8), Torchdiffeq("dopri5", 1e-8, 1e-8)])
def test_adaptive_methods(solver: Solver) -> None:
    x = states(4, (2,))
    got = log_prob(MIXTURE, x, Grid((10.0, 0.05)), solver, prior=MIXTURE.log_density)
    torch.testing.assert_close(got.log_p, MIXTURE.log_density(x, 0.05), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prior", [ve_prior, vp_prior])
def test_the_density_integrates_to_one(prior: Callable[[Tensor, float], Tensor]) -> None:
    """Under any prior: it is the law that samples from this prior have."""
    x = torch.linspace(-5, 5, 501, dtype=torch.float64)
    got = log_prob(Mixture1D(), x, log_snr(100, 10, 0.05), FINE, prior=prior)
    assert abs(float(torch.trapezoid(got.log_p.exp(), x)) - 1) < 1e-5


def test_priors() -> None:
    x, zero = 3 * states(5, (2, 2)), [0.0] * 4
    one, nothing = torch.eye(4).tolist(), torch.zeros(4, 4).tolist()
    for prior, covariance in ((ve_prior, nothing), (vp_prior, one)):
        exact = law(zero, covariance, 7.0).log_prob(x.reshape(5, 4))
        torch.testing.assert_close(prior(x, 7.0), exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mean", [(0.5, -0.3), (0.0, 0.0)])
def test_what_the_prior_costs(mean: tuple[float, ...]) -> None:
    """The divergence that the docstring of log_prob gives."""
    c = Gaussian().covariance
    kl = kl_divergence(law(mean, c, 10.0), law((0, 0), torch.zeros(2, 2).tolist(), 10.0))
    trace = sum(v * v for row in c for v in row)
    claim = sum(m * m for m in mean) / (2 * 10**2) + trace / (4 * 10**4)
    assert math.isclose(float(kl), claim, rel_tol=0.01)


def test_hutchinson_is_unbiased_and_knows_its_error() -> None:
    """The errors over their standard errors have a mean of 0 and a deviation of 1, 128 samples."""
    x = states(128, (2,))
    exact = log_prob(MIXTURE, x, GRID, FINE)
    got = log_prob(MIXTURE, x, GRID, FINE, probes=32)
    z = (got.log_p - exact.log_p) / got.stderr
    assert got.noise.allclose(exact.noise, rtol=0, atol=1e-12)
    assert abs(float(z.mean())) < 4 / math.sqrt(128)
    assert abs(float(z.std()) - 1) < 4 / math.sqrt(2 * 128)
    assert (exact.nfe, exact.backwards) == (80, 160)
    assert (got.nfe, got.backwards) == (80, 80 * 32)


def test_hutchinson_is_exact_in_one_dimension() -> None:
    x = states(8, (1, 1))
    ode = Reshaped(Mixture1D(), ())
    exact, got = (log_prob(ode, x, GRID, Heun(), probes=k) for k in (None, 3))
    torch.testing.assert_close(got.log_p, exact.log_p, rtol=0, atol=1e-12)
    assert float(got.stderr.max()) < 1e-12


def test_probes_belong_to_the_sample() -> None:
    """Not to the batch; and other seeds are other probes."""
    x = states(6, (2,))
    whole = log_prob(MIXTURE, x, GRID, Euler(), probes=2, seeds=range(10, 16))
    part = log_prob(MIXTURE, x[2:4], GRID, Euler(), probes=2, seeds=[12, 13])
    torch.testing.assert_close(part.log_p, whole.log_p[2:4], rtol=0, atol=1e-12)
    torch.testing.assert_close(part.stderr, whole.stderr[2:4], rtol=0, atol=1e-12)
    other = log_prob(MIXTURE, x, GRID, Euler(), probes=2, seeds=range(6))
    assert not other.log_p.equal(whole.log_p)


def test_probes_do_not_know_the_state() -> None:
    """Of the same seed as its noise they would be its signs, and the estimate biased."""
    x = unit_noise(range(500), (2,), torch.float64)
    got = log_prob(Swap(), x, Grid((2.0, 1.0)), Euler(), probes=2, prior=lambda y, _: 0 * y[:, 0])
    signs = (x[:, 0] * x[:, 1]).sign()
    assert abs(float((got.log_p * signs).mean())) < 4 * 2 / math.sqrt(2 * 500)


class Shown(ODE):
    """ε = x̄, which shows the probes: v is the gradient that comes back to ε."""

    def __init__(self) -> None:
        self.probes: list[Tensor] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        out = x.clone()
        out.register_hook(self.probes.append)
        return out


@pytest.mark.parametrize("seeds", [None, range(20), range(100, 120)], ids=str)
@pytest.mark.parametrize("event", [(64,), (1, 8, 8)], ids=str)
def test_probes_and_states_of_the_same_seeds_are_independent(
    seeds: range | None, event: tuple[int, ...]
) -> None:
    """Probe i against the start, and the noise of a step, of every seed j: no two go together."""
    ode, used = Shown(), seeds or range(20)
    x = unit_noise(used, event, torch.float64)
    log_prob(ode, x, Grid((2.0, 1.0)), Euler(), probes=3, seeds=seeds)
    assert len(ode.probes) == 3
    others = (x, SeededNoise(used)(x, 2.0, 1.0), dequantise(0 * x, 17, used))
    for v in ode.probes:
        assert v.abs().eq(1).all()
        assert not v[0].equal(v[1])
        for other in others:
            agree = v.reshape(20, -1) @ other.sign().reshape(20, -1).T / 64
            assert float(agree.abs().max()) < 0.8  # of 400 pairs with a deviation of 1/8


class Swap(ODE):
    """ε = (x₂, x₁): no divergence, but vᵀJv = 2 v₁v₂."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x.flip(1)


class Reshaped(ODE):
    """The same ODE on samples of another shape."""

    def __init__(self, ode: ODE, event: tuple[int, ...]) -> None:
        self.ode, self.event = ode, event

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self.ode.eps(x.reshape(-1, *self.event), sigma).reshape(x.shape)


@pytest.mark.parametrize("probes", [None, 3])
def test_any_event_shape(probes: int | None) -> None:
    x = states(5, (2,))
    kept = x.clone()
    flat = log_prob(MIXTURE, x, GRID, Heun(), probes=probes)
    folded = x.reshape(5, 1, 2).transpose(1, 2)  # (5, 2, 1), not in memory's order
    got = log_prob(Reshaped(MIXTURE, (2,)), folded, GRID, Heun(), probes=probes)
    assert got.noise.shape == (5, 2, 1)
    torch.testing.assert_close(got.log_p, flat.log_p, rtol=0, atol=1e-12)
    assert x.equal(kept)
    one = log_prob(MIXTURE, x[:1], GRID, Heun(), probes=probes)
    torch.testing.assert_close(one.log_p, flat.log_p[:1], rtol=0, atol=1e-12)


def test_float32() -> None:
    x = states(8, (2,), torch.float32)
    got = log_prob(MIXTURE, x, GRID, FINE, prior=MIXTURE.log_density)
    wide = log_prob(MIXTURE, x.double(), GRID, FINE, prior=MIXTURE.log_density)
    assert got.log_p.dtype == got.noise.dtype == torch.float32
    torch.testing.assert_close(got.log_p.double(), wide.log_p, rtol=0, atol=2e-4)


def test_either_direction_of_the_grid() -> None:
    x = states(3, (2,))
    down, up = (log_prob(MIXTURE, x, grid, Heun()) for grid in (GRID, GRID.reversed()))
    assert down.log_p.equal(up.log_p)


def v_network() -> DiffusionODE:
    prediction = VPrediction(VPSDE())
    return DiffusionODE(exact_network(MIXTURE, prediction), prediction)


def test_networks_are_counted() -> None:
    x = states(4, (2,))
    got = log_prob(v_network(), x, GRID, Heun())
    assert (got.nfe, got.forwards, got.backwards) == (40, 40, 80)
    torch.testing.assert_close(got.log_p, log_prob(MIXTURE, x, GRID, Heun()).log_p)
    twice = log_prob(Guided(v_network(), v_network(), 2.0), x, GRID, Heun(), probes=3)
    assert (twice.nfe, twice.forwards, twice.backwards) == (40, 80, 120)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_stay_inside(mode: Callable[[], torch.autograd.grad_mode.no_grad]) -> None:
    """They are taken in any mode, and neither the weights, the state nor the answer keep any."""
    weight = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    ode = DiffusionODE(lambda x, t: x * weight, EpsPrediction(VPSDE()))
    x = states(3, (2,)).requires_grad_()
    expected = log_prob(ode, x, GRID, Heun())
    with mode():
        got = log_prob(ode, x, GRID, Heun())
    assert got.log_p.equal(expected.log_p)
    assert not got.log_p.requires_grad
    assert not got.noise.requires_grad
    assert weight.grad is None
    assert x.grad is None
