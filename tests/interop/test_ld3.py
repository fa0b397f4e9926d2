"""Files of LD3, and its sampling loops against ours: uni_pc.py, dpm_solverpp.py and ipndm.py, transcribed."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import DiffusionODE, EpsPrediction, Grid, Guided, VPrediction, solve
from flowsolve.analysis import engine_plan
from flowsolve.errors import GridError, ScheduleError, TableError
from flowsolve.interop import LD3Levels, read_ld3
from flowsolve.ode import Relabelled, X0Prediction
from flowsolve.ode.precondition import VE
from flowsolve.schedule import VPSDE, EDMClock, FlowClock, SigmaClock, scaled_linear_beta
from flowsolve_solvers import IPNDM, DPMSolver2, PublishedDPMSolver, UniPC

VP_CLOCK = VPSDE()
TIMES = (1.0, 0.81, 0.55, 0.34, 0.2, 0.07, 0.001)
TOLD = (1.0, 0.86, 0.52, 0.37, 0.18, 0.08, 0.001)
WEIGHT = torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
NOISE = torch.randn(3, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def saved(path: Path, times: Any = TIMES, told: Any = TOLD, dtype: Any = torch.float64) -> Path:
    """What LD3's trainer writes: trainer.py, _save_checkpoint. Its times are in single precision."""
    params = torch.ones(len(times))
    best = torch.cat([torch.tensor(times, dtype=dtype), torch.tensor(told, dtype=dtype)])
    torch.save({"params1": params, "params2": params * 0, "best_t_steps": best}, path)
    return path


def network(x: Tensor, t: Tensor) -> Tensor:
    """Not affine in x, and not flat in t."""
    return torch.tanh(x @ WEIGHT / 2 + t[:, None]) * (1 + t[:, None] ** 2) / 2


class VP:
    """NoiseScheduleVP of noise_schedulers.py, schedule "linear", and its model_wrapper for noise."""

    @staticmethod
    def log_alpha(t: float) -> float:
        return -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1

    start = 1.0

    @staticmethod
    def noise(x: Tensor, t: float) -> Tensor:
        return network(x, x.new_full((len(x),), t))


class EDM:
    """NoiseScheduleVE of noise_schedulers.py, schedule "edm", and its model_wrapper for a denoiser."""

    @staticmethod
    def log_alpha(t: float) -> float:
        return 0.0

    start = TIMES[0]

    @staticmethod
    def noise(x: Tensor, t: float) -> Tensor:
        return (x - network(x, x.new_full((len(x),), t))) / t


def std(ns: Any, t: float) -> float:
    return t if ns is EDM else math.sqrt(1 - math.exp(2 * ns.log_alpha(t)))


def lam(ns: Any, t: float) -> float:
    return float(ns.log_alpha(t)) - math.log(std(ns, t))


def data(ns: Any, x: Tensor, t: float) -> Tensor:
    """data_prediction_fn of general_solver.py: every t is the one that the network is told."""
    return (x - std(ns, t) * ns.noise(x, t)) / math.exp(ns.log_alpha(t))


def their_unipc(ns: Any, x: Tensor, order: int, variant: str) -> Tensor:
    """uni_pc.py, sample_simple and multistep_uni_pc_bh_update, in double precision throughout."""

    def update(x: Tensor, t: float, told: float, order: int, corrector: bool) -> tuple[Tensor, Any]:
        lam_0, m0 = lam(ns, ts[-1]), ms[-1]
        h = lam(ns, t) - lam_0
        rks = [(lam(ns, ts[-i - 1]) - lam_0) / h for i in range(1, order)]
        d1s = [(ms[-i - 1] - m0) / r for i, r in enumerate(rks, 1)]
        rk = torch.tensor([*rks, 1.0], dtype=torch.float64)
        hh = -h
        phi_1 = math.expm1(hh)
        phi_k, factorial = phi_1 / hh - 1, 1
        b_h = hh if variant == "bh1" else phi_1
        rows, b = [], []
        for i in range(1, order + 1):
            rows.append(rk ** (i - 1))
            b.append(phi_k * factorial / b_h)
            factorial *= i + 1
            phi_k = phi_k / hh - 1 / factorial
        r_, b_ = torch.stack(rows), torch.tensor(b, dtype=torch.float64)
        half = torch.tensor([0.5], dtype=torch.float64)
        alpha = math.exp(ns.log_alpha(t))
        base = std(ns, t) / std(ns, ts[-1]) * x - alpha * phi_1 * m0
        pred = torch.zeros_like(x)
        if d1s:
            rho = half if order == 2 else torch.linalg.solve(r_[:-1, :-1], b_[:-1])
            pred = torch.stack([r * d for r, d in zip(rho, d1s, strict=True)]).sum(0)
        x_t = base - alpha * b_h * pred
        if not corrector:
            return x_t, None
        rho = half if order == 1 else torch.linalg.solve(r_, b_)
        model_t = data(ns, x_t, told)
        corr = sum((r * d for r, d in zip(rho[:-1], d1s, strict=True)), torch.zeros_like(x))
        return base - alpha * b_h * (corr + rho[-1] * (model_t - m0)), model_t

    ts, ms, steps = [TIMES[0]], [data(ns, x, TOLD[0])], len(TIMES) - 1
    for step in range(1, steps + 1):
        k = step if step < order else min(order, steps + 1 - step)
        x, model = update(x, TIMES[step], TOLD[step], k, step < steps)
        if step < steps:
            ts, ms = [*ts, TIMES[step]][-order:], [*ms, model][-order:]
    return x


