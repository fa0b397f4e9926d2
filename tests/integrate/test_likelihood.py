"""log p against closed forms: its value, its order by every method, Hutchinson's error, bits, errors."""

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
    Clip,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Guided,
    Solver,
    VPrediction,
    karras,
    log_snr,
    solve,
    unit_noise,
)
from flowsolve.errors import GridError, NetworkError, NonFiniteError, StateError
from flowsolve.integrate.bits import bits_per_dim, dequantise
from flowsolve.integrate.likelihood import Likelihood, log_prob, ve_prior, vp_prior
from flowsolve.problems import Digits, Gaussian, Mixture, Mixture1D
from flowsolve.problems.as_network import exact_network
from flowsolve_solvers import (
    ALL,
    RK4,
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
    Scipy,
    Torchdiffeq,
)
from tests.helpers import says

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


# --- the value -----------------------------------------------------------------------------------


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


# --- Hutchinson ----------------------------------------------------------------------------------


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


class Swap(ODE):
    """ε = (x₂, x₁): no divergence, but vᵀJv = 2 v₁v₂."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x.flip(1)


# --- shapes, dtypes, gradients, counts ------------------------------------------------------------


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


# --- bits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_bits_of_the_uniform_law(levels: int) -> None:
    """The density that is 1/(2 + Δ) on every dimension: log₂ levels."""
    log_p = torch.full((3,), -12 * math.log(2 + 2 / (levels - 1)), dtype=torch.float64)
    bits = bits_per_dim(log_p, (3, 2, 2), levels)
    torch.testing.assert_close(bits, torch.full_like(bits, math.log2(levels)))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantise_fills_the_cell(levels: int) -> None:
    k = torch.randint(levels, (400, 2, 3), generator=torch.Generator().manual_seed(1))
    x = k * 2 / (levels - 1) - 1
    y = dequantise(x, levels, range(400))
    u = (y - x) / (2 / (levels - 1)) + 0.5
    assert float(u.min()) > -1e-3
    assert float(u.max()) < 1 + 1e-3
    assert abs(float(u.mean()) - 0.5) < 4 / math.sqrt(12 * u.numel())
    assert abs(float(u.var()) - 1 / 12) < 4 / math.sqrt(180 * u.numel())
    assert y[5:7].equal(dequantise(x[5:7], levels, [5, 6]))


def test_bits_bound_the_probability() -> None:
    """In one dimension, where the cell's probability is an integral: Jensen's inequality."""
    problem, levels, n = Mixture1D(), 17, 2000
    x = torch.full((n,), 0.5, dtype=torch.float64)
    bits = bits_per_dim(problem.log_density(dequantise(x, levels, range(n)), 0.05), (), levels)
    cell = torch.linspace(0.5 - 1 / 16, 0.5 + 1 / 16, 2001, dtype=torch.float64)
    exact = -math.log2(float(torch.trapezoid(problem.log_density(cell, 0.05).exp(), cell)))
    error = float(bits.std()) / math.sqrt(n)
    assert exact < float(bits.mean()) + 3 * error
    assert float(bits.mean()) - 3 * error < exact + 0.2  # and not far above


def test_digits() -> None:
    """Real images: fewer bits than uniform pixels, and Hutchinson within its error."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    x = torch.tensor(data.images[:3], dtype=torch.float32)[:, None] / 8 - 1
    problem = Digits()
    y = dequantise(x, 17, range(3))
    grid = karras(10, problem.sigma_max, problem.sigma_min)
    exact = log_prob(problem, y, grid, DPMSolverPP2M(), prior=vp_prior)
    got = log_prob(problem, y, grid, DPMSolverPP2M(), prior=vp_prior, probes=16)
    assert float(((got.log_p - exact.log_p) / got.stderr).abs().max()) < 4
    assert float(bits_per_dim(exact.log_p, problem.event, 17).max()) < math.log2(17)


# --- errors --------------------------------------------------------------------------------------


X = torch.ones(3, 2)


