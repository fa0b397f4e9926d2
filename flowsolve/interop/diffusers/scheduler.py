"""Any solver as a scheduler of diffusers.

Saved pipelines look for `FlowsolveScheduler` and `SchedulerMixin` in this module. Both are attributes of it
that import diffusers when they are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flowsolve.errors import StateError
from flowsolve.interop.diffusers.config import NAME, OURS
from flowsolve.interop.diffusers.from_config import CALLABLES, FromConfig
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver
from flowsolve.solver.plugins import make_solver

# diffusers takes the module that a saved pipeline names from what is imported already; this is its old name
sys.modules.setdefault("flowsolve.interop.scheduler", sys.modules[__name__])


def as_scheduler(
    solver: Solver | None,
    config: object,
    *,
    spacing: Callable[[int], Grid] | None = None,
    wrap: Callable[[ODE], ODE] | None = None,
    inverse: bool = False,
    **reading: Any,
) -> Any:
    """A diffusers scheduler that steps by `solver`, for pipelines as they are.

    pipe.scheduler = as_scheduler(UniPC(), pipe.scheduler)

    solver   None takes the one that the config was saved with: DDIMPipeline and a few others make a
             scheduler of their own when they are loaded, and its config still holds the solver
    config   the scheduler that the pipeline has, its config with `_class_name`, or a path
    spacing  n -> Grid; by default the timesteps are spaced as the config says
    wrap     a function that wraps the ODE; by default clipping or thresholding, if the config has them
    inverse  from data to noise (the role of DDIMInverseScheduler)
    reading  options of `read_config`: mu, image_seq_len, between, as_shipped, ends_at

    Raises ImportError without diffusers, ScheduleError for a config that cannot be read, TableError
    for a method that chooses its evaluations by what it sees, GridError for a noisy one upwards.
    """
    if solver is None:
        solver = _saved(config)
    options = {"spacing": spacing, "wrap": wrap, "inverse": inverse, "reading": reading}
    return scheduler_class()(solver, _with_name(config), **options)


def _saved(config: object) -> Solver:
    """The solver in a config. Raises StateError without one."""
    keys = getattr(config, "config", config)
    ours = keys.get(OURS) if isinstance(keys, Mapping) else None
    if not ours:
        raise StateError(
            f"no solver of flowsolve was saved with {type(config).__name__}: give as_scheduler one."
        )
    return make_solver(ours["solver"])


def _with_name(config: object) -> dict[str, Any]:
    """The config of a scheduler with its class name, without what this package adds to it."""
    if isinstance(config, str | Path):
        config = scheduler_class().load_config(config)
    keys = getattr(config, "config", config)
    if not isinstance(keys, Mapping):
        raise StateError(
            f"{config!r:.80} is neither a diffusers scheduler nor its config nor a path."
        )
    name = keys.get("_class_name") if keys is config else type(config).__name__
    if OURS in keys and name in (None, NAME):
        name = keys[OURS]["scheduler"]
    given = {key: value for key, value in keys.items() if key not in (OURS, "_class_name")}
    if hasattr(config, "shift") and "shift" in given:
        given["shift"] = config.shift  # set_shift() does not change the config
    return given if name is None else {**given, "_class_name": name}


@cache
def scheduler_class() -> Any:
    """FlowsolveScheduler: `FromConfig` with diffusers' mixins.  Raises ImportError without diffusers."""
    try:
        from diffusers import ConfigMixin, SchedulerMixin
        from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
    except ImportError as missing:
        raise ImportError(
            "as_scheduler makes a scheduler for diffusers, which is not installed here: "
            "pip install diffusers. To sample without it, use flowsolve.sample."
        ) from missing

    class FlowsolveScheduler(FromConfig, SchedulerMixin, ConfigMixin):  # type: ignore[misc]
        """A solver of flowsolve behind the config of the scheduler that it stands in for."""

        __qualname__ = NAME
        _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]  # noqa: RUF012

        def __init__(self, solver: Solver, config: Mapping[str, Any], **options: Any) -> None:
            super().__init__(solver, config, **options)
            keys = {key: value for key, value in config.items() if key != "_class_name"}
            self.register_to_config(**keys, **{OURS: self._ours})

        @classmethod
        def from_config(
            cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any
        ) -> Any:
            """From its own config, or with solver= from that of another; other keywords change the config."""
            ours = dict((getattr(config, "config", config) or {}).get(OURS, {}))
            solver = kwargs.pop("solver", None) or make_solver(ours.get("solver", ""))
            missing = [name for name in ours.get("callables", ()) if name not in kwargs]
            if missing:
                raise StateError(
                    f"this scheduler was made with {' and '.join(missing)}, which a config cannot "
                    f"hold: give it again, from_pretrained(..., {missing[0]}=...)."
                )
            options = {"inverse": ours.get("inverse", False), "reading": ours.get("reading", {})}
            options |= {key: kwargs.pop(key) for key in (*CALLABLES, *options) if key in kwargs}
            given = _with_name(config)
            changed = {key: kwargs.pop(key) for key in list(kwargs) if key in given}
            made = cls(solver, {**given, **changed}, **options)
            return (made, kwargs) if return_unused_kwargs else made

    return FlowsolveScheduler


def __getattr__(name: str) -> Any:
    if name == NAME:
        return scheduler_class()
    if name == "SchedulerMixin":
        from diffusers import SchedulerMixin

        return SchedulerMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
