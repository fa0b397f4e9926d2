"""Plans from files, checked: what is missing, not finite, out of order, or used before it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from flowsolve._arguments import real, shown
from flowsolve.analysis.stages import Recurrence, Stage
from flowsolve.errors import GridError, TableError
from flowsolve.schedule.grid import Grid


class Reader:
    """What a plan's dictionary holds. Every method raises TableError, which names the place."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.known = 0  # the answers and noises that came up so far
        self.kept = frozenset[int]()

    def recurrence(self) -> Recurrence:
        """Its stages, in order, each of which uses only what is known and was kept."""
        levels = self._levels()
        start = self._stage("the start", _get(self.data, "start", "the plan"), None)
        listed = _list(_get(self.data, "stages", "the plan"), "the stages")
        stages = tuple(self._stage(f"stage {k}", d, k) for k, d in enumerate(listed))
        nodes = tuple(
            _whole(n, f"node {i}")
            for i, n in enumerate(_list(_get(self.data, "nodes", "the plan"), "the nodes"))
        )
        if len(nodes) != len(levels) or [*nodes] != sorted(nodes) or nodes[-1] != len(stages):
            _wrong("its nodes do not fit its levels and stages")
        return Recurrence(str(_get(self.data, "solver", "the plan")), levels, start, stages, nodes)

    def whole(self, key: str) -> int:
        """A whole number, of at least 0."""
        return _whole(_get(self.data, key, "the plan"), f"its {key}")

    def noise_scale(self) -> float | None:
        """What unit noise is multiplied by; None on a rising grid."""
        scale = _get(self.data, "noise_scale", "the plan")
        return None if scale is None else _finite(scale, "noise_scale")

    def network(self, fields: Sequence[str]) -> tuple[tuple[float, float], list[tuple[float, ...]]]:
        """alpha at the first and the last level, and the fields of every stage's call."""
        first, last = _pair(_get(self.data, "alpha", "the plan"), "alpha")
        calls = list[tuple[float, ...]]()
        for k, stage in enumerate(self.data["stages"]):
            call = _get(stage, "network", f"stage {k}")
            where = f"the network of stage {k}"
            calls.append(tuple(_finite(_get(call, f, where), f"{f} of {where}") for f in fields))
        return (first, last), calls

    def _levels(self) -> tuple[float, ...]:
        given = _list(_get(self.data, "levels", "the plan"), "the levels")
        levels = tuple(_level(s, f"level {i}") for i, s in enumerate(given))
        rising = len(levels) > 1 and levels[0] < levels[-1]
        try:
            Grid(levels[::-1] if rising else levels)
        except GridError as error:
            _wrong(f"its levels are no grid: {error}".rstrip("."))
        return levels

    def _stage(self, where: str, data: object, k: int | None) -> Stage:
        """A stage, or the start, which has no evaluation."""
        sigma, number, takes_x0, mix = math.nan, 0, False, (0.0, 1.0)
        if k is not None:
            sigma = _level(_get(data, "sigma", where), f"sigma of {where}")
            number = self._next(_get(data, "number", where), where)
            asks = _get(data, "asks", where)
            if asks not in ("x0", "eps") or (math.isinf(sigma) and asks == "eps"):
                _wrong(f"{where} asks {shown(asks)} at σ = {sigma!r}")
            takes_x0, mix = asks == "x0", _pair(_get(data, "mix", where), f"mix of {where}")
        draws = tuple(
            (
                self._next(_get(draw, "number", where), where),
                _level(_get(draw, "from", where), f"a draw of {where}"),
                _level(_get(draw, "to", where), f"a draw of {where}"),
                _whole(_get(draw, "visit", where), f"a visit of {where}"),
            )
            for draw in _list(_get(data, "draws", where), f"draws of {where}")
        )
        new = {number, *(draw[0] for draw in draws)} - {0}
        scale = _finite(_get(data, "scale", where), f"scale of {where}")
        weights = tuple(
            (_whole(j, f"a weight of {where}"), _finite(c, f"a weight of {where}"))
            for j, c in map(_two, _list(_get(data, "weights", where), f"weights of {where}"))
        )
        keep = frozenset(
            _whole(j, f"keep of {where}")
            for j in _list(_get(data, "keep", where), f"keep of {where}")
        )
        unknown = ({j for j, _ in weights} | keep) - self.kept - new
        if unknown:
            _wrong(f"{where} uses number {min(unknown)}, which is not known there or was not kept")
        self.kept = keep
        return Stage(sigma, number, takes_x0, mix, draws, scale, weights, keep)

    def _next(self, number: object, where: str) -> int:
        self.known += 1
        if number != self.known:
            _wrong(f"the numbers of answers and noises count up, but {where} has {shown(number)}, "
                   f"not {self.known}")  # fmt: skip
        return self.known


def _wrong(what: str) -> NoReturn:
    raise TableError(f"this is not a saved plan, or one that was changed: {what}.")


def _get(data: object, key: str, where: str) -> Any:
    if not isinstance(data, Mapping) or key not in data:
        _wrong(f"{where} has no {key!r}")
    return data[key]


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        _wrong(f"{what} must be a list, but is {shown(value)}")
    return [*value]


def _two(value: object) -> list[Any]:
    found = _list(value, "a weight")
    if len(found) != 2:
        _wrong(f"a weight is [number, value], but one is {shown(value)}")
    return found


def _pair(value: object, what: str) -> tuple[float, float]:
    found = _list(value, what)
    if len(found) != 2:
        _wrong(f"{what} must be two numbers, but is {shown(value)}")
    return _finite(found[0], what), _finite(found[1], what)


def _whole(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        _wrong(f"{what} must be a whole number, but is {shown(value)}")
    return value


def _finite(value: object, what: str) -> float:
    found = float(real(what, value, TableError))
    if not math.isfinite(found):
        _wrong(f"{what} is {found!r}")
    return found


def _level(value: object, what: str) -> float:
    found = math.inf if value == "Infinity" else _finite(value, what)
    if found < 0:
        _wrong(f"{what} is {found!r}, below 0")
    return found