def run(**changes: object) -> Likelihood:
    arguments: dict[str, object] = {"ode": MIXTURE, "x": X, "grid": GRID, "solver": Heun()}
    return log_prob(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"grid": GRID.to_zero()}, GridError, "log p needs finite levels above 0, but the grid "),
        ({"grid": GRID.from_infinity()}, GridError, "log p needs finite levels above 0, but the "),
        ({"grid": GRID.to_zero().reversed()}, GridError, "log p needs finite levels above 0, but"),
        ({"solver": DDIMEta()}, GridError, "DDIMEta() draws noise, so it only goes down the grid"),
        ({"solver": Heun}, StateError, "solver must be an instance, not the class Heun"),
        ({"ode": None}, StateError, "ode must be an ODE such as "),
        ({"x": X.int()}, StateError, "the state must be a floating-point tensor, but is torch.int"),
        (
            {"x": X.half()},
            StateError,
            "log p is summed in the state's dtype, so torch.float16 is too coarse. Use x.float(), and "
            "DiffusionODE(..., dtype=...) for a network in half precision.",
        ),
        (
            {"probes": 1},
            ValueError,
            "probes must be 2 or more, to have a standard error, but is 1. None is exact.",
        ),
        (
            {"probes": 2.0},
            ValueError,
            "probes must be 2 or more, to have a standard error, but is 2",
        ),
        (
            {"prior": 1.0},
            StateError,
            "prior must be a function (x, sigma) -> log density such as vp_prior, not 1.0.",
        ),
        (
            {"prior": lambda x, sigma: x[:, 0] * math.nan},
            NonFiniteError,
            "the prior is NaN at σ = 10.0, where the state is finite.",
        ),
        ({"probes": 2, "seeds": [1]}, StateError, "there are 1 seeds for 3 samples: give one for "),
        (
            {"seeds": range(3)},
            StateError,
            "seeds are for probes, and an exact divergence has none.",
        ),
        (
            {"prior": lambda x, sigma: x},
            StateError,
            "prior must return one log density for each sample, a tensor (3,), but gave (3, 2).",
        ),
        (
            {"prior": lambda x, sigma: 0.0},
            StateError,
            "prior must return one log density for each sample, a tensor (3,), but gave 0.0.",
        ),
    ],
)
def test_bad_input(changes: dict[str, object], kind: type[Exception], text: str) -> None:
    says(kind, text, lambda: run(**changes))


def frozen(x: Tensor, t: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 0.5


class Detached(ODE):
    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x.detach()


class Unused(ODE):
    """A gradient, but not in x̄."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return torch.ones_like(x).requires_grad_() * 2


FROZEN = DiffusionODE(frozen, VPrediction(VPSDE()))


@pytest.mark.parametrize(
    "ode",
    [
        DiffusionODE(frozen, EpsPrediction(VPSDE())),
        FROZEN,  # whose ε has a gradient, by c_skip x̄
        Clip(FROZEN),
        Guided(FROZEN, FROZEN, 2.0),
        Guided(v_network(), FROZEN, 2.0),
        Detached(),
        Unused(),
    ],
)
def test_a_network_without_gradient_is_an_error(ode: ODE) -> None:
    text = "the network's answer has no gradient in x̄, so it has no divergence. Give the network "
    says(NetworkError, text, lambda: run(ode=ode))


def test_a_network_that_returns_nan_or_no_tensor() -> None:
    def ode(answer: Callable[[Tensor], object]) -> DiffusionODE:
        return DiffusionODE(lambda x, t: answer(x), EpsPrediction(VPSDE()))  # type: ignore[arg-type, return-value]

    with pytest.raises(NonFiniteError, match="evaluation 1"):
        run(ode=ode(lambda x: x * math.nan))
    says(NetworkError, "the network returned a tuple of 1", lambda: run(ode=ode(lambda x: (x,))))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: dequantise(X * 16, 17, range(3)),
            StateError,
            "dequantise needs values on 17 levels from -1 to 1, but one is 120 of their distance away. "
            "Whole numbers k become 2 k/16 - 1.",
        ),
        (lambda: dequantise(X * 0.3, 17, range(3)), StateError, "dequantise needs values on 17 "),
        (lambda: dequantise(X * math.nan, 17, range(3)), StateError, "dequantise needs values on "),
        (lambda: dequantise(X, 17, range(2)), StateError, "there are 2 seeds for 3 samples: give "),
        (
            lambda: dequantise(X, 1, range(3)),
            ValueError,
            "levels must be at least 2, such as 256 of 8 bits, but is 1.",
        ),
        (lambda: bits_per_dim(X[0], (2,), 0), ValueError, "levels must be at least 2, such as "),
    ],
)
def test_bad_data(call: Callable[[], object], kind: type[Exception], text: str) -> None:
    says(kind, text, call)
