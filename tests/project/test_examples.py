"""Every example runs as a program, writes its figure, and prints what it claims to find."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NUMBER = r"(-?\d+\.?\d*(?:e[+-]?\d+)?)"


def run(name: str, out: Path, *options: str) -> str:
    """What it prints, run in this process, which has torch already."""
    printed, path = io.StringIO(), str(EXAMPLES / name)
    argv = patch.object(sys, "argv", [path, "--out", str(out), *options])
    with chdir(out.parent), redirect_stdout(printed), torch.random.fork_rng(), argv:
        runpy.run_path(path, run_name="__main__")
    left(out)
    return printed.getvalue()


def left(out: Path) -> None:
    assert out.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert out.stat().st_size > 10_000
    assert [p.name for p in out.parent.iterdir()] == [out.name], "and it leaves nothing else behind"


def run_outside(name: str, out: Path, *options: str) -> str:
    """In a process of its own."""
    paths = [str(ROOT), str(ROOT / "solvers")]
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, "--out", out, *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=out.parent,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": "1",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    left(out)
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    """The first number in each match of `pattern`, which marks it with NUMBER."""
    return [float(m[1]) for m in re.finditer(pattern.replace("NUMBER", NUMBER), text)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "figure.png"


def test_ddim_is_euler(out: Path) -> None:
    gaps = numbers(r"in \w+: NUMBER", run_outside("ddim_is_euler.py", out))
    assert len(gaps) == 2
    assert max(gaps) < 1e-12


def test_convergence(out: Path) -> None:
    text = run("convergence.py", out)
    declared = numbers(r"declared NUMBER", text)
    measured = numbers(r"measured NUMBER", text)
    assert declared == [1, 2, 2, 2, 3, 4]
    assert all(abs(d - m) < 0.1 for d, m in zip(declared, measured, strict=True)), text
    assert "not settled" not in text


def test_error_vs_nfe(out: Path) -> None:
    text = run("error_vs_nfe.py", out)
    few, many = numbers(r"least error, NUMBER", text)
    assert many < 0.1 * few < 0.1
    assert text.startswith("NFE 6 on mixture")


def test_error_vs_nfe_on_the_network(out: Path) -> None:
    options = ("--problem", "digits", "--nfe", "6", "20", "--seeds", "4")
    few, many = numbers(r"least error, NUMBER", run("error_vs_nfe.py", out, *options))
    assert many < few < 1


def test_coefficient_table(out: Path) -> None:
    text = run("coefficient_table.py", out)
    sums, ends = numbers(r"sum to NUMBER", text), numbers(r"σ_T = NUMBER", text)
    assert sums == ends == [-9.95, -9.95]


def test_your_own_network(out: Path) -> None:
    text = run("your_own_network.py", out, "--steps", "1000")
    found = dict(re.findall(rf"^(.+), \d+ evaluations: .* {NUMBER}$", text, re.MULTILINE))
    assert len(found) == 6
    error = {name: float(value) for name, value in found.items()}
    assert error["DPM-Solver++(2M)"] < error["DDIM"] < 0.3, text
    assert all(n <= 10 for n in numbers(r"NUMBER evaluations", text))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_examples_are_short_and_say_what_they_are(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith('"""')
    assert len(lines) < 80


def test_brightness(out: Path) -> None:
    """0.5 ± 0.25 in the data: each fix comes nearer. Guidance overexposes; its rescale mends that, darker."""
    text = run("brightness.py", out)
    mean, spread, over = (
        numbers(pattern, text) for pattern in ("brightness NUMBER", "± NUMBER", "over 1: NUMBER%")
    )
    assert mean[:4] == sorted(mean[:4])
    assert mean[0] < 0.12 < 0.45 < mean[3]
    assert spread[0] < 0.15 < 0.18 < spread[3]
    assert over[4] > 3 * over[3]
    assert over[5] < over[4] / 5
    assert mean[5] < mean[4] - 0.2


def test_interpolation(out: Path) -> None:
    """Noise stays noise on the arc, and loses half of its strength in the middle of a square of lines."""
    arc, line = numbers("deviation NUMBER", run("interpolation.py", out))
    assert arc == pytest.approx(1, abs=0.15)
    assert line == pytest.approx(0.5, abs=0.1)


def test_trajectories(out: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Between the nodes a path is as good as at them."""
    others = [tmp_path_factory.mktemp("others") / f"{name}.png" for name in ("field", "digit")]
    text = run("trajectories.py", out, "--field", str(others[0]), "--digit", str(others[1]))
    at, between = numbers("NUMBER at the nodes", text), numbers("NUMBER between", text)
    assert len(at) == len(between) == 3
    assert all(b < 1.1 * a for a, b in zip(at, between, strict=True)), text
    assert at[0] > 1.5 * at[1] > 1.5 * at[2]
    assert numbers("NUMBER evaluations", text) == [10, 10, 20]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in others)


def test_editing(out: Path) -> None:
    """Edits are nearer to their images than a fresh sample and than another digit, and of the new class."""
    text = run("editing.py", out, "--images", "20", "--steps", "10")
    distance, share = numbers("distance NUMBER", text), numbers("new class NUMBER%", text)
    assert len(distance) == 6
    encoded, *_, less, half, fresh, another = distance
    assert max(encoded, half) < min(fresh, another)
    assert less < half
    assert min(share[0], share[3], *share[-2:]) >= 90