def their_dpmpp(ns: Any, x: Tensor, order: int) -> Tensor:
    """dpm_solverpp.py, sample_simple."""
    ts, ms, steps = [TIMES[0]], [data(ns, x, TOLD[0])], len(TIMES) - 1
    for step in range(1, steps + 1):
        t, k = TIMES[step], step if step < order else min(order, steps + 1 - step)
        h = lam(ns, t) - lam(ns, ts[-1])
        phi_1, alpha = math.expm1(-h), math.exp(ns.log_alpha(t))
        phi_2 = phi_1 / h + 1
        phi_3 = phi_2 / h - 0.5
        new = std(ns, t) / std(ns, ts[-1]) * x - alpha * phi_1 * ms[-1]
        if k > 1:
            r0 = (lam(ns, ts[-1]) - lam(ns, ts[-2])) / h
            d10 = (ms[-1] - ms[-2]) / r0
        if k == 2:
            new = new - 0.5 * alpha * phi_1 * d10
        if k == 3:
            r1 = (lam(ns, ts[-2]) - lam(ns, ts[-3])) / h
            d11 = (ms[-2] - ms[-3]) / r1
            d1 = d10 + r0 / (r0 + r1) * (d10 - d11)
            new = new + alpha * phi_2 * d1 - alpha * phi_3 * (d10 - d11) / (r0 + r1)
        x = new
        ts, ms = [*ts, t][-order:], [*ms, data(ns, x, TOLD[step])][-order:]
    return x


def their_ipndm(ns: Any, x: Tensor, order: int) -> Tensor:
    """ipndm.py, sample_simple."""
    weights = {1: (1,), 2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12)}
    weights |= {4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}
    known: list[Tensor] = []
    for step, (s, t) in enumerate(pairwise(TIMES)):
        known = [ns.noise(x, TOLD[step]), *known][:order]
        phi_1 = math.expm1(lam(ns, t) - lam(ns, s))
        eps = sum((c * e for c, e in zip(weights[len(known)], known, strict=True)), x * 0)
        x = math.exp(ns.log_alpha(t) - ns.log_alpha(s)) * x - std(ns, t) * phi_1 * eps
    return x


ROWS: list[tuple[Callable[..., Tensor], tuple[Any, ...], Any]] = [
    (their_unipc, (3, "bh1"), UniPC(3, variant="bh1", lower_order_final=True, guard=None)),
    (their_unipc, (2, "bh2"), UniPC(2, variant="bh2", lower_order_final=True, guard=None)),
    (their_dpmpp, (3,), PublishedDPMSolver(3, lower_order_final=True)),
    (their_dpmpp, (2,), PublishedDPMSolver(2, lower_order_final=True)),
    (their_ipndm, (4,), IPNDM(4, guard=None)),
    (their_ipndm, (2,), IPNDM(2, guard=None)),
]


def ours(path: Path, ns: Any) -> tuple[DiffusionODE, LD3Levels]:
    if ns is VP:
        return DiffusionODE(network, EpsPrediction(VP_CLOCK)), read_ld3(path, VP_CLOCK)
    clock = SigmaClock()
    return DiffusionODE(network, X0Prediction(clock, VE)), read_ld3(path, clock)


@pytest.mark.parametrize("ns", [VP, EDM], ids=["vp", "edm"])
@pytest.mark.parametrize(("theirs", "options", "solver"), ROWS, ids=[repr(r[2]) for r in ROWS])
def test_their_loop(theirs: Any, options: Any, solver: Any, ns: Any, tmp_path: Path) -> None:
    ode, (grid, told) = ours(saved(tmp_path / "best_v2.pt"), ns)
    x = NOISE * ns.start  # prior_transformation
    wanted = theirs(ns, x, *options)
    found = solve(ode.told(told), x / ode.alpha(grid[0]), grid, solver)
    torch.testing.assert_close(found.x * ode.alpha(grid[-1]), wanted, rtol=1e-12, atol=1e-12)
    assert found.nfe == grid.steps
    plain = solve(ode, x / ode.alpha(grid[0]), grid, solver)
    assert (plain.x * ode.alpha(grid[-1]) - wanted).abs().max() > 1e-4  # the labels matter


