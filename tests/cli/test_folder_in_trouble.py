"""Two processes on one folder, a full disk, damaged files, a figure that fails: a sentence, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowsolve import plot
from flowsolve.study import ErrorRow, read_jsonl
from tests.cli.helpers import COMMAND, SMALL, contents, done, flowsolve, outside, slow_study

pytestmark = pytest.mark.usefixtures("undrawn")
STUDY = [*SMALL, "--out", "out"]


def begun(args: list[str], cwd: Path, slow: str) -> subprocess.Popen[str]:
    """A study in a process of its own that has its folder."""
    process = subprocess.Popen(
        [COMMAND, *args], cwd=cwd, env={**os.environ, "SLOW": slow, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not (cwd / "out" / "settings.json").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return process


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    args = slow_study(tmp_path)
    first = begun(args, tmp_path, "0.1")
    try:
        second = outside(*args, cwd=tmp_path)
        assert first.poll() is None
        assert second.returncode == 1
        assert f"out is in use by another process ({first.pid} on " in second.stderr
        assert "flowsolve compare mymodule:problem --seeds 4" in second.stderr
        assert "Wait until it has ended, or give another --out." in second.stderr
        overwriting = outside(*args, "--overwrite", cwd=tmp_path)
        assert "is in use by another process" in overwriting.stderr
        out, err = first.communicate(timeout=120)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 0, out + err
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", ErrorRow)
    assert len(rows) == 6 == len({r.key for r in rows})
    assert not (tmp_path / "out" / ".lock").exists()


def test_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    args = slow_study(tmp_path)
    first = begun(args, tmp_path, "0.1")
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert (tmp_path / "out" / ".lock").exists()  # the file, which holds nothing by itself
    done(*args, cwd=tmp_path)
    assert not (tmp_path / "out" / ".lock").exists()


@pytest.mark.parametrize("text", ["", "{", '{"version": false, "comm', "[]", "\x00" * 40])
def test_damaged_settings(text: str, tmp_path: Path) -> None:
    done(*STUDY, cwd=tmp_path)
    out = tmp_path / "out"
    whole, note = contents(out), out / "settings.json"
    note.write_text(text)
    damaged = contents(out)
    made = flowsolve(*STUDY, cwd=tmp_path)
    assert made.returncode == 1
    assert f"{Path('out', 'settings.json')} is damaged, but the rows in rows.jsonl" in made.stderr
    assert contents(out) == damaged
    note.unlink()  # what the sentence says
    done(*STUDY, cwd=tmp_path)
    again = contents(out)
    for name in ("settings.json", "rows.jsonl", "rows.csv"):
        assert again[name][0] == whole[name][0]


def test_settings_are_replaced_whole(tmp_path: Path) -> None:
    """A kill in the middle of writing them leaves those before."""
    done(*STUDY, cwd=tmp_path)
    note = tmp_path / "out" / "settings.json"
    before = note.read_bytes()
    code = """
