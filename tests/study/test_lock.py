"""A lock is one process's, and ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowsolve.errors import ResultsError
from flowsolve.problems import Mixture1D
from flowsolve.study import Lock, work_precision
from flowsolve_solvers import Euler

HOLDS = """
import sys
from pathlib import Path
from flowsolve.study.lock import Lock
with Lock(Path("lock"), "it", ""):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_holds_it_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    for ending in ("kill", "end"):
        with subprocess.Popen([sys.executable, "-c", HOLDS], cwd=tmp_path, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == "held\n"
            said = rf"it is in use by another process \({process.pid} on .*\)\. Wait\."
            with pytest.raises(ResultsError, match=said), Lock(tmp_path / "lock", "it", "Wait."):
                pass
            process.kill() if ending == "kill" else process.stdin.close()
        with Lock(tmp_path / "lock", "it", "Wait."):
            assert str(os.getpid()) in (tmp_path / "lock").read_text()
        assert not (tmp_path / "lock").exists()


def test_a_file_of_rows_is_written_by_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    held = Lock(path.with_name(".rows.jsonl.lock"), path, "")
    with held, pytest.raises(ResultsError, match=r"rows\.jsonl is in use by another process"):
        work_precision([Euler()], Mixture1D(), [4], seeds=range(2), path=path)
    assert not path.exists()
    work_precision([Euler()], Mixture1D(), [4], seeds=range(2), path=path)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_where_there_can_be_no_file_nothing_is_held(tmp_path: Path) -> None:
    with Lock(tmp_path / "no folder" / "lock", "it", "Wait."):
        pass
