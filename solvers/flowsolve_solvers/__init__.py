"""The methods of flowsolve. The tests certify the configurations in ALL, TWO_STATE and STOCHASTIC.

One-step methods of the ODE
  euler            DDIM = Euler; Euler in the time t and in the variance σ²
  runge_kutta      Heun (EDM's deterministic sampler), Midpoint, RK4
  by_tableau       RungeKutta: any tableau in any chart and variable; RF-Solver
  tableau          classical tableaus up to order 4, and Butcher's order conditions
  high_order_tableaus   those of orders 5, 6 and 8
  exponential_tableau   those of Cox-Matthews, Krogstad, Strehmel-Weiner, Hochbruck-Ostermann, DPM-Solver, RES
  stiff_conditions  their order at steps of any length, from its conditions
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
  dc_solver        DC-Solver: UniPC with fitted ratios
  unic             UniC: UniPC's corrector around another method
  gradient_estimation  two points with weights γ and 1 - γ, and noise if asked for
  fireflow         the midpoint rule of flows for one evaluation a step
  pfdiff           one evaluation for two levels of the grid
  stork            stabilised Runge-Kutta on extrapolated values
  published        multistep DPM-Solver with the weights of its authors' code
  two_scales       the default: chart, grid and start for a budget, from two scales of the data
  starts           the far field in one step: AFS, rescaled, corrected, Gaussian
  plans            one-step methods of several orders in one run: DPM-Solver-fast
  grid_singlestep  singlestep DPM-Solver whose stages are levels of the grid: as in diffusers, DPM-Solver-fast
  parallel         ParaDiGMS, Picard: the evaluations of any method asked for at once
  adaptive         torchdiffeq and SciPy
  dpm_adaptive     DPM-Solver-12 and -23, adaptive
  adaptive_runge_kutta  Runge-Kutta pairs in any chart and variable
  adaptive_unipc   UniPC with steps of its own
  two_state        BDIA, O-BELM, EDICT, Rex: reversible
  wrong_neighbour  DDIM where diffusers' labels and steps disagree, for parity

Methods with noise
  eta              what η means: DDIM_ETA, SDE_ETA, ER_SDE
  ddim             DDIM with η, DDPM
  ancestral        an ODE step and noise: k-diffusion's ancestral samplers
  edm              noise and an ODE step: EDM's stochastic sampler
  sde_dpmpp        DPM-Solver++ for SDEs: dpmpp_sde, 2m_sde, 3m_sde
  seeds            SEEDS-2 and -3: exponential Runge-Kutta for the SDE
  restart          Restart: up by noise and down again by a method of the ODE
  sa_solver        SA-Solver
  er_sde           ER-SDE-Solver

certified holds the three lists. _multistep is the loop of linear multistep methods, _adaptive what adaptive
methods share, _windows the loop of those in `parallel`, _anderson the acceleration of ParaDiGMS.
"""

