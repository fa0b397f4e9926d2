"""The doors of studies and experiments: what is of a wrong kind is said at once, not in a row and not later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowsolve import Grid, karras
from flowsolve.errors import BudgetError, FlowsolveError, ResultsError, StateError
from flowsolve.problems import Dataset, Gaussian, Mixture, Mixture1D, NetworkProblem, find_problem
from flowsolve.study import (
    Setup,
    Study,
    Way,
    budget_cases,
    certify,
    collect,
    convergence,
    draw,
    reference,
    round_trips,
    steps_case,
    work_precision,
)
from flowsolve.study.consistency import consistency
from flowsolve.study.interpolation import interpolation
from flowsolve.study.likelihood import likelihood
from flowsolve.study.quality import quality
from flowsolve_solvers import STOCHASTIC, Euler, Heun, Scipy, Torchdiffeq
from tests.helpers import plain_repr, refused, says
from tests.integrate.helpers import X

P: Any = Mixture()
SPACING = "a spacing is a function (n, sigma_max, sigma_min) -> Grid such as karras"
TWO: Any = {"seeds": range(2)}
CASE = steps_case(Euler(), P, karras, 4)


def grids(n: int) -> Grid:
    return karras(n, 10, 0.1)


HEUN = Heun()


def studied(solvers: Any = HEUN, nfe: Any = (4,), **settings: Any) -> Study:
    return work_precision(solvers, P, nfe, **{**TWO, **settings})


# --- a stochastic solver is refused at the door ------------------------------------------------


@pytest.mark.parametrize("solver", STOCHASTIC, ids=plain_repr)
def test_a_stochastic_solver_has_no_error(solver: Any) -> None:
    text = (
        f"{solver!r} draws noise, so its samples have no error against the ODE's solution. `quality` "
        "measures their distance to data, and `certify` the order of their law and of their paths."
    )
    says(StateError, text, lambda: convergence(solver, P, steps=[4]))
    says(StateError, text, lambda: work_precision([Heun(), solver], P, [4]))


# --- one is a list of one, and numpy's sequences are sequences ---------------------------------


def test_what_simply_works() -> None:
    one = studied(Heun())
    assert [r.rmse for r in one.rows] == [r.rmse for r in studied([Heun()]).rows]
    assert [r.rmse for r in one.rows] == [r.rmse for r in studied(spacings=karras).rows]
    for seeds in ([0, 1], np.arange(2), torch.arange(2), iter([0, 1])):
        again = studied(seeds=seeds)
        assert [(r.seeds, r.rmse) for r in again.rows] == [(r.seeds, r.rmse) for r in one.rows]
    row = studied(seeds=[np.int64(3)]).rows[0]
    assert (row.seeds, row.samples) == ("3-3", 1)
    assert certify(Scipy()) == []
    assert [c.asked for c in budget_cases(Heun(), P, karras, np.array([4, 9]))] == [
        "nfe=4",
        "nfe=9",
    ]  # type: ignore[arg-type]
    lists: Any = ([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    assert (
        Gaussian(*lists) == Gaussian(*map(torch.tensor, lists)) == Gaussian(*map(np.array, lists))
    )
    assert (
        Gaussian(*lists)
        .eps(X, 1.0)
        .equal(Gaussian((0.0, 0.0), ((1.0, 0.0), (0.0, 1.0))).eps(X, 1.0))
    )


# --- the texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (
            StateError,
            "nfe must be a sequence of whole numbers such as [10, 20, 40], but is 10.",
            lambda: studied(nfe=10),
        ),
        (
            BudgetError,
            "nfe[0] must be a whole number of at least 1, but got 0.",
            lambda: studied(nfe=[0]),
        ),
        (
            BudgetError,
            "there is nothing to measure: give nfe=[10, 20], say",
            lambda: studied(nfe=[]),
        ),
        (
            StateError,
            "steps must be a sequence of whole numbers such as [10, 20, 40], but is 40.",
            lambda: convergence(Heun(), P, steps=40, **TWO),
        ),
        (
            StateError,
            "steps must be a sequence of whole numbers such as [10, 20, 40], but is empty.",
            lambda: convergence(Heun(), P, steps=[], **TWO),
        ),
        (
            StateError,
            "seeds must be a sequence of seeds such as range(64), but is 64.",
            lambda: studied(seeds=64),
        ),
        (
            ValueError,
            "seeds are empty: give one for each sample, such as range(64).",
            lambda: studied(seeds=[]),
        ),
        (
            StateError,
            "solvers must be a sequence of solvers such as [Euler(), Heun()], but is empty.",
            lambda: studied([]),
        ),
        (
            StateError,
            "solver must be an instance, not the class Heun; did you mean Heun()?",
            lambda: studied(Heun),
        ),
        (
            StateError,
            "solver must be a Solver instance such as Heun(), not 'heun'. Names are",
            lambda: studied("heun"),
        ),
        (
            StateError,
            SPACING + ", not 'karras'.",
            lambda: convergence(Heun(), P, steps=[4], spacing="karras"),
        ),
        (
            StateError,
            SPACING + ", but <lambda>(n, sigma_max, sigma_min): too many positional arguments.",
            lambda: studied(spacings=lambda n: grids(n)),
        ),
        (
            StateError,
            SPACING + ", but <lambda> gave [2.0, 1.0].",
            lambda: studied(spacings=lambda n, a, b: [a, b]),
        ),
        (
            StateError,
            "problem must be a Problem such as Mixture() or NetworkProblem(...), not 'digits'.",
            lambda: work_precision(Heun(), "digits", [4]),
        ),
        (
            ValueError,
            "dtype must be a floating dtype of torch or its name, such as 'float32', not 'float99'.",
            lambda: studied(dtype="float99"),
        ),
        (
            ValueError,
            "device must be one of torch's such as 'cpu' or 'cuda', not 'gpu'.",
            lambda: studied(device="gpu"),
        ),
        (
            StateError,
            "start must be a function of σ₀ such as vp_start, not 'vp'.",
            lambda: studied(start="vp"),
        ),
        (ValueError, "block must be a whole number, but got 2.5.", lambda: studied(block=2.5)),
        (ValueError, "cached must be True or False, but got 'no'.", lambda: studied(cached="no")),
        (
            ResultsError,
            "there is no file /nowhere/rows.jsonl: a study writes it, with path=.",
            lambda: Study.load("/nowhere/rows.jsonl"),
        ),
        (StateError, "a path is a text or a Path, not 3.", lambda: studied(path=3)),
        (StateError, "tasks[0] must be a Task, not Heun().", lambda: collect([Heun()])),
        (
            StateError,
            "cases[0] must be a Case, not Heun().",
            lambda: quality([Heun()], P, seeds=range(8)),
        ),
        (
            StateError,
            "the grids must be a function n -> Grid such as lambda n: karras(n, 80, 0.002), not Grid(",
            lambda: consistency([Heun()], P, [4], grids(4), seeds=range(4)),
        ),
        (
            ValueError,
            "points must be a whole number of at least 2, but got 1.",
            lambda: interpolation(P, Heun(), grids(4), points=1),
        ),
    ],
    ids=lambda v: "" if callable(v) else v,
)
def test_texts(kind: type[Exception], text: str, call: Callable[[], object]) -> None:
    says(kind, text, call)


def test_an_ode_is_told_how_it_becomes_a_problem() -> None:
    from flowsolve import Clip

    for call in (
        lambda ode: work_precision([Heun()], ode, [4]),
        lambda ode: convergence(Heun(), ode),
        lambda ode: reference(ode, X, 10.0, 0.1),
    ):
        text = refused(lambda call=call: call(Clip(P)))  # type: ignore[misc]
        assert text.endswith("Give NetworkProblem(ode, event, sigma_max, sigma_min).")


# --- everything with everything ----------------------------------------------------------------

WRONG: dict[str, Any] = {
    "None": None,
    "number": 3,
    "text": "abc",
    "class": Heun,
    "object": object(),
    "dict": {"a": 1},
    "texts": ["a"],
    "floats": [2.5],
}
DOORS: dict[str, Callable[[Any], object]] = {
    "solvers": lambda v: studied(v),
    "problem": lambda v: work_precision(Heun(), v, [4]),
    "nfe": lambda v: studied(nfe=v),
    "steps": lambda v: convergence(Heun(), P, steps=v, **TWO),
    "spacings": lambda v: studied(spacings=v if v is not Heun else [v()]),
    "tolerances": lambda v: studied(Torchdiffeq(), tolerances=v if v != [2.5] else [-1.0]),
    "seeds": lambda v: studied(seeds=v or [None]),
    "convergence": lambda v: convergence(v, P, steps=[4]),
    "certify": certify,
    "problem of convergence": lambda v: convergence(Heun(), v, steps=[4]),
    "problem of reference": lambda v: reference(v, X, 10.0, 0.1),
    "problem of quality": lambda v: quality([CASE], v),
    "problem of consistency": lambda v: consistency([Heun()], v, [4], grids),
    "problem of round trips": lambda v: round_trips([Way(Heun())], v, [4], grids),
    "problem of interpolation": lambda v: interpolation(v, Heun(), grids(4)),
    "problem of likelihood": lambda v: likelihood([CASE], v),
    "cases": lambda v: quality(v, P, seeds=range(8)),
    "cases of likelihood": lambda v: likelihood(v, P, samples=8),
    "ways": lambda v: round_trips(v, P, [4], grids, samples=4),
    "way": Way,
    "solvers of consistency": lambda v: consistency(v, P, [4], grids, seeds=range(4)),
    "steps of consistency": lambda v: consistency([Heun()], P, v, grids, seeds=range(4)),
    "steps of round trips": lambda v: round_trips([Way(Heun())], P, v, grids, samples=4),
    "grids": lambda v: consistency([Heun()], P, [4], v if v is not Heun else "x", seeds=range(4)),  # type: ignore[arg-type]
    "samples": lambda v: likelihood([CASE], P, samples=v if v != 3 else "3"),  # type: ignore[arg-type]
    "pairs": lambda v: interpolation(P, Heun(), grids(4), pairs=v if v != 3 else 0),
    "tasks": collect,
    "draw": lambda v: draw(P, Heun(), v, Setup.of({}, seeds=range(2))),
    "find_problem": find_problem,
    "event": lambda v: NetworkProblem(P, v, 10, 0.1),
    "sigma_max": lambda v: NetworkProblem(P, (2,), v if v != 3 else "3", 0.1),  # type: ignore[arg-type]
    "between": lambda v: P.between(v if v != 3 else "3", 0.1),
    "clock": NetworkProblem(P, (2,), 10, 0.1).with_clock,
    "data": lambda v: NetworkProblem(P, (2,), 10, 0.1, data=v if v is not Heun else 1).data(),  # type: ignore[arg-type]
    "points": lambda v: Dataset(v or "none"),
    "mean": Gaussian,
    "weights": Mixture1D,
    "means": lambda v: Mixture(means=v),
    "a file": lambda v: Study.load(v if v != "abc" else "/nowhere/abc"),
}  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("door", DOORS)
def test_doors(door: str, value: str) -> None:
    refused(lambda: DOORS[door](WRONG[value]))


def test_nothing_is_written_or_measured_by_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(FlowsolveError):
        studied([Heun(), *STOCHASTIC], path=tmp_path / "rows.jsonl")
    assert not [*tmp_path.iterdir()]
