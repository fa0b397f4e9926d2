"""Velocities of flow matching, in either direction of time and of either sign."""

from __future__ import annotations

import math
from typing import Any

import pytest
from torch import Tensor

from flowsolve import (
    VPSDE,
    DiffusionODE,
    FlowPrediction,
    VPrediction,
    flow_uniform,
    karras,
    sample,
    unit_noise,
)
from flowsolve.errors import NetworkError
from flowsolve.interop import from_velocity
from flowsolve.interop.diffusers import Reading, read_config
from flowsolve.interop.flow import velocity
from flowsolve.ode import FLOW, VE, VP, Scaled
from flowsolve.problems import exact_network
from flowsolve.schedule import Reversed
from flowsolve.solver import FLOW as FLOW_CHART
from flowsolve.solver import Solver
from flowsolve_solvers import (
    DPMSolverPP2M,
    Euler,
    Heun,
    UniPC,
)
from tests.interop.helpers import NOISE, PROBLEM, same_ode

CONVENTIONS = [(d, p, k) for d in (0, 1) for p in (0, 1) for k in (1.0, 1000.0)]


@pytest.mark.parametrize(("data_at", "points_to", "scale"), CONVENTIONS)
@pytest.mark.parametrize("path", [FLOW, VP], ids=repr)
def test_every_convention_of_a_velocity(
    data_at: Any, points_to: Any, scale: float, path: Any
) -> None:
    """F written out from α, s and their derivatives in t, for each convention."""

    def network(x: Tensor, label: Tensor) -> Tensor:
        t = float(label[0]) / scale
        u = 1 - t if data_at == 1 else t  # 0 at the data
        turn = math.pi / 2
        if path == FLOW:
            alpha, s, d_alpha, d_s = 1 - u, u, -1.0, 1.0
        else:
            alpha, s = math.cos(turn * u), math.sin(turn * u)
            d_alpha, d_s = -turn * s, turn * alpha
        sign = (-1 if data_at == 1 else 1) * (1 if points_to == 1 else -1)
        x0, eps = PROBLEM.x0(x / alpha, s / alpha), PROBLEM.eps(x / alpha, s / alpha)
        return sign * (d_alpha * x0 + d_s * eps)

    # 1 - t at t = 0.998 has lost 1e-16/0.002 of s already, in the transcription
    ode = from_velocity(network, data_at=data_at, points_to=points_to, time_scale=scale, path=path)
    same_ode(ode, 1e-12)


def test_the_two_usual_conventions_are_one_ode() -> None:
    """u = ε - x₀ with noise at 1, and v = x₀ - ε with noise at 0, from σ = ∞ to 0, to 1e-12."""
    towards_noise = exact_network(PROBLEM, FlowPrediction())
    first = from_velocity(towards_noise)
    second = from_velocity(lambda x, t: -towards_noise(x, 1 - t), data_at=1)
    third = from_velocity(lambda x, t: -towards_noise(x, t / 1000), points_to=0, time_scale=1000)
    assert first.precondition == FlowPrediction()
    for solver in (Heun(), DPMSolverPP2M()):
        grid = karras(12, 20, 0.05).from_infinity().to_zero()
        runs = [sample(ode, NOISE, grid, solver).x for ode in (first, second, third)]
        assert max(float((run - runs[0]).abs().max()) for run in runs) < 1e-12


def test_from_infinity_with_a_gvp_velocity() -> None:
    """At σ = ∞ dx_t/dt is -π/2 x₀."""
    precondition = velocity(path=VP)
    mean = PROBLEM.x0(NOISE, math.inf)
    ode = DiffusionODE(lambda x, t: -math.pi / 2 * mean, precondition)
    assert float((ode.x0(NOISE, math.inf) - mean).abs().max()) < 1e-15


def test_a_vp_velocity_in_the_time_of_any_clock() -> None:
    """SiT's VP: dx_t/dt = φ' v, φ = atan σ, with β(t) and data at t = 1."""
    clock = VPSDE()

    def rate(sigma: float) -> float:
        return -clock.rate(clock.t(sigma)) / (1 + sigma * sigma)

    def network(x: Tensor, label: Tensor) -> Tensor:
        t = 1 - float(label[0])
        log_alpha, d_log = -0.25 * t * t * 19.9 - 0.05 * t, -0.5 * t * 19.9 - 0.05
        alpha = math.exp(log_alpha)
        s = math.sqrt(-math.expm1(2 * log_alpha))
        x0, eps = PROBLEM.x0(x / alpha, s / alpha), PROBLEM.eps(x / alpha, s / alpha)
        return -(alpha * d_log * x0 - alpha * alpha * d_log / s * eps)

    same_ode(DiffusionODE(network, Scaled(VPrediction(Reversed(clock)), rate)), 1e-11)


@pytest.mark.parametrize(
    "options", [{"data_at": 2}, {"points_to": -1}, {"time_scale": 0}, {"path": VE}]
)
def test_what_from_velocity_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="a velocity needs data_at and points_to 0 or 1"):
        from_velocity(lambda x, t: x, **options)


@pytest.mark.parametrize(
    "given",
    [{}, {"shift": 3.0}, {"use_dynamic_shifting": True}],
    ids=["shift 1", "shift 3", "dynamic"],
)
def test_second_order_is_never_worse_than_the_pipeline_s_euler(given: dict[str, Any]) -> None:
    """On the levels of a FlowMatch config, from σ = ∞ to 0, for the budgets that people use."""
    name = {"_class_name": "FlowMatchEulerDiscreteScheduler", **given}
    options: dict[str, Any] = (
        {"image_seq_len": 4096, "ends_at": "1/n"} if "use_dynamic_shifting" in given else {}
    )
    ours, theirs = (read_config(name, as_shipped=shipped, **options) for shipped in (False, True))
    ode = DiffusionODE(exact_network(PROBLEM, ours.precondition), ours.precondition)
    noise = unit_noise(range(192), PROBLEM.event, NOISE.dtype)
    want = sample(ode, noise, flow_uniform(600, shift=3.0), UniPC(3)).x

    def error(reading: Reading, solver: Solver, n: int) -> float:
        x = sample(ode, noise, reading.spacing(n), solver, start=reading.start).x
        return float((x - want).square().mean().sqrt())

    best = 1.0
    for n in (2, 3, 4, 5, 6, 8, 10, 14, 20, 28, 40):
        euler = error(theirs, Euler(), n)
        for solver in (DPMSolverPP2M(), UniPC(2), UniPC(3), UniPC(3, FLOW_CHART)):
            found = error(ours, solver, n) / euler
            assert found < 1.02, (n, solver)
            best = min(best, found)
    assert best < 0.4
