"""
A sampler is a table of numbers
===============================

Heun and DPM-Solver++(2M) at six evaluations: the weights of each state on the answers of the network.

Row k holds the state at which evaluation k is made, as weights on the ε seen before; the last row is
the answer. In every row the weights sum to σ_k - σ_T, which is what consistency means. Heun's rows go
forth and back: every second one is Euler's guess, which only the next evaluation uses.
"""

import numpy as np
from matplotlib.figure import Figure

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot

tables = []
for solver, steps in ((S.Heun(), 3), (S.DPMSolverPP2M(), 6)):
    grid = fs.karras(steps, 10.0, 0.05)
    table = fs.tabulate(solver, grid)
    tables.append(table)
    total, length = table.row_sums[-1], grid[-1] - grid[0]
    print(f"{table.solver}: the weights of the answer sum to {total:.6f} = σ_end - σ_T")
    assert abs(total - length) < 1e-12

# %%
# Colour is sign(w) √\|w\|, so that small weights show. White cells hold no weight at all: an explicit
# method cannot use what it has not yet asked for, so tables are triangular.
figure = Figure(figsize=(11, 4.4), layout="constrained")
for axes, table in zip(figure.subplots(1, 2), tables, strict=True):
    weights = table.matrix[:, 1:]  # without the first column, the weight 1 on x̄_T
    colour = np.ma.masked_equal(np.sign(weights) * np.sqrt(np.abs(weights)), 0)
    axes.imshow(colour, cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
    for (i, j), w in np.ndenumerate(weights):
        if w:
            color = "w" if abs(colour[i, j]) > 2.1 else "k"
            axes.text(j, i, f"{w:.3g}", ha="center", va="center", color=color)
    n = len(table.sigmas)
    axes.set_xticks(range(n), [f"$ε_{k}$" for k in range(1, n + 1)])
    axes.set_yticks(range(n + 1), [*(f"asked at σ = {s:.3g}" for s in table.sigmas), "answer"])
    axes.axhline(n - 0.5, color="k", lw=1)
    axes.set_title(f"{table.solver}, {n} evaluations")
plot.save(figure, "coefficient_table.png")
print("drawn: coefficient_table.png")
