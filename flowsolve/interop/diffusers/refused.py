"""Scheduler classes of diffusers that are not read: why, and the way that works."""

from __future__ import annotations

_ONE_STEP = (
    "its network is distilled to jump along the path, so its answer is no ε of an ODE. Call it as its "
    "pipeline does, or read the scheduler of the network that it was distilled from"
)
_TOKENS = "it draws discrete tokens, which have no Gaussian path"

REFUSED = {
    **dict.fromkeys(
        ("LCMScheduler", "TCDScheduler", "FlowMatchLCMScheduler", "SCMScheduler"), _ONE_STEP
    ),
    **dict.fromkeys(("CMStochasticIterativeScheduler", "ConsistencyDecoderScheduler"), _ONE_STEP),
    **dict.fromkeys(
        ("FlowMapEulerDiscreteScheduler", "HeliosDMDScheduler", "PiflowScheduler"), _ONE_STEP
    ),
    **dict.fromkeys(("VQDiffusionScheduler", "AmusedScheduler", "DiscreteDDIMScheduler"), _TOKENS),
    **dict.fromkeys(("BlockRefinementScheduler", "EntropyBoundScheduler"), _TOKENS),
    "HeliosScheduler": (
        "its stages change the size of the state between levels, which one ODE does not: each stage by itself "
        "is a flow for DiffusionODE(model, FlowPrediction())"
    ),
    "RFD4ProteinaScheduler": (
        "it moves two states on levels of their own at once, and one ODE has one σ"
    ),
    "UnCLIPScheduler": (
        'it is DDPM by another name: give its keys with "_class_name": "DDPMScheduler", '
        '"beta_schedule": "squaredcos_cap_v2" and "timestep_spacing": "linspace"'
    ),
    "RePaintScheduler": (
        'it is DDPM with a method: give its keys with "_class_name": "DDPMScheduler" and sample with Repaint'
    ),
    "ScoreSdeVeScheduler": "from_score(model, VESDE(sigma_min, sigma_max)) takes its network without it",
    "DDPMWuerstchenScheduler": (
        "its label is the time of a continuous cosine: write that as a Clock, and "
        "DiffusionODE(model, EpsPrediction(clock)) takes the network"
    ),
    "DPMSolverMultistepInverseScheduler": (
        "it goes from data to noise: give its keys with "
        '"_class_name": "DPMSolverMultistepScheduler" and use flowsolve.invert'
    ),
    "LTXEulerAncestralRFScheduler": (
        "its levels come from the pipeline: read a FlowMatchEulerDiscreteScheduler and sample with "
        "EulerAncestral"
    ),
}
