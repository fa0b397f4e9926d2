"""`flowsolve compare`: rows, tables, figures; the default comparison in its time."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import fields
from pathlib import Path

import pytest
from matplotlib.image import imread

from flowsolve.cli.parser import parser
from flowsolve.study import ErrorRow, read_jsonl
from tests.cli.helpers import COMMAND, SMALL, contents, done, flowsolve, progress, table_of


def test_compare(tmp_path: Path) -> None:
    args = [
        "compare", "mixture_1d", "--seeds", "32", "--solvers", "heun", "lms:points=2",
        "torchdiffeq", "--nfe", "1", "8", "20", "--tolerances", "1e-2", "1e-4",
    ]  # fmt: skip
    made = flowsolve(*args, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    text, seen = made.stdout, [x for x in made.stderr.splitlines() if x[0] == "["]
    folder = tmp_path / "results" / "compare-mixture_1d"
    assert {p.name for p in folder.iterdir()} == {
        "settings.json", "rows.jsonl", "rows.csv", "orders.csv",
        "error_vs_nfe.png", "error_vs_nfe.svg", "error_vs_nfe.pdf",
    }  # fmt: skip
    rows = read_jsonl(folder / "rows.jsonl", ErrorRow)
    assert [(r.solver, r.asked, r.nfe) for r in rows if not r.error] == [
        ("Heun()", "nfe=8", 8), ("Heun()", "nfe=20", 20),
        *(("LMS(2)", f"nfe={n}", n) for n in (1, 8, 20)),
        ("Torchdiffeq()", "tol=0.01", rows[-2].nfe), ("Torchdiffeq()", "tol=0.0001", rows[-1].nfe),
    ]  # fmt: skip
    (failed,) = (r for r in rows if r.error)
    assert (failed.solver, failed.asked) == ("Heun()", "nfe=1")
    assert "needs at least 2 evaluations" in failed.error
    # a line a row on stderr; the tables, then what there is to know, then where it all is
    lines = text.splitlines()
    assert [x.split("]")[0] for x in seen] == [f"[{i}/8" for i in range(1, 9)]
    assert "BudgetError" in seen[0]
    assert f"rmse {rows[1].rmse:.3e}  nfe 8" in seen[1]
    assert f"{rows[1].rmse:.2e}" in text
    assert any(x.startswith("Heun(), karras, nfe=1: BudgetError") for x in lines)
    assert "error_vs_nfe.png" in lines[-1]
    assert sum(x.startswith("Torchdiffeq()  ") for x in lines) == 2

    table = table_of(folder / "rows.csv")
    assert len(table) == len(rows) == 8
    assert [float(t["rmse"]) for t in table[1:]] == [r.rmse for r in rows[1:]]
    orders = {r["solver"]: r for r in table_of(folder / "orders.csv")}
    assert float(orders["Heun()"]["measured"]) > 1.5
    assert orders["Heun()"]["declared"] == "2"
    assert orders["Heun()"]["steps"] == "4 10"
    assert min(imread(folder / "error_vs_nfe.png").shape[:2]) > 500
    assert (folder / "error_vs_nfe.pdf").read_bytes().startswith(b"%PDF-")
    assert (folder / "error_vs_nfe.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")

    # the same again computes nothing: the rows are not even opened for writing
    before = contents(folder)
    assert progress(*args, cwd=tmp_path)[1:] == seen[1:]
    after = contents(folder)
    for name in ("settings.json", "orders.csv", "error_vs_nfe.pdf"):
        assert after[name][0] == before[name][0]
    kept = [r for r in read_jsonl(folder / "rows.jsonl", ErrorRow) if not r.error]
    assert kept == [r for r in rows if not r.error]
    assert after["error_vs_nfe.svg"][0] == before["error_vs_nfe.svg"][0]


@pytest.mark.usefixtures("undrawn")
def test_several_spacings_each_have_a_column(tmp_path: Path) -> None:
    text = done(
        *SMALL, "--spacing", "karras", "uniform_t", "karras:rho=3", "--out", "o", cwd=tmp_path
    )
    assert "uniform_t[VPSDE()]" in text
    assert "karras(rho=3)" in text
    assert len(table_of(tmp_path / "o" / "orders.csv")) == 3


@pytest.mark.usefixtures("undrawn")
def test_ends_and_dtype_reach_the_rows(tmp_path: Path) -> None:
    done(*SMALL, "--sigma-max", "5", "--sigma-min", "0.2", "--dtype", "float64", "--block", "5",
         "--out", "o", cwd=tmp_path)  # fmt: skip
    rows = read_jsonl(tmp_path / "o" / "rows.jsonl", ErrorRow)
    assert {(r.sigma_max, r.sigma_min, r.dtype) for r in rows} == {(5.0, 0.2, "float64")}
    assert [r.seeds for r in rows] == ["0-4", "0-4", "5-7", "5-7"]


def test_the_default_comparison_is_done_in_three_minutes_and_again_in_one(tmp_path: Path) -> None:
    """Of two cores: in CPU time, which other work on the machine stretches less than the clock.

    A sixteenth of its samples, in a sixteenth of the time beside what it takes to begin and to draw: its
    evaluations hardly depend on the samples, and a batch of 256 costs less than 16 of 16. As many threads as
    torch takes; both are printed (pytest -s).
    """
    assert parser(["compare"]).parse_args(["compare"]).seeds == 16 * 16
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    env["FLOWSOLVE_CACHE"] = str(tmp_path / "cache")
    seconds: list[float] = []
    cpu: list[float] = []
    for out in ("fresh", "cached"):
        begin, used = time.perf_counter(), os.times()
        made = subprocess.run([COMMAND, "compare", "--seeds", "16", "--out", out], cwd=tmp_path, env=env,
                              capture_output=True, text=True, timeout=600)  # fmt: skip
        seconds.append(time.perf_counter() - begin)
        now = os.times()
        cpu.append(
            now.children_user - used.children_user + now.children_system - used.children_system
        )
        assert made.returncode == 0, made.stderr[-2000:]
        rows = read_jsonl(tmp_path / out / "rows.jsonl", ErrorRow)
        assert len(rows) == 40
        assert all(r.rmse > r.stderr > 0 and r.certified for r in rows)
        assert rows[0].solver == "TwoScales()"
        assert {r.samples for r in rows} == {16}
        for name in ("error_vs_nfe.png", "error_vs_nfe.svg", "rows.csv", "orders.csv"):
            assert (tmp_path / out / name).stat().st_size > 0
    print(
        f"flowsolve compare: {seconds[0]:.0f} s with its reference, {seconds[1]:.0f} s without; {cpu=}"
    )
    a, b = (read_jsonl(tmp_path / out / "rows.jsonl", ErrorRow) for out in ("fresh", "cached"))
    assert [r.rmse for r in a] == pytest.approx([r.rmse for r in b], rel=1e-3)
    begun = 15  # imports, three files of the figure
    assert cpu[0] < begun + 2 * 180 / 16
    assert cpu[1] < begun + 2 * 60 / 16


def test_rows_have_the_columns_that_the_documents_name() -> None:
    named = {"problem", "solver", "order", "grid", "grid_hash", "nfe", "forwards", "rmse", "median", "p90",
             "max", "ref_err", "seconds", "dtype", "device"}  # fmt: skip
    assert named <= {f.name for f in fields(ErrorRow)}
