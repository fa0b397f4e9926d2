"""A scheduler of diffusers, or its config, read: what the network predicts, when, and at which levels."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from flowsolve.errors import ScheduleError
from flowsolve.integrate.starting import ve_start, vp_start
from flowsolve.interop.diffusers.clock import spaced, table, whole
from flowsolve.interop.diffusers.continuous import angle, edm, to_data
from flowsolve.interop.diffusers.families import SCALES, Kind, family_of
from flowsolve.interop.diffusers.grid import FlowSpacing, SolverFlowSpacing, TableSpacing
from flowsolve.interop.diffusers.reading import Limits, Reading, flow_start
from flowsolve.interop.diffusers.report import Report, changes, checked
from flowsolve.ode.base import Scales
from flowsolve.ode.precondition import (
    EpsPrediction,
    FlowPrediction,
    Precondition,
    VPrediction,
    X0Prediction,
)
from flowsolve.schedule.clock import Clock, EDMClock, FlowClock
from flowsolve.schedule.discrete import Between, DiscreteClock
from flowsolve.schedule.flow_shift import dynamic_shift, shift_of
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.timesteps import Final

PREDICTIONS: dict[str, type[Precondition]] = {
    "epsilon": EpsPrediction,
    "v_prediction": VPrediction,
    "sample": X0Prediction,
}


NAME = "FlowsolveScheduler"  # the class of as_scheduler
OURS = "_flowsolve"  # the key that it adds to a config; diffusers passes on keys that begin with _
NEVER_ZERO = ("DEISMultistepScheduler", "SASolverScheduler")


class _Wanted(NamedTuple):
    """The options of `read_config`."""

    mu: float | None
    image_seq_len: int | None
    between: Between | None
    as_shipped: bool
    ends_at: Literal["1/T", "1/n"]


def read_config(
    source: object,
    *,
    mu: float | None = None,
    image_seq_len: int | None = None,
    between: Between | None = None,
    as_shipped: bool = False,
    ends_at: Literal["1/T", "1/n"] = "1/T",
) -> Reading:
    """A Reading of a diffusers scheduler, its config, or the path of a scheduler_config.json.

    mu, image_seq_len  of dynamic shifting: μ itself, or the tokens of the image that it comes from
    between            how labels lie between the table's (see `DiscreteClock`); None: as that class
    as_shipped         True for what diffusers does where it is not what it says or not right: flow's
                       end shifted twice, labels rounded or truncated off the table, ᾱ_T = 2⁻²⁴ or
                       t = 1 - 1e-6 for σ = ∞. docs/diffusers.md lists them.
    ends_at            where a flow's even t ends: "1/T" by its scheduler, "1/n" as Flux's pipeline passes

    Raises ScheduleError for a class that cannot be read, a value that a key cannot have, and settings
    that contradict each other. Keys that diffusers does not know are reported, not refused.
    """
    if ends_at not in ("1/T", "1/n"):
        raise ScheduleError(f'ends_at must be "1/T" or "1/n", but got {ends_at!r}.')
    name, given = _open(source)
    kind = family_of(name).kind
    c, report = checked(name, given)
    wanted = _Wanted(mu, image_seq_len, between, as_shipped, ends_at)
    shift = _shift(c, wanted)
    if not as_shipped:
        report = replace(report, changed=changes(name, c, shift, ends_at))
    if kind == "flow":
        reading = _flow(name, c, shift, wanted, report)
    elif ends_at != "1/T":
        raise ScheduleError(f"ends_at = {ends_at!r} is for FlowMatch schedulers, not {name}.")
    elif kind == "edm":
        reading = edm(name, c, _limits(c), report)
    elif kind == "angle":
        reading = angle(name, c, report)
    elif kind == "to_data":
        reading = to_data(name, c, report)
    elif c.get("use_flow_sigmas"):
        reading = _solver_flow(name, c, shift, wanted, report)
    else:
        reading = _table(name, c, kind, wanted, report)
    return replace(reading, scales=Scales(*c[SCALES])) if SCALES in c else reading


def _open(source: object) -> tuple[str, dict[str, Any]]:
    """The scheduler's class name, and the keys of its config."""
    if isinstance(source, str | Path):
        path = Path(source)
        path = path / "scheduler_config.json" if path.is_dir() else path
        try:
            source = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ScheduleError(
                f"{path} is not a scheduler config that can be read: {error}. Give a scheduler, its "
                "config, or the path of a scheduler_config.json or of the folder that holds it."
            ) from None
    elif not isinstance(source, Mapping):
        config = getattr(source, "config", None)
        if not isinstance(config, Mapping):
            raise ScheduleError(
                f"{source!r:.80} is neither a diffusers scheduler nor its config nor a path."
            )
        given = dict(config)
        shift = getattr(source, "shift", None)
        if shift is not None and shift != given.get("shift", shift):
            raise ScheduleError(
                f"set_shift({shift!r}) was called on this scheduler, whose config says shift = "
                f"{given['shift']!r}. Make one with from_config(config, shift={shift!r})."
            )
        return _own({**given, "_class_name": type(source).__name__})
    if not isinstance(source, Mapping) or not isinstance(source.get("_class_name"), str):
        raise ScheduleError(
            'a scheduler config needs its "_class_name", such as "DDIMScheduler". The config of a '
            "live scheduler does not have it: give the scheduler itself."
        )
    return _own(dict(source))


