"""The errors that flowsolve raises. Their texts say what was given, what was expected, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Partial(Protocol):
    """The result of a run that ended early: a `Solution`, or the `Inversion` of `invert`.

    x    the state that was reached, (B, *event)
    nfe  the evaluations that it took
    """

    @property
    def x(self) -> Tensor: ...

    @property
    def nfe(self) -> int: ...


class FlowsolveError(Exception):
    """The base class of all errors below."""


class GridError(FlowsolveError, ValueError):
    """Noise levels that no solver can step over, or a level that a grid does not have."""


class ScheduleError(FlowsolveError, ValueError):
    """A time or level outside a clock's range, or a table that is no noise schedule."""


class NetworkError(FlowsolveError, ValueError):
    """A network whose answer is not one tensor like its input, or a condition that does not fit."""


class StateError(FlowsolveError, TypeError):
    """A state, solver, ODE, problem or other argument of the wrong kind, or a state of the wrong shape."""


class NonFiniteError(FlowsolveError, ArithmeticError):
    """NaN or infinity in the result; the text says at which evaluation and σ it came up first."""


class SamplesError(FlowsolveError, ValueError):
    """Sets of samples, or features of them, between which no distance can be computed."""


class ConvergenceError(FlowsolveError, ArithmeticError):
    """A fixed-point iteration that did not converge.

    `partial` is the Inversion that was reached, with the residuals of every step.
    """

    def __init__(self, message: str, partial: Partial) -> None:
        super().__init__(message)
        self.partial = partial


class TableError(FlowsolveError, ValueError):
    """A method that has no coefficient table, a table used on another grid, or a file that holds none."""


class BudgetError(FlowsolveError, ValueError):
    """A number of evaluations that the method cannot meet.

    If the evaluations ran out during a run, `partial` is the Solution so far, and its `x` the state at `sigma`.
    """

    partial: Partial | None = None

    def __init__(self, message: str, x: Tensor | None = None, sigma: float | None = None) -> None:
        super().__init__(message)
        self.x, self.sigma = x, sigma


class NameUnknown(FlowsolveError, LookupError):
    """A name that nothing provides; the text lists the nearest names."""


class ResultsError(FlowsolveError, OSError):
    """Results that cannot be written, or that would overwrite others."""


class NameClash(FlowsolveError, LookupError):
    """A name that two packages provide."""


class MissingExtra(FlowsolveError, ImportError):
    """A missing library that an optional part needs; the text says which extra to install."""


class WrongUse(FlowsolveError):
    """Arguments of the command line that contradict each other or cannot be used."""
