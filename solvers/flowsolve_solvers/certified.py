"""The configurations that the tests and `flowsolve certify` hold to their declared order."""

from flowsolve.schedule import LOG_SIGMA, SIGMA, VPSDE, ClockTime, FlowTime, Phi, Theta, TwoPower
from flowsolve.solver import DATA, FLOW, NOISE, VELOCITY, Fitted, Flow, Solver
from flowsolve_solvers.ancestral import Ancestral, DPM2Ancestral, DPMSolverPP2SAncestral
from flowsolve_solvers.by_tableau import RFSolver, RungeKutta
from flowsolve_solvers.dc_solver import DCSolver
from flowsolve_solvers.ddim import DDPM, DDIMEta
from flowsolve_solvers.dpm_solver import DPMSolver2, DPMSolver3
from flowsolve_solvers.dpmpp import DPMSolverPP2M, DPMSolverPP2S
from flowsolve_solvers.edm import EDM
from flowsolve_solvers.er_sde import ERSDE
from flowsolve_solvers.eta import DDIM_ETA, ER_SDE, SDE_ETA
from flowsolve_solvers.euler import Euler, EulerInT, EulerInVariance
from flowsolve_solvers.exponential_rk import RES2S, RES3S
from flowsolve_solvers.exponential_tableau import (
    COX_MATTHEWS,
    HOCHBRUCK_OSTERMANN,
    KROGSTAD,
    STREHMEL_WEINER,
)
from flowsolve_solvers.fireflow import FireFlow
from flowsolve_solvers.flow_heun import FlowHeun
from flowsolve_solvers.gradient_estimation import GradientEstimation
from flowsolve_solvers.grid_singlestep import GridDPMSolverFast, GridSinglestep
from flowsolve_solvers.ipndm_v import IPNDMV
from flowsolve_solvers.multistep import Adams
from flowsolve_solvers.pfdiff import PFDiff
from flowsolve_solvers.plans import Plan
from flowsolve_solvers.pndm import IPNDM, PLMS, PNDM, SPNDM, PseudoRK4
from flowsolve_solvers.published import PublishedDPMSolver
from flowsolve_solvers.runge_kutta import RK4, Heun, Midpoint
from flowsolve_solvers.sa_solver import SASolver
from flowsolve_solvers.sde_dpmpp import DPMSolverPP2MSDE, DPMSolverPP3MSDE, DPMSolverPPSDE
from flowsolve_solvers.seeds import SEEDS2, SEEDS3
from flowsolve_solvers.stork import STORK
from flowsolve_solvers.tableau import BOGACKI_SHAMPINE, KUTTA3
from flowsolve_solvers.two_state import BDIA, EDICT, OBELM, Rex
from flowsolve_solvers.unic import UniC
from flowsolve_solvers.unipc import UniPC

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

# statistics as those of a small network
_V3 = Fitted((0.6, 0.5, -0.1), (-0.5, 0.4, 0.1), 10.0, 0.05)

_FAMILY: list[Solver] = [
    PseudoRK4(),
    PNDM(),
    PNDM(start=PseudoRK4(SIGMA)),
    PLMS(),
    SPNDM(),
    IPNDM(2),
    IPNDM(),
    IPNDMV(3),
    *(UniPC(points) for points in (1, 2, 3, 4)),
    *(UniPC(points, NOISE) for points in (1, 2, 3)),
    *(UniPC(points, variant=variant) for points in (2, 3) for variant in ("bh1", "bh2")),
    UniPC(3, variant="bh2", lower_order_final=True),
    UniPC(3, start=DPMSolver3()),
    UniPC(4, NOISE, start=RK4(LOG_SIGMA)),
    UniPC(4, start=RK4(LOG_SIGMA)),
    UniPC(2, NOISE, "bh1"),
    UniPC(2, variant="bh1", correct=False),
    UniPC(3, _V3),
    DCSolver(3, ratios=(1.0, 1.0, 0.9, 1.1)),
    GridSinglestep(),
    GridSinglestep(2, NOISE),
    GridDPMSolverFast(2),
    PublishedDPMSolver(2, NOISE),
    PublishedDPMSolver(),
    PublishedDPMSolver(lower_order_final=True),
    PublishedDPMSolver(3, NOISE),
    *(GradientEstimation(gamma) for gamma in (2.0, 1.5)),
    FireFlow(),
    PFDiff(),
    *(UniC(method) for method in (DPMSolver2(), DPMSolverPP2M())),
    STORK(),
]

