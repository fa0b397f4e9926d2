"""flowsolve: sampling from diffusion models as solving dx̄/dσ = ε(x̄, σ), in x̄ = x/α and σ = s/α.

DDIM is Euler's method on it. Methods live in the package flowsolve_solvers; this one runs, measures
and draws them. Importing it loads no torch.
"""

from flowsolve.betas import exponential_alpha_bar as exponential_alpha_bar
from flowsolve.betas import laplace as laplace
from flowsolve.betas import sigmoid_beta as sigmoid_beta
from flowsolve.betas import zero_terminal_snr as zero_terminal_snr
from flowsolve.chart import DATA as DATA
from flowsolve.chart import LOG_SIGMA as LOG_SIGMA
from flowsolve.chart import NOISE as NOISE
from flowsolve.chart import SIGMA as SIGMA
from flowsolve.chart import ClockTime as ClockTime
from flowsolve.discrete import from_alpha_bar as from_alpha_bar
from flowsolve.discrete import from_alphas_cumprod as from_alphas_cumprod
from flowsolve.discrete import from_betas as from_betas
from flowsolve.discrete import linear_beta as linear_beta
from flowsolve.discrete import scaled_linear_beta as scaled_linear_beta
from flowsolve.discrete import squared_cosine as squared_cosine
from flowsolve.dmn import dmn as dmn
from flowsolve.fixed_point import Inversion as Inversion
from flowsolve.fixed_point import invert as invert
from flowsolve.gits import GITS as GITS
from flowsolve.gits import gits as gits
from flowsolve.gits_table import gits_table as gits_table
from flowsolve.grid import Grid as Grid
from flowsolve.grid import exponential as exponential
from flowsolve.grid import karras as karras
from flowsolve.grid import log_snr as log_snr
from flowsolve.grid import quadratic_t as quadratic_t
from flowsolve.grid import uniform as uniform
from flowsolve.grid import uniform_t as uniform_t
from flowsolve.grid_tuned import arctan as arctan
from flowsolve.grid_tuned import ays as ays
from flowsolve.grid_tuned import beta as beta
from flowsolve.grid_tuned import beta_t as beta_t
from flowsolve.grid_tuned import resample as resample
from flowsolve.grid_tuned import round_to as round_to
from flowsolve.guidance import Guided as Guided
from flowsolve.guidance_scale import cfgpp as cfgpp
from flowsolve.guidance_scale import interval as interval
from flowsolve.inversion import RoundTrip as RoundTrip
from flowsolve.inversion import decode as decode
from flowsolve.inversion import encode as encode
from flowsolve.inversion import round_trip_error as round_trip_error
from flowsolve.limits import Clip as Clip
from flowsolve.limits import Threshold as Threshold
from flowsolve.noise import BrownianNoise as BrownianNoise
from flowsolve.noise import Noise as Noise
from flowsolve.noise import SeededNoise as SeededNoise
from flowsolve.noise import WithNoise as WithNoise
from flowsolve.noise import unit_noise as unit_noise
from flowsolve.ode import ODE as ODE
from flowsolve.ode import DiffusionODE as DiffusionODE
from flowsolve.ode import Wrapped as Wrapped
from flowsolve.precondition import EDMPrediction as EDMPrediction
from flowsolve.precondition import EpsPrediction as EpsPrediction
from flowsolve.precondition import FlowPrediction as FlowPrediction
from flowsolve.precondition import VPrediction as VPrediction
from flowsolve.precondition import X0Prediction as X0Prediction
from flowsolve.schedule import VESDE as VESDE
from flowsolve.schedule import VPSDE as VPSDE
from flowsolve.schedule import EDMClock as EDMClock
from flowsolve.schedule import FlowClock as FlowClock
from flowsolve.shift import dynamic_shift as dynamic_shift
from flowsolve.shift import flow_uniform as flow_uniform
from flowsolve.solution import Point as Point
from flowsolve.solution import Solution as Solution
from flowsolve.solve import sample as sample
from flowsolve.solve import solve as solve
from flowsolve.solve import ve_start as ve_start
from flowsolve.solve import vp_start as vp_start
from flowsolve.solver import OneStep as OneStep
from flowsolve.solver import Solver as Solver
from flowsolve.subsequence import leading as leading
from flowsolve.subsequence import linspace as linspace
from flowsolve.subsequence import tau_linear as tau_linear
from flowsolve.subsequence import tau_quadratic as tau_quadratic
from flowsolve.subsequence import trailing as trailing
from flowsolve.table import Replay as Replay
from flowsolve.table import Table as Table
from flowsolve.table import tabulate as tabulate
from flowsolve.two_state import Continued as Continued
from flowsolve.two_state import TwoState as TwoState

__version__ = "0.1.0"
