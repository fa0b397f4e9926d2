"""What a command loads before it runs, how soon it answers, and what the listings say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowsolve.cli import commands
from flowsolve.cli.parser import parser
from tests.cli.helpers import COMMAND, done, outside


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


@pytest.mark.alone
@pytest.mark.parametrize(("command", "limit"), [("--help", 0.25), ("solvers", 0.3)])
def test_it_answers_at_once(
    command: str, limit: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CPU time, which other work on the machine stretches less than the clock; both are printed.

    With bytecode from the first run on, as where it is installed.
    """
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "bytecode"))
    clock: list[float] = []
    cpu: list[float] = []
    while len(cpu) < 15 and (len(cpu) < 5 or min(cpu) >= limit):
        begin, used = time.perf_counter(), os.times()
        done(command, cwd=tmp_path, run=outside)
        now = os.times()
        clock.append(time.perf_counter() - begin)
        cpu.append(
            now.children_user - used.children_user + now.children_system - used.children_system
        )
    print(f"flowsolve {command}: {min(clock):.3f} s, {min(cpu):.3f} s of CPU, best of {len(cpu)}")
    assert min(cpu) < limit


def test_lists(tmp_path: Path) -> None:
    solvers = done("solvers", cwd=tmp_path)
    for name, order, count in (("Heun", 2, "2"), ("RK4", 4, "4"), ("Torchdiffeq", 5, "adaptive")):
        assert re.search(rf"^{name} +{order} +{count}  ", solvers, re.MULTILINE), name
    problems = done("problems", cwd=tmp_path)
    assert all(name in problems for name in ("gaussian", "mixture_1d", "dataset", "digits"))
    assert done("--version", cwd=tmp_path).startswith("flowsolve 0.")
    assert not [*tmp_path.iterdir()]  # nothing is written that was not asked for


def test_every_file_of_the_folder_is_a_command() -> None:
    found = commands.names()
    assert {"compare", "order", "solvers", "table1"} <= {*found}
    actions = parser(found)._subparsers._group_actions  # type: ignore[union-attr]
    assert [*actions[0].choices] == found  # type: ignore[arg-type]
    for name in found:
        command = commands.find(name)
        assert callable(command.run)
        assert command.__doc__
        assert (command.__doc__ or "").partition("\n")[0] in " ".join(
            parser([name]).format_help().split()
        )
