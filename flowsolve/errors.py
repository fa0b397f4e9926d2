"""Every error flowsolve raises on purpose. Each says what was given, what was expected, and a mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Partial(Protocol):
    """What a run that ended early has reached: a `Solution`, or the `Inversion` of `invert`.

    x    the state, (B, *event);  nfe: evaluations until then
    """

    @property
    def x(self) -> Tensor: ...

    @property
    def nfe(self) -> int: ...


class FlowsolveError(Exception):
    """The base of all of them."""


class GridError(FlowsolveError, ValueError):
    """Noise levels that no solver can walk."""


class ScheduleError(FlowsolveError, ValueError):
    """A clock asked for what it does not hold, or built from impossible tables."""


class NetworkError(FlowsolveError, ValueError):
    """A network that returned something other than one tensor like its input, or what it is given."""


class StateError(FlowsolveError, TypeError):
    """A state, solver or problem of the wrong kind."""


class NonFiniteError(FlowsolveError, ArithmeticError):
    """NaN or infinity in the result; the message says at which evaluation and σ it began."""


class SamplesError(FlowsolveError, ValueError):
    """Sample sets, or features of them, that no distance can be taken of."""


class ConvergenceError(FlowsolveError, ArithmeticError):
    """A fixed point that was not reached; `partial` is the Inversion, with the residuals of every step."""

    def __init__(self, message: str, partial: Partial) -> None:
        super().__init__(message)
        self.partial = partial


class TableError(FlowsolveError, ValueError):
    """A method without a coefficient table, or a table used on another grid."""


class BudgetError(FlowsolveError, ValueError):
    """An NFE budget that the method cannot meet.

    If it ran out on the way, `partial` is the Solution so far (its `x` is the state at `sigma`).
    """

    partial: Partial | None = None

    def __init__(self, message: str, x: Tensor | None = None, sigma: float | None = None) -> None:
        super().__init__(message)
        self.x, self.sigma = x, sigma


class NameUnknown(FlowsolveError, LookupError):
    """A name that nothing provides; the message lists the near ones."""


class ResultsError(FlowsolveError, OSError):
    """Results that cannot be written, or would overwrite others."""


class NameClash(FlowsolveError, LookupError):
    """Two packages that provide one name."""


class MissingExtra(FlowsolveError, ImportError):
    """A library that an optional part needs; the message says which extra to install."""


class WrongUse(FlowsolveError):
    """Arguments of the command line that cannot be meant."""