import os, sys
from flowsolve.cli import main
def killed(*_): os.kill(os.getpid(), 9)
os.replace = killed
main(sys.argv[1:])
"""
    made = subprocess.run(
        [sys.executable, "-c", code, *STUDY, "--solvers", "euler"], cwd=tmp_path, timeout=120
    )
    assert made.returncode == -signal.SIGKILL
    assert note.read_bytes() == before
    done(*STUDY, "--solvers", "euler", cwd=tmp_path)
    assert json.loads(note.read_bytes())["solvers"] == ["heun", "euler"]


def _replaced(line: bytes, name: str, value: str) -> bytes:
    row = json.loads(line)
    return line.replace(
        json.dumps(name).encode() + b": " + json.dumps(row[name], ensure_ascii=False).encode(),
        json.dumps(name).encode() + b": " + value.encode(),
    )


DAMAGE = {
    "a text for a number": (
        lambda x: _replaced(x, "rmse", '"much"'),
        "rmse is 'much', not a number",
    ),
    "a fraction for a count": (
        lambda x: _replaced(x, "nfe", "4.5"),
        "nfe is 4.5, not a whole number",
    ),
    "a number for a text": (lambda x: _replaced(x, "solver", "3"), "solver is 3, not a text"),
    "a text for a truth": (lambda x: _replaced(x, "certified", '"yes"'), "not true or false"),
    "half a line": (lambda x: x[: len(x) // 2], "is not a result row"),
    "no object": (lambda x: b"[1, 2]", "is not a result row"),
    "latin-1": (lambda x: x.replace(b"Heun()", b"H\xe9un()"), "codec can't decode"),
    "zeros": (lambda x: bytes(len(x)), "is not a result row"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_rows(kind: str, tmp_path: Path) -> None:
    damage, said = DAMAGE[kind]
    done(*STUDY, cwd=tmp_path)
    path = tmp_path / "out" / "rows.jsonl"
    first, *others = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([damage(first), *others, b""]))
    before = path.read_bytes()
    made = flowsolve(*STUDY, cwd=tmp_path)
    assert made.returncode == 1
    assert "rows.jsonl, line 1 is not a result row" in made.stderr
    assert said in made.stderr
    assert "continues with all other rows" in made.stderr
    assert "Traceback" not in made.stderr
    assert path.read_bytes() == before
    path.write_bytes(b"\n".join([*others, b""]))  # what the sentence says
    done(*STUDY, cwd=tmp_path)
    assert len(read_jsonl(path, ErrorRow)) == len(others) + 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_rows_as_an_editor_elsewhere_writes_them_are_read(encoding: str, tmp_path: Path) -> None:
    done(*STUDY, cwd=tmp_path)
    path = tmp_path / "out" / "rows.jsonl"
    rows = read_jsonl(path, ErrorRow)
    path.write_bytes(path.read_text("utf-8").replace("\n", "\r\n").encode(encoding))
    done(*STUDY, "--solvers", "euler", cwd=tmp_path)
    assert read_jsonl(path, ErrorRow)[: len(rows)] == rows


def test_rows_in_an_encoding_of_two_bytes_are_left_as_they_are(tmp_path: Path) -> None:
    done(*STUDY, cwd=tmp_path)
    path = tmp_path / "out" / "rows.jsonl"
    path.write_bytes(path.read_text("utf-8").encode("utf-16"))
    before = path.read_bytes()
    made = flowsolve(*STUDY, cwd=tmp_path)
    assert made.returncode == 1
    assert "is not a result row" in made.stderr
    assert path.read_bytes() == before


def test_a_figure_that_fails_costs_neither_rows_nor_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no font today")

    with monkeypatch.context() as broken:
        broken.setattr(plot, "save", fails)
        made = flowsolve(*STUDY, cwd=tmp_path)
    assert made.returncode == 1
    assert "error_vs_nfe.png could not be made: RuntimeError: no font today" in made.stderr
    assert "what was measured is in out" in made.stderr
    assert "RMS error" in made.stdout
    out = tmp_path / "out"
    assert {*contents(out)} == {"settings.json", "rows.jsonl", "rows.csv", "orders.csv"}
    done(*STUDY, cwd=tmp_path)  # the same command makes what is missing
    assert (out / "error_vs_nfe.pdf").exists()


def test_a_table_that_fails_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowsolve.cli import show

    def fails(*_: object) -> None:
        raise ZeroDivisionError("no table today")

    with monkeypatch.context() as broken:
        broken.setattr(show, "table", fails)
        for args in (SMALL, ["likelihood", "mixture", "--nfe", "4", "--samples", "4"]):
            made = flowsolve(*args, "--out", args[0], cwd=tmp_path)
            assert made.returncode == 1
            assert "the table could not be made: ZeroDivisionError: no table today" in made.stderr
            assert (tmp_path / args[0] / "rows.csv").exists()


def test_a_command_that_could_not_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for args in (["table1"], ["quality"], ["likelihood"], ["edit"], ["table2"], ["interpolate"]):
        made = flowsolve(*args, cwd=tmp_path)
        assert made.returncode == 1, args
        assert "scikit-learn" in made.stderr
        assert not [*tmp_path.iterdir()], args
    (tmp_path / "results").mkdir()  # a folder that was there stays
    flowsolve("table1", cwd=tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["results"]


def test_overwrite_removes_nothing_before_the_new_study_can_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = [
        "table1",
        "mixture",
        "--grid",
        "uniform_t",
        "--steps",
        "3",
        "--samples",
        "8",
        "--out",
        "o",
    ]
    done(*args, cwd=tmp_path)
    before = contents(tmp_path / "o")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert flowsolve("table1", "--out", "o", "--overwrite", cwd=tmp_path).returncode == 1
    assert flowsolve(*args, "--overwrite", "--etas", "7", cwd=tmp_path).returncode == 2
    assert contents(tmp_path / "o") == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        made = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if made.returncode:
        pytest.skip(f"mounting is not permitted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves that many bytes."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(max(free - left, 0)))
    return ballast


@pytest.mark.parametrize("left", [0, 4096, 8192, 16384, 40960])
def test_a_full_disk(left: int, small_disk: Path, tmp_path: Path) -> None:
    """However far it came: a sentence, whole rows, and the same command goes on when there is room."""
    ballast = fill(small_disk, left)
    args = [*SMALL, "--nfe", *map(str, range(4, 40)), "--out", "disk/out"]
    run = outside if left in (8192, 40960) else flowsolve  # rows, and the figure, in a process
    made = run(*args, cwd=tmp_path)
    assert made.returncode == 1
    assert "No space left on device" in made.stderr
    assert "Traceback" not in made.stderr + made.stdout
    path = small_disk / "out" / "rows.jsonl"
    first = read_jsonl(path, ErrorRow)
    assert not first or path.read_bytes().endswith(b"}\n")
    if left == 40960:
        assert len(first) == 36  # the figure alone had no room
        assert "what was measured is in" in made.stderr
    ballast.unlink()
    again = flowsolve(*args, cwd=tmp_path)
    assert "error_vs_nfe" in again.stderr + again.stdout
    rows = read_jsonl(path, ErrorRow)
    assert rows[: len(first)] == first
    assert len(rows) == 36
