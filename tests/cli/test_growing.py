"""A study grows: what is new is measured, what is there is not, and tables and figures have all of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flowsolve.study import ErrorRow, read_jsonl
from tests.cli.helpers import COMMAND, MINE, contents, done, flowsolve, slow_study, table_of

pytestmark = pytest.mark.usefixtures("undrawn")
OWN = ["compare", "mymodule:problem", "--seeds", "4", "--out", "out"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mymodule.py").write_text(MINE)
    return tmp_path


def calls(here: Path) -> int:
    """Evaluations since the last time."""
    path = here / "calls.txt"
    count = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def rows_of(folder: Path) -> list[ErrorRow]:
    return read_jsonl(folder / "rows.jsonl", ErrorRow)


def test_a_solver_and_a_budget_are_added_to_a_study(here: Path) -> None:
    done(*OWN, "--solvers", "heun", "--nfe", "4", "8", cwd=here)
    first = rows_of(here / "out")
    calls(here)
    # the rest of the settings is that of the folder; the study is every solver at every budget
    text = done(*OWN, "--solvers", "euler", "--nfe", "8", "16", cwd=here)
    rows = rows_of(here / "out")
    assert rows[:2] == first
    assert {(r.solver, r.asked) for r in rows[2:]} == {
        ("Heun()", "nfe=16"), *(("Euler()", f"nfe={n}") for n in (4, 8, 16)),
    }  # fmt: skip
    assert 16 + 4 + 8 + 16 <= calls(here) <= 16 + 4 + 8 + 16 + 1
    assert text.splitlines()[1].split() == ["NFE", "Heun", "Euler"]
    assert [line.split()[0] for line in text.splitlines()[3:6]] == ["4", "8", "16"]
    assert all(f"{r.rmse:.2e}" in text for r in rows)
    assert len(table_of(here / "out" / "rows.csv")) == 6
    assert len(table_of(here / "out" / "orders.csv")) == 2
    settings = json.loads((here / "out" / "settings.json").read_bytes())
    assert settings["solvers"] == ["heun", "euler"]
    assert settings["nfe"] == [4, 8, 16]
    # the first command again is the grown study, and costs nothing
    before = contents(here / "out")
    assert done(*OWN, "--solvers", "heun", "--nfe", "4", "8", cwd=here) == text
    assert calls(here) == 0
    assert contents(here / "out")["settings.json"] == before["settings.json"]


def test_what_is_left_out_stays_as_it_is(here: Path) -> None:
    """A solver is added at the budgets and seeds of the study, not at those that a new one would have."""
    done(*OWN, "--solvers", "heun", "--nfe", "4", "8", cwd=here)
    args = ["compare", "mymodule:problem", "--out", "out"]
    done(*args, "--solvers", "euler", cwd=here)
    assert [(r.solver, r.asked, r.seeds) for r in rows_of(here / "out")] == [
        (s, f"nfe={n}", "0-3") for s in ("Heun()", "Euler()") for n in (4, 8)
    ]
    calls(here)
    done(*args, cwd=here)
    assert calls(here) == 0


def test_the_same_solver_by_another_name_is_not_measured_again(here: Path) -> None:
    done(*OWN, "--solvers", "ddim", "--nfe", "4", cwd=here)
    calls(here)
    done(*OWN, "--solvers", "euler", "Euler()", "--nfe", "4", cwd=here)
    assert calls(here) == 0
    assert len(rows_of(here / "out")) == 1


def test_seeds_are_added_in_blocks_of_their_own_and_pooled(here: Path) -> None:
    args = ["compare", "mymodule:problem", "--solvers", "heun", "--nfe", "4", "--out"]
    for n in ("4", "6", "12"):
        done(*args, "out", "--seeds", n, cwd=here)
    assert [r.seeds for r in rows_of(here / "out")] == ["0-3", "4-5", "6-11"]
    assert calls(here) <= 3 * (4 + 1)
    grown = done(*args, "out", "--seeds", "4", cwd=here).splitlines()[:3]  # all that are there
    assert done(*args, "at_once", "--seeds", "12", cwd=here).splitlines()[:3] == grown
    (whole,) = rows_of(here / "at_once")
    pooled = sum(r.samples * r.rmse**2 for r in rows_of(here / "out")) / 12
    assert pooled**0.5 == pytest.approx(whole.rmse, rel=1e-6)


def test_a_spacing_and_a_tolerance_are_added(here: Path) -> None:
    args = [*OWN, "--solvers", "heun", "torchdiffeq", "--nfe", "6", "--tolerances", "1e-2"]
    done(*args, cwd=here)
    done(*args, "--spacing", "log_snr", "--tolerances", "1e-3", cwd=here)
    found = [(r.solver, r.spacing, r.asked) for r in rows_of(here / "out")]
    assert found == [
        ("Heun()", "karras", "nfe=6"), ("Torchdiffeq()", "adaptive", "tol=0.01"),
        ("Heun()", "log_snr", "nfe=6"), ("Torchdiffeq()", "adaptive", "tol=0.001"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--dtype", "float64"], "dtype float32, not float64"),
        (["--sigma-max", "5"], "sigma-max none, not 5.0"),
        (["--block", "2"], "block 256, not 2"),
        (["mixture"], "problem mixture_1d, not mixture"),
    ],
)
def test_what_cannot_stand_in_one_figure_is_refused(
    change: list[str], said: str, tmp_path: Path
) -> None:
    args = ["--solvers", "heun", "--nfe", "4", "--seeds", "4", "--out", "out"]
    done("compare", "mixture_1d", *args, cwd=tmp_path)
    before = contents(tmp_path / "out")
    problem = [] if change == ["mixture"] else ["mixture_1d"]
    made = flowsolve("compare", *problem, *change, *args, "--nfe", "8", cwd=tmp_path)
    assert made.returncode == 1
    assert f"out holds other results, of {said} (what they can be grown by: --sol" in made.stderr
    assert contents(tmp_path / "out") == before
    made = flowsolve("order", "heun", "--out", "out", cwd=tmp_path)
    assert "command compare, not order" in made.stderr
    assert contents(tmp_path / "out") == before


GROWN = {
    # command: its arguments, what is added, how many rows there are before and after
    ("table1", "mixture", "--grid", "uniform_t", "--samples", "8", "--dtype", "float64"): (
        ["--steps", "3", "--etas", "0"], ["--steps", "5", "--etas", "1"], 2, 5),
    ("quality", "mixture", "--samples", "8"): (
        ["--nfe", "4", "--solvers", "heun"], ["--nfe", "6", "--solvers", "euler"], 2, 5),
    ("consistency", "mixture", "--grid", "log_snr", "--samples", "8"): (
        ["--steps", "3", "9", "--solvers", "heun"], ["--steps", "5", "--solvers", "euler"], 2, 6),
    ("table2", "mixture", "--grid", "log_snr", "--samples", "4"): (
        ["--steps", "3", "--ways", "ddim", "--dtype", "float64"],
        ["--steps", "5", "--ways", "heun", "--dtype", "float32"], 1, 8),
    ("likelihood", "mixture", "--samples", "4"): (
        ["--nfe", "4", "--solvers", "heun"], ["--nfe", "6", "--solvers", "euler"], 1, 4),
    ("order", "--problem", "mixture_1d", "--seeds", "4"): (
        ["heun", "--steps", "10", "20"], ["euler", "--steps", "40"], 2, 6),
}  # fmt: skip


@pytest.mark.parametrize("command", GROWN, ids=lambda c: c[0])
def test_experiments_grow(command: tuple[str, ...], tmp_path: Path) -> None:
    small, more, before, after = GROWN[command]
    path = tmp_path / "out" / "rows.jsonl"
    done(*command, *small, "--out", "out", cwd=tmp_path)
    first = path.read_bytes()
    assert len(first.splitlines()) == before
    text = done(*command, *more, "--out", "out", cwd=tmp_path)
    assert path.read_bytes().startswith(first)
    assert len(path.read_bytes().splitlines()) == after
    assert len(table_of(tmp_path / "out" / "rows.csv")) == after
    assert done(*command, *small, "--out", "out", cwd=tmp_path) == text


@pytest.mark.parametrize("seed", range(3))
def test_a_study_killed_at_a_random_moment_grows(seed: int, tmp_path: Path) -> None:
    """Whatever the kill left (nothing, settings, rows, half a line), what is grown from it is whole."""
    args = slow_study(tmp_path)
    env = {**os.environ, "SLOW": "0.02", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [COMMAND, *args], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    chance, out = random.Random(seed), tmp_path / "out"
    end = time.monotonic() + 120
    while not (out / ".lock").exists() and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(chance.choice([chance.uniform(0, 0.3), chance.uniform(1, 3)]))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    first = rows_of(out)
    text = done(*args, "--solvers", "ddim", "dpmsolver2", "--nfe", "12", cwd=tmp_path)
    rows = rows_of(out)
    assert rows[: len(first)] == first
    asked = {(r.solver, r.asked) for r in rows}
    assert len(asked) == len(rows)  # nothing twice
    wanted = {(s, f"nfe={n}") for s in ("Euler()", "DPMSolver2()") for n in (12,)}
    old = json.loads((out / "settings.json").read_bytes())
    if "heun" in old["solvers"]:  # the kill came after the study had begun
        wanted = {
            (s, f"nfe={n}") for s in ("Euler()", "Heun()", "DPMSolver2()") for n in (4, 6, 8, 12)
        }
    assert asked == wanted
    assert "DPMSolver2" in text
    assert not [p for p in out.iterdir() if p.name[0] == "."]
