"""Configs of all schedulers that are read, with the solver of their method: the table of docs/diffusers.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flowsolve as fs
from flowsolve import Solver
from flowsolve_solvers import (
    DDPM,
    IPNDM,
    LMS,
    PLMS,
    Adams,
    DPM2Ancestral,
    DPMSolver2,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    DPMSolverPPSDE,
    Euler,
    EulerAncestral,
    FlowHeun,
    GridSinglestep,
    Heun,
    PublishedDPMSolver,
    SASolver,
    UniPC,
)
from tests.parity.pipelines import SD15, SD21, flow


class Row(NamedTuple):
    """as_shipped where diffusers' levels or labels are not ours; elsewhere: what another test holds it to."""

    config: dict[str, Any]
    solver: Callable[[int], Solver]
    what: str
    as_shipped: bool = False
    elsewhere: str = ""


def always(solver: Solver) -> Callable[[int], Solver]:
    return lambda n: solver


def published(points: int) -> Callable[[int], Solver]:
    """With the order lowered at the end of few steps, as theirs."""
    return lambda n: PublishedDPMSolver(points, fs.DATA, lower_order_final=n < 15)


def singlestep(order: int) -> Callable[[int], Solver]:
    """Whose last steps have a lower order where the number of steps does not divide."""
    return lambda n: GridSinglestep(order, lower_order_final=True)


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
SINGLE = {k: v for k, v in SD15.items() if k not in ("timestep_spacing", "steps_offset")}
BY_DESIGN = "by design"
SAME_NOISE = "1e-10, float64"  # tests/parity/test_stochastic.py
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
    Row(of("FlowMatchHeunDiscrete", shift=3.0), always(FlowHeun()), "flow, shift 3", True, BY_DESIGN),
    Row(of("MiniMaxH3"), always(Euler()), "flow to the data", False, "1e-6, 8 steps"),
    Row(of("IPNDM"), always(IPNDM(4, guard=None)), "v at an angle", False, BY_DESIGN),
    Row(of("DDIMParallel", **SD21, clip_sample=False), always(Euler()), "v, Stable Diffusion 2.1's table"),
    Row(of("DDIMInverse", **SD15, clip_sample=False), always(Euler()), "ε, upwards", False, BY_DESIGN),
    Row(of("DPMSolverSinglestep", **SINGLE), singlestep(2), "ε"),
    Row(of("DDPM", **SD15, clip_sample=False), always(DDPM()), "ε, Stable Diffusion 1.5's table"),
    Row(of("DDPMParallel", **SD15, clip_sample=False), always(DDPM()), "ε, Stable Diffusion 1.5's table"),
    Row(of("EulerAncestralDiscrete", **SD15), always(EulerAncestral()), "ε"),
    Row(of("KDPM2AncestralDiscrete", **SD15), always(DPM2Ancestral()), "ε"),
    Row(of("SASolver", **SD15, tau_func=lambda t: 1.0), always(SASolver(published=True, guard=None)), "ε"),
    Row(of("CogVideoXDPM"), always(DPMSolverPP2MSDE(guard=None)), "v", False, SAME_NOISE),
    Row(of("CosineDPMSolverMultistep"), always(DPMSolverPP2MSDE(guard=None)), "-F of EDM", False,
        "1e-5, float32 labels"),
    Row(of("DPMSolverSDE"), always(DPMSolverPPSDE()), "ε", False, "k-diffusion's, 1e-10"),
]  # fmt: skip

# the numbers of "Differences, by design" on the page
DIFFERENCES = {
    "FlowMatchEulerDiscrete": (1,),
    "FlowMatchHeunDiscrete": (1, 14),
    "EulerDiscrete": (2, 13),
    "EulerAncestralDiscrete": (2,),
    "DPMSolverMultistep": (2, 4),
    "UniPCMultistep": (2, 3, 4, 11),
    "DEISMultistep": (4, 11),
    "SASolver": (4,),
    "KDPM2Discrete": (4, 15),
    "KDPM2AncestralDiscrete": (4, 15),
    "DDIM": (5, 6, 12),
    "DDIMParallel": (5, 6, 12),
    "DDIMInverse": (16,),
    "CogVideoXDDIM": (5,),
    "PNDM": (10, 12),
    "IPNDM": (7,),
    "EDMDPMSolverMultistep": (8, 9),
    "EDMEuler": (9,),
    "CosineDPMSolverMultistep": (9,),
}
