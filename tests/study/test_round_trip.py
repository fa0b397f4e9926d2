"""Data up and down again: what each way loses."""

from __future__ import annotations

import pytest
import torch

from flowsolve.errors import SamplesError
from flowsolve.integrate.inversion import round_trip_error
from flowsolve.problems import Mixture, NetworkProblem
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr
from flowsolve.study.round_trip import Way, round_trips
from flowsolve.study.runner import collect
from flowsolve_solvers import (
    OBELM,
    DDIMEta,
    DDIMInverse,
    Euler,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


def grid_of(n: int) -> Grid:
    return log_snr(n, 10.0, 0.05)


def test_round_trips_lose_what_each_way_loses() -> None:
    ways = [
        Way(Euler()),
        Way(Heun()),
        Way(Euler(), DDIMInverse()),
        Way(Euler(), inverted=True),
        Way(OBELM()),
    ]
    rows = collect(round_trips(ways, PROBLEM, [10, 20], grid_of, samples=6, block=4))
    found = {(r.way, r.S): r for r in rows}
    assert [*dict.fromkeys(r.way for r in rows)] == [
        "Euler()", "Heun()", "DDIMInverse() up, Euler() down", "invert up, Euler() down", "OBELM()",
    ]  # fmt: skip
    assert not any(r.error for r in rows)
    for way in ("Euler()", "Heun()"):
        assert found[way, 20].mse < found[way, 10].mse
    for way in ("invert up, Euler() down", "OBELM()"):
        assert found[way, 20].mse < 1e-20
    inverted = found["invert up, Euler() down", 20]
    assert (inverted.converged, found["Euler()", 20].converged) == (6, -1)
    assert inverted.nfe_up > inverted.nfe_down == 20
    assert found["Heun()", 20].sampler < found["Euler()", 20].sampler == inverted.sampler
    own = round_trip_error(PROBLEM, PROBLEM.data()[:6], grid_of(10), Heun())
    assert found["Heun()", 10].mse == pytest.approx(own.mse, rel=1e-9)
    assert found["Heun()", 10].mse_error == pytest.approx(own.stderr, rel=1e-9)


def test_round_trips_to_zero_and_in_other_dtypes() -> None:
    tasks = round_trips(
        [Way(Heun())], PROBLEM, [10], lambda n: grid_of(n).to_zero(), samples=3,
        dtypes=[torch.float64, torch.float32],
    )  # fmt: skip
    double, single = collect(tasks)
    assert (double.dtype, single.dtype) == ("float64", "float32")
    assert double.mse == pytest.approx(single.mse, rel=1e-3)
    assert double.sampler == pytest.approx(single.sampler, rel=1e-2)


def test_a_method_without_an_inverse_leaves_a_row_that_says_so() -> None:
    (row,) = collect(round_trips([Way(DDIMEta())], PROBLEM, [5], grid_of, samples=3))
    assert "draws noise, so it only goes down the grid, not up" in row.error
    with pytest.raises(SamplesError, match="2 to 600 samples of the data, not 601"):
        round_trips([Way(Euler())], PROBLEM, [5], grid_of, samples=601)
