"""What a method is written against. A solver imports from this room, ode, schedule and errors alone.

base          Solver, Resumed and OneStep: a generator over the grid
reversible    TwoState, methods that undo their own steps
chart         NOISE and DATA, the coordinates in which a method integrates
bounded_charts  VELOCITY and FLOW, the ones that are bounded at σ = 0 and ∞
fitted_chart  Fitted, the one of DPM-Solver-v3, measured on a network
scaled_chart  what these three share
weights       exact integrals of polynomials (Adams) and of exponentials (φ-functions)
dense_output  Point, a node of a path, and the cubic between two
plugins       solvers by name, from every installed package that provides some
stand_in      what a step costs, counted without torch: evaluations, states alive at once
rule          Rule, a method and a grid for a budget; the default one
spec          "adams:points=3,chart=data" as an object
"""

from flowsolve.schedule.tracing import outside_the_trace as outside_the_trace
from flowsolve.solver.base import OneStep as OneStep
from flowsolve.solver.base import Resumed as Resumed
from flowsolve.solver.base import Solver as Solver
from flowsolve.solver.base import check_noise_free as check_noise_free
from flowsolve.solver.base import check_option as check_option
from flowsolve.solver.base import check_solver as check_solver
from flowsolve.solver.base import formula_and_source as formula_and_source
from flowsolve.solver.base import given as given
from flowsolve.solver.bounded_charts import FLOW as FLOW
from flowsolve.solver.bounded_charts import VELOCITY as VELOCITY
from flowsolve.solver.bounded_charts import Flow as Flow
from flowsolve.solver.bounded_charts import Velocity as Velocity
from flowsolve.solver.chart import DATA as DATA
from flowsolve.solver.chart import NOISE as NOISE
from flowsolve.solver.chart import Chart as Chart
from flowsolve.solver.dense_output import Point as Point
from flowsolve.solver.dense_output import hermite as hermite
from flowsolve.solver.fitted_chart import Fitted as Fitted
from flowsolve.solver.plugins import Provided as Provided
from flowsolve.solver.plugins import certified as certified
from flowsolve.solver.plugins import make_solver as make_solver
from flowsolve.solver.plugins import provided as provided
from flowsolve.solver.reversible import Continued as Continued
from flowsolve.solver.reversible import TwoState as TwoState
from flowsolve.solver.rule import Rule as Rule
from flowsolve.solver.rule import default_rule as default_rule
from flowsolve.solver.stand_in import memory as memory
from flowsolve.solver.stand_in import per_step as per_step
from flowsolve.solver.weights import GUARD as GUARD
from flowsolve.solver.weights import Measure as Measure
from flowsolve.solver.weights import adams_weights as adams_weights
from flowsolve.solver.weights import guarded as guarded
from flowsolve.solver.weights import moments as moments
from flowsolve.solver.weights import phi as phi
from flowsolve.solver.weights import span as span
from flowsolve.solver.weights import within as within
