"""The methods of flowsolve, one paper a file. `ALL` lists every configuration that the tests certify."""

from flowsolve.chart import DATA, LOG_SIGMA, NOISE, SIGMA, ClockTime
from flowsolve.schedule import VPSDE
from flowsolve.solver import Solver
from flowsolve_solvers.adaptive import Scipy as Scipy
from flowsolve_solvers.adaptive import Torchdiffeq as Torchdiffeq
from flowsolve_solvers.dpm_solver import DPMSolver2 as DPMSolver2
from flowsolve_solvers.dpm_solver import DPMSolver3 as DPMSolver3
from flowsolve_solvers.dpmpp import DPMSolverPP2M as DPMSolverPP2M
from flowsolve_solvers.dpmpp import DPMSolverPP2S as DPMSolverPP2S
from flowsolve_solvers.euler import DDIM as DDIM
from flowsolve_solvers.euler import Euler as Euler
from flowsolve_solvers.euler import EulerInT as EulerInT
from flowsolve_solvers.multistep import DEIS as DEIS
from flowsolve_solvers.multistep import LMS as LMS
from flowsolve_solvers.multistep import Adams as Adams
from flowsolve_solvers.multistep import DPMSolverM as DPMSolverM
from flowsolve_solvers.multistep import DPMSolverPPM as DPMSolverPPM
from flowsolve_solvers.multistep import RhoAB as RhoAB
from flowsolve_solvers.runge_kutta import RK4 as RK4
from flowsolve_solvers.runge_kutta import Heun as Heun
from flowsolve_solvers.runge_kutta import Midpoint as Midpoint

_ADAMS: list[Solver] = [
    Adams(points, chart, variable, start)
    for chart in (NOISE, DATA)
    for variable in (SIGMA, LOG_SIGMA, ClockTime(VPSDE()))
    for points, start in (
        (2, None),
        (3, None),
        (4, None),
        (2, Heun()),
        (3, Heun()),
        (4, DPMSolver3()),
        (4, RK4(LOG_SIGMA)),
    )
]

ALL: list[Solver] = [
    Euler(),
    Euler(DATA),
    EulerInT(),
    Heun(),
    Midpoint(),
    RK4(),
    RK4(LOG_SIGMA),
    DPMSolver2(),
    DPMSolver2(r=0.8),
    DPMSolver3(),
    DPMSolver3(r1=0.4),
    DPMSolver3(r1=0.4, r2=0.9),
    DPMSolverPP2S(),
    DPMSolverPP2S(r=0.8),
    DPMSolverPP2M(),
    Adams(1),
    Adams(1, DATA),
    *_ADAMS,
]
