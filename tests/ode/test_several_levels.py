"""Several states at once, each at its own level: as one call for each, whatever stands around the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Guided,
    SeededNoise,
    Solver,
    WithNoise,
    log_snr,
    solve,
)
from flowsolve.errors import NetworkError, StateError
from flowsolve.integrate import Counter, Tally
from flowsolve.ode import (
    BySeed,
    Clip,
    Composed,
    ConstantError,
    EDMPrediction,
    Experts,
    FlowPrediction,
    GaussianError,
    Quantised,
    Reused,
    Rounded,
    Threshold,
    VPrediction,
    Wrapped,
    X0Prediction,
    interval,
)
from flowsolve.ode.ownership import Owned
from flowsolve.problems import Mixture1D
from flowsolve_solvers import DPMSolverPP2M, Euler, Heun, UniPC
from tests.helpers import says

CLOCK = VPSDE()
GRID = log_snr(4, 10.0, 0.1)
LEVELS = [GRID[0], GRID[1], GRID[2], GRID[3], GRID[1]]
B, D = 3, 4


def states(dtype: torch.dtype = torch.float64, rows: int = B) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(rows, D, generator=generator, dtype=torch.float64) * s).to(dtype)
        for s in LEVELS
    ]


class Network:
    """An answer of every row by itself, by its label and condition; it notes the rows of its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, c: Tensor | None = None, scale: float = 1.0) -> Tensor:
        self.calls.append(len(x))
        more = 0 if c is None else c.to(x.dtype)[:, None]
        return torch.tanh(1.3 * x + torch.cos(3 * t).to(x.dtype)[:, None] + more) * scale


def ode(condition: object = None, network: Network | None = None) -> DiffusionODE:
    return DiffusionODE(network or Network(), EpsPrediction(CLOCK), condition=condition)  # type: ignore[arg-type]


LABELS = torch.tensor([0.1, -0.4, 0.7], dtype=torch.float64)
NONE = torch.zeros(B, dtype=torch.float64)
COND = ode(LABELS)
UNCOND = COND.given(NONE)
SEEDED = ode(BySeed(torch.linspace(-1, 1, 9, dtype=torch.float64)))
NOISE = SeededNoise(range(B))


def by_level(sigma: float) -> float:
    return 1.0 if sigma > 5 else 0.0 if sigma < 0.2 else 1.0 + sigma


ODES: dict[str, ODE] = {
    "plain": ode(),
    "v": DiffusionODE(Network(), VPrediction(CLOCK)),
    "x0": DiffusionODE(Network(), X0Prediction(CLOCK)),
    "edm": DiffusionODE(Network(), EDMPrediction()),
    "flow": DiffusionODE(Network(), FlowPrediction()),
    "condition": COND,
    "dictionary": ode({"c": LABELS, "scale": 0.5}),
    "by seed": SEEDED.for_seeds([4, 0, 7]),
    "guided": Guided(COND, UNCOND, 3.0),
    "guided at once": Guided(COND, UNCOND, 3.0, batched=True),
    "guided by sample": Guided(COND, UNCOND, torch.tensor([0.5, 2.0, 1.0])),
    "guided by level": Guided(COND, UNCOND, by_level),
    "guided by level at once": Guided(COND, UNCOND, by_level, batched=True),
    "guided in an interval": Guided(COND, UNCOND, interval(2.0, 0.3, 4.0), batched=True),
    "rescaled": Guided(COND, UNCOND, 3.0, rescale=0.7, batched=True),
    "scale by seed": Guided(COND, UNCOND, BySeed(torch.linspace(0, 2, 9))).for_seeds([4, 0, 7]),
    "composed": Composed(UNCOND, [(COND, 1.5), (ode(-LABELS), by_level)]),
    "experts": Experts(COND, ode(-LABELS), 2.0),
    "clipped": Clip(COND),
    "clipped, ε kept": Clip(COND, keep_eps=GRID),
    "threshold": Threshold(Guided(COND, UNCOND, 3.0, batched=True), 0.9),
    "gaussian error": GaussianError(COND, 0.1, NOISE),
    "constant error": ConstantError(COND, 0.1, NOISE),
    "rounded": Rounded(COND),
    "quantised": Quantised(COND, 64),
    "with noise": WithNoise(Clip(COND), NOISE),
    "owned": Owned(COND),
    "exact": Mixture1D(),
    "rounded, exact": Rounded(Mixture1D()),
}
each = pytest.mark.parametrize("inner", ODES.values(), ids=ODES)


