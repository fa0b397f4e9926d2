"""Every command where stdout is not UTF-8: what cannot be written is spelled, and nothing ends for it."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from flowsolve.cli import commands, main
from flowsolve.cli.show import SPELLED, Table, columns
from tests.cli.helpers import COMMAND, EVERY, Measured, done, flowsolve

PLACES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def test_every_command_is_tried() -> None:
    assert [*EVERY] == commands.names()


def in_process(encoding: str, *args: str) -> tuple[int, bytes]:
    """The exit code, and what the command wrote to an output of that encoding."""
    said = io.BytesIO()
    with io.TextIOWrapper(said, encoding, write_through=True) as out, redirect_stdout(out):
        with redirect_stderr(out):
            code = main(args)
        return code, said.getvalue()


@pytest.mark.usefixtures("certified_once", "png_only")
@pytest.mark.parametrize("command", EVERY)
def test_every_command_works(
    command: str,
    measured: Measured,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Of rows that are there, which it says again."""
    monkeypatch.chdir(measured(command)[0])
    for encoding in ("cp1252", "ascii"):
        code, said = in_process(encoding, command, *EVERY[command])
        assert code == 0, said.decode(errors="replace")[-2000:]
        assert b"Error" not in said
        assert b"Warning" not in said
        said.decode(encoding)
        request.getfixturevalue("undrawn")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["solvers", "table1"])
def test_commands_work_in_a_process_of_that_encoding(
    command: str, place: str, measured: Measured
) -> None:
    folder = measured(command)[0]
    env = {k: v for k, v in os.environ.items() if k not in ("LANG", "LC_CTYPE")} | PLACES[place]
    made = subprocess.run(
        [COMMAND, command, *EVERY[command]], cwd=folder, env=env, capture_output=True, timeout=300
    )
    said = made.stdout + made.stderr
    assert made.returncode == 0, said.decode(errors="replace")[-2000:]
    assert b"Error" not in said
    assert b"Warning" not in said
    said.decode("ascii" if place == "ascii" else "cp1252")
    if command == "table1":
        assert b"sigma" in made.stdout if place == "ascii" else b"\xb1" in made.stdout
        assert b"Frechet" in made.stdout if place == "ascii" else b"Fr\xe9chet" in made.stdout


@pytest.mark.parametrize("place", PLACES)
def test_help_and_errors_too(place: str, tmp_path: Path) -> None:
    env = os.environ | PLACES[place]
    for args, code in ((["table1", "--help"], 0), (["table1", "--etas", "σ̂"], 2)):
        made = subprocess.run([COMMAND, *args], cwd=tmp_path, env=env, capture_output=True)
        assert made.returncode == code
        assert b"Traceback" not in made.stderr
        assert b"sigma" in made.stdout + made.stderr or place == "cp1252"


def test_columns_stand_under_each_other_in_what_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    from flowsolve.cli.show import prepare

    made = Table(["η", "x̄_T"], [["σ̂", "1 ± 2"], ["plain", "3"]], "√")
    with io.TextIOWrapper(io.BytesIO(), "ascii") as out, monkeypatch.context() as here:
        here.setattr(sys, "stdout", out)
        prepare()
        lines = columns(made).splitlines()
    assert lines == [
        "sqrt", "eta       x_T", "-----  ------", "sigma  1 +- 2", "plain       3",
    ]  # fmt: skip
    assert all(text.isascii() for text in SPELLED.values())


def test_folders_with_other_letters(tmp_path: Path) -> None:
    done("table", "heun", "--steps", "2", "--out", "résultats σ", cwd=tmp_path)
    assert (tmp_path / "résultats σ" / "table.pdf").exists()
    made = flowsolve("table", "heun", "--steps", "3", "--out", "résultats σ", cwd=tmp_path)
    assert "résultats σ holds other results, of steps 2, not 3" in made.stderr
