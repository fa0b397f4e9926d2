"""Targets derived from the Precondition, the objective, and Theorem 1: one network for the whole family."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EDMClock,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Grid,
    SeededNoise,
    VPrediction,
    WithNoise,
    X0Prediction,
    linear_beta,
    log_snr,
    sample,
    unit_noise,
)
from flowsolve.errors import GridError, StateError
from flowsolve.interop.flow import velocity
from flowsolve.interop.score_sde import SubVPSDE, score_of
from flowsolve.ode.precondition import SUB_VP, VE, VP, Precondition
from flowsolve.ode.training import Objective, moving_average
from flowsolve.problems import Mixture1D
from flowsolve.schedule.labels import SigmaClock
from flowsolve_solvers import DDIMEta

CLOCK = VPSDE()
LEVELS = [80.0, 3.0, 1.0, 0.2, 0.003]
X0 = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).double()
EPS = torch.randn(64, 3, generator=torch.Generator().manual_seed(1)).double()

# what F should be, and the x that the network sees, from the definitions; s = σα
TARGETS: dict[str, tuple[Precondition, Callable[..., Tensor]]] = {
    "eps": (EpsPrediction(CLOCK), lambda x0, e, a, s: e),
    "v": (VPrediction(CLOCK), lambda x0, e, a, s: a * e - s * x0),
    "x0": (X0Prediction(CLOCK), lambda x0, e, a, s: x0),
    "flow": (FlowPrediction(), lambda x0, e, a, s: e - x0),
    "data at 1": (velocity(1), lambda x0, e, a, s: x0 - e),
    "GVP": (velocity(0, path=VP), lambda x0, e, a, s: math.pi / 2 * (a * e - s * x0)),
    "score": (score_of(CLOCK), lambda x0, e, a, s: -e / s),
    "sub-VP": (EpsPrediction(SubVPSDE(), SUB_VP), lambda x0, e, a, s: e),
    "denoiser": (X0Prediction(SigmaClock(), VE), lambda x0, e, a, s: x0),
}


def batch(precondition: Precondition, sigma: float) -> Any:
    return Objective(precondition, [sigma]).at(X0, EPS, torch.zeros(64, dtype=torch.long))


@pytest.mark.parametrize("sigma", LEVELS)
@pytest.mark.parametrize("kind", TARGETS)
def test_inputs_and_targets_by_their_definitions(kind: str, sigma: float) -> None:
    precondition, target = TARGETS[kind]
    alpha = precondition.alpha(sigma)
    got = batch(precondition, sigma)
    x_t = alpha * X0 + sigma * alpha * EPS  # q(x_t | x₀)
    assert float((got.x - x_t).abs().max()) < 1e-13 * (1 + sigma * alpha)
    assert got.t.tolist() == [precondition.clock.t(sigma)] * 64
    want = target(X0, EPS, alpha, sigma * alpha)
    assert float((got.target - want).abs().max() / want.abs().max()) < 1e-13


@pytest.mark.parametrize("sigma", LEVELS)
def test_edms_target(sigma: float) -> None:
    """Karras et al. 2022, Eq. 8 and Table 1: (x₀ - c_skip x̄)/c_out of c_in x̄."""
    norm, x = math.hypot(sigma, 0.5), X0 + sigma * EPS
    got = batch(EDMPrediction(), sigma)
    want = (X0 - 0.25 / norm**2 * x) / (0.5 * sigma / norm)
    assert float((got.x - x / norm).abs().max()) < 1e-13
    # the formula as it stands cancels: x₀ - c_skip x̄ is of the size of σ
    assert float((got.target - want).abs().max()) < 1e-13 / min(sigma, 1)


ALL_KINDS = {**{k: p for k, (p, _) in TARGETS.items()}, "EDM": EDMPrediction(sigma_data=1.3)}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_network_that_hits_the_target_gives_x0_and_eps(kind: str) -> None:
    """DiffusionODE with F = F* gives back the pair that made x̄, at every level."""
    precondition = ALL_KINDS[kind]
    for sigma in LEVELS:
        made = batch(precondition, sigma)

        def network(x: Tensor, t: Tensor, made: Any = made) -> Tensor:
            assert float((x - made.x).abs().max()) < 1e-12 * float(made.x.abs().max())
            return made.target  # type: ignore[no-any-return]

        ode, x_bar = DiffusionODE(network, precondition), X0 + sigma * EPS
        assert float((ode.x0(x_bar, sigma) - X0).abs().max()) < 1e-12 * (1 + sigma)
        assert float((ode.eps(x_bar, sigma) - EPS).abs().max()) < 1e-12 * (1 + 1 / sigma)


@pytest.mark.parametrize("kind", ["v", "x0", "flow", "data at 1", "GVP", "EDM"])
def test_targets_at_infinity(kind: str) -> None:
    """There the network sees the noise alone, and by F* the ODE says x₀."""
    precondition: Precondition = {
        "v": VPrediction(TARGETS["GVP"][0].clock),
        "x0": X0Prediction(TARGETS["GVP"][0].clock),
        "flow": FlowPrediction(),
        "data at 1": velocity(1),
        "GVP": velocity(0, path=VP),
        "EDM": EDMPrediction(TARGETS["flow"][0].clock),
    }[kind]
    made = batch(precondition, math.inf)
    assert made.x.equal(EPS)
    ode = DiffusionODE(lambda x, t: made.target, precondition)
    assert float((ode.x0(EPS, math.inf) - X0).abs().max()) < 1e-14


def test_l_simple() -> None:
    """Ho et al. 2020, Eq. 14, written out on the draws of the same generator."""
    clock = linear_beta()
    table = torch.tensor(clock.alphas_cumprod, dtype=torch.float64)
    levels = [clock.sigma(t) for t in range(1000)]
    network = lambda x, t: (x * (1 + t[:, None] / 999)).sin()  # noqa: E731
    got = Objective(EpsPrediction(clock), levels).loss(
        network, X0, torch.Generator().manual_seed(5)
    )
    g = torch.Generator().manual_seed(5)
    t = torch.randint(1000, (64,), generator=g)
    eps, a = torch.randn(64, 3, dtype=torch.float64, generator=g), table[t, None]
    x_t = a.sqrt() * X0 + (1 - a).sqrt() * eps
    want = (eps - network(x_t, t.double())).square().mean()
    assert float(got) == pytest.approx(float(want), rel=1e-9)
    gamma = Objective(EpsPrediction(clock), levels, lambda s: 1 / s).loss(
        network, X0, torch.Generator().manual_seed(5)
    )
    each = (eps - network(x_t, t.double())).square().mean(1) * (a / (1 - a)).sqrt()[:, 0]
    assert float(gamma) == pytest.approx(float(each.mean()), rel=1e-9)


@pytest.mark.parametrize("shape", [(16,), (16, 2), (16, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    objective = Objective(EDMPrediction(), LEVELS)
    weight = torch.ones((), dtype=dtype, requires_grad=True)
    made = objective.draw(torch.ones(shape, dtype=dtype))
    assert made.x.shape == made.target.shape == shape
    assert made.t.shape == made.gamma.shape == (16,)
    assert {v.dtype for v in made} == {dtype}
    objective.loss(lambda x, t: weight * x, torch.ones(shape, dtype=dtype)).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert float(weight.grad) != 0


def test_levels_are_drawn_evenly() -> None:
    """6000 draws of 5: each within 5 standard deviations of 1200."""
    objective = Objective(X0Prediction(SigmaClock(), VE), LEVELS)
    t = objective.draw(torch.zeros(6000), torch.Generator().manual_seed(0)).t
    counts = [int((t == torch.tensor(s)).sum()) for s in LEVELS]
    assert sum(counts) == 6000
    assert all(abs(c - 1200) < 5 * math.sqrt(6000 * 0.2 * 0.8) for c in counts)


def test_what_training_refuses() -> None:
    for levels in ([], [1.0, 0.0], [math.nan]):
        with pytest.raises(GridError, match="training needs noise levels σ > 0, at least one"):
            Objective(EpsPrediction(CLOCK), levels)
    with pytest.raises(ValueError, match="must be at least 0 at every level"):
        Objective(EpsPrediction(CLOCK), LEVELS, lambda s: -s)
    with pytest.raises(StateError, match="x0 must be a floating-point tensor"):
        Objective(EpsPrediction(CLOCK), LEVELS).draw(torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), but got 1.0"):
        moving_average(nn.Linear(1, 1), 1.0)


def test_the_moving_average() -> None:
    net = nn.Linear(1, 1, bias=False)
    average, want = moving_average(net, 0.9), math.nan
    for n, value in enumerate([2.0, 3.0, -1.0]):
        with torch.no_grad():
            net.weight.fill_(value)
        average.update_parameters(net)
        want = value if n == 0 else 0.9 * want + 0.1 * value
        assert float(average.module.weight.detach()) == pytest.approx(want, rel=1e-6)


# --- Theorem 1: the optimum does not depend on γ -------------------------------------------------

MEAN, VAR = 0.4, 0.3  # Gaussian data: ε(x̄, σ) = σ (x̄ - m)/(v + σ²)
GAMMAS: list[Callable[[float], float]] = [
    lambda s: 1.0,
    lambda s: 1 / (s * s),
    lambda s: s**4,
    lambda s: 1.0 if s > 1 else 1e-3,
]
GAUSS = [80.0, 20.0, 5.0, 2.0, 1.0, 0.5, 0.1, 0.02]


def features(x: Tensor, sigma: float, complete: bool) -> list[Tensor]:
    """Functions of (x̄, σ) that share their coefficients over σ; the truth is among them if complete."""
    d = VAR + sigma * sigma
    some = [
        x * sigma / (1 + sigma**2),
        torch.full_like(x, sigma / (1 + sigma)),
        (x / (1 + sigma)).sin(),
    ]
    return [*some, x * sigma / d, torch.full_like(x, sigma / d)] if complete else some


def minimiser(gamma: Callable[[float], float], complete: bool) -> Tensor:
    """The minimiser of L_γ over linear combinations, its expectations by Gauss-Hermite quadrature.

    x₀ and ε are nodes of the quadrature, and inputs, targets and γ come from Objective.at: this is
    the loss that `loss` draws from.
    """
    import numpy as np

    nodes, w = (torch.tensor(a) for a in np.polynomial.hermite_e.hermegauss(40))
    x0 = (MEAN + math.sqrt(VAR) * nodes).repeat_interleave(40)
    eps, w2 = nodes.repeat(40), (w[:, None] * w).flatten() / w.sum() ** 2
    objective = Objective(EpsPrediction(CLOCK), GAUSS, gamma)
    rows, right = [], []
    for i, sigma in enumerate(GAUSS):
        made = objective.at(x0, eps, torch.full(x0.shape, i))
        scale = (w2 * made.gamma).sqrt()
        x_bar = made.x / EpsPrediction(CLOCK)(sigma).c_in
        rows.append(torch.stack(features(x_bar, sigma, complete), 1) * scale[:, None])
        right.append(made.target * scale)
    solved: Tensor = torch.linalg.lstsq(torch.cat(rows), torch.cat(right), driver="gelsd").solution
    return solved


def test_the_optimum_does_not_depend_on_gamma() -> None:
    """In a class that holds the truth, all γ have one minimiser, the truth: Theorem 1's consequence."""
    for gamma in GAMMAS:
        found = minimiser(gamma, complete=True)
        want = torch.tensor([0, 0, 0, 1, -MEAN], dtype=torch.float64)
        assert float((found - want).abs().max()) < 1e-8


