"""Noise levels: the grids that solvers step over, and the clocks that turn σ into a network's label. No torch.

grid            Grid, the levels σ₀ > σ₁ > ... > σ_N, checked once; the types Spacing and GridFamily
spacings        karras, log_snr, uniform, ...: n steps between two levels by a formula
tuned           spacings that were tuned: beta, ays, arctan; resample and round_to, which change given levels
timesteps       grids of whole labels: tau_linear of the DDIM paper; leading, trailing, linspace of diffusers
flow_shift      grids of flow-matching models, and their timestep shifts
gits_published  the tables of the GITS paper
clock           Clock, the label t of every σ and back: VP-SDE, VE-SDE, EDM, flow matching
discrete        DiscreteClock, the clock of a table ᾱ: linear β, scaled-linear β, squared cosine
betas           further tables: sigmoid, Laplace, exponential; zero terminal SNR
labels          the label that the networks of each family are given at a σ between the entries of their table
equal_steps     grids without a clock: two_power, uniform_phi, uniform_in of any variable
quadrature      Gauss-Legendre nodes and weights
variable        Variable τ(σ), in which methods interpolate: σ, log σ, a clock's time
tracing         what torch.compile takes as constants: functions of numbers, computed outside of its trace
bounded_variables  variables that are finite at σ = 0 and ∞: Theta, Phi, FlowTime, TwoPower
"""

from flowsolve.schedule.betas import exponential_alpha_bar as exponential_alpha_bar
from flowsolve.schedule.betas import from_alpha_bar as from_alpha_bar
from flowsolve.schedule.betas import laplace as laplace
from flowsolve.schedule.betas import sigmoid_beta as sigmoid_beta
from flowsolve.schedule.betas import squared_cosine as squared_cosine
from flowsolve.schedule.betas import zero_terminal_snr as zero_terminal_snr
from flowsolve.schedule.bounded_variables import FlowTime as FlowTime
from flowsolve.schedule.bounded_variables import Phi as Phi
from flowsolve.schedule.bounded_variables import Theta as Theta
from flowsolve.schedule.bounded_variables import TwoPower as TwoPower
from flowsolve.schedule.clock import VESDE as VESDE
from flowsolve.schedule.clock import VPSDE as VPSDE
from flowsolve.schedule.clock import Clock as Clock
from flowsolve.schedule.clock import EDMClock as EDMClock
from flowsolve.schedule.clock import FlowClock as FlowClock
from flowsolve.schedule.discrete import DiscreteClock as DiscreteClock
from flowsolve.schedule.discrete import from_alphas_cumprod as from_alphas_cumprod
from flowsolve.schedule.discrete import from_betas as from_betas
from flowsolve.schedule.discrete import linear_beta as linear_beta
from flowsolve.schedule.discrete import scaled_linear_beta as scaled_linear_beta
from flowsolve.schedule.equal_steps import two_power as two_power
from flowsolve.schedule.equal_steps import uniform_in as uniform_in
from flowsolve.schedule.equal_steps import uniform_phi as uniform_phi
from flowsolve.schedule.flow_shift import dynamic_shift as dynamic_shift
from flowsolve.schedule.flow_shift import flow_uniform as flow_uniform
from flowsolve.schedule.gits_published import gits_table as gits_table
from flowsolve.schedule.grid import Grid as Grid
from flowsolve.schedule.grid import GridFamily as GridFamily
from flowsolve.schedule.grid import Spacing as Spacing
from flowsolve.schedule.labels import AngleClock as AngleClock
from flowsolve.schedule.labels import Labels as Labels
from flowsolve.schedule.labels import LogClock as LogClock
from flowsolve.schedule.labels import Reversed as Reversed
from flowsolve.schedule.labels import SigmaClock as SigmaClock
from flowsolve.schedule.labels import dpm_solver_labels as dpm_solver_labels
from flowsolve.schedule.labels import fractional as fractional
from flowsolve.schedule.labels import iddpm_labels as iddpm_labels
from flowsolve.schedule.labels import k_diffusion_labels as k_diffusion_labels
from flowsolve.schedule.labels import nearest as nearest
from flowsolve.schedule.labels import nearest_sigma as nearest_sigma
from flowsolve.schedule.labels import ve_index as ve_index
from flowsolve.schedule.labels import whole as whole
from flowsolve.schedule.spacings import exponential as exponential
from flowsolve.schedule.spacings import karras as karras
from flowsolve.schedule.spacings import log_snr as log_snr
from flowsolve.schedule.spacings import quadratic_t as quadratic_t
from flowsolve.schedule.spacings import uniform as uniform
from flowsolve.schedule.spacings import uniform_t as uniform_t
from flowsolve.schedule.timesteps import leading as leading
from flowsolve.schedule.timesteps import linspace as linspace
from flowsolve.schedule.timesteps import tau_linear as tau_linear
from flowsolve.schedule.timesteps import tau_quadratic as tau_quadratic
from flowsolve.schedule.timesteps import trailing as trailing
from flowsolve.schedule.tuned import arctan as arctan
from flowsolve.schedule.tuned import ays as ays
from flowsolve.schedule.tuned import beta as beta
from flowsolve.schedule.tuned import beta_t as beta_t
from flowsolve.schedule.tuned import resample as resample
from flowsolve.schedule.tuned import round_to as round_to
from flowsolve.schedule.variable import LOG_SIGMA as LOG_SIGMA
from flowsolve.schedule.variable import SIGMA as SIGMA
from flowsolve.schedule.variable import ClockTime as ClockTime
from flowsolve.schedule.variable import Variable as Variable
