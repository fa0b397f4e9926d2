"""Error against network evaluations: what samplers are compared by, with a certified reference.

    python examples/error_vs_nfe.py --problem digits --out error_vs_nfe.png

Every solver starts at the same noise and runs to the same last σ; the error is the distance to the
exact trajectory there, not a distance between distributions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import flowsolve_solvers as S
from flowsolve import plot, problems, study

SOLVERS = [S.Euler(), S.Heun(), S.DPMSolver3(), S.DPMSolverPP2M(), S.LMS(3), S.DPMSolverM(3)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=[*problems.PROBLEMS], default="mixture")
    parser.add_argument("--nfe", type=int, nargs="+", default=[6, 8, 10, 15, 20, 30, 50])
    parser.add_argument("--seeds", type=int, default=64, help="samples")
    parser.add_argument("--out", type=Path, default=Path("error_vs_nfe.png"))
    args = parser.parse_args()
    problem = problems.find_problem(args.problem)
    result = study.work_precision(SOLVERS, problem, args.nfe, seeds=range(args.seeds))
    for budget in (min(args.nfe), max(args.nfe)):
        rows = [row for row in result.rows if row.asked == f"nfe={budget}" and not row.error]
        best = min(rows, key=lambda row: row.rmse)
        print(f"NFE {budget} on {problem.name}: {best.solver} has the least error, {best.rmse:.1e}")
    plot.save(plot.error_vs_nfe(result), args.out)
