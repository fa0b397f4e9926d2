"""Guidance is an ODE made of two: its formula, its cost, and how it composes with other wrappers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    Clip,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    Guided,
    SeededNoise,
    Solver,
    Threshold,
    VPrediction,
    WithNoise,
    X0Prediction,
    cfgpp,
    interval,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.analysis.step_cost import SHAPE, StepCost
from flowsolve.errors import NetworkError, NonFiniteError, StateError
from flowsolve.ode.precondition import Precondition
from flowsolve.problems import NetworkProblem, exact_network
from flowsolve.study import work_precision
from flowsolve_solvers import (
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
)
from tests.helpers import says
from tests.ode.guided import (
    ALL_OF_IT,
    CLASSES,
    COND,
    DIGITS,
    FLOW,
    GRID,
    IMAGES,
    NONE,
    PART,
    SOLVERS,
    UNCOND,
    N,
    X,
    of_tensor,
)

# ------------------------------------------------------------------------------------- the formula


@pytest.mark.parametrize("w", [-1.0, 0.0, 0.3, 1.0, 3, 7.5])
def test_the_formula(w: float) -> None:
    ode = Guided(PART, ALL_OF_IT, w)
    for sigma in (0.2, 1.0, 40.0):
        for name in ("eps", "x0"):
            u, c = (getattr(o, name)(X, sigma) for o in (ALL_OF_IT, PART))
            torch.testing.assert_close(
                getattr(ode, name)(X, sigma), u + w * (c - u), rtol=1e-13, atol=1e-13
            )
            torch.testing.assert_close(  # as the paper writes it, with its w
                getattr(ode, name)(X, sigma),
                (1 + (w - 1)) * c - (w - 1) * u,
                rtol=1e-13,
                atol=1e-13,
            )


@pytest.mark.parametrize(
    "precondition", [VPrediction(FLOW), X0Prediction(FLOW), FlowPrediction()], ids=repr
)
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_from_infinity_to_zero(solver: Solver, precondition: Precondition) -> None:
    """The head step combines x₀: networks and exact mixtures agree, limits around them or not."""
    ends = karras(10, 20, 0.05).from_infinity().to_zero()
    cond, uncond = (
        DiffusionODE(exact_network(p, precondition), precondition) for p in (PART, ALL_OF_IT)
    )
    for options in ({}, {"rescale": 0.5}):
        got = sample(Guided(cond, uncond, 3.0, **options), X, ends, solver)
        exact = sample(Guided(PART, ALL_OF_IT, 3.0, **options), X, ends, solver)
        torch.testing.assert_close(got.x, exact.x, rtol=1e-7, atol=1e-7)
        assert got.forwards == 2 * got.nfe
    head = sample(Guided(cond, uncond, 3.0), X, ends, solver, keep=1).path[1].x
    u, c = (p.x0(X, math.inf) for p in (ALL_OF_IT, PART))
    torch.testing.assert_close(head, u + 3 * (c - u) + 20 * X, rtol=1e-6, atol=1e-6)
    clipped = sample(Clip(Guided(cond, uncond, 3.0), -0.1, 0.1), X, ends, solver, keep=1)
    expected = (u + 3 * (c - u)).clamp(-0.1, 0.1) + 20 * X
    torch.testing.assert_close(clipped.path[1].x, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "tol", "options"),
    [(torch.float32, 1e-6, {"rescale": 0.7}), (torch.float64, 1e-12, {})],
)
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_batched_is_two_passes(
    solver: Solver, dtype: torch.dtype, tol: float, options: dict[str, float]
) -> None:
    cond, uncond = DIGITS.given(CLASSES), DIGITS.given(NONE)
    x, grid = IMAGES.to(dtype), karras(6, DIGITS.sigma_max, DIGITS.sigma_min).to_zero()
    one, two = (
        solve(Guided(cond, uncond, 3.0, batched=b, **options), x, Grid(grid[:-1]), solver)
        for b in (True, False)
    )
    torch.testing.assert_close(one.x, two.x, rtol=tol, atol=tol)
    assert one.forwards == two.forwards == 2 * one.nfe


def test_batched_joins_what_has_rows_and_shares_the_rest() -> None:
    seen: list[dict[str, Any]] = []

    def network(x: Tensor, t: Tensor, **words: Any) -> Tensor:
        seen.append({"x": x, "t": t, **words})
        return x + words["text"] + words["more"]["pair"][0]

    ode, shared = DiffusionODE(network, EpsPrediction(VPSDE())), torch.tensor(3.0)
    a, b, n = (
        {"text": c, "size": 64, "n": shared, "more": {"pair": (c, None)}} for c in (X, -X, 2 * X)
    )
    both = Guided(ode.given(a), ode.given(b), 3.0, batched=True)
    got = both.eps(X, 1.0)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0]["x"], torch.cat((X, X)) / math.sqrt(2))
    assert seen[0]["t"].shape == (12,)
    assert seen[0]["text"].equal(torch.cat((-X, X)))  # [uncond; cond]
    assert seen[0]["more"]["pair"][0].equal(torch.cat((-X, X)))
    assert (seen[0]["size"], seen[0]["n"], seen[0]["more"]["pair"][1]) == (64, shared, None)
    torch.testing.assert_close(got, Guided(ode.given(a), ode.given(b), 3.0).eps(X, 1.0))
    negative = Guided(ode.given(a), ode.given(n), 3.0, batched=True).eps(X, 1.0)
    assert not negative.allclose(got)  # a negative condition is the other side's


COSTS: dict[str, tuple[Callable[..., ODE], float]] = {
    "two": (lambda **k: Guided(COND, UNCOND, 3.0, **k), 2),
    "w = 1": (lambda **k: Guided(COND, UNCOND, 1, **k), 1),
    "w = 0": (lambda **k: Guided(COND, UNCOND, 0.0, **k), 1),
    "w < 0": (lambda **k: Guided(COND, UNCOND, -2.0, **k), 2),
    "each its own": (lambda **k: Guided(COND, UNCOND, torch.ones(6), **k), 2),
    "w(σ) = 1": (lambda **k: Guided(COND, UNCOND, lambda s: 1.0, **k), 1),
    "rescaled": (lambda **k: Guided(COND, UNCOND, 3.0, rescale=0.7, **k), 2),
    "rescaled, w = 1": (lambda **k: Guided(COND, UNCOND, 1.0, rescale=0.7, **k), 1),
    "rescaled, w = 0": (lambda **k: Guided(COND, UNCOND, 0.0, rescale=0.7, **k), 2),
    "clipped": (lambda **k: Clip(Guided(COND, UNCOND, 3.0, **k)), 2),
    "thresholded": (lambda **k: Threshold(Guided(COND, UNCOND, 3.0, **k), keep_eps=GRID), 2),
    "interval": (lambda **k: Guided(COND, UNCOND, interval(3.0, GRID[4], GRID[1]), **k), 9 / 6),
    "CFG++": (lambda **k: Guided(COND, UNCOND, cfgpp(GRID, 0.6), **k), 2),
    "of noise": (lambda **k: WithNoise(Guided(COND, UNCOND, 3.0, **k), SeededNoise(range(6))), 2),
}


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("what", COSTS)
def test_what_an_evaluation_costs(what: str, batched: bool) -> None:
    make, each = COSTS[what]
    answer = solve(make(batched=batched), X, GRID, Euler())
    assert answer.nfe == answer.per_sample == N
    assert answer.forwards == each * N


def test_limits_on_both_sides_cost_two() -> None:
    ode = Guided(Clip(COND), Threshold(UNCOND), 3.0)
    answer = solve(ode, X, GRID, Heun())
    assert (answer.nfe, answer.forwards) == (12, 24)
    exact = solve(Guided(PART, ALL_OF_IT, 3.0), X, GRID, Heun())
    assert (exact.nfe, exact.forwards) == (12, 0)  # no network


def test_two_forwards_in_one_call() -> None:
    calls: list[int] = []

    def network(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        calls.append(len(x))
        return x * c

    ode = DiffusionODE(network, EpsPrediction(VPSDE()))
    for batched, expected in ((True, [12] * 6), (False, [6] * 12)):
        calls.clear()
        solve(Guided(ode.given(X), ode.given(-X), 3.0, batched=batched), X, GRID, Euler())
        assert calls == expected


def test_nothing_is_read_back() -> None:
    meter, x = StepCost(4 * 64 * 64 * 4), torch.randn(SHAPE)
    ode = DiffusionODE(lambda x, t, c: meter.network(x, t), EpsPrediction(VPSDE())).given(x)
    own = torch.full((1,), 3.0)
    for inner in (
        Guided(ode, ode, 3.0, batched=True, rescale=0.5),
        Guided(ode, ode, own),
        Guided(ode, ode, interval(own, 0.5, 2.0)),
    ):
        for outer in (inner, Clip(inner), Threshold(inner)):
            with meter:
                solve(outer, x, log_snr(4, 10, 0.1), DPMSolverPP2M(), check=False)
            read = {"aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}
            assert meter.ops.total() > 0
            assert not read & set(meter.ops)


def test_a_study_of_a_guided_network() -> None:
    """Conditions have a row for each sample, so the study has as many seeds, in one block."""
    sides = (DIGITS.given(c[:2]) for c in (CLASSES, NONE))
    problem = NetworkProblem(Guided(*sides, 2.0, batched=True), DIGITS.event, 2.0, 0.5)
    problem.tolerance = 1e-5  # type: ignore[misc]
    result = work_precision([Euler(), DPMSolverPP2M()], problem, [10], seeds=range(2))
    assert [(row.nfe, row.forwards, row.error) for row in result.rows] == [(10, 20, "")] * 2
    assert result.rows[1].rmse < result.rows[0].rmse


# ------------------------------------------------------------------------------------- composition


def test_noise_inside_and_outside() -> None:
    source, solver = SeededNoise(range(6)), DDIMEta()
    plain = Guided(COND, UNCOND, 2.0)
    one = solve(WithNoise(plain, source), X, GRID, solver)
    two = solve(Guided(WithNoise(COND, source), UNCOND, 2.0), X, GRID, solver)
    three = solve(Clip(WithNoise(plain, source), -1e9, 1e9), X, GRID, solver)
    assert one.x.equal(two.x)
    torch.testing.assert_close(three.x, one.x)
    says(StateError, "this method is stochastic and needs noise",
         lambda: solve(plain, X, GRID, solver))  # fmt: skip


def test_guidance_of_guidance() -> None:
    """Guided ODEs are ODEs: two conditions, each with its own scale, and three forwards... or four."""
    third = of_tensor(X * 0.5)
    ode = Guided(Guided(COND, UNCOND, 2.0), Guided(third, UNCOND, 3.0), 1.5)
    u, a, b = (o.eps(X, 1.0) for o in (UNCOND, COND, third))
    left, right = u + 2 * (a - u), u + 3 * (b - u)
    torch.testing.assert_close(ode.eps(X, 1.0), right + 1.5 * (left - right))
    assert solve(ode, X, GRID, Euler()).forwards == 4 * N


WIDE_START = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("batched", [False, True])
def test_dtypes_and_autocast(batched: bool) -> None:
    layer, start = torch.nn.Linear(8, 8), WIDE_START

    def network(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        seen.add((x.dtype, layer(x).dtype, c.dtype))
        return layer(x) + c.to(x.dtype)

    labels, exact = torch.ones(6, 1), None
    for state, options, expected in (
        (torch.float32, {}, (torch.float32, torch.float32)),
        (torch.float64, {"dtype": torch.float32}, (torch.float32, torch.float32)),
        (torch.float32, {"autocast": torch.bfloat16}, (torch.float32, torch.bfloat16)),
        (torch.float16, {"dtype": torch.float32}, (torch.float32, torch.float32)),
    ):
        seen = set[tuple[torch.dtype, ...]]()
        ode = DiffusionODE(network, EpsPrediction(VPSDE()), **options)
        guided = Guided(ode.given(labels), ode.given(-labels), 2.0, batched=batched, rescale=0.5)
        for outer in (guided, Clip(guided, -9, 9), Threshold(guided, maximum=2.0)):
            x = solve(outer, start.to(state), GRID, Heun()).x
            assert x.dtype == state
        assert seen == {(*expected, torch.float32)}
        exact = x.double() if exact is None else exact
        torch.testing.assert_close(x.double(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("wrap", [lambda o: o, Clip, Threshold], ids=["plain", "clip", "threshold"])
def test_what_is_not_finite_is_found_through_wrappers(
    wrap: Callable[[ODE], ODE], bad: float
) -> None:
    def network(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        spoilt = (x + c).clone()
        spoilt[2, 1] = bad if t[0] < VPSDE().t(0.5) else 0
        return spoilt

    ode = DiffusionODE(network, EpsPrediction(VPSDE()))
    both = Guided(ode.given(X), ode.given(-X), 3.0, batched=True)
    with pytest.raises(NonFiniteError, match="the network's answer is not finite at evaluation 4"):
        solve(wrap(both), X, Grid([1.0, 0.8, 0.6, 0.4, 0.2]), Euler())


def test_a_path_shows_the_guided_answers() -> None:
    answer = solve(Guided(PART, ALL_OF_IT, 3.0), X, GRID, Euler(), keep=1)
    for point in answer.path:
        u, c = (p.x0(point.x, point.sigma) for p in (ALL_OF_IT, PART))
        torch.testing.assert_close(point.x0, u + 3 * (c - u))


# --------------------------------------------------------------------------------------- bad input

TWO_PASSES = "batched out: two passes."
BAD: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "not an ODE": (
        lambda: Guided(PART, 3.0, ALL_OF_IT),  # type: ignore[arg-type]
        StateError,
        "guidance takes two ODEs, not 3.0.",
    ),
    "NaN": (
        lambda: Guided(PART, ALL_OF_IT, math.nan),
        ValueError,
        "a guidance scale is a finite number, but got nan.",
    ),
    "text": (
        lambda: Guided(PART, ALL_OF_IT, "7.5"),  # type: ignore[arg-type]
        ValueError,
        "a guidance scale is a finite number, but got '7.5'.",
    ),
    "a function of σ that gives none": (
        lambda: solve(Guided(PART, ALL_OF_IT, lambda s: None), X, GRID, Euler()),  # type: ignore[arg-type, return-value]
        ValueError,
        "a guidance scale is a finite number, but got None.",
    ),
    "a scale without dimensions": (
        lambda: Guided(PART, ALL_OF_IT, torch.tensor(3.0)),
        StateError,
        "a guidance scale in a tensor has shape (B,) or the axes of the state, but has none. Give a number ",
    ),
    "a scale of another shape": (
        lambda: solve(Guided(PART, ALL_OF_IT, torch.ones(6, 3)), X, GRID, Euler()),
        StateError,
        "the guidance scale is (6, 3) on cpu, but the state (6, 2) on cpu: give (6,), one for each sample, ",
    ),
    "a scale of another batch": (
        lambda: solve(Guided(PART, ALL_OF_IT, torch.ones(5)), X, GRID, Euler()),
        StateError,
        "the guidance scale is (5,) on cpu, but the state (6, 2) on cpu: give (6,), one for each sample, ",
    ),
    "a scale elsewhere": (
        lambda: solve(Guided(PART, ALL_OF_IT, torch.ones(6, device="meta")), X, GRID, Euler()),
        StateError,
        "the guidance scale is (6,) on meta, but the state (6, 2) on cpu: give (6,), one for each sample, ",
    ),
    "φ": (
        lambda: Guided(PART, ALL_OF_IT, 3.0, rescale=1.5),
        ValueError,
        "rescale is a part, 0 to 1, but got 1.5.",
    ),
    "quantity": (
        lambda: Guided(PART, ALL_OF_IT, 3.0, rescale=0.5, quantity="v"),  # type: ignore[arg-type]
        ValueError,
        "quantity must be a precondition such as VPrediction(clock), not 'v'.",
    ),
    "one value a sample": (
        lambda: solve(Guided(COND, UNCOND, 3.0, rescale=0.5), X[:, :1], GRID, Euler()),
        NetworkError,
        "the network returned shape (6, 2) for an input of (6, 1).",
    ),
    "nothing to deviate": (
        lambda: Guided(of_tensor(X[:, 0]), of_tensor(-X[:, 0]), 3.0, rescale=0.5).eps(X[:, 0], 1.0),
        StateError,
        "rescale needs samples of two values or more, not (6,).",
    ),
    "batched, exact": (
        lambda: Guided(PART, ALL_OF_IT, 3.0, batched=True),
        NetworkError,
        "batched=True needs two DiffusionODEs, ode.given(c) and ode.given(u), but got Mixture and "
        "Mixture. Put wrappers around the guidance, or leave " + TWO_PASSES,
    ),
    "batched, no condition": (
        lambda: Guided(DIGITS.given(CLASSES), DIGITS, 3.0, batched=True),
        NetworkError,
        "batched=True needs a condition on both sides: ode.given(u) with what the network takes for "
        "no class or an empty text. Or leave " + TWO_PASSES,
    ),
    "batched, two networks": (
        lambda: Guided(COND, DIGITS.given(NONE), 3.0, batched=True),
        NetworkError,
        "batched=True asks one network for both sides, but they differ in network, precondition. Use "
        "two `given` of one DiffusionODE, or leave " + TWO_PASSES,
    ),
    "batched, other lengths": (
        lambda: Guided(COND, of_tensor(torch.ones(6, 3)), 3.0, batched=True),
        NetworkError,
        "batched=True evaluates both sides at once, so the condition must be alike on both, but one is "
        "(6, 3) of torch.float32 on cpu and the other (6, 2) of torch.float64 on cpu. Make them alike",
    ),
    "batched, other words": (
        lambda: Guided(of_tensor({"c": X, "n": 1}), of_tensor({"c": X, "n": 2}), 3.0, batched=True),
        NetworkError,
        "batched=True evaluates both sides at once, so the condition['n'] must be alike on both, but one "
        "is 2 and the other 1. Make them alike",
    ),
    "batched, other keys": (
        lambda: Guided(of_tensor({"c": X, "n": 1}), of_tensor({"c": X}), 3.0, batched=True),
        NetworkError,
        "batched=True evaluates both sides at once, so the condition must be alike on both, but one is "
        "a dictionary of ['c'] and the other a dictionary of ['c', 'n']. Make them alike",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input(what: str) -> None:
    call, kind, text = BAD[what]
    says(kind, text, call)