# charts and variables that are finite at both ends, σ = 0 and ∞
_BOUNDED: list[Solver] = [
    Euler(VELOCITY),
    Euler(FLOW),
    *(Adams(points, chart, Phi(), start) for chart in (VELOCITY, FLOW) for points, start in (
        (2, None), (3, Heun()), (4, RK4(LOG_SIGMA)),
    )),
    Adams(3, Flow(0.5), TwoPower(0.5, 2.0, 0.35, 0.35)),
    *(UniPC(points, chart, variable=Phi()) for chart in (VELOCITY, FLOW) for points in (1, 2)),
    UniPC(3, FLOW, start=DPMSolver3()),
]  # fmt: skip

_TABLEAUS: list[Solver] = [
    RFSolver(),
    RungeKutta(KUTTA3, FLOW, FlowTime()),
    RungeKutta(BOGACKI_SHAMPINE, VELOCITY, Theta()),
    RungeKutta(KROGSTAD, DATA, LOG_SIGMA),
    RungeKutta(COX_MATTHEWS, FLOW, Phi()),
    RungeKutta(STREHMEL_WEINER, DATA, LOG_SIGMA),
    RungeKutta(HOCHBRUCK_OSTERMANN, NOISE, LOG_SIGMA),
]

ALL: list[Solver] = [
    Euler(),
    Euler(DATA),
    EulerInT(),
    EulerInVariance(),
    Heun(),
    FlowHeun(),
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
    Adams(3, DATA, lower_order_final=True),
    *_ADAMS,
    *_BOUNDED,
    RES2S(),
    RES2S(c2=0.8),
    RES3S(),
    RES3S(c2=0.5, c3=1.0),
    Plan(),
    Plan((DPMSolver3(), DPMSolver2())),
    *_TABLEAUS,
    *_FAMILY,
]

# Apart from ALL: they go up the grid by undoing their steps, the tables of EDICT have weights other
# than 1 on x̄, and their recurrences need every earlier answer
TWO_STATE: list[Solver] = [
    BDIA(),
    BDIA(0.5),
    OBELM(),
    EDICT(),
    EDICT(alternate=False),
    Rex(),
    Rex(Heun()),
    Rex(RK4(LOG_SIGMA)),
]

# `order` is the weak order. EDM's default s_churn = 40 is cut at γ = √2 - 1 below 97 steps, and shows
# its order only beyond a thousand steps; with s_churn = 3 the same method shows it at 80
STOCHASTIC: list[Solver] = [
    DDIMEta(),
    DDIMEta(eta=0.5),
    DDPM(larger_variance=True),
    Ancestral(),
    Ancestral(Euler(), family=ER_SDE),
    DPM2Ancestral(eta=0.5),
    DPMSolverPP2SAncestral(),
    EDM(s_churn=3.0),
    EDM(s_churn=3.0, method=Euler()),
    DPMSolverPPSDE(),
    DPMSolverPPSDE(eta=0.5, r=0.8),
    DPMSolverPPSDE(eta=2.0, family=SDE_ETA),
    DPMSolverPP2MSDE(),
    DPMSolverPP2MSDE(heun=True),
    DPMSolverPP2MSDE(eta=0.5, family=DDIM_ETA),
    DPMSolverPP2MSDE(family=ER_SDE),
    DPMSolverPP3MSDE(),
    DPMSolverPP3MSDE(published=True),
    GradientEstimation(mu=0.5),
    SEEDS2(variant="b"),
    SEEDS3(),
    SASolver(),
    SASolver(published=True),
    SASolver(predictor=3, corrector=3),
    SASolver(predictor=2, corrector=0),
    ERSDE(),
    ERSDE(2, eta=2.0),
    ERSDE(eta=0.5, family=SDE_ETA),
    ERSDE(4, family=SDE_ETA),
    ERSDE(published=True),
]
