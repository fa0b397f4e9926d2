"""
Orders of convergence, measured
===============================

Errors against a flow that is known in closed form: each method falls with the slope that it declares.

A mixture in one dimension moves by its quantiles, so these are errors against an answer
that no solver had a part in. Each triangle has the slope that the methods beside it declare.
"""

import flowsolve_solvers as S
from flowsolve import plot, problems, study

SOLVERS = [
    S.Euler(),
    S.Heun(),
    S.DPMSolverPP2M(),
    S.LMS(4),  # four points, but the first step is Euler's: order 2
    S.LMS(3, start=S.Heun()),
    S.LMS(4, start=S.DPMSolver3()),  # the same four points after a good start: order 4
]
STEPS = (20, 40, 80, 160, 320)

problem = problems.Mixture1D(sigma_max=1.0, sigma_min=0.2)
studies = [study.convergence(s, problem, steps=STEPS) for s in SOLVERS]
for solver, result in zip(SOLVERS, studies, strict=True):
    slope = result.slope()
    print(f"{solver!r}: declared {solver.order}, measured {slope}")
    assert abs(slope.order - solver.order) < 0.1

plot.save(plot.convergence(studies, f"{problem.name}, σ = 1 to 0.2"), "convergence.png")
print("drawn: convergence.png")
