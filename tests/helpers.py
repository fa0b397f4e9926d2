"""What tests of several rooms share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, Grid, SeededNoise, Solver, WithNoise, solve
from flowsolve.errors import FlowsolveError
from flowsolve.integrate import tally
from flowsolve.ode import Wrapped
from flowsolve.problems import Mixture1D


def plain_repr(value: object) -> str:
    """repr without addresses, so that tests are called alike in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def says(kind: type[Exception], text: str, call: Callable[[], object]) -> Exception:
    """`call` raises exactly this kind with a text that starts like this."""
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind
    assert str(error.value).startswith(text), str(error.value)
    return error.value


def refused(call: Callable[[], object]) -> str:
    """The text of an error of flowsolve, or of a TypeError or ValueError that a line of its own raises."""
    with pytest.raises((FlowsolveError, TypeError, ValueError)) as caught:
        call()
    last = caught.traceback[-1]
    own = "flowsolve" in Path(last.path).parts and str(last.statement).lstrip().startswith("raise")
    assert own or isinstance(caught.value, FlowsolveError), f"{last.path}:{last.lineno}"
    text = str(caught.value)
    assert text.endswith((".", "?")), text
    return text


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


class ConstantData(ODE):
    """x₀ never changes."""

    def __init__(self, x0: Tensor | float) -> None:
        self.data = x0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return (x - self.data) / sigma


class ConstantNoise(ODE):
    """ε is 0.7 everywhere."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return torch.full_like(x, 0.7)


def noisy(ode: ODE, seeds: Sequence[int] = range(8)) -> WithNoise:
    return WithNoise(ode, SeededNoise(seeds))


# Gaussian data, on which every method is an affine map of x_T and its noises
MEAN, VARIANCE = 0.6, 0.09
LINE = Mixture1D((1.0,), (MEAN,), (math.sqrt(VARIANCE),))


class UnitNoises(Wrapped):
    """The k-th noise that is asked for is the unit vector of sample k + 2."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.drawn = 0

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        out = torch.zeros_like(x)
        out[2 + self.drawn] = 1.0
        self.drawn += 1
        return out


def end_moments(solver: Solver, grid: Grid) -> tuple[float, float]:
    """Mean and variance at the end, of the exact law at the start, from the map's own coefficients."""
    x = torch.zeros(2 + tally(solver, grid).noises, dtype=torch.float64)
    x[1] = 1.0
    end = solve(UnitNoises(LINE), x, grid, solver).x
    origin, slope, noises = end[0], end[1] - end[0], end[2:] - end[0]
    variance = slope**2 * (VARIANCE + grid[0] ** 2) + noises.square().sum()
    return float(origin + slope * MEAN), float(variance)
