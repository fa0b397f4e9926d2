"""A sampler is a table of numbers: the weights of Heun and of DPM-Solver++(2M), side by side.

    python examples/coefficient_table.py --out coefficient_table.png

Row k holds the state at which evaluation k is made, as weights on the ε seen before; the last row is
the answer. In every row the weights sum to σ_k - σ_T, which is what consistency means.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot


def heat_map(tables: list[fs.Table]) -> Figure:
    """One panel for each table: colour is sign(w) √|w|, so that the small weights show."""
    out = Figure(figsize=(5.6 * len(tables), 4.6), layout="constrained")
    for axes, table in zip(out.subplots(1, len(tables)), tables, strict=True):
        weights = table.matrix[:, 1:]  # without the first column, the weight 1 on x̄_T
        colour = np.ma.masked_equal(np.sign(weights) * np.sqrt(np.abs(weights)), 0)
        top = np.abs(colour).max()
        axes.imshow(colour, cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
        for (i, j), w in np.ndenumerate(weights):
            if w:
                white = abs(colour[i, j]) > 0.6 * top
                axes.text(j, i, f"{w:.2g}", ha="center", va="center", fontsize=7,
                          color="w" if white else "k")  # fmt: skip
        n = len(table.sigmas)
        axes.set_xticks(range(n), [f"ε{k}" for k in range(1, n + 1)])
        axes.set_yticks(range(n + 1), [*(f"σ = {s:.3g}" for s in table.sigmas), "answer"])
        axes.set_title(f"{table.solver}, {n} evaluations")
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("coefficient_table.png"))
    args = parser.parse_args()
    tables = []
    for solver, steps in ((S.Heun(), 5), (S.DPMSolverPP2M(), 10)):
        grid = fs.karras(steps, 10.0, 0.05)
        table = fs.tabulate(solver, grid)
        tables.append(table)
        print(
            f"{table.solver}: the weights of the answer sum to {table.row_sums[-1]:.6f}, and "
            f"σ_end - σ_T = {grid[-1] - grid[0]:.6f}"
        )
    plot.save(heat_map(tables), args.out)
