"""What can be said of a method without a network: its coefficients, its order, its cost; searched grids.

basis          a method run on basis vectors: every state as a combination of what it was given
table          Table, the coefficients of a linear method on a grid
replay         Replay, which runs a method from them
stages         Recurrence, a method whose network is evaluated by the caller
plan           EnginePlan, a method on its grid as numbers in a file, for other programs
plan_reading   such files, checked
replay_plan    runs such a file with NumPy alone; replay_plan.mjs does in JavaScript
combinations   vectors as combinations of as few others as it takes
step_response  the weights of each step of a stochastic method
step_kernels   each draw of a stochastic method as a normal density; Rollout, whose density is had again
order          Slope, the observed order: log error against log steps
weak_order     the weak error of a stochastic method (of the law of its samples), by quadrature
strong_order   its strong error, on one Brownian path
step_cost      operations on tensors, and states alive at once, besides the network's
dmn_bound      dmn, the grid of least error bound
gits_search    gits, grids by dynamic programming along a trajectory

weak_order, strong_order and step_cost load numpy or torch, and are not re-exported here.
"""

from flowsolve.analysis.dmn_bound import dmn as dmn
from flowsolve.analysis.dmn_bound import error_bound as error_bound
from flowsolve.analysis.gits_search import GITS as GITS
from flowsolve.analysis.gits_search import gits as gits
from flowsolve.analysis.order import Slope as Slope
from flowsolve.analysis.order import observed_order as observed_order
from flowsolve.analysis.plan import EnginePlan as EnginePlan
from flowsolve.analysis.plan import NetworkCall as NetworkCall
from flowsolve.analysis.plan import Parametrisation as Parametrisation
from flowsolve.analysis.plan import engine_plan as engine_plan
from flowsolve.analysis.replay import Replay as Replay
from flowsolve.analysis.stages import Recurrence as Recurrence
from flowsolve.analysis.stages import Run as Run
from flowsolve.analysis.stages import Stage as Stage
from flowsolve.analysis.stages import drive as drive
from flowsolve.analysis.stages import recurrence as recurrence
from flowsolve.analysis.step_kernels import Kernel as Kernel
from flowsolve.analysis.step_kernels import Rollout as Rollout
from flowsolve.analysis.step_kernels import kernels as kernels
from flowsolve.analysis.step_kernels import rollout as rollout
from flowsolve.analysis.step_response import Step as Step
from flowsolve.analysis.step_response import noise_levels as noise_levels
from flowsolve.analysis.step_response import responses as responses
from flowsolve.analysis.table import Table as Table
from flowsolve.analysis.table import tabulate as tabulate
