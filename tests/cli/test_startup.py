"""What a command loads before it runs, how soon it answers, and what the listings say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, OneStep
from flowsolve.analysis.step_cost import measured_cost
from flowsolve.cli import commands
from flowsolve.cli.commands.solvers import FAMILIES
from flowsolve.cli.parser import parser
from flowsolve.ode.precondition import EpsPrediction
from flowsolve.schedule import VPSDE
from flowsolve.solver.plugins import FAMILIES as KNOWN
from flowsolve.solver.stand_in import memory, per_step
from flowsolve_solvers import ALL, STOCHASTIC, Torchdiffeq
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
    for name, rest in (
        ("Heun", "one-step +2 +2 +6"),
        ("RK4", "one-step +4 +4 +9"),
        ("Torchdiffeq", "adaptive +5 +adaptive +-"),
        ("UniC", "around +3 +1 +9"),
        ("PFDiff", "multistep +2 +0.5 +6"),
        ("Restart", "noise +0 +2 +9"),
    ):
        assert re.search(rf"^{name} +{rest}  ", solvers, re.MULTILINE), name
    problems = done("problems", cwd=tmp_path)
    assert all(name in problems for name in ("gaussian", "mixture_1d", "dataset", "digits"))
    assert done("--version", cwd=tmp_path).startswith("flowsolve 0.")
    assert not [*tmp_path.iterdir()]  # nothing is written that was not asked for


def test_the_list_of_solvers_is_cut_to_what_is_asked_for(tmp_path: Path) -> None:
    def names(*options: str) -> list[str]:
        listed = json.loads(done("solvers", *options, "--format", "json", cwd=tmp_path))
        return [row["name"] for row in listed]

    assert FAMILIES == KNOWN  # the command's --help loads no solver
    everything = names()
    parts = [names("--family", family) for family in FAMILIES]
    found = [name for part in parts for name in part]
    assert sorted([*found, "GaussianStart"], key=str.lower) == everything
    assert names("--stochastic") == names("--family", "noise") == parts[-1]
    assert names("--family", "one-step", "--order", "3") == ["DPMSolver3", "RES3S"]
    assert names("--family", "one-step", "--order", "2", "--memory", "5") == ["Midpoint"]
    assert names("--family", "one-step", "--stochastic") == []
    empty = done("solvers", "--order", "99", cwd=tmp_path)
    assert empty == "no solver is all of that\n"


def test_memory_without_torch_is_what_is_measured_with_it() -> None:
    """The most states alive at once, of every certified configuration."""
    for solver in (*ALL, *STOCHASTIC):
        measured = measured_cost(solver, EpsPrediction(VPSDE()), 20)[0].peak
        assert memory(solver) == measured, solver


def test_a_method_that_needs_real_tensors_has_no_memory_but_a_cost() -> None:
    @dataclass(frozen=True, repr=False)
    class Stacked(OneStep):
        order = 1

        def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
            return x + (t - s) * ode.eps(x, s) * torch.ones(x.shape[1:])

    assert (per_step(Stacked()), memory(Stacked())) == (1, None)
    assert (per_step(Torchdiffeq()), memory(Torchdiffeq())) == (None, None)


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
