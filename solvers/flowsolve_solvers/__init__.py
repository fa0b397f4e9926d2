"""The methods of flowsolve. The tests certify the configurations in ALL, TWO_STATE and STOCHASTIC, below.

One-step methods of the ODE
  euler            DDIM = Euler; Euler in the time t and in the variance σ²
  runge_kutta      Heun (EDM's deterministic sampler), Midpoint, RK4
  dpm_solver       DPM-Solver-2 and -3, singlestep
  dpmpp            DPM-Solver++(2S), and the two-step (2M), as published
  exponential_rk   RES 2S and 3S
  flow_heun        Heun in the time and the state of a flow
  ddim_inverse     the step with which diffusers inverts DDIM

Multistep and other methods of the ODE
  multistep        Adams with exact weights: LMS, DEIS, multistep DPM-Solver and DPM-Solver++
  pndm             PNDM, S-PNDM, PLMS, iPNDM: the weights of equal steps
  ipndm_v          diff-sampler's ipndm_v, as published
  unipc            UniP and UniPC
  published        multistep DPM-Solver with the weights of its authors' code
  two_scales       the default: chart, grid and start for a budget, from two scales of the data
  starts           the far field in one step: AFS, rescaled, corrected, Gaussian
  plans            one-step methods of several orders in one run: DPM-Solver-fast
  grid_singlestep  singlestep DPM-Solver whose stages are levels of the grid: as in diffusers, DPM-Solver-fast
  parallel         ParaDiGMS, Picard: the evaluations of any method asked for at once
  adaptive         torchdiffeq and SciPy
  dpm_adaptive     DPM-Solver-12 and -23, adaptive
  adaptive_unipc   UniPC with steps of its own
  two_state        BDIA, O-BELM, EDICT, Rex: reversible
  wrong_neighbour  DDIM where diffusers' labels and steps disagree, for parity

Methods with noise
  eta              what η means: DDIM_ETA, SDE_ETA, ER_SDE
  ddim             DDIM with η, DDPM
  ancestral        an ODE step and noise: k-diffusion's ancestral samplers
  edm              noise and an ODE step: EDM's stochastic sampler
  sde_dpmpp        DPM-Solver++ for SDEs: dpmpp_sde, 2m_sde, 3m_sde
  sa_solver        SA-Solver
  er_sde           ER-SDE-Solver

_multistep is the loop of linear multistep methods, _adaptive what adaptive methods share, _windows
the loop of those in `parallel`, _anderson the acceleration of ParaDiGMS.
"""