def test_in_a_class_too_small_it_does() -> None:
    """The same without the truth in the class: γ chooses where to be wrong."""
    found = [minimiser(gamma, complete=False) for gamma in GAMMAS]
    assert all(float((f - found[0]).abs().max()) > 1e-3 for f in found[1:])


DATA, SAMPLES = Mixture1D(), 300
TRAINED_ON = log_snr(80, 20.0, 0.01)
FAMILY = [DDIMEta(0.0), DDIMEta(0.5), DDIMEta(1.0), DDIMEta(1.0, larger_variance=True)]


def distance(x: Tensor) -> float:
    """Kolmogorov and Smirnov's: the largest gap between the samples' and the mixture's cdf."""
    x = x.double().sort().values
    parts = zip(DATA.weights, DATA.means, DATA.deviations, strict=True)
    cdf = sum((w * torch.special.ndtr((x - m) / d) for w, m, d in parts), torch.zeros_like(x))
    steps = torch.arange(len(x) + 1) / len(x)
    return float(torch.maximum(cdf - steps[:-1], steps[1:] - cdf).max())


def draw(n: int, generator: torch.Generator) -> Tensor:
    which = (torch.rand(n, generator=generator) < DATA.weights[1]).long()
    noise = torch.randn(n, generator=generator)
    return torch.tensor(DATA.means)[which] + torch.tensor(DATA.deviations)[which] * noise