def _own(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class name and the keys; of this package's own scheduler, those of the one that it stands in for."""
    name, ours = given.pop("_class_name"), given.pop(OURS, None)
    return (ours or {}).get("scheduler", name) if name == NAME else name, given


def _shift(c: Mapping[str, Any], wanted: _Wanted) -> float:
    mu, length, dynamic = wanted.mu, wanted.image_seq_len, c.get("use_dynamic_shifting")
    if not dynamic:
        if mu is not None or length is not None:
            raise ScheduleError(
                "mu and image_seq_len belong to dynamic shifting, but use_dynamic_shifting is not "
                "set in this config."
            )
        return float(c.get("shift", c.get("flow_shift", 1.0)))
    if (mu is None) == (length is None):
        raise ScheduleError(
            "use_dynamic_shifting is set, so the grid depends on the size of the image: give "
            "image_seq_len= (its number of tokens) or mu=, one of them."
        )
    kind = c["time_shift_type"]
    if mu is not None:
        return shift_of(mu, kind)
    if "base_shift" not in c:
        raise ScheduleError("this scheduler knows no base_shift: give mu= and not image_seq_len=.")
    assert length is not None
    ends = (c["base_image_seq_len"], c["max_image_seq_len"])
    return dynamic_shift(length, c["base_shift"], c["max_shift"], *ends, kind=kind)


def _limits(c: Mapping[str, Any]) -> Limits:
    clip = c["clip_sample_range"] if c.get("clip_sample") else None
    if c.get("thresholding"):
        return Limits(clip, c["dynamic_thresholding_ratio"], max(1.0, c["sample_max_value"]))
    return Limits(clip)


def _table(name: str, c: Mapping[str, Any], kind: Kind, wanted: _Wanted, report: Report) -> Reading:
    clock = table(c, kind, wanted.between, wanted.as_shipped)
    label: Clock = whole(name, c, clock, kind) if wanted.as_shipped else clock
    if c.get("timestep_type") == "continuous" and c["prediction_type"] == "v_prediction":
        label = EDMClock()
    spacing = _spacing(name, c, kind, clock)
    ve = kind == "ve" and c["timestep_spacing"] != "leading"
    precondition = PREDICTIONS[c["prediction_type"]](label)
    return Reading(name, precondition, spacing, ve_start if ve else vp_start, _limits(c), report)


def _spacing(name: str, c: Mapping[str, Any], kind: Kind, clock: DiscreteClock) -> TableSpacing:
    first = c.get("set_alpha_to_one") is False or c.get("final_sigmas_type") == "sigma_min"
    spacing = TableSpacing(
        clock,
        variant="dpm" if kind == "dpm" else "ve" if kind == "ve" else "ddim",
        spacing=c.get("timestep_spacing", "linspace"),
        steps_offset=c.get("steps_offset", 0),
        levels=spaced(c),
        final="first" if first or name in NEVER_ZERO else "zero",
        sigma_max=c.get("sigma_max"),
        sigma_min=c.get("sigma_min"),
        rising=name == "DDIMInverseScheduler",
    )
    if c.get("interpolation_type") == "log_linear":
        return replace(spacing, log_linear=True)
    lambdas = [-y for y in reversed(clock.log_sigmas)]
    below = bisect_left(lambdas, c.get("lambda_min_clipped", -math.inf))
    return replace(spacing, keep=len(lambdas) - below) if below else spacing


def _solver_flow(
    name: str, c: Mapping[str, Any], shift: float, wanted: _Wanted, report: Report
) -> Reading:
    """use_flow_sigmas of the DPM-Solver family."""
    T = c["num_train_timesteps"]
    clock: Clock = FlowClock(scale=T)
    if wanted.as_shipped:
        clock = whole(name, c, clock, "dpm")
    final: Final = "zero" if c.get("final_sigmas_type") == "zero" else "first"
    spacing: Callable[[int], Grid] = SolverFlowSpacing(shift, T, final)
    if name.startswith("UniPC"):
        top = 17 * 2.0**-24 if wanted.as_shipped else 0.0  # 1 - 1e-6 in float32
        terminal = c["shift_terminal"]
        spacing = FlowSpacing(shift, "open", terminal=terminal, final=final, top=top, T=T)
        if c["use_karras_sigmas"]:
            table_clock = table(c, "dpm", wanted.between, wanted.as_shipped)
            spacing = TableSpacing(table_clock, "dpm", levels="karras", final=final)
    return Reading(name, FlowPrediction(clock), spacing, flow_start, _limits(c), report)


def _flow(
    name: str, c: Mapping[str, Any], shift: float, wanted: _Wanted, report: Report
) -> Reading:
    """The FlowMatch schedulers."""
    T = c["num_train_timesteps"]
    twice = wanted.as_shipped and not c.get("use_dynamic_shifting") and wanted.ends_at == "1/T"
    terminal = c.get("shift_terminal")
    spacing = FlowSpacing(
        shift, wanted.ends_at, terminal=terminal, levels=spaced(c), T=T, twice=twice
    )
    clock = FlowClock(scale=T)
    return Reading(name, FlowPrediction(clock), spacing, flow_start, _limits(c), report)