from flowsolve.schedule import LOG_SIGMA, SIGMA, VPSDE, ClockTime, Phi, TwoPower
from flowsolve.solver import DATA, FLOW, NOISE, VELOCITY, Flow, Solver
from flowsolve_solvers.adaptive import Scipy as Scipy
from flowsolve_solvers.adaptive import Torchdiffeq as Torchdiffeq
from flowsolve_solvers.adaptive_unipc import AdaptiveUniPC as AdaptiveUniPC
from flowsolve_solvers.ancestral import Ancestral as Ancestral
from flowsolve_solvers.ancestral import DPM2Ancestral as DPM2Ancestral
from flowsolve_solvers.ancestral import DPMSolverPP2SAncestral as DPMSolverPP2SAncestral
from flowsolve_solvers.ddim import DDPM as DDPM
from flowsolve_solvers.ddim import DDIMEta as DDIMEta
from flowsolve_solvers.ddim import EulerAncestral as EulerAncestral
from flowsolve_solvers.ddim_inverse import DDIMInverse as DDIMInverse
from flowsolve_solvers.dpm_adaptive import DPMSolverAdaptive as DPMSolverAdaptive
from flowsolve_solvers.dpm_solver import DPMSolver2 as DPMSolver2
from flowsolve_solvers.dpm_solver import DPMSolver3 as DPMSolver3
from flowsolve_solvers.dpmpp import DPMSolverPP2M as DPMSolverPP2M
from flowsolve_solvers.dpmpp import DPMSolverPP2S as DPMSolverPP2S
from flowsolve_solvers.edm import EDM as EDM
from flowsolve_solvers.er_sde import ERSDE as ERSDE
from flowsolve_solvers.eta import DDIM_ETA as DDIM_ETA
from flowsolve_solvers.eta import ER_SDE as ER_SDE
from flowsolve_solvers.eta import SDE_ETA as SDE_ETA
from flowsolve_solvers.euler import DDIM as DDIM
from flowsolve_solvers.euler import Euler as Euler
from flowsolve_solvers.euler import EulerInT as EulerInT
from flowsolve_solvers.euler import EulerInVariance as EulerInVariance
from flowsolve_solvers.exponential_rk import RES2S as RES2S
from flowsolve_solvers.exponential_rk import RES3S as RES3S
from flowsolve_solvers.flow_heun import FlowHeun as FlowHeun
from flowsolve_solvers.grid_singlestep import GridDPMSolverFast as GridDPMSolverFast
from flowsolve_solvers.grid_singlestep import GridSinglestep as GridSinglestep
from flowsolve_solvers.ipndm_v import IPNDMV as IPNDMV
from flowsolve_solvers.multistep import DEIS as DEIS
from flowsolve_solvers.multistep import LMS as LMS
from flowsolve_solvers.multistep import Adams as Adams
from flowsolve_solvers.multistep import DPMSolverM as DPMSolverM
from flowsolve_solvers.multistep import DPMSolverPPM as DPMSolverPPM
from flowsolve_solvers.multistep import RhoAB as RhoAB
from flowsolve_solvers.parallel import ParaDiGMS as ParaDiGMS
from flowsolve_solvers.parallel import Picard as Picard
from flowsolve_solvers.plans import DPMSolverFast as DPMSolverFast
from flowsolve_solvers.plans import Plan as Plan
from flowsolve_solvers.pndm import IPNDM as IPNDM
from flowsolve_solvers.pndm import PLMS as PLMS
from flowsolve_solvers.pndm import PNDM as PNDM
from flowsolve_solvers.pndm import SPNDM as SPNDM
from flowsolve_solvers.pndm import PseudoRK4 as PseudoRK4
from flowsolve_solvers.published import PublishedDPMSolver as PublishedDPMSolver
from flowsolve_solvers.runge_kutta import RK4 as RK4
from flowsolve_solvers.runge_kutta import Heun as Heun
from flowsolve_solvers.runge_kutta import Midpoint as Midpoint
from flowsolve_solvers.sa_solver import SASolver as SASolver
from flowsolve_solvers.sde_dpmpp import DPMSolverPP2MSDE as DPMSolverPP2MSDE
from flowsolve_solvers.sde_dpmpp import DPMSolverPP3MSDE as DPMSolverPP3MSDE
from flowsolve_solvers.sde_dpmpp import DPMSolverPPSDE as DPMSolverPPSDE
from flowsolve_solvers.starts import AFS as AFS
from flowsolve_solvers.starts import CorrectedStart as CorrectedStart
from flowsolve_solvers.starts import GaussianStart as GaussianStart
from flowsolve_solvers.starts import RescaledStart as RescaledStart
from flowsolve_solvers.two_scales import TwoScales as TwoScales
from flowsolve_solvers.two_state import BDIA as BDIA
from flowsolve_solvers.two_state import EDICT as EDICT
from flowsolve_solvers.two_state import OBELM as OBELM
from flowsolve_solvers.two_state import Rex as Rex
from flowsolve_solvers.unipc import UniPC as UniPC
from flowsolve_solvers.wrong_neighbour import WrongNeighbour as WrongNeighbour

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
    GridSinglestep(),
    GridSinglestep(2, NOISE),
    GridDPMSolverFast(2),
    PublishedDPMSolver(2, NOISE),
    PublishedDPMSolver(),
    PublishedDPMSolver(lower_order_final=True),
    PublishedDPMSolver(3, NOISE),
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
