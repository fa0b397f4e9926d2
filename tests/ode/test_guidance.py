"""Guidance is an ODE made of two: its formula, its cost, its order, and what it does to every solver."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    ODE,
    VPSDE,
    Clip,
    DiffusionODE,
    EpsPrediction,
    FlowClock,
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
from flowsolve.errors import GridError, NetworkError, NonFiniteError, ScheduleError, StateError
from flowsolve.ode.precondition import Precondition
from flowsolve.problems import Digits, Mixture, NetworkProblem, exact_network
from flowsolve.study.certificate import measuring_steps
from flowsolve.study.error import convergence, work_precision
from flowsolve_solvers import (
    RK4,
    DDIMEta,
    DPMSolver3,
    DPMSolverPP2M,
    Euler,
    Heun,
    Midpoint,
    UniPC,
)
from tests.helpers import says

ALL_OF_IT = Mixture(sigma_max=1.0, sigma_min=0.2)
PART = Mixture((0.625, 0.375), ALL_OF_IT.means[1:], ALL_OF_IT.covariances[1:])
X = ALL_OF_IT.start(range(6), torch.float64)
GRID = log_snr(6, 1.0, 0.2)
SOLVERS: list[Solver] = [Euler(), Heun(), DPMSolverPP2M(), DPMSolver3(), UniPC(3)]
CLASSES = torch.tensor([3, 1, 4, 1, 5, 9])
NONE = torch.full_like(CLASSES, 10)
DIGITS = Digits()
IMAGES = DIGITS.start(range(6))
FLOW = FlowClock()


# ------------------------------------------------------------------------------------- conditions


def conditional(x: Tensor, t: Tensor, c: Tensor, **more: Any) -> Tensor:
    """An ε that its condition shifts."""
    return x * 0.3 + c


def of_tensor(c: Any = None) -> DiffusionODE:
    return DiffusionODE(conditional, EpsPrediction(VPSDE()), condition=c)


def test_a_condition_is_the_third_argument_or_keywords() -> None:
    seen: list[tuple[Any, ...]] = []

    def network(x: Tensor, t: Tensor, *rest: Any, **words: Any) -> Tensor:
        seen.append((rest, words))
        return torch.zeros_like(x)

    ode = DiffusionODE(network, EpsPrediction(VPSDE()))
    c = torch.ones(6, 4)
    shared = torch.tensor(2.0)
    words = {"text": c, "size": 64, "guess": shared, "more": {"ids": c, "pair": (c, None)}}
    ode.eps(X, 1.0)
    ode.given(c).eps(X, 1.0)
    ode.given(words).x0(X, 1.0)
    ode.given(words).given(None).eps(X, 1.0)
    assert [len(rest) for rest, _ in seen] == [0, 1, 0, 0]
    assert seen[1][0][0] is c
    assert seen[2][1] == words
    assert seen[3] == ((), {})
    assert ode.condition is None  # `given` makes copies


def test_given_keeps_the_rest() -> None:
    one = DiffusionODE(conditional, EpsPrediction(VPSDE()), condition=X, dtype=torch.float32)
    two = one.given(-X)
    assert (two.network, two.precondition, two.dtype) == (conditional, one.precondition, one.dtype)
    assert two.condition is not None
    assert one.condition is X
    assert isinstance(DIGITS.given(CLASSES), Digits)


def test_digits_with_labels_are_another_problem() -> None:
    assert DIGITS.given(CLASSES).digest != DIGITS.digest
    assert DIGITS.given({"label": CLASSES}).digest == DIGITS.given(CLASSES).digest
    assert DIGITS.given(NONE).eps(IMAGES, 1.0).equal(DIGITS.eps(IMAGES, 1.0))
    assert not DIGITS.given(CLASSES).eps(IMAGES, 1.0).allclose(DIGITS.eps(IMAGES, 1.0))


@pytest.mark.parametrize("c", [X, {"c": X}, {"c": X, "scale": 2.0, "more": [X, {"y": X}]}])
def test_forwards_are_counted_under_a_condition(c: Any) -> None:
    answer = solve(of_tensor(c), X, GRID, Heun())
    assert answer.nfe == answer.forwards == 12


ROWS = "the condition has shape (5, 2) for 6 samples: give one row for each, for example by "


def test_conditions_that_do_not_fit() -> None:
    says(NetworkError, ROWS, lambda: solve(of_tensor(X[:5]), X, GRID, Euler()))
    nested = {"c": X, "more": [X, {"y": X[:5]}]}
    says(
        NetworkError,
        "the condition['more'][1]['y'] has shape (5, 2) for 6 samples",
        lambda: solve(of_tensor(nested), X, GRID, Euler()),
    )
    says(
        NetworkError,
        "the condition is on meta, but the state is on cpu.",
        lambda: solve(of_tensor(X.to("meta")), X, GRID, Euler()),
    )
    kinds = (
        "a condition is a tensor, given as network(x, t, c), or a dictionary, given as network(x, "
        "t, **c), but got "
    )
    says(NetworkError, kinds + "'a cat'.", lambda: of_tensor("a cat"))
    says(NetworkError, kinds + "[1, 2].", lambda: of_tensor().given([1, 2]))  # type: ignore[arg-type]
    says(NetworkError, kinds + "{3: 4}.", lambda: of_tensor({3: 4}))


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


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_batched_is_two_passes(solver: Solver, dtype: torch.dtype, tol: float) -> None:
    cond, uncond = DIGITS.given(CLASSES), DIGITS.given(NONE)
    x, grid = IMAGES.to(dtype), karras(6, DIGITS.sigma_max, DIGITS.sigma_min).to_zero()
    for options in ({}, {"rescale": 0.7}):
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


# ------------------------------------------------------------------------------------------- costs

N = 6
COND, UNCOND = of_tensor(X), of_tensor(-X)
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


# ------------------------------------------------------------------------------------------ scales


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_a_scale_for_each_sample(solver: Solver) -> None:
    scales = [0.0, 1.0, 1.5, 3.0, -1.0, 7.5]
    w = torch.tensor(scales)  # float32, for a float64 state
    for given in (w, lambda s: w, interval(w, 0.0, math.inf)):
        together = solve(Guided(PART, ALL_OF_IT, given), X, GRID, solver).x
        for i, each in enumerate(scales):
            alone = solve(Guided(PART, ALL_OF_IT, each), X[i : i + 1], GRID, solver).x
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


def test_an_interval_is_open_below_and_closed_above() -> None:
    w = interval(3.0, 0.5, 2.0)
    assert [w(s) for s in (0.4, 0.5, 0.51, 2.0, 2.01, math.inf)] == [1, 1, 3, 3, 1, 1]
    assert interval(3.0, 0.0, math.inf)(math.inf) == 3
    assert interval(lambda s: 2 * s, 0.5, 2.0)(1.5) == 3
    says(ValueError, "an interval needs 0 <= low < high, but got low = 2, high = 1.",
         lambda: interval(3.0, 2, 1))  # fmt: skip


ENDS = (0.71, 0.33)


def thirds(n: int) -> tuple[Grid, Grid, Grid]:
    """σ from 1 to 0.2, with both ends of the interval among the levels."""
    levels = (1.0, *ENDS, 0.2)
    return tuple(
        log_snr(k, *p) for k, p in zip((n // 4, n // 2, n // 4), pairwise(levels), strict=True)
    )  # type: ignore[return-value]


def in_pieces(solver: Solver, n: int) -> Tensor:
    x = X
    for ode, grid in zip((PART, Guided(PART, ALL_OF_IT, 3.0), PART), thirds(n), strict=True):
        x = solve(ode, x, grid, solver).x
    return x


@cache
def in_fine_pieces() -> Tensor:
    return in_pieces(RK4(LOG_SIGMA), 2000)


@pytest.mark.parametrize(
    ("solver", "with_ends"),
    [(Euler(), 1), (Heun(), 1), (Midpoint(), 2), (DPMSolverPP2M(), 1), (DPMSolver3(), 3), (UniPC(3), 1)],
    ids=repr,
)  # fmt: skip
def test_the_jumps_of_an_interval_cost_order(solver: Solver, with_ends: int) -> None:
    """Order 1 on any grid; with the ends among its levels, the own order of methods that look neither
    back nor at the end of their step; in three pieces, everybody's."""
    fine = in_fine_pieces()
    ode = Guided(PART, ALL_OF_IT, interval(3.0, ENDS[1], ENDS[0]))

    def error(x: Tensor) -> float:
        return float((x - fine).square().mean().sqrt())

    def joined(n: int) -> Grid:
        a, b, c = thirds(n)
        return Grid((*a, *b[1:], *c[1:]))

    def on_any(n: int) -> float:
        """The mean over grids that put the jumps at different places of a step."""
        ns = range(n - 20, n + 20, 4)
        return sum(error(solve(ode, X, log_snr(k, 1.0, 0.2), solver).x) for k in ns) / len(ns)

    def order(of: Callable[[int], float]) -> float:
        return math.log(of(80) / of(320)) / math.log(4)

    measured = (
        order(on_any),
        order(lambda n: error(solve(ode, X, joined(n), solver).x)),
        order(lambda n: error(in_pieces(solver, n))),
    )
    print(
        f"{solver!r}: any grid {measured[0]:.2f}, with the ends {measured[1]:.2f}, pieces {measured[2]:.2f}"
    )
    assert measured == pytest.approx((1, with_ends, solver.order), abs=0.2)


