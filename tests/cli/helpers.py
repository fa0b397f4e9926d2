"""The command, run in this process or in one of its own, and what it leaves behind."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from flowsolve.cli.parser import main

COMMAND = str(Path(sys.executable).parent / "flowsolve")
SMALL = ["compare", "mixture_1d", "--seeds", "8", "--nfe", "4", "8", "--solvers", "heun"]
# Every command, on little.
EVERY = {
    "bench": ["--problems", "line3", "--solvers", "adams"],
    "certify": ["ddim", "ddimeta"],
    "compare": ["mixture_1d", "--seeds", "4", "--nfe", "4", "--solvers", "heun", "torchdiffeq"],
    "completion": ["bash"],
    "consistency": ["--steps", "3", "--samples", "4", "--shown", "2"],
    "edit": ["--samples", "2", "--steps", "5", "--shown", "1"],
    "env": [],
    "explore": ["--steps", "2", "--no-open", "--overwrite"],
    "grids": ["--steps", "3", "--out", "grids"],
    "interpolate": ["--nfe", "2", "--pairs", "4", "--points", "2", "--shown", "1"],
    "likelihood": ["mixture", "--nfe", "4", "--samples", "4"],
    "order": ["heun", "--steps", "10", "20", "--seeds", "2", "--out", "order"],
    "plan": ["heun", "--steps", "2", "--network", "flow", "--replayers", "--overwrite"],
    "problems": [],
    "quality": ["mixture", "--nfe", "4", "6", "--samples", "8"],
    "sample": ["--samples", "2", "--nfe", "2"],
    "solvers": [],
    "table": ["heun", "--steps", "2", "--out", "table"],
    "table1": ["mixture", "--grid", "uniform_t", "--steps", "3", "--samples", "8"],
    "table2": ["mixture", "--grid", "log_snr", "--steps", "3", "--samples", "2", "--ways", "ddim"],
    "tune": ["mixture", "--nfe", "3", "--noises", "16"],
}  # fmt: skip
PRINTS = [
    name for name in EVERY if name not in ("completion", "explore", "plan")
]  # which have no rows
Measured = Callable[[str], tuple[Path, subprocess.CompletedProcess[str]]]
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

    def data(self):
        return super().data()[:200]

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


def progress(
    *args: str, cwd: Path, run: Callable[..., subprocess.CompletedProcess[str]] = flowsolve
) -> list[str]:
    """The lines of rows, which go to stderr; on a slow machine others stand between them."""
    made = run(*args, cwd=cwd)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return [line for line in made.stderr.splitlines() if line[0] == "["]


def table_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (p for p in sorted(folder.iterdir()) if p.is_file())
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def slow_study(tmp_path: Path) -> list[str]:
    (tmp_path / "mymodule.py").write_text(MINE)
    return ["compare", "mymodule:problem", "--seeds", "4", "--solvers", "euler", "heun", "--nfe",
            "4", "6", "8", "--out", "out"]  # fmt: skip