def test_times_of_a_table(tmp_path: Path) -> None:
    """Time (i + 1)/1000 is entry i; single precision's rounding beyond an end is moved to it."""
    clock = scaled_linear_beta(between="log_alpha")
    path = saved(
        tmp_path / "best_v1.pt", (1.0000001, 0.5, 0.00099999), (1.0, 0.4, 0.001), torch.float32
    )
    grid, told = read_ld3(path, clock)
    wanted = Grid([clock.sigma(999), clock.sigma(499), clock.sigma(0)])
    assert grid.levels == pytest.approx(wanted.levels, rel=1e-6)
    assert told[grid[1]] == pytest.approx(clock.sigma(399), rel=1e-6)
    edm = saved(tmp_path / "edm.pt", (80.0, 1.0, 0.5), (80.0, 2.0, 0.5))
    assert read_ld3(edm, EDMClock()) == (Grid([80.0, 1.0, 0.5]), {80.0: 80.0, 1.0: 2.0, 0.5: 0.5})


def test_a_plan_has_the_labels(tmp_path: Path) -> None:
    """Its four scalars, applied by hand, are the ODE's answers; its t is what the network is told."""
    _, (grid, told) = ours(saved(tmp_path / "best_v2.pt"), VP)
    told_as = Relabelled(VPrediction(VP_CLOCK), told)
    for solver in (IPNDM(4), UniPC(3)):
        plan = engine_plan(solver, grid, told_as)
        assert plan.network is not None
        ode = DiffusionODE(network, told_as)
        for stage, call in zip(plan.recurrence.stages, plan.network.calls, strict=True):
            assert call.t == pytest.approx(TOLD[grid.levels.index(stage.sigma)], rel=1e-12)
            answer = (ode.x0 if stage.data else ode.eps)(NOISE, stage.sigma)
            f = network(NOISE * call.c_in, NOISE.new_full((3,), call.t))
            torch.testing.assert_close(
                call.skip * NOISE + call.out * f, answer, rtol=1e-12, atol=1e-12
            )
    with pytest.raises(
        ScheduleError, match=r"told another level at 7 levels, and σ = .* is none of"
    ):
        engine_plan(DPMSolver2(), grid, told_as)


def test_guided_and_compiled(tmp_path: Path) -> None:
    """Both sides of the guidance are told; batched takes both; the trace is whole."""
    _, (grid, told) = ours(saved(tmp_path / "best_v2.pt"), VP)

    def conditional(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        return network(x + c, t)

    ode = DiffusionODE(conditional, EpsPrediction(VP_CLOCK)).told(told)
    c, u = torch.full((3, 1), 0.5, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    guided = [Guided(ode.given(c), ode.given(u), 2.0, batched=batched) for batched in (True, False)]
    t = NOISE.new_full((3,), TOLD[2])
    x = NOISE / ode.alpha(grid[2])
    wanted = torch.lerp(network(NOISE, t), network(NOISE + c, t), 2.0)
    for one in guided:
        torch.testing.assert_close(one.eps(x, grid[2]), wanted, rtol=1e-12, atol=1e-12)
        several = one.eps_each([x, x], [grid[2], grid[1]])
        torch.testing.assert_close(several[1], one.eps(x, grid[1]), rtol=1e-12, atol=1e-12)

    def run(x: Tensor) -> Tensor:
        return solve(guided[0], x, grid, IPNDM(2)).x

    compiled = torch.compile(run, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), run(x), rtol=1e-12, atol=1e-12)


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "best_v2.pt"
    with pytest.raises(TableError, match=r"there is no file .*LD3 writes best_v2.pt"):
        read_ld3(path, VP_CLOCK)
    path.write_text("no checkpoint")
    with pytest.raises(TableError, match="is no checkpoint of torch's tensors"):
        read_ld3(path, VP_CLOCK)
    for content in ({"params1": torch.ones(3)}, {"best_t_steps": torch.ones(5)}, torch.ones(4)):
        torch.save(content, path)
        with pytest.raises(
            TableError, match=r"is no file of LD3, which holds best_t_steps.*it has"
        ):
            read_ld3(path, VP_CLOCK)
    with pytest.raises(ScheduleError, match="EDM's, a table's or VPSDE's, not those of Flow"):
        read_ld3(saved(path), FlowClock())
    with pytest.raises(GridError):
        read_ld3(saved(path, TIMES[::-1], TOLD), VP_CLOCK)
    with pytest.raises(ScheduleError, match=r"times are positive and finite, not -0.5"):
        read_ld3(saved(path, (1.0, 0.5), (1.0, -0.5)), VP_CLOCK)
    with pytest.raises(ScheduleError, match=r"knows times from 0 to 999, not t = 1099"):
        read_ld3(saved(path, (1.1, 0.5), (1.1, 0.5)), scaled_linear_beta())


def test_wrong_labels() -> None:
    inner = EpsPrediction(VP_CLOCK)
    for told in ({}, [(1.0, 2.0)]):
        with pytest.raises(ScheduleError, match="told is a dictionary"):
            Relabelled(inner, told)  # type: ignore[arg-type]
    for told in ({1.0: math.inf}, {0.0: 1.0}, {1.0: math.nan}):
        with pytest.raises(ScheduleError, match="finite"):
            Relabelled(inner, told)
    assert repr(Relabelled(inner, {1.0: 2.0})) == f"Relabelled({inner!r}, 1 levels)"
    assert hash(Relabelled(inner, {1.0: 2.0})) == hash(Relabelled(inner, {1.0: 2.0}))
