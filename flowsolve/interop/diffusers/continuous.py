"""Configs without a table of β: EDM's, Stable Audio's, the angles of IPNDM, a flow that points to the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowsolve.errors import ScheduleError
from flowsolve.integrate.starting import vp_start
from flowsolve.interop.diffusers.grid import FlowSpacing, RangeSpacing, SineSpacing
from flowsolve.interop.diffusers.reading import Limits, Reading, flow_start
from flowsolve.interop.diffusers.report import Report
from flowsolve.interop.flow import velocity
from flowsolve.ode.precondition import EDMPrediction, Precondition, VPrediction, negated
from flowsolve.schedule.clock import EDMClock
from flowsolve.schedule.labels import AngleClock
from flowsolve.schedule.timesteps import Final


def edm(name: str, c: Mapping[str, Any], limits: Limits, report: Report) -> Reading:
    """F of Karras et al. 2022, Table 1, of either sign; Stable Audio's label is 2/π atan σ, not ln(σ)/4."""
    if c["prediction_type"] not in ("epsilon", "v_prediction"):
        raise ScheduleError(
            f"{name}: prediction_type = {c['prediction_type']!r}, but its network predicts EDM's F, "
            "which is called epsilon, or -F, which is called v_prediction."
        )
    clock = AngleClock() if name.startswith("Cosine") else EDMClock()
    f: Precondition = EDMPrediction(clock, c["sigma_data"])
    if c["prediction_type"] == "v_prediction":
        f = negated(f)
    final: Final = "zero" if c["final_sigmas_type"] == "zero" else "first"
    ends = (float(c["sigma_max"]), float(c["sigma_min"]))
    spacing = RangeSpacing(c["sigma_schedule"], *ends, c["rho"], final)
    return Reading(name, f, spacing, vp_start, limits, report, sigma_range=ends)


def angle(name: str, c: Mapping[str, Any], report: Report) -> Reading:
    """v at the label 2/π atan σ."""
    if c["trained_betas"] is not None:
        raise ScheduleError(f"{name}: trained_betas are levels for one number of steps alone.")
    return Reading(name, VPrediction(AngleClock()), SineSpacing(), vp_start, Limits(), report)


def to_data(name: str, c: Mapping[str, Any], report: Report) -> Reading:
    """u = x₀ - ε at the label 1 - t, t even from 1 to 0 and shifted."""
    flow = velocity(data_at=1, points_to=1)
    return Reading(name, flow, FlowSpacing(c["shift"], "1/n"), flow_start, Limits(), report)
