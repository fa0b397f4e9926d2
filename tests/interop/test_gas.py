"""Checkpoints of GAS, and its sampler against ours: generalized_solver.py and gs_wrapper.py, transcribed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import DiffusionODE, EpsPrediction, Grid, solve
from flowsolve.analysis import Replay, Table, engine_plan, tabulate
from flowsolve.errors import ScheduleError, TableError
from flowsolve.interop import read_gas
from flowsolve.ode import VE, VP, Relabelled, X0Prediction
from flowsolve.schedule import VPSDE, SigmaClock, scaled_linear_beta
from flowsolve_solvers import PublishedDPMSolver
from tests.interop.test_ld3 import NOISE, network
from tests.interop.test_ld3 import VP as NS

T_EPS = 0.001


def parameters(steps: int, order: int) -> list[Tensor]:
    """mu_logit, t_couple, c1_diff, a1_diff, ...: the trainable parameters of GSWrapper, in its order."""
    g = torch.Generator().manual_seed(steps)

    def small(n: int, scale: float) -> Tensor:
        return scale * torch.randn(n, generator=g, dtype=torch.float64)

    return [small(steps - 1, 0.5) + 0.8, small(steps, 0.004).abs()] + [
        small(steps, 0.02) for _ in range(2 * order)
    ]


def saved(path: Path, params: list[Tensor]) -> Path:
    """What GAS's training.py writes, with the state of torch_ema."""
    ema = {"decay": 0.999, "num_updates": 7, "shadow_params": params, "collected_params": None}
    model = [torch.nn.Parameter(p * 0) for p in params]
    optim = torch.optim.Adam(model).state_dict()
    torch.save({"ema": ema, "model": model, "optim": optim, "step": 500}, path)
    return path


def their_times(mu_logit: Tensor) -> Tensor:
    """gs_wrapper.py, get_mu_t_steps and get_t_steps."""
    mu = mu_logit.sigmoid() * (1 - 2 * 1e-5) + 1e-5
    t = (1 - torch.cumprod(mu, 0)) * (1 - T_EPS) + T_EPS
    ends = [torch.full((1,), end, dtype=torch.float64) for end in (T_EPS, 1.0)]
    return torch.cat([ends[0], t, ends[1]]).flip(0)


def their_sample(x: Tensor, params: list[Tensor], edm: bool) -> Tensor:
    """generalized_solver.py, sample, in mode "GS"; noise prediction of base_model.py and solver_utils.py."""
    times, couple = their_times(params[0]).tolist(), params[1]
    c, a = params[2::2], params[3::2]

    def alpha(t: float) -> float:
        return math.exp(NS.log_alpha(t))

    def std(t: float) -> float:
        return math.sqrt(1 - alpha(t) ** 2)

    def lam(t: float) -> float:
        return math.log(alpha(t)) - math.log(std(t))

    def model(x: Tensor, step: int) -> Tensor:
        t = times[step]
        told = t + float(couple[step])
        if edm:  # EDMModel.forward: net(x / s(t), sigma(t)), model_type "x_start"
            denoised = network(x / alpha(told), x.new_full((len(x),), std(told) / alpha(told)))
            noise = (x - alpha(told) * denoised) / std(told)
        else:
            noise = network(x, x.new_full((len(x),), told))
        return (x - std(t) * noise) / alpha(t)

    xs, ms, ts = [x], [model(x, 0)], [times[0]]
    order = len(c)
    for step in range(1, len(times)):
        t, p, k = times[step], step - 1, min(step, order)
        h = lam(t) - lam(ts[-1])
        phi_1 = math.expm1(-h)
        phi_2 = phi_1 / h + 1
        phi_3 = phi_2 / h - 0.5
        new = (std(t) / std(ts[-1]) + a[0][p]) * x - (alpha(t) * phi_1 + c[0][p]) * ms[-1]
        if k > 1:
            r0 = (lam(ts[-1]) - lam(ts[-2])) / h
            d10 = (ms[-1] - ms[-2]) / r0
        if k == 2:
            new = new - (0.5 * alpha(t) * phi_1 + c[1][p]) * d10 + a[1][p] * xs[-2]
        if k > 2:
            r1 = (lam(ts[-2]) - lam(ts[-3])) / h
            d11 = (ms[-2] - ms[-3]) / r1
            d1 = d10 + r0 / (r0 + r1) * (d10 - d11)
            d2 = (d10 - d11) / (r0 + r1)
            new = new + (alpha(t) * phi_2 + c[1][p]) * d1 - (alpha(t) * phi_3 + c[2][p]) * d2
            for i in range(4, len(ms) + 1):
                new = new + c[i - 1][p] * ms[-i]
            for i in range(2, len(ms) + 1):
                new = new + a[i - 1][p] * xs[-i]
        x = new
        if step < len(times) - 1:
            xs, ts = [*xs, x][-order:], [*ts, t][-order:]
            ms = [*ms, model(x, step)][-order:]
    return x


