"""Every key of a config accounted for: used, ignored and why, unknown, or assumed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowsolve.errors import ScheduleError
from flowsolve.interop.diffusers.families import (
    CHOICES,
    FAMILIES,
    IGNORED,
    OTHER_NAMES,
    SCALES,
    family_of,
)

LEVEL_KEYS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")


@dataclass(frozen=True)
class Report:
    """What became of each key.

    used     keys that shape the reading
    ignored  keys without effect here, each with the reason
    unknown  keys that no readable scheduler of diffusers has
    assumed  keys that the config does not have, with the defaults of its class
    changed  what is not as diffusers has it (`as_shipped=True` takes it as it is there), each with its reason
    """

    used: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    assumed: Mapping[str, object] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"used: {', '.join(self.used) or 'none'}"]
        lines += [f"ignored: {key}, because {why}" for key, why in self.ignored.items()]
        lines += [f"unknown: {key}" for key in self.unknown]
        lines += [f"assumed: {key} = {value!r}" for key, value in self.assumed.items()]
        lines += [f"changed: {what}: {why}" for what, why in self.changed.items()]
        return "\n".join(lines)


def checked(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], Report]:
    """The config with its class's defaults, and the report. Raises ScheduleError for impossible values."""
    family = family_of(name)
    keys = {**family.keys, **({SCALES: None} if SCALES in given else {})}
    known = {key: _named(key, value) for key, value in given.items() if key in keys}
    for key, value in known.items():
        _check_value(name, key, value, keys[key])
    c = {**keys, **known}
    _check_agreement(name, c)
    idle = {key: why for group, why in _without_effect(name, c) for key in group}
    elsewhere = {key for family in FAMILIES.values() for key in family.keys}
    ignored, unknown = {}, []
    for key in given:
        if key in keys:
            if key in idle:
                ignored[key] = idle[key]
        elif key in family.unused or key in IGNORED:
            ignored[key] = {**IGNORED, **family.unused}[key]
        elif key in elsewhere:
            ignored[key] = f"{name} does not have it"
        else:
            unknown.append(key)
    used = tuple(key for key in known if key not in idle)
    assumed = {key: value for key, value in keys.items() if key not in given and key not in idle}
    return c, Report(used, ignored, tuple(unknown), assumed)


def changes(name: str, c: Mapping[str, Any], shift: float, ends_at: str) -> dict[str, str]:
    """What `as_shipped` would have otherwise, for `Report.changed`."""
    kind, found = family_of(name).kind, {}
    dynamic, flow = c.get("use_dynamic_shifting"), c.get("use_flow_sigmas")
    if kind == "flow" and shift != 1 and not dynamic and ends_at == "1/T":
        found["the last level before 0"] = "it is shifted once; their constructor shifts it twice"
    if c.get("rescale_betas_zero_snr") and kind != "ddim":
        found["the first level"] = "it is σ = ∞, as zero terminal SNR says; theirs is 4096"
    if flow and name.startswith("UniPC"):
        found["the first level"] = "it is σ = ∞, t = 1; theirs is t = 1 - 1e-6"
    spaced = any(c.get(key) for key in LEVEL_KEYS)
    karras = name.startswith("KDPM2") and c.get("use_karras_sigmas")
    if karras or (kind == "dpm" and (spaced or flow)):
        found["labels between whole ones"] = "they are not rounded"
    return found


