"""The keys of each scheduler class's config with that class's defaults, and which keys are not used here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowsolve.errors import ScheduleError
from flowsolve.interop.diffusers.refused import REFUSED

Kind = Literal["ddim", "dpm", "ve", "flow", "edm", "angle", "to_data"]

_TABLE: dict[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
    "steps_offset": 0,
}
_LEADING = _TABLE | {"timestep_spacing": "leading"}
_ENDS = {"set_alpha_to_one": True}
_ZERO_SNR = {"rescale_betas_zero_snr": False}
_FINAL = {"final_sigmas_type": "zero"}
_CLIP = {"clip_sample": True, "clip_sample_range": 1.0}
_THRESHOLD = {
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
_LEVELS = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
_RANGE: dict[str, object] = {"sigma_min": None, "sigma_max": None}
_FLOW = {
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_CLIPPED = {"lambda_min_clipped": -float("inf")}
_HEUN = {"beta_start": 0.00085, "beta_end": 0.012}
_NO_CLIP = dict.fromkeys(
    ("clip_sample", "clip_sample_range", "sample_max_value"), "its step limits nothing"
)
_COGVIDEOX = (
    (_LEADING | _HEUN | {"beta_schedule": "scaled_linear", "snr_shift_scale": 3.0})
    | _ENDS
    | _ZERO_SNR
)
_EDM: dict[str, object] = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "prediction_type": "epsilon",
    "rho": 7.0,
}
_STABLE_AUDIO = {
    "sigma_min": 0.3,
    "sigma_max": 500.0,
    "sigma_data": 1.0,
    "sigma_schedule": "exponential",
    "prediction_type": "v_prediction",
}
_NO_TABLE = {"num_train_timesteps": "its labels come from σ"}
_DPM = _TABLE | _THRESHOLD | _LEVELS | _FLOW
_SHIFTS: dict[str, object] = {
    "use_dynamic_shifting": False,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "invert_sigmas": False,
    "shift_terminal": None,
    "time_shift_type": "exponential",
}


@dataclass(frozen=True)
class Family:
    """A scheduler class: how it places its levels, and the keys of its config with their defaults.

    unused  keys that the class has and does nothing with, each with the reason
    """

    kind: Kind
    keys: Mapping[str, object] = field(repr=False)
    unused: Mapping[str, str] = field(default_factory=dict, repr=False)


_DDIM = Family("ddim", _LEADING | _ENDS | _ZERO_SNR | _CLIP | _THRESHOLD)
_DDPM = Family("ddim", _LEADING | _ZERO_SNR | _CLIP | _THRESHOLD)
_SINGLE = {k: v for k, v in _DPM.items() if k not in ("timestep_spacing", "steps_offset")}

_SA = {
    k: v
    for k, v in (_DPM | _CLIPPED).items()
    if "dynamic_shifting" not in k and k != "time_shift_type"
}

FAMILIES = {
    "DDIMScheduler": _DDIM,
    "DDIMParallelScheduler": _DDIM,
    "DDIMInverseScheduler": Family("ddim", _LEADING | _ENDS | _ZERO_SNR | _CLIP),
    "DDPMScheduler": _DDPM,
    "DDPMParallelScheduler": _DDPM,
    "PNDMScheduler": Family("ddim", _LEADING | {"set_alpha_to_one": False}),
    "DPMSolverMultistepScheduler": Family(
        "dpm", _DPM | _FINAL | _ZERO_SNR | _CLIPPED | {"use_lu_lambdas": False}
    ),
    "DPMSolverSinglestepScheduler": Family("dpm", _SINGLE | _FINAL | _CLIPPED),
    "UniPCMultistepScheduler": Family(
        "dpm", _DPM | _FINAL | _ZERO_SNR | _RANGE | {"shift_terminal": None}
    ),
    "DEISMultistepScheduler": Family("dpm", _DPM),
    "EulerDiscreteScheduler": Family(
        "ve",
        _TABLE
        | _LEVELS
        | _RANGE
        | _FINAL
        | _ZERO_SNR
        | {"interpolation_type": "linear", "timestep_type": "discrete"},
    ),
    "EulerAncestralDiscreteScheduler": Family("ve", _TABLE | _ZERO_SNR),
    "HeunDiscreteScheduler": Family(
        "ve", _TABLE | _HEUN | _LEVELS | _CLIP | {"clip_sample": False}
    ),
    "LMSDiscreteScheduler": Family("ve", _TABLE | _LEVELS),
    "KDPM2DiscreteScheduler": Family("ve", _TABLE | _HEUN | _LEVELS),
    "KDPM2AncestralDiscreteScheduler": Family("ve", _TABLE | _HEUN | _LEVELS),
    "DPMSolverSDEScheduler": Family("ve", _TABLE | _HEUN | _LEVELS),
    "SASolverScheduler": Family("dpm", _SA),
    "CogVideoXDDIMScheduler": Family("ddim", _COGVIDEOX, _NO_CLIP),
    "CogVideoXDPMScheduler": Family("ddim", _COGVIDEOX, _NO_CLIP),
    "EDMEulerScheduler": Family("edm", _EDM | _FINAL, _NO_TABLE),
    "EDMDPMSolverMultistepScheduler": Family("edm", _EDM | _FINAL | _THRESHOLD, _NO_TABLE),
    "CosineDPMSolverMultistepScheduler": Family("edm", _EDM | _STABLE_AUDIO | _FINAL, _NO_TABLE),
    "IPNDMScheduler": Family("angle", {"trained_betas": None}, _NO_TABLE),
    "MiniMaxH3Scheduler": Family("to_data", {"shift": 12.0}),
    "FlowMatchEulerDiscreteScheduler": Family(
        "flow", {"num_train_timesteps": 1000, "shift": 1.0} | _SHIFTS | _LEVELS
    ),
    "FlowMatchHeunDiscreteScheduler": Family("flow", {"num_train_timesteps": 1000, "shift": 1.0}),
}

# what other codes call them: DDPM's and ADM's
OTHER_NAMES = {"beta_schedule": {"quad": "scaled_linear", "cosine": "squaredcos_cap_v2"}}
CHOICES: dict[str, tuple[str, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"),
    "prediction_type": ("epsilon", "v_prediction", "sample", "flow_prediction"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "interpolation_type": ("linear", "log_linear"),
    "timestep_type": ("discrete", "continuous"),
    "time_shift_type": ("exponential", "linear"),
    "sigma_schedule": ("karras", "exponential"),
}
SCALES = "_data_scales"  # (std, top): a key of this package's own, in any config
METHOD = "it belongs to the method: choose a solver"
IGNORED = {
    **dict.fromkeys(
        (
            "solver_order",
            "solver_type",
            "algorithm_type",
            "lower_order_final",
            "euler_at_final",
            "predict_x0",
            "disable_corrector",
            "solver_p",
            "skip_prk_steps",
            "stochastic_sampling",
            "predictor_order",
            "corrector_order",
            "tau_func",
            "noise_sampler_seed",
        ),
        METHOD,
    ),
    "variance_type": "it belongs to the method; a learned variance is dropped by the network's wrapper",
    "_diffusers_version": "it says who wrote the file",
    "_use_default_values": "it says which keys the file did not have",
}


def family_of(name: str) -> Family:
    """The family of a class name. Raises ScheduleError for a scheduler that cannot be read."""
    if name in REFUSED:
        raise ScheduleError(f"{name} is not read: {REFUSED[name]}.")
    if name not in FAMILIES:
        raise ScheduleError(
            f"{name} is not known here. Readable are {', '.join(sorted(FAMILIES))}. A network that "
            "predicts ε, v, x₀ or a flow at a label that is a function of σ needs no scheduler: "
            "DiffusionODE(network, EpsPrediction(clock)) takes it, see docs/networks.md."
        )
    return FAMILIES[name]
