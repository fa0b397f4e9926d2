"""What a method is before it meets a network, and grids that are searched for.

table          the coefficient table of a linear method; Replay runs it
basis          a method run on basis vectors, where its table comes from
stages         a method turned inside out: the caller evaluates the network
step_response  a stochastic method's steps as weights
order          observed orders: slopes of error against steps
weak_order     the error of a stochastic method's law, by quadrature
strong_order   the error of its paths
step_cost      operations and memory of a step
dmn_bound      grids of least error bound (DMN)
gits_search    grids by dynamic programming along a trajectory (GITS)
"""

from flowsolve.analysis.dmn_bound import dmn as dmn
from flowsolve.analysis.dmn_bound import error_bound as error_bound
from flowsolve.analysis.gits_search import GITS as GITS
from flowsolve.analysis.gits_search import gits as gits
from flowsolve.analysis.order import Slope as Slope
from flowsolve.analysis.order import observed_order as observed_order
from flowsolve.analysis.stages import Recurrence as Recurrence
from flowsolve.analysis.stages import Run as Run
from flowsolve.analysis.stages import Stage as Stage
from flowsolve.analysis.stages import drive as drive
from flowsolve.analysis.stages import recurrence as recurrence
from flowsolve.analysis.step_cost import Meter as Meter
from flowsolve.analysis.step_cost import metered as metered
from flowsolve.analysis.step_response import Step as Step
from flowsolve.analysis.step_response import noise_levels as noise_levels
from flowsolve.analysis.step_response import responses as responses
from flowsolve.analysis.strong_order import path_slope as path_slope
from flowsolve.analysis.table import Replay as Replay
from flowsolve.analysis.table import Table as Table
from flowsolve.analysis.table import tabulate as tabulate
from flowsolve.analysis.weak_order import law_error as law_error
from flowsolve.analysis.weak_order import law_slope as law_slope
