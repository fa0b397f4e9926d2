"""Figures of what is no figure's: a sentence that names what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from flowsolve import karras, plot, solve, tabulate
from flowsolve.errors import ResultsError, StateError
from flowsolve.problems import Mixture
from flowsolve.study import work_precision
from flowsolve_solvers import Euler, Heun
from tests.helpers import refused, says

P: Any = Mixture()
X = P.start(range(4), torch.float64)
GRID = karras(4, 10, 0.05)
STUDY = work_precision([Euler()], P, [4, 8], seeds=range(2))
THINGS: dict[str, Any] = {
    "None": None, "text": "a", "number": 3, "tensor": torch.ones(2, 3, 4), "array": X.numpy(), "Solution": None,
    "no path": solve(P, X, GRID, Heun()), "Study": STUDY, "rows": STUDY.rows, "Grid": GRID,
    "Table": tabulate(Euler(), GRID), "texts": ["a", "b"], "dict": {"a": 1},
}  # fmt: skip
THINGS["Solution"] = solve(P, X, GRID, Heun(), keep=1)
DRAWN: dict[str, tuple[Any, str]] = {
    # the figure, and what it does draw of the things
    "error_vs_nfe": (plot.error_vs_nfe, "Study"),
    "convergence": (plot.convergence, "Study"),
    "grid_levels": (plot.grid_levels, "Grid"),
    "coefficients": (plot.coefficients, "Table"),
    "images": (plot.images, ""),
    "signals": (plot.signals, "tensor"),
    "sheet": (lambda v: plot.sheet(v, ["a"], ["b"]), ""),
    "scatter": (plot.scatter, ""),
    "along_path": (plot.along_path, ""),
    "paths_1d": (lambda v: plot.paths_1d(P, v), ""),
    "paths_2d": (lambda v: plot.paths_2d(P, v), "Solution"),
    "field_2d": (lambda v: plot.field_2d(P, v, [1.0]), "Solution"),
    "sigmas": (lambda v: plot.field_2d(P, THINGS["Solution"], v), "Grid"),
    "problem": (lambda v: plot.paths_2d(v, THINGS["Solution"]), ""),
    "table1": (plot.table1, ""),
    "quality_vs_nfe": (plot.quality_vs_nfe, ""),
    "consistency_vs_steps": (plot.consistency_vs_steps, ""),
    "along_interpolation": (plot.along_interpolation, ""),
    "likelihood_vs_nfe": (plot.likelihood_vs_nfe, ""),
    "round_trips_vs_steps": (plot.round_trips_vs_steps, ""),
    "work_precision_by_side": (plot.work_precision_by_side, ""),
    "edits": (plot.edits, ""),
    "save": (lambda v: plot.save(v, "figure.png"), ""),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figures_of_other_things(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    draw, right = DRAWN[name]
    for kind, thing in THINGS.items():
        if kind != right:
            refused(lambda thing=thing: draw(thing))  # type: ignore[misc]
    assert not [*tmp_path.iterdir()]


def test_texts(tmp_path: Path) -> None:
    figure = plot.grid_levels(GRID)  # one grid is a list of one
    text = "study must be a Study such as work_precision(...), not 'rows.jsonl'."
    says(StateError, text, lambda: plot.error_vs_nfe("rows.jsonl"))  # type: ignore[arg-type]
    text = "rows[0] must be a QualityRow, not ErrorRow(mixture: Euler() nfe=4: rmse"
    says(StateError, text, lambda: plot.table1(STUDY.rows))  # type: ignore[arg-type]
    missing = tmp_path / "none" / "x.png"
    text = f"cannot write {missing}: No such file or directory."
    says(ResultsError, text, lambda: plot.save(figure, missing))
    with pytest.raises(ValueError, match=r"x\.xyz must end in one of .*\.png.*, its format\.$"):
        plot.save(figure, tmp_path / "x.xyz")