@pytest.mark.parametrize("edm", [False, True], ids=["eps", "edm"])
@pytest.mark.parametrize(("steps", "order"), [(1, 1), (2, 2), (5, 5), (6, 3)])
def test_their_sampler(steps: int, order: int, edm: bool, tmp_path: Path) -> None:
    params = parameters(steps, order)
    table, told = read_gas(saved(tmp_path / "500.pt", params), VPSDE(), T_EPS)
    ode = DiffusionODE(network, X0Prediction(SigmaClock(), VE) if edm else EpsPrediction(VPSDE()))
    ode = ode.told(told, VP)
    x = NOISE / VP.alpha(table.levels[0])
    found = solve(ode, x, table.levels, Replay(table))
    wanted = their_sample(NOISE, params, edm)
    torch.testing.assert_close(found.x * VP.alpha(table.levels[-1]), wanted, rtol=1e-11, atol=1e-11)
    assert found.nfe == steps
    assert max(told.values()) > VPSDE().sigma(1.0)  # a time beyond 1


def test_saved_again(tmp_path: Path) -> None:
    """A table like any other, and a plan with the labels; it is not exact for a constant ε."""
    params = parameters(4, 4)
    table, told = read_gas(saved(tmp_path / "500.pt", params), VPSDE(), T_EPS)
    table.save(tmp_path / "table.json")
    assert Table.load(tmp_path / "table.json") == table
    assert table.answer[0] != 1
    plan = engine_plan(Replay(table), Grid(table.levels), Relabelled(EpsPrediction(VPSDE()), told))
    assert plan.network is not None
    wanted = their_times(params[0])[:-1] + params[1]
    assert [c.t for c in plan.network.calls] == pytest.approx(wanted.tolist(), rel=1e-12)


def test_uncorrected_is_dpmpp(tmp_path: Path) -> None:
    """With no corrections it is PublishedDPMSolver(3), whose tables are exact for a constant ε."""
    params = parameters(5, 3)
    params = [params[0], *[p * 0 for p in params[1:]]]
    table, told = read_gas(saved(tmp_path / "500.pt", params), VPSDE(), T_EPS)
    plain = tabulate(PublishedDPMSolver(3), table.levels)
    assert table.answer == pytest.approx(plain.answer, rel=1e-9)
    assert all(told[s] == s for s in told)


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "500.pt"
    with pytest.raises(TableError, match=r"there is no file .*every 500 iterations"):
        read_gas(path, VPSDE(), T_EPS)
    wrong: list[Any] = [
        torch.ones(3),
        {"step": 3},
        {"ema": {"shadow_params": [torch.ones(3)] * 4}},
        {"ema": {"shadow_params": parameters(4, 4)[:-1]}},
    ]
    for content in wrong:
        torch.save(content, path)
        with pytest.raises(
            TableError, match=r"is no checkpoint of GAS, whose ema.shadow_params are"
        ):
            read_gas(path, VPSDE(), T_EPS)
    params = parameters(3, 3)
    with pytest.raises(ScheduleError, match=r"t_eps is the last time, between 0 and 1, not 1\.5"):
        read_gas(saved(path, params), VPSDE(), 1.5)
    params[1][0] = 0.1
    with pytest.raises(ScheduleError, match="knows times from 0 to 999, not t = 1099"):
        read_gas(saved(path, params), scaled_linear_beta(), T_EPS)