def _check_value(name: str, key: str, value: Any, default: object) -> None:
    """Raise ScheduleError unless the value is one that the key can have."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in CHOICES:
        good, wanted = value in CHOICES[key], f"one of {', '.join(CHOICES[key])}"
    elif key == "num_train_timesteps":
        good, wanted = isinstance(value, int) and number and value > 1, "a whole number above 1"
    elif key == SCALES:
        good = isinstance(value, list | tuple) and len(value) == 2 and all(map(_positive, value))
        wanted = "the two scales of the data, [std, top], above 0"
    elif key == "trained_betas":
        good, wanted = value is None or hasattr(value, "__len__"), "a list of β or null"
    elif isinstance(default, bool):
        good, wanted = value is None or isinstance(value, bool), "true or false"
    else:
        good, wanted = number or (default is None and value is None), "a number"
    if not good:
        raise ScheduleError(f"{name}: {key} = {value!r} is not {wanted}.")


def _named(key: str, value: Any) -> Any:
    """The value by diffusers' name for it."""
    others = OTHER_NAMES.get(key, {})
    return others.get(value, value) if isinstance(value, str) else value


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _check_agreement(name: str, c: Mapping[str, Any]) -> None:
    """Raise ScheduleError for settings that contradict each other."""
    both = [key for key in LEVEL_KEYS if c.get(key)]
    if len(both) > 1:
        raise ScheduleError(f"{name}: {' and '.join(both)} are both set; levels have one spacing.")
    if c.get("invert_sigmas"):
        raise ScheduleError(
            f"{name}: invert_sigmas puts the noise at t = 0, where this reader has the data."
        )
    flow = c.get("use_flow_sigmas", False)
    if (c.get("prediction_type") == "flow_prediction") != bool(flow):
        raise ScheduleError(
            f"{name}: prediction_type = {c.get('prediction_type')!r} with use_flow_sigmas = {flow!r}: "
            "a network that predicts a flow needs flow levels, and another one has others."
        )
    if flow and both and not (name.startswith("UniPC") and both == ["use_karras_sigmas"]):
        raise ScheduleError(
            f"{name}: {both[0]} takes levels of the β table, which use_flow_sigmas would read as t."
        )
    if flow and name.startswith("DPM") and c["final_sigmas_type"] == "sigma_min":
        raise ScheduleError(
            f'{name}: final_sigmas_type = "sigma_min" is the β table\'s, which use_flow_sigmas would '
            'read as t. Take "zero".'
        )
    if c.get("shift_terminal") is not None and not flow and "use_flow_sigmas" in c:
        raise ScheduleError(f"{name}: shift_terminal belongs to use_flow_sigmas, which is not set.")


def _without_effect(name: str, c: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that other settings leave without effect, and why."""
    if c.get("trained_betas") is not None:
        yield ("beta_start", "beta_end", "beta_schedule"), "trained_betas gives the table"
    elif c.get("beta_schedule") in ("squaredcos_cap_v2", "laplace", "exp"):
        yield ("beta_start", "beta_end"), f"{c['beta_schedule']} has no ends of β"
    levels = any(c.get(key) for key in LEVEL_KEYS)
    if c.get("use_flow_sigmas") and not levels:
        betas = (
            "beta_start",
            "beta_end",
            "beta_schedule",
            "trained_betas",
            "rescale_betas_zero_snr",
        )
        yield betas, "flow levels need no β"
    if family_of(name).kind == "dpm" and (levels or c.get("use_flow_sigmas")):
        labels = ("timestep_spacing", "steps_offset", "lambda_min_clipped")
        yield labels, "the levels are not placed by labels"
    elif c.get("timestep_spacing", "leading") != "leading":
        yield ("steps_offset",), "only timestep_spacing leading has an offset"
    if not c.get("clip_sample"):
        yield ("clip_sample_range",), "clip_sample is not set"
    if not c.get("thresholding"):
        yield ("dynamic_thresholding_ratio", "sample_max_value"), "thresholding is not set"
    if "use_flow_sigmas" in c and not c["use_flow_sigmas"]:
        yield ("flow_shift",), "use_flow_sigmas is not set"
    if not levels and family_of(name).kind != "edm":
        yield ("sigma_min", "sigma_max"), "they are the ends of karras, exponential and beta levels"
    if c.get("use_dynamic_shifting"):
        yield ("shift", "flow_shift"), "dynamic shifting takes its place"
    else:
        lengths = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
        yield (*lengths, "time_shift_type"), "use_dynamic_shifting is not set"