# ------------------------------------------------------------------------------------------- CFG++


@pytest.mark.parametrize("lam", [0.0, 0.2, 0.6, 1.0])
def test_cfgpp_is_euler_with_a_scale_that_knows_the_grid(lam: float) -> None:
    """Chung et al. 2024, Algorithm 2, in their x_t and ᾱ: renoise the guided x̂₀ with ε_∅."""
    grid = karras(8, 10.0, 0.05).to_zero()
    x = 10 * X
    got = solve(Guided(PART, ALL_OF_IT, cfgpp(grid, lam)), x, grid, Euler(), keep=1)
    a = [1 / (1 + s * s) for s in grid]
    z = math.sqrt(a[0]) * x
    for i, (now, then) in enumerate(pairwise(a)):
        null, cond = (p.eps(z / math.sqrt(now), grid[i]) for p in (ALL_OF_IT, PART))
        guided = null + lam * (cond - null)
        clean = (z - math.sqrt(1 - now) * guided) / math.sqrt(now)
        z = math.sqrt(then) * clean + math.sqrt(1 - then) * null
        torch.testing.assert_close(got.path[i + 1].x_t, z, rtol=1e-11, atol=1e-11)
    weights = [cfgpp(grid, lam)(s) for s in grid[:-1]]
    assert weights == pytest.approx([lam * s / (s - t) for s, t in pairwise(grid)], rel=1e-14)
    assert weights[-1] == lam  # in the step to 0
    assert cfgpp(grid.from_infinity(), lam)(math.inf) == lam


