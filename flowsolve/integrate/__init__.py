"""Running a method: from noise to data, from data to noise, and what goes with it.

driver       solve and sample
starting     ve_start and vp_start: what unit noise is multiplied by
default      the solver and the grid that `sample` takes where none is given
options      Options: what every run takes by name
endpoints    the states of a run; the steps from σ = ∞ and to σ = 0, by one rule for every method
counter      Counter and Tally: evaluations, rows, forward passes and noises of a run
cost         evaluations known beforehand; the largest grid within a budget
cuda_graph   graphed: a run as one CUDA graph
recorder     nodes kept on the way; the evaluation at which a NaN began
solution     Solution: the answer, what it cost, x̄ at any σ on the way
inversion    encode and decode: data to noise and back
fixed_point  invert: the exact inverse of a one-step method; anderson: the accelerated iteration in it
likelihood   log p along the ODE; divergence: the coordinate that it adds to the state
bits         bits per dimension of data on whole levels
sdedit       partial_start: from data with noise, at a level inside the grid
inpainting   inpaint, Known, Repaint: part of x₀ is given
"""

from flowsolve.integrate.bits import bits_per_dim as bits_per_dim
from flowsolve.integrate.bits import dequantise as dequantise
from flowsolve.integrate.cost import fit as fit
from flowsolve.integrate.cost import tally as tally
from flowsolve.integrate.counter import Counter as Counter
from flowsolve.integrate.counter import Tally as Tally
from flowsolve.integrate.cuda_graph import graphed as graphed
from flowsolve.integrate.driver import sample as sample
from flowsolve.integrate.driver import solve as solve
from flowsolve.integrate.endpoints import trajectory as trajectory
from flowsolve.integrate.fixed_point import FixedPointOptions as FixedPointOptions
from flowsolve.integrate.fixed_point import Inversion as Inversion
from flowsolve.integrate.fixed_point import invert as invert
from flowsolve.integrate.inpainting import Known as Known
from flowsolve.integrate.inpainting import Repaint as Repaint
from flowsolve.integrate.inpainting import inpaint as inpaint
from flowsolve.integrate.inversion import Encoder as Encoder
from flowsolve.integrate.inversion import RoundTrip as RoundTrip
from flowsolve.integrate.inversion import decode as decode
from flowsolve.integrate.inversion import encode as encode
from flowsolve.integrate.inversion import round_trip_error as round_trip_error
from flowsolve.integrate.likelihood import Likelihood as Likelihood
from flowsolve.integrate.likelihood import log_prob as log_prob
from flowsolve.integrate.likelihood import ve_prior as ve_prior
from flowsolve.integrate.likelihood import vp_prior as vp_prior
from flowsolve.integrate.options import Options as Options
from flowsolve.integrate.sdedit import EditOptions as EditOptions
from flowsolve.integrate.sdedit import partial_start as partial_start
from flowsolve.integrate.sdedit import steps_kept as steps_kept
from flowsolve.integrate.solution import Solution as Solution
from flowsolve.integrate.starting import ve_start as ve_start
from flowsolve.integrate.starting import vp_start as vp_start
from flowsolve.solver.stand_in import per_step as per_step
