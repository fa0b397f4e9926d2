"""flowsolve explore: the file, the browser, one's own solver, and what is refused."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from flowsolve.explorer import page
from tests.cli.helpers import done, flowsolve

MINE = """
from flowsolve.solver import OneStep
from flowsolve_solvers import Heun, Scipy

class Mine(OneStep):
    order = 1

    def step(self, ode, x, s, t):
        return x + (t - s) * ode.eps(x, s)

heun, number, adaptive = Heun(), 3, Scipy

def wants(value):
    return heun
"""


FEW = ("explore", "--steps", "2")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


def test_it_writes_the_page_and_opens_it(tmp_path: Path, opened: list[str]) -> None:
    text = done(*FEW, cwd=tmp_path)
    out = tmp_path / "explorer.html"
    assert (
        text
        == f"explorer.html: {out.stat().st_size / 1e6:.2f} MB, one file that needs no network\n"
    )
    assert opened == [out.as_uri()]
    again = flowsolve(*FEW, cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr == "flowsolve: explorer.html exists. Give another --out, or --overwrite.\n"
    done(*FEW, "--overwrite", "--no-open", cwd=tmp_path)
    assert len(opened) == 1


def test_solvers_of_ones_own(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mymodule.py").write_text(MINE)
    given: list[str] = []
    made = page.export
    monkeypatch.setattr(page, "export", lambda methods, steps: given.extend(
        f"{m.key} {m.label}" for m in methods if m.family == "your own") or made(methods, steps))  # fmt: skip
    chosen = ("mymodule:Mine", "mymodule:heun", "lms:points=2", "RK4()")
    done(*FEW, "--no-open", *(a for c in chosen for a in ("--solver", c)), cwd=tmp_path)
    assert given == ["own1 Mine()", "own2 Heun()", "own3 LMS(2)", "own4 RK4()"]
    assert not opened


@pytest.mark.parametrize(
    ("solver", "code", "said"),
    [
        (
            "mymodule:Nobody",
            2,
            "there is no solver 'mymodule:Nobody': module 'mymodule' has no attribute",
        ),
        ("nomodule:Mine", 2, "there is no solver 'nomodule:Mine': No module named 'nomodule'."),
        (
            "mymodule:number",
            2,
            "mymodule:number must be a Solver, or a class or function without arguments",
        ),
        (
            "mymodule:wants",
            2,
            "mymodule:wants must be a Solver, or a class or function without arguments",
        ),
        ("hein", 2, "there is no solver 'hein'"),
        (
            "mymodule:adaptive",
            1,
            "the explorer replays a method from numbers: Scipy() chooses its steps",
        ),
    ],
)
def test_what_is_refused(
    solver: str, code: int, said: str, tmp_path: Path, opened: list[str]
) -> None:
    """Before anything is made."""
    (tmp_path / "mymodule.py").write_text(MINE)
    made = flowsolve(*FEW, "--solver", solver, cwd=tmp_path)
    assert made.returncode == code
    assert made.stderr.startswith(f"flowsolve: {said}"), made.stderr
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".html"] == opened == []


def test_a_file_that_cannot_be_written(tmp_path: Path, opened: list[str]) -> None:
    made = flowsolve(*FEW, "--out", "no/where.html", cwd=tmp_path)
    assert (made.returncode, opened) == (1, [])
    assert made.stderr.startswith(
        "flowsolve: cannot write no/where.html: No such file or directory."
    )


@pytest.mark.parametrize(
    ("steps", "code", "said"),
    [
        ("0", 2, "--steps must be at least 1, but got 0."),
        ("65", 1, "the explorer takes 1 to 64 steps, but steps holds 65."),
    ],
)
def test_numbers_of_steps_that_cannot_be(steps: str, code: int, said: str, tmp_path: Path) -> None:
    made = flowsolve("explore", "--steps", "3", steps, cwd=tmp_path)
    assert (made.returncode, made.stderr) == (code, f"flowsolve: {said}\n")
