"""Whatever is given for a state, grid, solver, ODE, seed or option: a sentence, and never a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from flowsolve import (
    VPSDE,
    BrownianNoise,
    Clip,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Guided,
    Known,
    Repaint,
    SeededNoise,
    Threshold,
    WithNoise,
    Wrapped,
    cfgpp,
    decode,
    encode,
    gits,
    inpaint,
    interval,
    invert,
    karras,
    partial_start,
    round_trip_error,
    sample,
    solve,
    tabulate,
    unit_noise,
)
from flowsolve.errors import GridError, StateError
from flowsolve.integrate import dequantise, fit, log_prob, per_step, tally
from flowsolve.ode import slerp
from flowsolve.problems import Mixture
from flowsolve_solvers import Euler, EulerAncestral, Heun
from tests.helpers import refused, says
from tests.integrate.helpers import GRID, PROBLEM, X

P: Any = PROBLEM
Z = X / 10


def crossed(
    calls: Mapping[str, Callable[[Any], object]], given: Mapping[str, object]
) -> pytest.MarkDecorator:
    """Every call with everything that is given."""
    return pytest.mark.parametrize(
        ("call", "value"),
        [
            pytest.param(call, value, id=f"{name}-{kind}")
            for name, call in calls.items()
            for kind, value in given.items()
        ],
    )


STATES = {
    "numpy": X.numpy(), "tuple": (X, X), "list": X.tolist(), "None": None, "number": 3.0,
    "text": "noise", "whole numbers": X.long(), "0-d": torch.tensor(1.0), "empty": X[:0],
    "no batch axis": X[0],
}  # fmt: skip


@crossed(
    {
        "solve": lambda x: solve(P, x, GRID, Heun()),
        "sample": lambda x: sample(P, x, GRID, Heun()),
        "encode": lambda x: encode(P, x, GRID, Heun()),
        "invert": lambda x: invert(P, x, GRID, Euler()),
        "log_prob": lambda x: log_prob(P, x, GRID, Heun()),
        "round trip": lambda x: round_trip_error(P, x, GRID, Heun()),
        "gits": lambda x: gits(P, x, GRID, Heun()),
        "data": lambda x: partial_start(P, x, Z, GRID, Heun(), strength=0.5),
        "noise": lambda x: partial_start(P, X, x, GRID, Heun(), strength=0.5),
        "known": lambda x: inpaint(P, x, X > 0, Z, grid=GRID, solver=Heun()),
        "mask": lambda x: inpaint(P, X, x, Z, grid=GRID, solver=Heun()),
    },
    STATES,
)
def test_states(call: Callable[[Any], object], value: object) -> None:
    refused(lambda: call(value))


@crossed(
    {
        "solve": lambda g: solve(P, X, g, Heun()),
        "sample": lambda g: sample(P, Z, g, Heun()),
        "encode": lambda g: encode(P, X, g, Heun()),
        "invert": lambda g: invert(P, X, g, Euler()),
        "log_prob": lambda g: log_prob(P, X, g, Heun()),
        "partial_start": lambda g: partial_start(P, X, Z, g, Heun(), strength=0.5),
        "round trip": lambda g: round_trip_error(P, X, g, Heun()),
        "tabulate": lambda g: tabulate(Heun(), g),
        "gits": lambda g: gits(P, X, g, Heun()),
        "Grid": Grid,
        "cfgpp": lambda g: cfgpp(g, 0.5),
        "keep_eps": lambda g: Clip(P, keep_eps=g if g is not None else 0),  # type: ignore[arg-type]
        "Brownian": lambda g: BrownianNoise([1], g),
        "with nfe": lambda g: solve(P, X, g, Heun(), nfe=10),
    },
    {
        "number": 10, "float": 10.0, "name": "karras", "texts": ["3", "2", "1"], "None": None,
        "dict": {"a": 1}, "spacing": karras, "nested": [[3, 2, 1]], "class": Grid, "solver": Heun(),
        "complex": [3j, 2],
    },
)  # fmt: skip
def test_grids(call: Callable[[Any], object], value: object) -> None:
    refused(lambda: call(value))


def test_the_texts_of_grids() -> None:
    made = "a grid is made of falling noise levels such as [10, 5, 1], not of "
    mend = " A number of steps makes a grid by a spacing: karras(10, 80, 0.002)."
    says(GridError, made + "10." + mend, lambda: encode(P, X, 10, Heun()))  # type: ignore[arg-type]
    says(GridError, made + "'karras'.", lambda: Grid("karras"))  # type: ignore[arg-type]
    says(GridError, "grid[0] must be a number, but got '3'.", lambda: Grid(["3", "2"]))  # type: ignore[list-item]
    says(
        StateError,
        "the grids must be a function n -> Grid such as lambda n: karras(n, 80, 0.002), but karras(n): "
        "missing a required argument: 'sigma_max'.",
        lambda: sample(P, Z, karras, Heun(), nfe=10),  # type: ignore[arg-type]
    )
    for levels in (np.array([3.0, 2.0]), torch.tensor([3.0, 2.0]), iter([3, 2])):
        assert Grid(levels)[:] == (3.0, 2.0)
        assert {type(s) for s in Grid([3, np.float32(2)])} == {float}


@crossed(
    {
        "solve": lambda s: solve(P, X, GRID, s),
        "sample": lambda s: sample(P, Z, GRID, s),
        "invert": lambda s: invert(P, X, GRID, s),
        "round trip": lambda s: round_trip_error(P, X, GRID, s),
        "tabulate": lambda s: tabulate(s, GRID),
        "gits": lambda s: gits(P, X, GRID, s),
        "Repaint": lambda s: Repaint(s, 2, range(4)),
        "per_step": per_step,
        "tally": lambda s: tally(s, GRID),
        "fit": lambda s: fit(s, 4, lambda n: karras(n, 10, 1)),
    },
    {"class": Heun, "name": "heun", "None": None, "list": [Heun()], "ODE": PROBLEM},
)
def test_solvers(call: Callable[[Any], object], value: object) -> None:
    refused(lambda: call(value))


@crossed(
    {
        "solve": lambda o: solve(o, X, GRID, Heun()),
        "decode": lambda o: decode(o, encode(P, X, GRID, Heun())),
        "invert": lambda o: invert(o, X, GRID, Euler()),
        "log_prob": lambda o: log_prob(o, X, GRID, Heun()),
        "Clip": Clip,
        "Threshold": Threshold,
        "Guided": lambda o: Guided(P, o, 2.0),
        "WithNoise": lambda o: WithNoise(o, SeededNoise(range(4))),
        "Wrapped": Wrapped,
        "Known": lambda o: Known(o, X, X > 0),
    },
    {
        "function": lambda x, s: x, "module": torch.nn.Identity(), "None": None, "class": Mixture,
        "name": "digits", "precondition": EpsPrediction(VPSDE()),
    },
)  # fmt: skip
def test_odes(call: Callable[[Any], object], value: object) -> None:
    refused(lambda: call(value))


@crossed(
    {
        "unit_noise": lambda s: unit_noise(s, (2,)),
        "start": P.start,
        "SeededNoise": SeededNoise,
        "BrownianNoise": lambda s: BrownianNoise(s, GRID),
        "probes": lambda s: log_prob(P, X, GRID, Heun(), probes=2, seeds=s),
        "dequantise": lambda s: dequantise(torch.zeros(3, 2), 3, s),
        "Repaint": lambda s: Repaint(Heun(), 2, s),
    },
    {
        "number": 64, "text": "abc", "negative": [-1, 0, 1, 2], "floats": [0.5, 1, 2, 3], "texts": list("abcd"),
        "bools": [True] * 4, "too large": [2**63] * 4, "nested": [[1, 2]] * 4,
    },
)  # fmt: skip
def test_seeds(call: Callable[[Any], object], value: object) -> None:
    refused(lambda: call(value))


def test_the_texts_of_seeds() -> None:
    one = "seeds must be a sequence of seeds such as range(64), but is 64."
    says(StateError, one, lambda: unit_noise(64, (2,)))  # type: ignore[arg-type]
    says(StateError, one, lambda: SeededNoise(64))  # type: ignore[arg-type]
    says(
        StateError,
        "seeds[0] must be a whole number of at least 0, but got -1.",
        lambda: unit_noise([-1], (2,)),
    )
    says(
        StateError,
        "seeds must be a sequence of seeds such as range(64), but is empty.",
        lambda: unit_noise([], (2,)),
    )


def test_seeds_of_every_kind_of_sequence_are_the_same_seeds() -> None:
    expected = unit_noise([3, 1], (2,))
    drawn = SeededNoise([3, 1])(X[:2], 2.0, 1.0)
    for seeds in ((3, 1), np.array([3, 1]), torch.tensor([3, 1]), range(3, 0, -2)):
        assert unit_noise(seeds, (2,)).equal(expected)
        assert SeededNoise(seeds)(X[:2], 2.0, 1.0).equal(drawn)  # type: ignore[arg-type]
    assert unit_noise(iter([3, 1]), [2], "float32").equal(expected)  # type: ignore[arg-type]


WRONG: dict[str, Callable[[], object]] = {
    "event": lambda: unit_noise([1], 2),  # type: ignore[arg-type]
    "event of floats": lambda: unit_noise([1], (2.0,)),  # type: ignore[arg-type]
    "negative event": lambda: unit_noise([1], (-1,)),
    "empty event": lambda: unit_noise([1], (0,)),
    "dtype": lambda: unit_noise([1], (2,), torch.int64),
    "name of no dtype": lambda: unit_noise([1], (2,), "cuda"),  # type: ignore[arg-type]
    "numpy's dtype": lambda: unit_noise([1], (2,), np.float32),  # type: ignore[arg-type]
    "device": lambda: unit_noise([1], (2,), None, "gpu"),
    "no device": lambda: unit_noise([1], (2,), None, 1.5),  # type: ignore[arg-type]
    "keep": lambda: solve(P, X, GRID, Heun(), keep="all"),  # type: ignore[arg-type]
    "keep 1.5": lambda: solve(P, X, GRID, Heun(), keep=1.5),  # type: ignore[arg-type]
    "keep None": lambda: solve(P, X, GRID, Heun(), keep=None),  # type: ignore[arg-type]
    "keep_on": lambda: solve(P, X, GRID, Heun(), keep_on="gpu"),
    "grad": lambda: solve(P, X, GRID, Heun(), grad="yes"),  # type: ignore[arg-type]
    "check": lambda: solve(P, X, GRID, Heun(), check=None),  # type: ignore[arg-type]
    "no option": lambda: solve(P, X, GRID, Heun(), kep=1),  # type: ignore[call-arg]
    "strength": lambda: partial_start(P, X, Z, GRID, Heun(), strength="half"),  # type: ignore[arg-type]
    "strength True": lambda: partial_start(P, X, Z, GRID, Heun(), strength=True),
    "sigma": lambda: partial_start(P, X, Z, GRID, Heun(), sigma="2"),  # type: ignore[arg-type]
    "span": lambda: partial_start(P, X, Z, GRID, Heun(), sigma=2, span=1),  # type: ignore[arg-type]
    "span of 3": lambda: partial_start(P, X, Z, GRID, Heun(), sigma=2, span=(1, 2, 3)),  # type: ignore[arg-type]
    "span of texts": lambda: partial_start(P, X, Z, GRID, Heun(), sigma=2, span="ab"),  # type: ignore[arg-type]
    "tolerance": lambda: invert(P, X, GRID, Euler(), tolerance="a"),  # type: ignore[arg-type]
    "iterations": lambda: invert(P, X, GRID, Euler(), iterations=2.5),  # type: ignore[arg-type]
    "look": lambda: invert(P, X, GRID, Euler(), look=None),  # type: ignore[arg-type]
    "memory": lambda: invert(P, X, GRID, Euler(), memory=1.5),  # type: ignore[arg-type]
    "encoder": lambda: round_trip_error(P, X, GRID, Heun(), encoder="encode"),  # type: ignore[arg-type]
    "encoder's answer": lambda: round_trip_error(P, X, GRID, Heun(), encoder=lambda *_: X),  # type: ignore[arg-type, return-value]
    "decode a tensor": lambda: decode(P, X),  # type: ignore[arg-type]
    "prior": lambda: log_prob(P, X, GRID, Heun(), prior="vp"),  # type: ignore[arg-type]
    "levels": lambda: dequantise(torch.zeros(1, 2), 2.5, [1]),  # type: ignore[arg-type]
    "no noise": lambda: WithNoise(P, None),  # type: ignore[arg-type]
    "seeds for noise": lambda: WithNoise(P, [1, 2]),  # type: ignore[arg-type]
    "class of noise": lambda: WithNoise(P, SeededNoise),  # type: ignore[arg-type]
    "scale": lambda: Guided(P, P, "2"),  # type: ignore[arg-type]
    "scale's answer": lambda: solve(Guided(P, P, lambda s: "a"), X, GRID, Heun()),  # type: ignore[arg-type, return-value]
    "rescale": lambda: Guided(P, P, 2.0, rescale="0.7"),  # type: ignore[arg-type]
    "batched": lambda: Guided(P, P, 2.0, batched=np.array([1, 2])),  # type: ignore[arg-type]
    "interval": lambda: interval(2.0, "low", 3),  # type: ignore[arg-type]
    "low": lambda: Clip(P, "low"),  # type: ignore[arg-type]
    "ratio": lambda: Threshold(P, "0.9"),  # type: ignore[arg-type]
    "lam": lambda: cfgpp(GRID, "0.5"),  # type: ignore[arg-type]
    "coeff": lambda: gits(P, X, GRID, Heun(), coeff="a"),  # type: ignore[arg-type]
    "t of slerp": lambda: slerp(X, X, "half"),  # type: ignore[arg-type]
    "condition": lambda: DiffusionODE(lambda x, t: x, EpsPrediction(VPSDE()), condition="cat"),  # type: ignore[arg-type]
    "at a text": lambda: solve(P, X, GRID, Heun(), keep=1).at("abc"),  # type: ignore[arg-type]
    "at None": lambda: solve(P, X, GRID, Heun(), keep=1).at(None),  # type: ignore[arg-type]
    "at texts": lambda: solve(P, X, GRID, Heun(), keep=1).at(["1"]),  # type: ignore[list-item]
    "at NaN": lambda: solve(P, X, GRID, Heun(), keep=1).at(math.nan),
    "at none": lambda: solve(P, X, GRID, Heun(), keep=1).at([]),
    "no noise for a method": lambda: solve(P, X, GRID, EulerAncestral()),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_options(call: Callable[[], object]) -> None:
    refused(call)
