"""The version, and where the modules are that earlier versions had by other paths."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__version__ = "0.1.0"

MOVED = {
    "bits": "integrate.bits",
    "budget": "integrate.cost",
    "dense": "solver.dense_output",
    "experiments": "",
    "experiments.consistency": "study.consistency",
    "experiments.edit": "study.editing",
    "experiments.interpolation": "study.interpolation",
    "experiments.likelihood": "study.likelihood",
    "experiments.quality": "study.quality",
    "experiments.round_trip": "study.round_trip",
    "experiments.run": "study.runner",
    "fixed_point": "integrate.fixed_point",
    "guidance": "ode.guidance",
    "interop.scheduler": "interop.diffusers.scheduler",
    "interop.stepping": "interop.diffusers.stepping",
    "interpolate": "ode.noise_interpolation",
    "inversion": "integrate.inversion",
    "labels": "schedule.labels",
    "law": "analysis.weak_order",
    "likelihood": "integrate.likelihood",
    "measure": "study.cases",
    "paths": "analysis.strong_order",
    "precondition": "ode.precondition",
    "problems.judge": "problems.classifier",
    "recurrence": "analysis.stages",
    "reference": "study.references",
    "slope": "analysis.order",
    "training": "ode.training",
}


class OldPaths:
    """`flowsolve.labels` is `flowsolve.schedule.labels`: paths that the documentation once showed still work.

    A finder and a loader of the import system, without their base classes, whose import takes 15 ms.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix("flowsolve.")
        if old == fullname or old not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=not MOVED[old])  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that is meant in the place of this one."""
        new = MOVED[module.__name__.removeprefix("flowsolve.")]
        if new:
            sys.modules[module.__name__] = importlib.import_module(f"flowsolve.{new}")