from flowsolve_solvers.adaptive import Scipy as Scipy
from flowsolve_solvers.adaptive import Torchdiffeq as Torchdiffeq
from flowsolve_solvers.adaptive_runge_kutta import AdaptiveRungeKutta as AdaptiveRungeKutta
from flowsolve_solvers.adaptive_unipc import AdaptiveUniPC as AdaptiveUniPC
from flowsolve_solvers.ancestral import Ancestral as Ancestral
from flowsolve_solvers.ancestral import DPM2Ancestral as DPM2Ancestral
from flowsolve_solvers.ancestral import DPMSolverPP2SAncestral as DPMSolverPP2SAncestral
from flowsolve_solvers.by_tableau import RFSolver as RFSolver
from flowsolve_solvers.by_tableau import RungeKutta as RungeKutta
from flowsolve_solvers.certified import ALL as ALL
from flowsolve_solvers.certified import STOCHASTIC as STOCHASTIC
from flowsolve_solvers.certified import TWO_STATE as TWO_STATE
from flowsolve_solvers.dc_solver import DCSolver as DCSolver
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
from flowsolve_solvers.exponential_tableau import COX_MATTHEWS as COX_MATTHEWS
from flowsolve_solvers.exponential_tableau import HOCHBRUCK_OSTERMANN as HOCHBRUCK_OSTERMANN
from flowsolve_solvers.exponential_tableau import KROGSTAD as KROGSTAD
from flowsolve_solvers.exponential_tableau import STREHMEL_WEINER as STREHMEL_WEINER
from flowsolve_solvers.exponential_tableau import ExponentialTableau as ExponentialTableau
from flowsolve_solvers.fireflow import FireFlow as FireFlow
from flowsolve_solvers.flow_heun import FlowHeun as FlowHeun
from flowsolve_solvers.gradient_estimation import GradientEstimation as GradientEstimation
from flowsolve_solvers.grid_singlestep import GridDPMSolverFast as GridDPMSolverFast
from flowsolve_solvers.grid_singlestep import GridSinglestep as GridSinglestep
from flowsolve_solvers.high_order_tableaus import BUTCHER6 as BUTCHER6
from flowsolve_solvers.high_order_tableaus import DORMAND_PRINCE5 as DORMAND_PRINCE5
from flowsolve_solvers.high_order_tableaus import DORMAND_PRINCE8 as DORMAND_PRINCE8
from flowsolve_solvers.ipndm_v import IPNDMV as IPNDMV
from flowsolve_solvers.multistep import DEIS as DEIS
from flowsolve_solvers.multistep import LMS as LMS
from flowsolve_solvers.multistep import Adams as Adams
from flowsolve_solvers.multistep import DPMSolverM as DPMSolverM
from flowsolve_solvers.multistep import DPMSolverPPM as DPMSolverPPM
from flowsolve_solvers.multistep import RhoAB as RhoAB
from flowsolve_solvers.parallel import ParaDiGMS as ParaDiGMS
from flowsolve_solvers.parallel import Picard as Picard
from flowsolve_solvers.pfdiff import PFDiff as PFDiff
from flowsolve_solvers.plans import DPMSolverFast as DPMSolverFast
from flowsolve_solvers.plans import Plan as Plan
from flowsolve_solvers.pndm import IPNDM as IPNDM
from flowsolve_solvers.pndm import PLMS as PLMS
from flowsolve_solvers.pndm import PNDM as PNDM
from flowsolve_solvers.pndm import SPNDM as SPNDM
from flowsolve_solvers.pndm import PseudoRK4 as PseudoRK4
from flowsolve_solvers.published import PublishedDPMSolver as PublishedDPMSolver
from flowsolve_solvers.restart import Restart as Restart
from flowsolve_solvers.runge_kutta import RK4 as RK4
from flowsolve_solvers.runge_kutta import Heun as Heun
from flowsolve_solvers.runge_kutta import Midpoint as Midpoint
from flowsolve_solvers.sa_solver import SASolver as SASolver
from flowsolve_solvers.sde_dpmpp import DPMSolverPP2MSDE as DPMSolverPP2MSDE
from flowsolve_solvers.sde_dpmpp import DPMSolverPP3MSDE as DPMSolverPP3MSDE
from flowsolve_solvers.sde_dpmpp import DPMSolverPPSDE as DPMSolverPPSDE
from flowsolve_solvers.seeds import SEEDS2 as SEEDS2
from flowsolve_solvers.seeds import SEEDS3 as SEEDS3
from flowsolve_solvers.starts import AFS as AFS
from flowsolve_solvers.starts import CorrectedStart as CorrectedStart
from flowsolve_solvers.starts import GaussianStart as GaussianStart
from flowsolve_solvers.starts import RescaledStart as RescaledStart
from flowsolve_solvers.stiff_conditions import stiff_order as stiff_order
from flowsolve_solvers.stork import STORK as STORK
from flowsolve_solvers.tableau import BOGACKI_SHAMPINE as BOGACKI_SHAMPINE
from flowsolve_solvers.tableau import HEUN2 as HEUN2
from flowsolve_solvers.tableau import HEUN3 as HEUN3
from flowsolve_solvers.tableau import KUTTA3 as KUTTA3
from flowsolve_solvers.tableau import KUTTA4 as KUTTA4
from flowsolve_solvers.tableau import MIDPOINT2 as MIDPOINT2
from flowsolve_solvers.tableau import RALSTON2 as RALSTON2
from flowsolve_solvers.tableau import RALSTON3 as RALSTON3
from flowsolve_solvers.tableau import THREE_EIGHTHS as THREE_EIGHTHS
from flowsolve_solvers.tableau import Tableau as Tableau
from flowsolve_solvers.two_scales import TwoScales as TwoScales
from flowsolve_solvers.two_state import BDIA as BDIA
from flowsolve_solvers.two_state import EDICT as EDICT
from flowsolve_solvers.two_state import OBELM as OBELM
from flowsolve_solvers.two_state import Rex as Rex
from flowsolve_solvers.unic import UniC as UniC
from flowsolve_solvers.unipc import UniPC as UniPC
from flowsolve_solvers.wrong_neighbour import WrongNeighbour as WrongNeighbour
