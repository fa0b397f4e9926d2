"""
Adaptive steps, or a fixed grid?
================================

Error against evaluations, counted: three methods on a fixed grid, three that choose their own steps.

An adaptive method is given a tolerance and takes the evaluations it needs; a fixed grid is given a budget. The
adaptive ones pay for the error they estimate and for steps that they reject, and general ones for not
knowing that the ODE is nearly linear in log σ. What they save is that nobody has to choose a grid.
"""

import flowsolve_solvers as S
from flowsolve import plot, problems, study

FIXED = {"DDIM": S.DDIM(), "DPM-Solver++(2M)": S.DPMSolverPP2M(), "UniPC(3)": S.UniPC(3)}
ADAPTIVE = {
    "DPM-Solver-23": S.DPMSolverAdaptive(batch="joint"),
    "dopri5": S.Torchdiffeq("dopri5"),
    "bosh3": S.Torchdiffeq("bosh3"),
}

result = study.work_precision(
    [*FIXED.values(), *ADAPTIVE.values()],
    problems.Mixture(),
    nfe=[6, 10, 16, 25, 40, 64, 100],
    tolerances=[1e-1, 1e-2, 1e-3, 1e-4],
    seeds=range(64),
    dtype="float64",
)
series = {solver: rows for (solver, _), rows in result.series.items()}

methods = FIXED | ADAPTIVE
for name, solver in methods.items():
    print(f"{name:18}", ", ".join(f"{r.rmse:.0e} at {r.nfe}" for r in series[repr(solver)]))
labels = {repr(s): f"{name}, adaptive" if name in ADAPTIVE else name for name, s in methods.items()}
figure = plot.error_vs_nfe(result, labels=labels)
plot.save(figure, "adaptive_or_fixed.png")
print("drawn: adaptive_or_fixed.png")

few = {name: min(r.rmse for r in series[repr(s)] if r.nfe <= 25) for name, s in methods.items()}
assert min(few, key=lambda name: few[name]) in FIXED, "within 25 evaluations a fixed grid is best"
