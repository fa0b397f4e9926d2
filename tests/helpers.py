"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from flowsolve import ODE, Wrapped


def says(kind: type[Exception], text: str, call: Callable[[], object]) -> Exception:
    """`call` raises exactly this kind with a text that starts like this."""
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind
    assert str(error.value).startswith(text), str(error.value)
    return error.value


class Asked(Wrapped):
    """Another ODE that notes the level of every evaluation, independently of the library's own Counter."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.levels: list[float] = []  # one list for the copies that forward hooks make, too

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.levels.append(sigma)
        return super().eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.levels.append(sigma)
        return super().x0(x, sigma)

    @property
    def calls(self) -> int:
        return len(self.levels)
