from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from matplotlib.image import imread

from flowsolve.analysis.table import Table
from flowsolve.cli.commands import MODULES, studies
from flowsolve.cli.parser import main, parser
from flowsolve.cli.spacings import find_spacing
from flowsolve.errors import NameUnknown, StateError
from flowsolve.schedule.clock import VPSDE
from flowsolve.solver.chart import DATA
from flowsolve.solver.plugins import certified, make_solver
from flowsolve.study.certificate import STOCHASTIC as STOCHASTIC_MARK
from flowsolve.study.consistency import ConsistencyRow
from flowsolve.study.editing import EditRow
from flowsolve.study.interpolation import InterpolationRow
from flowsolve.study.likelihood import LikelihoodRow
from flowsolve.study.quality import QualityRow
from flowsolve.study.results import Row, read_jsonl
from flowsolve.study.round_trip import RoundTripRow
from flowsolve_solvers import (
    ALL,
    ER_SDE,
    STOCHASTIC,
    Adams,
    Ancestral,
    DDIMEta,
    DPMSolverPP2M,
    Heun,
    Torchdiffeq,
)

COMMAND = str(Path(sys.executable).parent / "flowsolve")
SMALL = ["compare", "mixture_1d", "--seeds", "8", "--nfe", "4", "8", "--solvers", "heun"]
# A problem of the user's own, with an ε that takes as long as $SLOW says and keeps a log of calls.
MINE = """
import os, time
from flowsolve.problems import Mixture1D

class Slow(Mixture1D):
    def eps(self, x, sigma):
        time.sleep(float(os.environ.get("SLOW", "0")))
        with open("calls.txt", "a") as file:
            file.write(".")
        return super().eps(x, sigma)

def problem():
    return Slow()
"""


