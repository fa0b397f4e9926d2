"""Grids by name: `karras:rho=5`, `tau_linear`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flowsolve.analysis.dmn_bound import dmn
from flowsolve.schedule import equal_steps, spacings, timesteps, tuned
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.gits_published import gits_table
from flowsolve.schedule.grid import Grid, GridFamily, Spacing
from flowsolve.solver.spec import evaluate, plain_name

SPACINGS: tuple[Callable[..., Grid], ...] = (
    spacings.karras, spacings.log_snr, spacings.exponential, spacings.uniform, spacings.uniform_t,
    spacings.quadratic_t, tuned.beta, tuned.beta_t, tuned.ays, tuned.arctan, dmn, gits_table,
    equal_steps.two_power, equal_steps.uniform_phi,
)  # fmt: skip


def find_spacing(text: str, clock: Clock) -> Spacing:
    """A spacing by name, with options as karras:rho=5; those in t take the problem's clock."""
    makers = {plain_name(function.__name__): _options(function, clock) for function in SPACINGS}
    spacing: Spacing = evaluate(text, makers, "spacing")
    return spacing


SUBSEQUENCES: tuple[Callable[..., Grid], ...] = (
    timesteps.tau_linear, timesteps.tau_quadratic, timesteps.leading, timesteps.trailing,
    timesteps.linspace,
)  # fmt: skip


def find_family(text: str, clock: Clock, sigma_max: float, sigma_min: float) -> GridFamily:
    """n -> Grid, by the name of a sub-sequence of the clock's labels or of a spacing between the ends."""
    named = {plain_name(function.__name__): function for function in SUBSEQUENCES}
    makers = {name: _options(function, clock, 1) for name, function in named.items()}
    makers |= {plain_name(function.__name__): _options(function, clock) for function in SPACINGS}
    found = evaluate(text, makers, "grid")
    if found.func in named.values():
        return cast(GridFamily, found)
    return lambda n: cast(Grid, found(n, sigma_max, sigma_min))


def _options(
    function: Callable[..., Grid], clock: Clock, given: int = 3
) -> Callable[..., partial[Grid]]:
    """A function of the options of function(n, sigma_max, sigma_min, options), which returns the spacing.

    given  how many arguments of `function` come before its options
    """
    options = [
        p.replace(kind=p.POSITIONAL_OR_KEYWORD, default=clock if p.name == "clock" else p.default)
        for p in [*inspect.signature(function).parameters.values()][given:]
    ]

    def make(*args: Any, **given: Any) -> partial[Grid]:
        bound = make_signature.bind(*args, **given)
        bound.apply_defaults()
        return partial(function, **bound.arguments)

    make_signature = inspect.Signature(options)
    vars(make)["__signature__"] = make_signature
    return make
