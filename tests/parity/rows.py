"""Configs of deterministic schedulers, each with the solver that is its method: the table of docs/diffusers.md.

`PYTHONPATH=.venv-parity .venv/bin/python -m pytest tests/parity/test_rows.py -m parity -s` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flowsolve as fs
from flowsolve import Solver
from flowsolve_solvers import (
    LMS,
    PLMS,
    Adams,
    DPMSolver2,
    DPMSolverPP2M,
    Euler,
    Heun,
    PublishedDPMSolver,
    UniPC,
)
from tests.parity.pipelines import SD15, SD21, flow


class Row(NamedTuple):
    """as_shipped where diffusers' levels or labels are not ours, by docs/diffusers.md."""

    config: dict[str, Any]
    solver: Callable[[int], Solver]
    what: str
    as_shipped: bool = False


def always(solver: Solver) -> Callable[[int], Solver]:
    return lambda n: solver


def published(points: int) -> Callable[[int], Solver]:
    """With the order lowered at the end of few steps, as theirs."""
    return lambda n: PublishedDPMSolver(points, fs.DATA, lower_order_final=n < 15)


def of(name: str, **keys: Any) -> dict[str, Any]:
    return {"_class_name": f"{name}Scheduler", **keys}


TO_ZERO = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
COSXL = {
    "sigma_schedule": "exponential",
    "sigma_max": 120.0,
    "sigma_data": 1.0,
    "prediction_type": "v_prediction",
}
VIDEO = {
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_type": "continuous",
    "prediction_type": "v_prediction",
}
UNIPC = UniPC(2, variant="bh2", lower_order_final=True, guard=None)
ROWS = [
    Row(of("DDIM", **SD21, clip_sample=False), always(Euler()), "v, Stable Diffusion 2.1's table"),
    Row(of("DDIM", **TO_ZERO, clip_sample=False), always(Euler()), "v, zero terminal SNR"),
    Row(of("PNDM", **SD15, skip_prk_steps=True), always(PLMS(guard=None)), "ε, Stable Diffusion 1.5's file"),
    Row(of("DPMSolverMultistep", **SD21), published(2), "v"),
    Row(of("DPMSolverMultistep", **SD15, solver_order=3), published(3), "ε, order 3"),
    Row(of("DPMSolverMultistep", **flow), published(2), "flow, shift 3", True),
    Row(of("UniPCMultistep", **SD21), always(UNIPC), "v"),
    Row(of("UniPCMultistep", **flow), always(UNIPC), "flow, shift 3", True),
    Row(of("DEISMultistep", **SD21, lower_order_final=False),
        always(Adams(2, fs.NOISE, fs.LOG_SIGMA, guard=None)), "v"),
    Row(of("EulerDiscrete", **SD15), always(Euler()), "ε, Stable Diffusion XL's file"),
    Row(of("EulerDiscrete", **VIDEO), always(Euler()), "v at ln(σ)/4, Stable Video Diffusion's file"),
    Row(of("HeunDiscrete", **SD15), always(Heun()), "ε"),
    Row(of("LMSDiscrete", **SD15), always(LMS(4, guard=None)), "ε"),
    Row(of("KDPM2Discrete", **SD15), always(DPMSolver2()), "ε"),
    Row(of("CogVideoXDDIM", prediction_type="v_prediction"), always(Euler()), "v, levels times √3"),
    Row(of("CogVideoXDDIM", **TO_ZERO, snr_shift_scale=1.0), always(Euler()), "v, zero terminal SNR"),
    Row(of("EDMEuler"), always(Euler()), "EDM"),
    Row(of("EDMEuler", **COSXL), always(Euler()), "-F of EDM, CosXL's range"),
    Row(of("EDMDPMSolverMultistep"), always(DPMSolverPP2M(guard=None)), "EDM"),
    Row(of("EDMDPMSolverMultistep", solver_order=3), published(3), "EDM, order 3"),
    Row(of("FlowMatchEulerDiscrete", shift=3.0), always(Euler()), "flow, shift 3", True),
    Row(of("FlowMatchEulerDiscrete", shift=3.0, shift_terminal=0.1), always(Euler()), "flow, to 0.1", True),
]  # fmt: skip