def flowsolve(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """In this process, which has torch already."""
    out, err = io.StringIO(), io.StringIO()
    path = patch.object(sys, "path", [*sys.path])
    with chdir(cwd), path, patch.dict(os.environ), redirect_stdout(out), redirect_stderr(err):
        code = main(args)
    sys.modules.pop("mymodule", None)  # the user's own: every folder has another
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


def outside(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run(
        [COMMAND, *args], cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def done(
    *args: str, cwd: Path, run: Callable[..., subprocess.CompletedProcess[str]] = flowsolve
) -> str:
    made = run(*args, cwd=cwd)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    assert "Warning" not in made.stderr
    return made.stdout


def table_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


# --- start-up -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [[], ["--help"], ["compare", "--help"], ["solvers"], ["--version"]]
)
def test_what_needs_no_torch_loads_none(args: list[str], tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, *args],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert made.returncode == (0 if args else 2)
    loaded = {line.rpartition("|")[2].strip() for line in made.stderr.splitlines()}
    assert "flowsolve.cli" in loaded
    assert not {"torch", "numpy", "scipy", "matplotlib", "torchdiffeq"} & loaded
    assert made.stdout


@pytest.mark.parametrize("args", [["--help"], ["solvers"]], ids=" ".join)
def test_it_answers_at_once(args: list[str], tmp_path: Path) -> None:
    seconds: list[float] = []
    while len(seconds) < 15 and (len(seconds) < 5 or min(seconds) >= 0.3):
        begin = time.perf_counter()
        done(*args, cwd=tmp_path, run=outside)
        seconds.append(time.perf_counter() - begin)
    print(f"flowsolve {args[0]}: {min(seconds):.3f} s, best of {len(seconds)}")
    assert min(seconds) < 0.3


def test_lists(tmp_path: Path) -> None:
    solvers = done("solvers", cwd=tmp_path)
    for name, order, count in (("Heun", 2, "2"), ("RK4", 4, "4"), ("Torchdiffeq", 5, "adaptive")):
        assert re.search(rf"│ {name} +│ +{order} │ +{count} │", solvers), name
    problems = done("problems", cwd=tmp_path)
    assert all(name in problems for name in ("gaussian", "mixture_1d", "dataset", "digits"))
    assert done("--version", cwd=tmp_path).startswith("flowsolve 0.")
    assert not [*tmp_path.iterdir()]  # nothing is written that was not asked for


# --- wrong use ------------------------------------------------------------------------------------

WRONG = {
    # arguments: what the message must hold
    ("compare", "mixtur"): "Did you mean mixture",
    ("compare", "nowhere:problem"): "No module named 'nowhere'",
    ("compare", "os:nothing"): "no attribute 'nothing'",
    ("compare", "os:getcwd"): "not a flowsolve Problem",
    ("compare", ":x"): "package.module:function",
    ("compare", "--solvers", "huen"): "Did you mean heun",
    ("compare", "--solvers", "heun", "3+"): "is not a name",
    ("compare", "--solvers", "heun("): "Name(option=value)",
    ("compare", "--solvers", "os.getcwd()"): "cannot read",
    ("order", "adams:pionts=3"): "Its options: points, chart, variable, start",
    ("order", "adams:points=0"): "points >= 1",
    ("order", "torchdiffeq:method=dopri"): "knows dopri5",
    ("order", "torchdiffeq:rtol=-1"): "must be positive",
    ("order", "heun", "--spacing", "kraras"): "Did you mean karras",
    ("order", "heun", "--spacing", "karras:roh=3"): "Its options: rho",
    ("order", "heun", "--device", "tpu9"): "cannot use --device tpu9",
    ("order", "heun", "--device", "meta"): "cannot use --device meta",
    ("order", "heun", "--dtype", "float23"): "'float64'",
    ("order", "heun", "--steps", "0"): "--steps must be at least 1",
    ("order", "heun", "--sigma-min", "20"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-max", "0"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-max", "inf"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-min", "nan"): "need 0 < sigma-min < sigma-max",
    ("compare", "--nfe", "-3"): "--nfe must be at least 1",
    ("compare", "--nfe", "ten"): "invalid int value",
    ("compare", "--seeds", "0"): "--seeds must be at least 1",
    ("compare", "--block", "0"): "--block must be at least 1",
    ("compare", "--tolerances", "0"): "--tolerances must be positive",
    ("table1", "--etas", "two"): "--etas are numbers from 0 to 1 or hat (σ̂), but got 'two'",
    ("table1", "--etas", "2"): "0 <= eta <= 1",
    ("table1", "--grid", "tau_cubic"): "Did you mean tau",
    ("table1", "--steps", "0"): "--steps must be at least 1",
    (
        "table1",
        "--features",
        "nothing",
    ): "--features is own, values, pca:16 or package.module:function",
    ("quality", "--samples", "0"): "--samples must be at least 1",
    ("consistency", "--shown", "0"): "--shown must be at least 1",
    ("table2", "--ways", "ddim/heum"): "Did you mean heun",
    ("edit", "--samples", "0"): "--samples must be at least 1",
    ("interpolate", "--points", "1"): "--points must be at least 2",
    ("likelihood", "--probes", "1"): "--probes must be 0 (exact) or at least 2",
    ("sample", "--samples", "0"): "--samples must be at least 1",
    ("solvers", "all"): "unrecognized arguments",
    ("solve",): "invalid choice",
    ("table",): "required",
}


@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_wrong_use_is_2_and_says_what_is_right(args: tuple[str, ...], tmp_path: Path, capfd: Any,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from flowsolve.cli.parser import main

    monkeypatch.chdir(tmp_path)
    assert main(args) == 2  # in this process, for speed; the next test does it from outside
    out, err = capfd.readouterr()
    assert WRONG[args] in err
    assert "Traceback" not in out + err
    assert not [*tmp_path.iterdir()]


EXITS = [
        (["compare", "--solvers", "huen"], 2, "Did you mean heun"),
        (["compare", "nowhere:problem"], 2, "nowhere"),
        (["table", "torchdiffeq"], 1, "no coefficient table"),
        (["edit", "--samples", "1798", "--out", "o"], 1, "there are 1797 digits to edit"),
        (["table1", "--steps", "10", "1001"], 1, "has 1000 labels, too few for n = 1001 steps"),
        (["sample", "mixture_1d", "--solver", "heun", "--nfe", "1"], 1, "needs at least"),
        (["order", "heun", "--device", "cuda:77"], 2, "cannot use --device cuda:77"),
        ([*SMALL, "--nfe", "1"], 1, "needs at least 2 evaluations"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "code", "text", "run"),
    [(*case, flowsolve) for case in EXITS] + [(*case, outside) for case in EXITS[:3:2]],
)
def test_exit_codes(
    args: list[str], code: int, text: str, run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:  # fmt: skip
    made = run(*args, cwd=tmp_path)
    assert made.returncode == code
    assert text in made.stdout + made.stderr
    assert "Traceback" not in made.stderr


# --- the output folder ----------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir())}


def test_the_output_folder_is_not_overwritten_unasked(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file")
    made = flowsolve(*SMALL, "--out", "file/below", cwd=tmp_path)
    assert made.returncode == 1
    assert "cannot write to file/below" in made.stderr
    assert "Traceback" not in made.stderr
    assert blocked.read_text() == "a file"

    out = tmp_path / "out"
    done(*SMALL, "--out", "out", cwd=tmp_path)
    before = contents(out)
    other = flowsolve(*SMALL, "--seeds", "4", "--out", "out", cwd=tmp_path)
    assert other.returncode == 1
    assert "holds other results" in other.stderr
    assert "--overwrite" in other.stderr
    assert contents(out) == before

    (out / "stray.txt").write_text("left by the old run")
    done(*SMALL, "--seeds", "4", "--out", "out", "--overwrite", cwd=tmp_path)
    assert {*contents(out)} == {*before}
    assert json.loads((out / "settings.json").read_bytes())["seeds"] == 4
    assert {r["samples"] for r in table_of(out / "rows.csv")} == {"4"}


@pytest.mark.parametrize(
    "content", [{"notes.txt": "mine"}, {"settings.json": '{"editor": 1}'}, {"settings.json": "["}]
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_a_folder_that_flowsolve_did_not_make_is_never_touched(
    content: dict[str, str], overwrite: list[str], tmp_path: Path, capfd: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from flowsolve.cli.parser import main

    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in content.items():
        (mine / name).write_text(text)
    before = contents(mine)
    assert main([*SMALL, "--out", "mine", *overwrite]) == 1
    assert "did not make" in capfd.readouterr().err
    assert contents(mine) == before


# --- compare --------------------------------------------------------------------------------------


def test_compare(tmp_path: Path) -> None:
    args = [
        "compare", "mixture_1d", "--seeds", "32", "--solvers", "heun", "lms:points=2",
        "torchdiffeq", "--nfe", "1", "8", "20", "--tolerances", "1e-2", "1e-4",
    ]  # fmt: skip
    text = done(*args, cwd=tmp_path)
    folder = tmp_path / "results" / "compare-mixture_1d"
    assert {p.name for p in folder.iterdir()} == {
        "settings.json", "rows.jsonl", "rows.csv", "orders.csv",
        "error_vs_nfe.png", "error_vs_nfe.svg",
    }  # fmt: skip
    rows = read_jsonl(folder / "rows.jsonl", Row)
    assert [(r.solver, r.asked, r.nfe) for r in rows if not r.error] == [
        ("Heun()", "nfe=8", 8), ("Heun()", "nfe=20", 20),
        *(("LMS(2)", f"nfe={n}", n) for n in (1, 8, 20)),
        ("Torchdiffeq()", "tol=0.01", rows[-2].nfe), ("Torchdiffeq()", "tol=0.0001", rows[-1].nfe),
    ]  # fmt: skip
    (failed,) = (r for r in rows if r.error)
    assert (failed.solver, failed.asked) == ("Heun()", "nfe=1")
    assert "needs at least 2 evaluations" in failed.error
    # a line a row, then the tables, then what there is to know, then where it all is
    lines = text.splitlines()
    assert [x.split("]")[0] for x in lines[:8]] == [f"[{i}/8" for i in range(1, 9)]
    assert "BudgetError" in lines[0]
    assert f"rmse {rows[1].rmse:.3e}  nfe 8" in lines[1]
    assert f"{rows[1].rmse:.2e}" in "".join(lines[8:])
    assert any(x.startswith("Heun(), karras, nfe=1: BudgetError") for x in lines)
    assert "error_vs_nfe.png" in lines[-1]
    assert text.count("Torchdiffeq() │") == 2

    table = table_of(folder / "rows.csv")
    assert len(table) == len(rows) == 8
    assert [float(t["rmse"]) for t in table[1:]] == [r.rmse for r in rows[1:]]
    orders = {r["solver"]: r for r in table_of(folder / "orders.csv")}
    assert float(orders["Heun()"]["measured"]) > 1.5
    assert orders["Heun()"]["declared"] == "2"
    assert orders["Heun()"]["steps"] == "4 10"
    assert min(imread(folder / "error_vs_nfe.png").shape[:2]) > 500
    assert (folder / "error_vs_nfe.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")

    # the same again computes nothing: the rows are not even opened for writing
    before = contents(folder)
    assert done(*args, cwd=tmp_path).splitlines()[1:8] == lines[1:8]
    after = contents(folder)
    kept = [r for r in read_jsonl(folder / "rows.jsonl", Row) if not r.error]
    assert kept == [r for r in rows if not r.error]
    assert after["error_vs_nfe.svg"][0] == before["error_vs_nfe.svg"][0]


def test_several_spacings_each_have_a_column(tmp_path: Path) -> None:
    text = done(
        *SMALL, "--spacing", "karras", "uniform_t", "karras:rho=3", "--out", "o", cwd=tmp_path
    )
    assert "uniform_t[VPSDE()]" in text
    assert "karras(rho=3)" in text
    assert len(table_of(tmp_path / "o" / "orders.csv")) == 3


def test_ends_and_dtype_reach_the_rows(tmp_path: Path) -> None:
    done(*SMALL, "--sigma-max", "5", "--sigma-min", "0.2", "--dtype", "float64", "--block", "5",
         "--out", "o", cwd=tmp_path)  # fmt: skip
    rows = read_jsonl(tmp_path / "o" / "rows.jsonl", Row)
    assert {(r.sigma_max, r.sigma_min, r.dtype) for r in rows} == {(5.0, 0.2, "float64")}
    assert [r.seeds for r in rows] == ["0-4", "0-4", "5-7", "5-7"]


# --- interrupted ----------------------------------------------------------------------------------


def slow_study(tmp_path: Path) -> list[str]:
    (tmp_path / "mymodule.py").write_text(MINE)
    return ["compare", "mymodule:problem", "--seeds", "4", "--solvers", "euler", "heun", "--nfe",
            "4", "6", "8", "--out", "out"]  # fmt: skip


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_study_that_is_stopped_keeps_its_rows_and_continues(
    how: signal.Signals, tmp_path: Path
) -> None:
    args = slow_study(tmp_path)
    rows_file = tmp_path / "out" / "rows.jsonl"
    process = subprocess.Popen(
        [COMMAND, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SLOW": "0.15", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        seen = [process.stdout.readline() for _ in range(2)]
        time.sleep(0.2)  # in the middle of the third row
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert [x[:5] for x in seen] == ["[1/6]", "[2/6]"]
    first = read_jsonl(rows_file, Row)
    assert 2 <= len(first) < 6
    assert rows_file.read_bytes().endswith(b"}\n")
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "continues from there" in err
        assert [r["asked"] for r in table_of(rows_file.with_suffix(".csv"))] == [
            r.asked for r in first
        ]
    else:
        assert process.returncode == -signal.SIGKILL
        with open(rows_file, "ab") as file:  # what a kill within a write leaves
            file.write(rows_file.read_bytes()[:70])

    (tmp_path / "calls.txt").unlink()
    text = done(*args, cwd=tmp_path)
    rows = read_jsonl(rows_file, Row)
    assert rows[: len(first)] == first  # their seconds too: nothing was measured again
    assert [(r.solver, r.asked) for r in rows] == [
        (s, f"nfe={n}") for s in ("Euler()", "Heun()") for n in (4, 6, 8)
    ]
    spent = sum(r.nfe for r in rows[len(first) :])
    assert spent <= len((tmp_path / "calls.txt").read_text()) <= spent + 2
    assert "[6/6]" in text
    assert len(table_of(rows_file.with_suffix(".csv"))) == 6
    # finished: once more costs no evaluation at all
    (tmp_path / "calls.txt").unlink()
    done(*args, cwd=tmp_path)
    assert not (tmp_path / "calls.txt").exists()


def test_a_terminal_shows_a_bar_and_no_lines(tmp_path: Path) -> None:
    args = slow_study(tmp_path)
    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI", "TTY_COMPATIBLE")}
    process = subprocess.Popen(
        [COMMAND, *args], cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave, close_fds=True,
        env={**env, "SLOW": "0.03", "TERM": "xterm-256color", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], 0.5)
            try:
                part = os.read(master, 65536) if ready else None
            except OSError:  # the other side is closed
                break
            if part == b"":
                break
            shown += part or b""
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    text = shown.decode()
    assert "━" in text
    assert re.search(r"[2-5]/6", text)  # the bar moves
    assert re.search(r"Euler\(\)  nfe=\d: rmse \d", text)
    assert "[1/6]" not in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert "RMS error" in text


# --- the experiments ------------------------------------------------------------------------------


def test_table1(tmp_path: Path) -> None:
    args = ["table1", "--steps", "5", "10", "--etas", "0", "1", "hat", "--samples", "24",
            "--features", "pca:4", "--out", "out"]  # fmt: skip
    text = done(*args, cwd=tmp_path)
    out = tmp_path / "out"
    rows = read_jsonl(out / "rows.jsonl", QualityRow)
    assert [(r.solver, r.asked) for r in rows] == [("real data", "")] + [
        (s, f"S={n}")
        for n in (5, 10)
        for s in ("DDIMEta(eta=0.0)", "DDIMEta()", "DDIMEta(larger_variance=True)")
    ]
    assert {(r.features, r.real, r.start) for r in rows} == {("pca:4", 1773, "vp_start")}
    assert [r.nfe for r in rows] == [0, 5, 5, 5, 10, 10, 10]
    assert all(f"{r.distance('frechet')}" in text for r in rows)
    assert re.search(r"Fréchet distance of pca:4, real data .*\n.*\n.*η .*S = 5 .*S = 10", text)
    assert len(table_of(out / "rows.csv")) == 7
    assert imread(out / "table1.png").std() > 0.05
    assert len([*(out / "samples").iterdir()]) == 6
    again = done(*args, cwd=tmp_path)
    assert [x for x in again.splitlines() if x[0] == "["] == [
        x for x in text.splitlines() if x[0] == "["
    ]  # seconds too


def test_quality_says_where_error_and_distance_disagree(tmp_path: Path) -> None:
    args = [
        "quality",
        "mixture",
        "--solvers",
        "ddim",
        "heun",
        "dpmsolver3",
        "--nfe",
        "2",
        "6",
        "12",
    ]
    text = done(*args, "--samples", "100", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", QualityRow)
    failed = [r for r in rows if r.error]
    assert [(r.solver, r.asked) for r in failed] == [("DPMSolver3()", "nfe=2")]
    assert f"DPMSolver3()  nfe=2: {failed[0].error}" in text
    measured = [r for r in rows[1:] if not r.error]
    assert all(r.rmse > 0 and f"{r.rmse:.2e}" in text for r in measured)
    for n in (2, 6, 12):
        at = [r for r in measured if r.asked == f"nfe={n}"]
        near, like = min(at, key=lambda r: r.rmse), min(at, key=lambda r: r.frechet)
        line = f"at {n} evaluations {near.solver} is nearest to the ODE, {like.solver} to the data"
        assert (line in text) == (near is not like)
    assert imread(tmp_path / "out" / "quality.png").std() > 0.05


def test_consistency(tmp_path: Path) -> None:
    args = ["consistency", "--solvers", "ddim", "ddimeta", "--steps", "5", "10", "--samples", "8"]
    text = done(*args, "--shown", "3", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", ConsistencyRow)
    assert [(r.solver, r.S) for r in rows] == [
        (s, n) for s in ("Euler()", "DDIMEta()") for n in (10, 5)
    ]
    assert "Euler()'s" in text
    for name in ("images", "consistency"):
        assert imread(tmp_path / "out" / f"{name}.png").std() > 0.05
    done(*args[:-2], "--samples", "8", "--grid", "uniform_t", "--out", "other", cwd=tmp_path)
    other = read_jsonl(tmp_path / "other" / "rows.jsonl", ConsistencyRow)
    assert {r.spacing for r in other} == {"uniform_t[linear_beta(T=1000)]"}


def test_table2(tmp_path: Path) -> None:
    ways = ["ddim", "heun/ddim", "invert/ddim", "obelm", "ddimeta"]
    args = [
        "table2",
        "mixture",
        "--ways",
        *ways,
        "--grid",
        "log_snr",
        "--steps",
        "8",
        "16",
        "--samples",
        "4",
    ]
    text = done(*args, "--dtype", "float64", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", RoundTripRow)
    assert [r.error != "" for r in rows] == [False] * 8 + [True] * 2
    assert re.search(r"Heun\(\) up, Euler\(\) down .* 32 \+ 16", text)
    assert re.search(r"DDIMEta\(\) .* failed .* failed", text)
    assert "float64: mean squared error per dimension of 4 of the data" in text
    assert imread(tmp_path / "out" / "table2.png").std() > 0.05


def test_edit(tmp_path: Path) -> None:
    text = done(
        "edit", "--samples", "12", "--steps", "10", "--shown", "3", "--out", "out", cwd=tmp_path
    )
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", EditRow)
    assert len(rows) == 15
    assert all(not r.error and f"{r.kept}" in text for r in rows)
    assert imread(tmp_path / "out" / "edits.png").std() > 0.05


def test_interpolate(tmp_path: Path) -> None:
    args = ["interpolate", "--solver", "ddim", "--nfe", "4", "--pairs", "4", "--points", "3"]
    text = done(*args, "--shown", "2", "--out", "out", cwd=tmp_path)
    assert len(read_jsonl(tmp_path / "out" / "rows.jsonl", InterpolationRow)) == 6
    assert "deviation of the noise" in text
    for name in ("interpolation", "pairs", "square"):
        assert imread(tmp_path / "out" / f"{name}.png").std() > 0.05


@pytest.mark.parametrize(("problem", "unit"), [("digits", "bits per"), ("mixture", "log p, nats")])
def test_likelihood(problem: str, unit: str, tmp_path: Path) -> None:
    args = ["likelihood", problem, "--solvers", "ddim", "--nfe", "4", "8", "--samples", "4"]
    text = done(*args, "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", LikelihoodRow)
    assert [(r.nfe, r.levels) for r in rows] == [
        (n, 17 if problem == "digits" else 0) for n in (4, 8)
    ]
    assert unit in text
    assert all(str(r.estimate) in text for r in rows)
    assert imread(tmp_path / "out" / "likelihood.png").std() > 0.05


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_experiment_that_is_stopped_keeps_its_rows_and_its_samples(
    how: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "mymodule.py").write_text(MINE)
    args = ["table1", "mymodule:problem", "--grid", "uniform_t", "--steps", "8", "--etas", "0", "1",
            "--samples", "8", "--block", "4", "--out", "out"]  # fmt: skip
    process = subprocess.Popen(
        [COMMAND, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SLOW": "0.05", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    samples = tmp_path / "out" / "samples"
    try:
        seen = [process.stdout.readline() for _ in range(2)]
        while not samples.exists() or len([*samples.glob("*.safetensors")]) < 3:
            time.sleep(0.01)
        process.send_signal(how)  # in the second block of the third row
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert [x[:5] for x in seen] == ["[1/3]", "[2/3]"]
    rows_file = tmp_path / "out" / "rows.jsonl"
    first = read_jsonl(rows_file, QualityRow)
    assert len(first) == 2
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "continues from there" in err
        assert len(table_of(rows_file.with_suffix(".csv"))) == 2
    (tmp_path / "calls.txt").unlink()
    done(*args, cwd=tmp_path)
    rows = read_jsonl(rows_file, QualityRow)
    assert rows[:2] == first
    assert len(rows) == 3
    assert len((tmp_path / "calls.txt").read_text()) == 8  # the block that was missing


# --- the other commands ---------------------------------------------------------------------------


def test_order(tmp_path: Path) -> None:
    text = done("order", "heun", "euler", "--steps", "40", "80", "160", "--seeds", "4", "--out",
                "o", cwd=tmp_path)  # fmt: skip
    for name, order in (("Heun", 2), ("Euler", 1)):
        found = re.search(rf"│ {name}\(\) +│ karras +│ +{order} │ +([\d.]+) │", text)
        assert found, text
        assert float(found[1]) == pytest.approx(order, abs=0.1)
    assert {p.name for p in (tmp_path / "o").iterdir()} == {
        "settings.json", "convergence.png", "convergence.svg",
    }  # fmt: skip


@dataclass(frozen=True, repr=False)
class Overclaims(DDIMEta):
    """DDIM with noise, which says that its law converges with order 2."""

    order = 2


def test_certify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """In this process, so that a wrong method can be had; a row that does not hold is exit code 1."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(studies, "make_solver", lambda text: eval(text))
    out = tmp_path / "table.md"
    assert main(["certify", "DDIMEta()", "Heun()", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "DDIMEta()  order 1  measured 1.00 1.00, of the paths " in shown
    assert "2 of 2 certified." in shown
    plain, noisy = (part.splitlines() for part in out.read_text().split(STOCHASTIC_MARK))
    assert plain[2].startswith("| `Heun()` | 2 | 2.00 |")
    assert noisy[2].startswith("| solver | order | law, karras | law, log_snr | paths |")
    assert noisy[4].startswith("| `DDIMEta()` | 1 | 1.00 | 1.00 |")
    assert main(["certify", "Overclaims()"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"Overclaims\(\)  order 2  measured 1.00 1.00, .*  DOES NOT HOLD", shown)
    assert "0 of 1 certified." in shown


def test_what_is_certified_by_default() -> None:
    assert certified() == [*ALL, *STOCHASTIC]


def test_table(tmp_path: Path) -> None:
    text = done("table", "heun", "--steps", "3", "--out", "o", cwd=tmp_path)
    made = Table.load(tmp_path / "o" / "table.json")
    assert made.solver == "Heun()"
    assert len(made.sigmas) == 6
    assert sum(made.answer[1:]) == pytest.approx(0.05 - 10.0)
    assert all(f"{w:+.4f}" in text for w in made.answer)
    assert (tmp_path / "o" / "table.png").stat().st_size > 10_000


def test_grids(tmp_path: Path) -> None:
    text = done("grids", "karras:rho=5", "uniform_t", "--steps", "4", "--sigma-max", "10",
                "--sigma-min", "0.05", "--out", "o", cwd=tmp_path)  # fmt: skip
    assert "uniform_t[linear_beta(T=1000)]" in text  # not taken for rich's markup
    levels = [line.split("│")[2].strip() for line in text.splitlines() if "│" in line]
    expected = find_spacing("karras:rho=5", VPSDE())(4, 10.0, 0.05)
    assert [float(x) for x in levels] == pytest.approx([*expected], rel=1e-5)
    assert (tmp_path / "o" / "grids.png").exists()


@pytest.mark.parametrize(
    ("args", "shape"),
    [
        (["digits", "--samples", "3", "--nfe", "4"], (3, 1, 8, 8)),
        (["mixture", "--samples", "5", "--solver", "torchdiffeq"], (5, 2)),
        (["mixture_1d", "--samples", "5", "--solver", "heun", "--nfe", "9"], (5,)),
    ],
)
def test_sample(args: list[str], shape: tuple[int, ...], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    text = done("sample", *args, cwd=tmp_path)
    folder = tmp_path / "results" / f"sample-{args[0]}"
    x = load_file(folder / "samples.safetensors")["x"]
    assert x.shape == shape
    assert bool(x.isfinite().all())
    assert "evaluations" in text
    assert min(imread(folder / "samples.png").shape[:2]) > 50
    more = ["--samples", "2", "--first-seed", "1", "--out", "more"]
    if "torchdiffeq" not in args:  # its steps depend on the batch
        done("sample", *args, *more, cwd=tmp_path)
        again = load_file(tmp_path / "more" / "samples.safetensors")["x"]
        assert float((again - x[1:3]).abs().max()) < 1e-5


def test_brackets_in_cells_are_text(capfd: Any) -> None:
    from flowsolve.cli import tables as report

    report.console().print(report.plain(["a[bold]"], [["b[red]"]], "c[dim]"))
    shown = capfd.readouterr().out
    assert all(text in shown for text in ("a[bold]", "b[red]", "c[dim]"))


# --- solvers as text ------------------------------------------------------------------------------

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
        ("adams:points=2,points=3", NameUnknown), ("adams:points=1/0", NameUnknown),
        ("adams:*[1]", NameUnknown), ("adams:**{}", NameUnknown), ("adams:points=-'a'", NameUnknown),
    ],
)  # fmt: skip
def test_nothing_else_is_run(text: str, error: Any) -> None:
    if error is None:
        assert make_solver(text) == Heun()
    else:
        with pytest.raises(error):
            make_solver(text)


# --- the study that everybody runs first ----------------------------------------------------------


@pytest.mark.alone
def test_the_default_comparison_is_done_in_three_minutes_and_again_in_one(tmp_path: Path) -> None:
    """Of two cores: in CPU time, which other work on the machine stretches less than the clock.

    With as many threads as torch takes; both are printed (pytest -s).
    """
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    env["FLOWSOLVE_CACHE"] = str(tmp_path / "cache")
    seconds: list[float] = []
    cpu: list[float] = []
    for out in ("fresh", "cached"):
        begin, used = time.perf_counter(), os.times()
        made = subprocess.run([COMMAND, "compare", "--out", out], cwd=tmp_path, env=env,
                              capture_output=True, text=True, timeout=600)  # fmt: skip
        seconds.append(time.perf_counter() - begin)
        now = os.times()
        cpu.append(
            now.children_user - used.children_user + now.children_system - used.children_system
        )
        assert made.returncode == 0, made.stderr[-2000:]
        rows = read_jsonl(tmp_path / out / "rows.jsonl", Row)
        assert len(rows) == 48
        assert sum(r.rmse > 0 for r in rows) >= 46
        assert {r.solver for r in rows if r.error} <= {"Heun()", "DPMSolver3()"}
        assert all(r.certified for r in rows if not r.error)
        assert {r.samples for r in rows} == {256}
        for name in ("error_vs_nfe.png", "error_vs_nfe.svg", "rows.csv", "orders.csv"):
            assert (tmp_path / out / name).stat().st_size > 0
    print(
        f"flowsolve compare: {seconds[0]:.0f} s with its reference, {seconds[1]:.0f} s without; {cpu=}"
    )
    a, b = (read_jsonl(tmp_path / out / "rows.jsonl", Row) for out in ("fresh", "cached"))
    assert [r.rmse for r in a] == pytest.approx([r.rmse for r in b], rel=1e-3)
    assert cpu[0] < 2 * 180
    assert cpu[1] < 2 * 60


def test_rows_have_the_columns_that_the_documents_name() -> None:
    assert {"problem", "solver", "order", "grid", "grid_hash", "nfe", "forwards", "rmse", "median",
            "p90", "max", "ref_err", "seconds", "dtype", "device"} <= {*Row.__annotations__}  # fmt: skip


def test_every_command_that_is_parsed_is_run_by_a_function_of_its_name() -> None:
    named = {name for names in MODULES.values() for name in names}
    actions = parser()._subparsers._group_actions  # type: ignore[union-attr]
    assert named == {*actions[0].choices}  # type: ignore[arg-type]
    for module, names in MODULES.items():
        found = import_module(f"flowsolve.cli.commands.{module}")
        assert all(callable(getattr(found, name)) for name in names)
