"""order, certify, table, grids, sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from flowsolve.analysis.table import Table
from flowsolve.cli.parser import main
from flowsolve.cli.spacings import find_spacing
from flowsolve.schedule.clock import VPSDE
from flowsolve.solver import plugins
from flowsolve.solver.plugins import certified
from flowsolve.study.certificate import STOCHASTIC as STOCHASTIC_MARK
from flowsolve_solvers import (
    ALL,
    STOCHASTIC,
    DDIMEta,
    Heun,
)
from tests.cli.helpers import done, flowsolve


def test_order(tmp_path: Path) -> None:
    text = done("order", "heun", "euler", "--steps", "40", "80", "160", "--seeds", "4", "--out",
                "o", cwd=tmp_path)  # fmt: skip
    for name, order in (("Heun", 2), ("Euler", 1)):
        found = re.search(rf"^{name}\(\) +karras +{order} +([\d.]+)$", text, re.MULTILINE)
        assert found, text
        assert float(found[1]) == pytest.approx(order, abs=0.1)
    assert {p.name for p in (tmp_path / "o").iterdir()} == {
        "settings.json", "rows.jsonl", "rows.csv", "convergence.png", "convergence.svg",
        "convergence.pdf",
    }  # fmt: skip


@dataclass(frozen=True, repr=False)
class Overclaims(DDIMEta):
    """DDIM with noise, which says that its law converges with order 2."""

    order = 2


def test_certify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """In this process, so that a wrong method can be had; a row that does not hold is exit code 1."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    known = {repr(s): s for s in (DDIMEta(), Heun(), Overclaims())}
    monkeypatch.setattr(plugins, "make_solver", known.__getitem__)
    out = tmp_path / "table.md"
    assert main(["certify", "DDIMEta()", "Heun()", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "DDIMEta()  order 1  measured 1.00 1.00, of the paths " in shown
    assert "2 of 2 certified." in shown
    plain, noisy = (part.splitlines() for part in out.read_text().split(STOCHASTIC_MARK))
    assert plain[2].startswith("| `Heun()` | 2 | 2.00 |")
    assert noisy[2].startswith("| solver | order | law, karras | law, log_snr | paths |")
    assert noisy[4].startswith("| `DDIMEta()` | 1 | 1.00 | 1.00 |")
    assert main(["certify", "Overclaims()"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"Overclaims\(\)  order 2  measured 1.00 1.00, .*  DOES NOT HOLD", shown)
    assert "0 of 1 certified." in shown


def test_what_is_certified_by_default() -> None:
    assert certified() == [*ALL, *STOCHASTIC]


def test_table(tmp_path: Path) -> None:
    text = done("table", "heun", "--steps", "3", "--out", "o", cwd=tmp_path)
    made = Table.load(tmp_path / "o" / "table.json")
    assert made.solver == "Heun()"
    assert len(made.sigmas) == 6
    assert sum(made.answer[1:]) == pytest.approx(0.05 - 10.0)
    assert all(f"{w:+.4f}" in text for w in made.answer)
    assert (tmp_path / "o" / "table.png").stat().st_size > 10_000


def test_grids(tmp_path: Path) -> None:
    text = done("grids", "karras:rho=5", "uniform_t", "--steps", "4", "--sigma-max", "10",
                "--sigma-min", "0.05", "--out", "o", cwd=tmp_path)  # fmt: skip
    assert "uniform_t[linear_beta(T=1000)]" in text  # not taken for rich's markup
    levels = [line.split()[1] for line in text.splitlines()[2:]]
    expected = find_spacing("karras:rho=5", VPSDE())(4, 10.0, 0.05)
    assert [float(x) for x in levels] == pytest.approx([*expected], rel=1e-5)
    assert (tmp_path / "o" / "grids.png").exists()


def test_grids_that_a_clock_cannot_have_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """EDM's times are negative, and have no square roots."""
    head = done("grids", "--problem", "photos", "--steps", "2", cwd=tmp_path).splitlines()[0]
    assert "uniform_t" in head
    assert "quadratic_t" not in head
    assert "quadratic_t" in done("grids", "--problem", "digits", "--steps", "2", cwd=tmp_path)
    asked = flowsolve("grids", "quadratic_t", "--problem", "photos", cwd=tmp_path)
    assert asked.returncode == 1
    assert "EDMClock() gives negative times" in asked.stderr


@pytest.mark.parametrize(
    ("args", "shape"),
    [
        (["digits", "--samples", "3", "--nfe", "4"], (3, 1, 8, 8)),
        (["photos", "--samples", "3", "--nfe", "4"], (3, 3, 16, 16)),
        (["signals", "--samples", "3", "--nfe", "4"], (3, 1, 40)),
        (["letters", "--samples", "3", "--nfe", "4"], (3, 1, 16, 16)),
        (["mixture", "--samples", "5", "--solver", "torchdiffeq"], (5, 2)),
        (["mixture_1d", "--samples", "5", "--solver", "heun", "--nfe", "9"], (5,)),
    ],
)
def test_sample(args: list[str], shape: tuple[int, ...], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    text = done("sample", *args, cwd=tmp_path)
    folder = tmp_path / "results" / f"sample-{args[0]}"
    x = load_file(folder / "samples.safetensors")["x"]
    assert x.shape == shape
    assert bool(x.isfinite().all())
    assert "evaluations" in text
    assert min(imread(folder / "samples.png").shape[:2]) > 50
    more = ["--samples", "2", "--first-seed", "1", "--out", "more"]
    if "torchdiffeq" not in args:  # its steps depend on the batch
        done("sample", *args, *more, cwd=tmp_path)
        again = load_file(tmp_path / "more" / "samples.safetensors")["x"]
        assert float((again - x[1:3]).abs().max()) < 1e-5


def test_brackets_in_cells_are_text(capfd: Any) -> None:
    from rich.console import Console

    from flowsolve.cli import show

    made = show.Table(["a[bold]"], [["b[red]"]], "c[dim]")
    show.table(made)
    Console().print(show.boxed(made))
    shown = capfd.readouterr().out
    assert [shown.count(text) for text in ("a[bold]", "b[red]", "c[dim]")] == [2, 2, 1]
