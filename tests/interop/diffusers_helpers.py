"""Configs as diffusers writes them, and a class that looks like one of its schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SD15 = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}


def config(name: str, **keys: object) -> dict[str, object]:
    return {"_class_name": f"{name}Scheduler", **keys}


class EulerDiscreteScheduler:
    config: Mapping[str, Any] = {"beta_schedule": "scaled_linear"}
