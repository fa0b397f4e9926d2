"""Studies and experiments that are stopped keep what was computed, and continue; progress."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flowsolve.study import ErrorRow, read_jsonl
from flowsolve.study.quality import QualityRow
from tests.cli.helpers import COMMAND, MINE, done, progress, slow_study, table_of

pytestmark = pytest.mark.usefixtures("undrawn")


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
    assert process.stderr is not None
    try:
        seen = [process.stderr.readline() for _ in range(2)]
        time.sleep(0.2)  # in the middle of the third row
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert [x[:5] for x in seen] == ["[1/6]", "[2/6]"]
    first = read_jsonl(rows_file, ErrorRow)
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
    seen = progress(*args, cwd=tmp_path)
    rows = read_jsonl(rows_file, ErrorRow)
    assert rows[: len(first)] == first  # their seconds too: nothing was measured again
    assert [(r.solver, r.asked) for r in rows] == [
        (s, f"nfe={n}") for s in ("Euler()", "Heun()") for n in (4, 6, 8)
    ]
    spent = sum(r.nfe for r in rows[len(first) :])
    assert spent <= len((tmp_path / "calls.txt").read_text()) <= spent + 2
    assert seen[-1].startswith("[6/6]")
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
    assert process.stderr is not None
    samples = tmp_path / "out" / "samples"
    try:
        seen = [process.stderr.readline() for _ in range(2)]
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
