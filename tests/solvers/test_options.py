"""Options of solvers that cannot be: the whole texts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from flowsolve_solvers import (
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Heun,
    Scipy,
    Torchdiffeq,
)
from tests.helpers import says

BAD_OPTIONS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "points": (
        lambda: Adams(points=0),
        ValueError,
        "Adams has 1 to 8 points, a whole number, but got points = 0.",
    ),
    "start": (
        lambda: Adams(3, start=DPMSolverPP2M()),  # type: ignore[arg-type]
        TypeError,
        "start must be a one-step solver such as Heun(), not DPMSolverPP2M().",
    ),
    "start class": (
        lambda: Adams(3, start=Heun),  # type: ignore[arg-type]
        TypeError,
        "start must be a one-step solver such as Heun(), not <class 'flowsolve_solvers.",
    ),
    "r = 0": (
        lambda: DPMSolver2(r=0),
        ValueError,
        "DPMSolver2 needs 0 < r <= 1, but got r = 0.",
    ),
    "r > 1": (
        lambda: DPMSolverPP2S(r=1.5),
        ValueError,
        "DPMSolverPP2S needs 0 < r <= 1, but got r = 1.5.",
    ),
    "r is NaN": (
        lambda: DPMSolver2(r=math.nan),
        ValueError,
        "DPMSolver2 needs 0 < r <= 1, but got r = nan.",
    ),
    "r1 > r2": (
        lambda: DPMSolver3(r1=0.7, r2=0.3),
        ValueError,
        "DPMSolver3 needs 0 < r1 < r2 <= 1, but got r1 = 0.7, r2 = 0.3.",
    ),
    "Torchdiffeq method": (
        lambda: Torchdiffeq("euler"),
        ValueError,
        "Torchdiffeq knows dopri5, bosh3, dopri8, adaptive_heun, rk4, midpoint, not 'euler'.",
    ),
    "Scipy method": (
        lambda: Scipy("foo"),
        ValueError,
        "Scipy knows RK45, DOP853, LSODA, not 'foo'.",
    ),
    "rtol": (
        lambda: Torchdiffeq(rtol=-1e-3),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got rtol = -0.001, atol = 1e-05, "
        "max_nfe = 10000.",
    ),
    "atol": (
        lambda: Scipy(atol=0.0),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got rtol = 1e-10, atol = 0.0, ",
    ),
    "max_nfe": (
        lambda: Scipy(max_nfe=0),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got ",
    ),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_solver_options(what: str) -> None:
    call, kind, text = BAD_OPTIONS[what]
    says(kind, text, call)
