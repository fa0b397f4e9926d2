"""What a study says of itself: in a line, as HTML, as a DataFrame."""

from __future__ import annotations

import sys
from dataclasses import fields, replace

import pytest
import torch

from flowsolve import karras, sample, solve, tabulate, unit_noise
from flowsolve.errors import MissingExtra
from flowsolve.problems import Mixture
from flowsolve.study import ErrorRow, Study, work_precision
from flowsolve_solvers import Euler, Heun
from tests.helpers import says

STUDY = work_precision([Euler(), Heun()], Mixture(), [4, 8], seeds=range(4), block=2)


def test_reprs_are_short() -> None:
    noise = unit_noise(range(4), (2,))
    things = [
        STUDY, STUDY.rows[0], replace(STUDY.rows[0], error="it fell"), Study(()),
        karras(5, 10, 0.1), karras(500, 10, 0.1).to_zero().from_infinity(),
        tabulate(Heun(), karras(9, 10, 0.1)),
        sample(Mixture(), noise, nfe=8, keep=1), solve(Mixture(), noise, karras(3, 10, 0.1), Heun()),
    ]  # fmt: skip
    for thing in things:
        lines = repr(thing).splitlines()
        assert 1 <= len(lines) <= 3
        assert all(len(line) < 240 for line in lines), repr(thing)
    assert repr(STUDY) == "Study(2 solvers on mixture, 8 rows, 4 to 8 evaluations)"
    failed = Study((*STUDY.rows, replace(STUDY.rows[0], seeds="9", error="it fell")))
    assert (
        repr(failed) == "Study(2 solvers on mixture, 9 rows, 1 of them failed, 4 to 8 evaluations)"
    )
    assert repr(things[2]) == "ErrorRow(mixture: Euler()  nfe=4: it fell)"
    assert repr(things[4]) == "Grid(karras, 5 steps: σ = 10, 4.918, 2.232, 0.9164, 0.3303, 0.1)"
    assert repr(things[5]).startswith("Grid(karras, 502 steps: σ = inf, 10, ")
    assert repr(things[6]) == "Table(Heun(), 9 steps, σ 10 to 0.1: 18 evaluations)"
    assert repr(things[8]) == (
        "Solution: x (4, 2) float32 at σ = 0.1, 6 evaluations\n  Heun()\n  karras, 3 steps, σ 10 to 0.1"
    )


def test_tables_for_notebooks_hold_their_numbers() -> None:
    page = STUDY._repr_html_()
    assert page.startswith("<table><caption>RMS error")
    pooled = STUDY.series["Heun()", "karras"][0]
    assert f"<td>{pooled.rmse:.2e} ± {pooled.stderr / pooled.rmse:.0%}" in page
    assert "<td>slope</td>" in page
    grid = karras(3, 10, 0.1)
    assert grid._repr_html_() == (
        "<table><caption>karras, 3 steps</caption><thead><tr><th>k</th><th>σ</th></tr></thead><tbody>"
        + "".join(f"<tr><td>{k}</td><td>{s:.6g}</td></tr>" for k, s in enumerate(grid))
        + "</tbody></table>"
    )
    table = tabulate(Euler(), grid)._repr_html_()
    assert table is not None
    assert table.count("<tr>") == 5
    assert "<td>answer</td><td>1</td>" in table
    done = solve(Mixture(), torch.ones(2, 2), grid, Heun(), keep=1)
    assert "path of 4 nodes" in done._repr_html_()
    row = STUDY.rows[0]
    assert f"<td>rmse</td><td>{row.rmse}</td>" in row._repr_html_()
    # what would fill pages is left to the repr
    assert (
        karras(61, 10, 0.1)._repr_html_()
        is tabulate(Euler(), karras(41, 10, 0.1))._repr_html_()
        is None
    )


def test_what_is_said_is_escaped() -> None:
    failed = replace(STUDY.rows[0], seeds="9", error="<b>")
    page = Study((*STUDY.rows, failed))._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "&lt;b&gt;" in failed._repr_html_()


def test_tables_of_steps_say_steps() -> None:
    ((head, body, _, _),) = Study(
        tuple(replace(r, asked=f"steps={r.steps}") for r in STUDY.rows)
    ).tables()
    assert head[0] == "steps"
    assert [line[0] for line in body] == ["2", "4", "8"]


@pytest.mark.parity
def test_a_frame_has_a_row_for_each_row() -> None:
    pandas = pytest.importorskip("pandas", reason="make parity has pandas")
    frame = STUDY.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert [*frame.columns] == [f.name for f in fields(ErrorRow)]
    assert [*frame.rmse] == [r.rmse for r in STUDY.rows]
    assert frame.groupby("solver").rmse.mean().idxmin() in ("Euler()", "Heun()")
    assert [*Study(()).frame().columns] == [*frame.columns]


def test_a_frame_without_pandas_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    text = "Study.frame() makes a DataFrame of pandas: pip install 'flowsolve[pandas]'."
    says(MissingExtra, text, STUDY.frame)