@each
def test_as_one_call_for_each(inner: ODE) -> None:
    for ask, ask_each in ((inner.eps, inner.eps_each), (inner.x0, inner.x0_each)):
        xs = states()
        before = [x.clone() for x in xs]
        found = ask_each(xs, LEVELS)
        assert len(found) == len(xs)
        for x, sigma, answer in zip(xs, LEVELS, found, strict=True):
            alone = ask(x, sigma)
            assert answer.dtype == x.dtype
            torch.testing.assert_close(answer, alone, rtol=1e-13, atol=1e-13 * max(1.0, sigma))
        assert all(torch.equal(a, b) for a, b in zip(xs, before, strict=True))


@each
def test_an_answer_does_not_depend_on_the_states_beside_it(inner: ODE) -> None:
    xs = states()
    whole, part = inner.eps_each(xs, LEVELS), inner.eps_each(xs[1:3], LEVELS[1:3])
    for a, b in zip(whole[1:3], part, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_dtypes(dtype: torch.dtype) -> None:
    inner = Clip(Guided(COND, UNCOND, 3.0, batched=True))
    xs = states(dtype)
    for x, sigma, answer in zip(xs, LEVELS, inner.eps_each(xs, LEVELS), strict=True):
        assert answer.dtype == dtype
        torch.testing.assert_close(answer, inner.eps(x, sigma))


def test_no_state_and_one() -> None:
    assert ode().eps_each([], []) == ode().x0_each([], []) == []
    x = states()[0]
    assert torch.equal(COND.eps_each([x], [2.0])[0], COND.eps(x, 2.0))


WRAPPERS: dict[str, tuple[Callable[[DiffusionODE], ODE], list[int]]] = {
    "plain": (lambda one: one, [15]),
    "clipped": (Clip, [15]),
    "guided": (lambda one: Guided(one.given(LABELS), one.given(NONE), 2.0), [15, 15]),
    "guided at once": (
        lambda one: Guided(one.given(LABELS), one.given(NONE), 2.0, batched=True),
        [30],
    ),
    "experts": (lambda one: Experts(one, one.given(LABELS), 2.0), [9, 6]),
    "wrapped": (lambda one: WithNoise(GaussianError(Clip(Rounded(one)), 0.1, NOISE), NOISE), [15]),
}


@pytest.mark.parametrize(("wrap", "calls"), WRAPPERS.values(), ids=WRAPPERS)
def test_the_network_is_called_once(wrap: Callable[[DiffusionODE], ODE], calls: list[int]) -> None:
    network = Network()
    wrap(ode(network=network)).eps_each(states(), LEVELS)
    assert network.calls == calls


def test_a_level_of_its_own_for_every_sample() -> None:
    """Blocks of one row, and a condition with the rows of all."""
    x, sigmas = states()[0], LEVELS[:B]
    rows = [x[i : i + 1] for i in range(B)]
    for inner in (COND, Clip(COND), Guided(COND, UNCOND, 2.0)):
        found = torch.cat(inner.eps_each(rows, sigmas))
        for i, sigma in enumerate(sigmas):
            torch.testing.assert_close(found[i], inner.eps(x, sigma)[i], rtol=1e-13, atol=1e-13)


def test_a_condition_that_fits_neither() -> None:
    text = "the condition has shape (2,) for 15 samples: give one row for each"
    says(NetworkError, text, lambda: ode(LABELS[:2]).eps_each(states(), LEVELS))
    text = "there are 3 seeds for 1 samples"
    says(
        StateError, text, lambda: GaussianError(ode(), 0.1, NOISE).eps_each(states(rows=1), LEVELS)
    )
    with pytest.raises(ValueError, match="shorter"):
        ode().eps_each(states(), LEVELS[:2])


def test_who_changes_eps_is_asked_for_every_level() -> None:
    """A subclass that says nothing of several levels cannot be passed over."""

    class Doubled(Wrapped):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return 2 * super().eps(x, sigma)

    class Shifted(Clip):
        def x0(self, x: Tensor, sigma: float) -> Tensor:
            return super().x0(x, sigma) + 1

    class More(Doubled):
        pass

    for inner in (Doubled(COND), Shifted(COND), Clip(Shifted(COND)), More(COND)):
        for ask, ask_each in ((inner.eps, inner.eps_each), (inner.x0, inner.x0_each)):
            for x, sigma, answer in zip(states(), LEVELS, ask_each(states(), LEVELS), strict=True):
                torch.testing.assert_close(answer, ask(x, sigma), rtol=1e-13, atol=1e-13)


def test_a_buffer_that_is_used_again() -> None:
    class Buffered(ODE):
        buffer = torch.empty(B, D, dtype=torch.float64)

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.mul(x, sigma, out=self.buffer)

    class Static:
        buffer = torch.empty(len(LEVELS) * B, D, dtype=torch.float64)

        def __call__(self, x: Tensor, t: Tensor) -> Tensor:
            x.mul_(0.5)  # and its input is written to
            return self.buffer.copy_(x)

    for inner in (Buffered(), Clip(Buffered(), -1e6, 1e6)):
        for x, sigma, answer in zip(
            states(), LEVELS, inner.eps_each(states(), LEVELS), strict=True
        ):
            torch.testing.assert_close(answer, x * sigma)
    static = DiffusionODE(Static(), X0Prediction(CLOCK))
    first = static.x0_each(states(), LEVELS)
    kept = [a.clone() for a in first]
    static.x0_each([x + 1 for x in states()], LEVELS)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_what_is_counted() -> None:
    """B samples at L levels: one round, L evaluations, L B rows; in turn where answers are used again."""
    spent = Tally()
    seen: list[float] = []

    class Seen:
        def saw(
            self, x: Tensor, sigma: float, *, eps: Tensor | None = None, x0: Tensor | None = None
        ) -> None:
            seen.append(sigma)

    Counter(Guided(COND, UNCOND, 2.0), spent, Seen()).eps_each(states(), LEVELS)
    assert spent == Tally(nfe=5, rows=15, forwards=30, rounds=1)
    assert seen == LEVELS
    spent = Tally()
    Counter(Reused(COND, 2), spent).x0_each(states(), LEVELS)
    assert spent == Tally(nfe=3, rows=9, forwards=9, rounds=3)


def test_gradients() -> None:
    xs = [x.requires_grad_() for x in states()]
    out = Guided(COND, UNCOND, 2.0, batched=True).eps_each(xs, LEVELS)
    found: Sequence[Tensor] = torch.autograd.grad(torch.stack(out).sum(), xs)
    for x, sigma, gradient in zip(states(), LEVELS, found, strict=True):
        x = x.requires_grad_()
        alone = Guided(COND, UNCOND, 2.0, batched=True).eps(x, sigma).sum()
        torch.testing.assert_close(gradient, *torch.autograd.grad(alone, x))
    assert math.isfinite(float(found[0].sum()))


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M(), UniPC(2)], ids=repr)
def test_a_level_for_every_element_is_an_ode_of_ones_own(solver: Solver) -> None:
    """dx̄_i/dσ = r_i ε_i(x̄, r σ): solved as it is, each element is that of its own grid."""
    rates, problem = (1.0, 0.5, 2.0), Mixture1D()

    class Forced(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            columns = problem.eps_each(x.unbind(1), [r * sigma for r in rates])
            return torch.stack([r * eps for r, eps in zip(rates, columns, strict=True)], 1)

    x = torch.stack([r * GRID[0] * states()[1][:, 0] for r in rates], 1)
    done = solve(Forced(), x, GRID, solver).x
    for i, r in enumerate(rates):
        alone = solve(problem, x[:, i], [r * s for s in GRID], solver).x
        torch.testing.assert_close(done[:, i], alone, rtol=1e-12, atol=1e-12)
