"""Runs a plan that flowsolve has saved. Copy this file: it needs NumPy alone.

    plan = json.load(open("plan.json"))
    x = replay(plan, plan["noise_scale"] * noise, by_network(network), draw)

The state x is x̄ = x_t/alpha, of any shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Stage = dict[str, Any]


def replay(
    plan: dict[str, Any],
    x: Array,
    answer: Callable[[Array, Stage], Array],
    draw: Callable[[Array, Stage], Array] | None = None,
) -> Array:
    """x̄ at the last level from x̄ at the first (the unit noise, if that is infinite).

    answer  (x, stage) -> x₀ or ε at (x, stage["sigma"]), as stage["asks"] says
    draw    (x, draw) -> normals like x, independent for each number; only stochastic methods ask for it
    """
    known: dict[int, Array] = {}

    def advance(x: Array, stage: Stage) -> Array:
        for one in stage["draws"]:
            known[one["number"]] = draw(x, one)  # type: ignore[misc]
        out: Array = stage["scale"] * x
        for number, weight in stage["weights"]:
            out = out + weight * known[number]
        for number in known.keys() - {*stage["keep"]}:
            del known[number]
        return out

    x = advance(x, plan["start"])
    for stage in plan["stages"]:
        a, b = stage["mix"]
        known[stage["number"]] = a * x + b * answer(x, stage)
        x = advance(x, stage)
    return x


def by_network(network: Callable[[Array, float], Array]) -> Callable[[Array, Stage], Array]:
    """The answer by network(c_in x, t), in the parametrisation that the plan has numbers for."""

    def answer(x: Array, stage: Stage) -> Array:
        c = stage["network"]
        return c["skip"] * x + c["out"] * network(c["c_in"] * x, c["t"])  # type: ignore[no-any-return]

    return answer