class Small(nn.Module):
    """ε of a Gaussian with the data's mean and variance, and 4 600 weights for the rest."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        sigma, mean, var = (4 * t).exp(), 0.26, 0.74
        norm = (sigma**2 + var).sqrt()
        y = (x * (1 + sigma**2).sqrt() - mean) / norm
        rest: Tensor = self.layers(torch.stack([y, (2 * y).sin(), t, (3 * t).sin()], 1))[:, 0]
        return (sigma * y + math.sqrt(var) * rest) / norm


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    """Before and after 1500 steps of L_simple, about 3 seconds."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    net, g = Small(), torch.Generator().manual_seed(0)
    torch.random.set_rng_state(state)
    before, average = copy.deepcopy(net), moving_average(net, 0.99)
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1500)
    objective = Objective(EpsPrediction(EDMClock()), TRAINED_ON)
    for _ in range(1500):
        adam.zero_grad()
        objective.loss(net, draw(1024, g), g).backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
        average.update_parameters(net)
    return before, average.module


def samples(net: nn.Module, solver: DDIMEta, grid: Grid = TRAINED_ON) -> Tensor:
    ode = DiffusionODE(net, EpsPrediction(EDMClock()))
    noise = unit_noise(range(SAMPLES), ())
    return sample(WithNoise(ode, SeededNoise(range(SAMPLES))), noise, grid.to_zero(), solver).x


# the distance that SAMPLES draws of the mixture itself exceed once in a thousand times
BOUND = 1.95 / math.sqrt(SAMPLES)


def test_the_bound_is_that_of_the_data() -> None:
    g = torch.Generator().manual_seed(1)
    found = [distance(draw(SAMPLES, g)) for _ in range(200)]
    assert max(found) < BOUND
    assert max(found) > 0.6 * BOUND


@pytest.mark.parametrize("solver", FAMILY, ids=repr)
def test_one_network_serves_the_whole_family(
    networks: tuple[nn.Module, nn.Module], solver: DDIMEta
) -> None:
    """Trained once, with γ = 1 and no η in sight; the untrained one fails, and so do 5 steps."""
    before, after = networks
    assert distance(samples(after, solver)) < BOUND
    assert distance(samples(before, solver)) > BOUND
    assert distance(samples(after, solver, log_snr(4, 20.0, 0.01))) > BOUND
