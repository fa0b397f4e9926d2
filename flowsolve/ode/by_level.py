"""ByLevel, an ODE made of others whose answers at several levels are as one call of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve.ode.base import Wrapped

if TYPE_CHECKING:
    from torch import Tensor


class ByLevel(Wrapped):
    """An ODE whose answers at one level or several are made of those of others there, by `_eps` and `_x0`."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._eps([x], [sigma])[0]

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._x0([x], [sigma])[0]

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._eps(xs, sigmas)

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._x0(xs, sigmas)

    @abstractmethod
    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]: ...

    @abstractmethod
    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]: ...
