"""What is measured of diffusers: its schedulers, as they are and mended."""

from __future__ import annotations

from typing import Any

from benchmarks.peer_case import LABELS, SDE, Case
from benchmarks.peer_reasons import HALF, HALF_1, NEXT, TWO, WIDE


def diffusers_cases() -> list[Case]:
    """The schedulers."""
    end = {"final_sigmas_type": "sigma_min", "lower_order_final": False}
    heun = {"solver_type": "heun"}

    def dpm(k: int, algorithm: str, step: str = "multi", **more: Any) -> Case:
        options = {"cls": f"DPMSolver{step.title()}stepScheduler", "solver_order": k}
        options |= {"algorithm_type": algorithm, **end, **more.pop("options", {})}
        name = (
            f"DPMSolver{step.title()}step({k}, {algorithm}{', heun' * ('solver_type' in options)})"
        )
        return Case(name, k, f"dpmsolver_{step}step", options, **more)

    def plain(
        name: str, declared: int, file: str, frame: str = "ve", call: Any = (), **more: Any
    ) -> Case:
        cls = f"{name.partition('(')[0]}Scheduler"
        return Case(name, declared, file, {"cls": cls, "frame": frame, "call": dict(call)}, **more)

    def labels(name: str, cls: str, declared: int, how: str, **more: Any) -> Case:
        options = {"cls": f"{cls}Scheduler", "timestep_spacing": how}
        options |= {"clip_sample": False} if cls == "DDIM" else {}
        options |= {"skip_prk_steps": "PLMS" in name} if cls == "PNDM" else {}
        return Case(name, declared, cls.lower(), options, LABELS, **more)

    def edm(k: int, **more: Any) -> Case:
        options = {
            "cls": "EDMDPMSolverMultistepScheduler",
            "solver_order": k,
            "frame": "edm",
            **end,
        }
        return Case(f"EDMDPMSolverMultistep({k})", k, "edm_dpmsolver_multistep", options, **more)

    def sa(p: int, c: int) -> Case:
        options = {"cls": "SASolverScheduler", "predictor_order": p, "corrector_order": c}
        options |= {"lower_order_final": False, "tau_func": lambda t: 0.0}
        return Case(f"SASolver({p}, {c}, tau=0)", min(p + 1, c), "sasolver", options)

    def multi(name: str, file: str, k: int, **options: Any) -> Case:
        return Case(f"{name}({k}{', bh2' * (name[0] == 'U')})", k, file,
                    {"cls": f"{name}Scheduler", "solver_order": k, **options})  # fmt: skip

    both = ("dpmsolver", "dpmsolver++")
    cases = [dpm(2, a) for a in both]
    for a in both:
        cases += [dpm(3, a, reason="three"), dpm(3, a, edits=(TWO,))]
    cases += [
        dpm(2, "sde-dpmsolver++", kind=SDE),
        dpm(3, "sde-dpmsolver++", kind=SDE, reason="half"),
        dpm(3, "sde-dpmsolver++", kind=SDE, edits=(TWO, HALF)),
        *(dpm(k, a, "single") for k in (2, 3) for a in both),
        dpm(2, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, reason="half_1"),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, edits=(HALF_1,)),
        edm(2),
        edm(3, reason="three"),
        edm(3, edits=(TWO,)),
        *(multi("DEISMultistep", "deis_multistep", k, lower_order_final=False) for k in (1, 2, 3)),
        *(multi("UniPCMultistep", "unipc_multistep", k, **end) for k in (1, 2, 3)),
        *(sa(p, c) for p, c in ((2, 2), (3, 3), (3, 4))),
        plain("EulerDiscrete", 1, "euler_discrete"),
        plain("HeunDiscrete", 2, "heun_discrete"),
        plain("KDPM2Discrete", 2, "k_dpm_2_discrete"),
        *(plain(f"LMSDiscrete({k})", k, "lms_discrete", call={"order": k}) for k in (2, 3, 4)),
        plain("EulerAncestralDiscrete", 1, "euler_ancestral_discrete", kind=SDE),
        plain("EDMEuler", 1, "edm_euler", "edm"),
        plain("FlowMatchEulerDiscrete", 1, "flow_match_euler_discrete", "flow"),
        plain("FlowMatchHeunDiscrete", 2, "flow_match_heun_discrete", "flow"),
        plain("IPNDM", 4, "ipndm", "v", reason="equal"),
        labels("DDIM, leading", "DDIM", 1, "leading"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", reason="neighbour"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", edits=(NEXT,)),
        labels("DDIM, linspace", "DDIM", 1, "linspace", reason="neighbour"),
        labels("DDIM, linspace", "DDIM", 1, "linspace", edits=(NEXT,)),
        labels("PNDM, PLMS, leading", "PNDM", 4, "leading", reason="equal"),
    ]
    return cases


def float_cases() -> list[Case]:
    """DEIS as shipped, its fix, and in float64; and another scheduler in float32."""
    options = {"cls": "DEISMultistepScheduler", "lower_order_final": False}
    three = {**options, "solver_order": 3}
    dpm = {
        "cls": "DPMSolverMultistepScheduler",
        "solver_order": 2,
        "final_sigmas_type": "sigma_min",
    }

    def deis(k: int, **more: Any) -> Case:
        return Case(
            f"DEISMultistep({k})", k, "deis_multistep", {**three, "solver_order": k}, **more
        )

    return [
        deis(3, double=False, reason="float32"),
        deis(3, double=False, edits=(WIDE,)),
        deis(3),
        *(deis(k, double=False) for k in (2, 1)),
        Case("DPMSolverMultistep(2, dpmsolver++)", 2, "dpmsolver_multistep", dpm, double=False),
    ]