def test_cfgpp_has_no_limit() -> None:
    """The scale grows with the steps: doubling them moves the answer more and more, and w = 3's less."""
    x = 10 * ALL_OF_IT.start(range(64), torch.float64)
    grids = [log_snr(n, 10.0, 0.05) for n in (80, 160, 320, 640)]

    def moves(scale: Callable[[Grid], Any]) -> list[float]:
        ends = [solve(Guided(PART, ALL_OF_IT, scale(g)), x, g, Euler()).x for g in grids]
        return [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends)]

    wild, tame = moves(lambda g: cfgpp(g, 0.6)), moves(lambda g: 3.0)
    assert wild == pytest.approx([0.125, 0.214, 0.373], rel=0.01)
    assert tame == pytest.approx([0.00407, 0.00204, 0.00102], rel=0.01)
    largest = [max(map(cfgpp(g, 0.6), g[:-1])) for g in grids]
    assert all(b / a == pytest.approx(2, abs=0.1) for a, b in pairwise(largest)), largest


def test_cfgpp_off_its_grid() -> None:
    w = cfgpp(GRID, 0.6)
    text = (
        f"σ = 0.9 is not a level of the grid ({GRID}) that was given to say where the step from it"
    )
    says(GridError, text, lambda: w(0.9))
    says(GridError, "σ = ", lambda: solve(Guided(PART, ALL_OF_IT, w), X, GRID, Midpoint()))
    says(
        ValueError,
        "CFG++ interpolates, 0 <= lam <= 1, but got lam = 7.5.",
        lambda: cfgpp(GRID, 7.5),
    )


# ----------------------------------------------------------------------------------------- rescale


