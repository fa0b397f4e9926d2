"""Solvers as text: every way to write them, and nothing else is run."""

from __future__ import annotations

from typing import Any

import pytest

from flowsolve.errors import NameUnknown, StateError
from flowsolve.solver.chart import DATA
from flowsolve.solver.plugins import make_solver
from flowsolve_solvers import (
    ALL,
    ER_SDE,
    STOCHASTIC,
    Adams,
    Ancestral,
    DPMSolverPP2M,
    Heun,
    Torchdiffeq,
)

TEXTS: dict[str, Any] = {
    "heun": Heun(),
    "HEUN()": Heun(),
    "adams:points=3,chart=data,start=heun": make_solver(
        "Adams(points=3, chart=DATA, start=Heun())"
    ),
    "Adams( points = 3 , chart=DATA, start = Heun )": make_solver("adams:3,data,start=heun"),
    "torchdiffeq:method=dopri5": Torchdiffeq(),
    "torchdiffeq:method=bosh3,rtol=1e-3": Torchdiffeq("bosh3", rtol=1e-3),
    "torchdiffeq:method='bosh3',rtol=1/1000": Torchdiffeq("bosh3", rtol=1e-3),
    "DPM-Solver++2M": DPMSolverPP2M(),
    "dpm_solver_pp_2m": DPMSolverPP2M(),
    "dpmsolver++2m": DPMSolverPP2M(),
    "adams:variable=ClockTime(VPSDE())": make_solver("adams:variable=t"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_options_are_read(text: str) -> None:
    assert make_solver(text) == TEXTS[text]
    assert repr(make_solver(text)) == repr(TEXTS[text])


def test_options_are_not_ignored() -> None:
    made = make_solver("adams:points=3,chart=data,start=heun")
    assert isinstance(made, Adams)
    assert (made.points, made.chart, made.start) == (3, DATA, Heun())
    assert make_solver("dpmsolver2:r=0.8") != make_solver("dpmsolver2")


@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_every_solver_is_made_again_from_its_repr(solver: Any) -> None:
    assert make_solver(repr(solver)) == solver


def test_constants_by_name() -> None:
    """Also where a solver has the same name but for its case: DDIMEta, ERSDE."""
    made = make_solver("ancestral:method=heun,family=er_sde,eta=0.5")
    assert made == Ancestral(Heun(), 0.5, ER_SDE)
    with pytest.raises(
        NameUnknown, match=r"ersde: there is no family 'x'. It is one of DDIM_ETA, ER"
    ):
        make_solver("ersde:family=x")
    with pytest.raises(StateError, match="ERSDE: family must be a NoiseScale, but is DDIM_ETA"):
        make_solver("ersde:family=DDIM_ETA")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NameUnknown), ("heun:", None), ("heun;euler", NameUnknown), ("noise", NameUnknown),
        ("vpsde", NameUnknown), ("lambda: 1", NameUnknown), ("heun.__class__", NameUnknown),
        ("[x for x in y]", NameUnknown), ("__import__('os')", NameUnknown), ("3", NameUnknown),
        ("heun:3=4", NameUnknown), ("heun:x=1", StateError), ("adams:points=two", NameUnknown),
        ("adams:points=2,points=3", NameUnknown),
        ("adams:points=1e9", StateError), ("unipc:points=2.0", StateError), ("adams:points=1/0", NameUnknown),
        ("adams:*[1]", NameUnknown), ("adams:**{}", NameUnknown), ("adams:points=-'a'", NameUnknown),
    ],
)  # fmt: skip
def test_nothing_else_is_run(text: str, error: Any) -> None:
    if error is None:
        assert make_solver(text) == Heun()
    else:
        with pytest.raises(error):
            make_solver(text)
