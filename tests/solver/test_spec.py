"""Solvers as text: every way to write them, and nothing else is run."""

from __future__ import annotations

from typing import Any

import pytest

from flowsolve.errors import NameUnknown, StateError
from flowsolve.schedule import LOG_SIGMA
from flowsolve.solver.chart import DATA
from flowsolve.solver.plugins import make_solver
from flowsolve_solvers import (
    ALL,
    BOGACKI_SHAMPINE,
    ER_SDE,
    KROGSTAD,
    LMS,
    SEEDS2,
    SEEDS3,
    STOCHASTIC,
    STORK,
    Adams,
    AdaptiveRungeKutta,
    Ancestral,
    DPMSolverPP2M,
    FireFlow,
    GradientEstimation,
    Heun,
    ParaDiGMS,
    PFDiff,
    Picard,
    Restart,
    RFSolver,
    RungeKutta,
    Torchdiffeq,
    UniC,
)
from tests.helpers import says

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
    "rungekutta:tableau=krogstad,chart=data,variable=log": RungeKutta(KROGSTAD, DATA, LOG_SIGMA),
    "rungekutta:krogstad,data,'log'": RungeKutta(KROGSTAD, DATA, LOG_SIGMA),
    "rungekutta:tableau=midpoint2,chart=flow,variable=flowtime,to_zero=true": RFSolver(
        to_zero=True
    ),
    "adaptiverungekutta:tol=1e-4,tableau=bogacki_shampine,batch=each,variable=phi": AdaptiveRungeKutta(
        1e-4, BOGACKI_SHAMPINE, batch="each"
    ),
    "restart:intervals=((3,2,.1,.3),(2,4,1,2)),method=unic(heun)": Restart(
        UniC(Heun()), ((3, 2, 0.1, 0.3), (2, 4, 1.0, 2.0))
    ),
    "unic:method=dpmsolver++2m,points=3,guard=none": UniC(DPMSolverPP2M(), 3, guard=None),
    "picard:method=lms(points=3),window=8,rounds=2": Picard(LMS(3), 8, 2),
    "paradigms:heun,tolerance=0": ParaDiGMS(Heun(), tolerance=0),
    "stork:stages=12,published=true": STORK(12, published=True),
    "gradient-estimation:gamma=2.5,mu=0.1": GradientEstimation(2.5, 0.1),
    "seeds2:r=0.4,variant=b": SEEDS2(r=0.4, variant="b"),
    "seeds3:r1=0.3": SEEDS3(r1=0.3),
    "pfdiff": PFDiff(),
    "fireflow": FireFlow(),
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


CHARTS = "It is one of DATA, FLOW, NOISE, VELOCITY."
TABLEAUS = "It is one of BOGACKI_SHAMPINE, BUTCHER6, COX_MATTHEWS,"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("rungekutta:chart=banana", NameUnknown, f"rungekutta: there is no chart 'banana'. {CHARTS}"),
        ("rungekutta:kutta4,log", NameUnknown, f"rungekutta: there is no chart 'log'. {CHARTS}"),
        ("rungekutta:tableau='rk4'", NameUnknown, f"rungekutta: there is no tableau 'rk4'. {TABLEAUS}"),
        ("rungekutta:variable=x", NameUnknown, "rungekutta: there is no variable 'x'. It is one of ClockTime("),
        ("stork:published=yes", NameUnknown, "stork: published is a value such as False, not 'yes'."),
        ("picard:window=wide", NameUnknown, "picard: window is a value such as 10, not 'wide'."),
        ("seeds2:variant=c", StateError, "seeds2: SEEDS2 has variants a and b, not 'c'."),
        ("seeds3:variant=b", StateError, "seeds3: got an unexpected keyword argument 'variant'. Its opt"),
        ("banana:chart=apple", NameUnknown, "there is no solver 'banana'. Did you mean"),
        ("unic:method=banana", NameUnknown, "there is no solver 'banana'. Did you mean"),
        ("unic:method=lms:points=3", NameUnknown, "cannot read 'unic:method=lms:points=3'. Write name, "
         "name:option=value,option=value or Name(option=value). The options of a solver inside another stand "
         "in brackets: unic:method=lms(points=3)."),
        ("restart:intervals=(2,2,0.06,0.3)", StateError, "restart: Restart: an interval is (steps, K, low, "
         "high) with whole numbers steps >= 0 and K >= 1 and levels 0 < low < high, and intervals is one or "
         "several, such as ((2, 2, 0.06, 0.3),), but got 2."),
        ("restart:intervals=3", StateError, "restart: Restart: an interval is (steps, K, low, high) with"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, error: type[Exception], said: str) -> None:
    says(error, said, lambda: make_solver(text))


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