def literal(cond: Tensor, guided: Tensor, phi: float) -> Tensor:
    """Lin et al. 2023, Eq. 14 to 16."""
    axes = list(range(1, cond.ndim))
    rescaled = guided * (cond.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return phi * rescaled + (1 - phi) * guided


@pytest.mark.parametrize("phi", [0.3, 1.0])
@pytest.mark.parametrize(
    "precondition",
    [VPrediction(VPSDE()), X0Prediction(VPSDE()), EpsPrediction(VPSDE()), FlowPrediction()],
    ids=repr,
)
def test_rescale_is_that_of_the_network_it_names(precondition: Precondition, phi: float) -> None:
    """What a network of that kind says on both sides, combined and rescaled, and made x₀ and ε again."""
    sigma, w = 0.8, 3.0
    nets = [exact_network(p, precondition) for p in (ALL_OF_IT, PART)]
    c = precondition(sigma)
    u, v = (f(c.c_in * X, torch.full((6,), c.t, dtype=torch.float64)) for f in nets)
    answer = literal(v, u + w * (v - u), phi)
    sides = [DiffusionODE(f, precondition) for f in (nets[1], nets[0])]
    for a, b in (sides, (PART, ALL_OF_IT)):
        ode = Guided(a, b, w, rescale=phi, quantity=precondition)
        torch.testing.assert_close(ode.x0(X, sigma), c.c_skip * X + c.c_out * answer)
        torch.testing.assert_close(ode.eps(X, sigma), c.e_skip * X + c.e_out * answer)
    default = Guided(PART, ALL_OF_IT, w, rescale=phi)
    assert default.eps(X, sigma).allclose(ode.eps(X, sigma)) == isinstance(
        precondition, VPrediction
    )


def test_rescale_at_the_ends_of_its_range() -> None:
    plain, ode = Guided(PART, ALL_OF_IT, 3.0), Guided(PART, ALL_OF_IT, 3.0, rescale=1.0)
    assert not plain.x0(X, 0.5).allclose(ode.x0(X, 0.5))
    one = Guided(PART, ALL_OF_IT, 1.0, rescale=1.0)
    assert one.x0(X, 0.5).equal(PART.x0(X, 0.5))
    of = {"rescale": 0.7, "quantity": EpsPrediction(FLOW)}
    with pytest.raises(ScheduleError, match="ε-network says nothing about x₀ at σ = ∞"):
        Guided(PART, ALL_OF_IT, 3.0, **of).x0(X, math.inf)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ orders


def wide(seed: int = 0, d: int = 6) -> tuple[Mixture, Mixture]:
    """Six dimensions, in which a deviation over a sample is not 0 at some points, as in two."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(3, d, generator=g, dtype=torch.float64).tolist()
    roots = torch.randn(3, d, d, generator=g, dtype=torch.float64)
    cov = (0.03 * roots @ roots.mT + 0.05 * torch.eye(d)).tolist()
    m, c = tuple(map(tuple, means)), tuple(tuple(map(tuple, a)) for a in cov)
    return Mixture((0.2, 0.5, 0.3), m, c), Mixture((0.625, 0.375), m[1:], c[1:])


WIDE, WIDE_PART = wide()
WIDE_START = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).double()
SMOOTH: dict[str, tuple[ODE, int]] = {
    "guided": (Guided(PART, ALL_OF_IT, 3.0), 2),
    "negative": (Guided(PART, ALL_OF_IT, -1.0), 2),
    "w(σ)": (Guided(PART, ALL_OF_IT, lambda s: 1 + 2 * s * s), 2),
    "each its own": (Guided(PART, ALL_OF_IT, torch.linspace(-1, 4, 8)), 2),
    "rescaled v": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7), 6),
    "rescaled x₀": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7, quantity=X0Prediction(FLOW)), 6),
    "rescaled ε": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7, quantity=EpsPrediction(FLOW)), 6),
}


@pytest.mark.parametrize("what", SMOOTH)
def test_order_is_kept(what: str) -> None:
    """By every method: guided ε is as smooth as its sides, and a deviation is smooth where it is not 0."""
    ode, d = SMOOTH[what]
    problem = NetworkProblem(ode, (d,), 1.0, 0.2, name="guided", digest=f"test_guidance {what}")
    problem.tolerance = 1e-11  # type: ignore[misc]
    for solver in SOLVERS:
        result = convergence(solver, problem, steps=measuring_steps(solver), seeds=range(8))
        slope = result.slope()
        print(f"{what}, {solver!r}: {slope}")
        assert abs(slope.order - solver.order) < 0.2, str(result)
        assert slope.settled, str(result)


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
    "a scale with two dimensions": (
        lambda: Guided(PART, ALL_OF_IT, torch.ones(6, 1)),
        StateError,
        "a scale for each sample has shape (B,), but is (6, 1). Give a number for all.",
    ),
    "a scale of another batch": (
        lambda: solve(Guided(PART, ALL_OF_IT, torch.ones(5)), X, GRID, Euler()),
        StateError,
        "the guidance scale has 5 values on cpu, but there are 6 samples on cpu: give one for each, ",
    ),
    "a scale elsewhere": (
        lambda: solve(Guided(PART, ALL_OF_IT, torch.ones(6, device="meta")), X, GRID, Euler()),
        StateError,
        "the guidance scale has 6 values on meta, but there are 6 samples on cpu: give one for each, ",
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
