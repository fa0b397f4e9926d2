"""
Error against network evaluations
=================================

What samplers are compared by, with a certified reference; on any problem of the package::

    python examples/error_vs_nfe.py --problem digits

Every solver starts at the same noise and runs to the same last σ. The error is the distance to the
exact trajectory there, not a distance between distributions.
"""

import argparse

import flowsolve_solvers as S
from flowsolve import plot, problems, study

SOLVERS = [S.DDIM(), S.Heun(), S.DPMSolver3(), S.DPMSolverPP2M(), S.LMS(3), S.UniPC(3)]

parser = argparse.ArgumentParser(description="Error against network evaluations.")
parser.add_argument("--problem", choices=[*problems.PROBLEMS], default="mixture")
parser.add_argument("--nfe", type=int, nargs="+", default=[6, 8, 10, 15, 20, 30, 50])
parser.add_argument("--seeds", type=int, default=64, help="samples")
args = parser.parse_args()

problem = problems.find_problem(args.problem)
result = study.work_precision(SOLVERS, problem, args.nfe, seeds=range(args.seeds))
for budget in (min(args.nfe), max(args.nfe)):
    rows = [row for row in result.rows if row.asked == f"nfe={budget}" and not row.error]
    best = min(rows, key=lambda row: row.rmse)
    print(f"NFE {budget} on {problem.name}: {best.solver} has the least error, {best.rmse:.1e}")

plot.save(plot.error_vs_nfe(result), "error_vs_nfe.png")
print("drawn: error_vs_nfe.png")
