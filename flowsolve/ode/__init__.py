"""Networks as the ODE dx̄/dσ = ε(x̄, σ).

base                 ODE, the protocol: eps, x0, alpha, noise; Scales; Wrapped, an ODE around another
by_level             ByLevel, for wrappers: their answers at one level or at several
diffusion            DiffusionODE, an ODE made of a network and a Precondition
precondition         Precondition: what the network predicts, ε, v, x₀, EDM's F or a flow's velocity
relabelled           Relabelled, a Precondition of a network that is told another level
by_seed              BySeed, rows that follow from the seeds of the samples
condition            what the network is given besides x and t: labels, text, a dictionary of tensors
failure              what a network was given when it failed, and what may mend it
meeting              what three questions to a network show
meaning              whether it means what was said: how much of the noise its answer holds
modules              the torch modules in a network, and a warning of those that train
ownership            answers that a network keeps, and inputs that it changes: seen, and copied
report               check, a network asked four times before it is trusted
guidance             Guided, classifier-free guidance; scales that depend on σ, and CFG++
composed             Composed, guidance of several terms
experts              Experts, one network above a level and another below
data_scales          the two scales of the data, measured or guessed, and the levels that an ODE knows
perturbed            errors on purpose: Gaussian, constant, of few bits, answers used again
clipping             Clip and Threshold, which limit the values of x₀
noise                noise from seeds: of the start, of every interval, of one Brownian path
counter_noise        CounterNoise, noise from seeds that is made on the device
noise_interpolation  slerp between noises, arcs and squares of them
training             the network's inputs, targets and loss that follow from a Precondition
"""

from flowsolve.ode.base import ODE as ODE
from flowsolve.ode.base import Scales as Scales
from flowsolve.ode.base import Wrapped as Wrapped
from flowsolve.ode.by_level import ByLevel as ByLevel
from flowsolve.ode.by_seed import BySeed as BySeed
from flowsolve.ode.clipping import Clip as Clip
from flowsolve.ode.clipping import Threshold as Threshold
from flowsolve.ode.composed import Composed as Composed
from flowsolve.ode.condition import Condition as Condition
from flowsolve.ode.counter_noise import CounterNoise as CounterNoise
from flowsolve.ode.data_scales import scales as scales
from flowsolve.ode.diffusion import DiffusionODE as DiffusionODE
from flowsolve.ode.experts import Experts as Experts
from flowsolve.ode.guidance import Guided as Guided
from flowsolve.ode.guidance import cfgpp as cfgpp
from flowsolve.ode.guidance import interval as interval
from flowsolve.ode.meeting import Finding as Finding
from flowsolve.ode.noise import BrownianNoise as BrownianNoise
from flowsolve.ode.noise import Noise as Noise
from flowsolve.ode.noise import SeededNoise as SeededNoise
from flowsolve.ode.noise import WithNoise as WithNoise
from flowsolve.ode.noise import unit_noise as unit_noise
from flowsolve.ode.noise_interpolation import arc as arc
from flowsolve.ode.noise_interpolation import slerp as slerp
from flowsolve.ode.noise_interpolation import square as square
from flowsolve.ode.perturbed import ConstantError as ConstantError
from flowsolve.ode.perturbed import GaussianError as GaussianError
from flowsolve.ode.perturbed import Quantised as Quantised
from flowsolve.ode.perturbed import Reused as Reused
from flowsolve.ode.perturbed import Rounded as Rounded
from flowsolve.ode.precondition import FLOW as FLOW
from flowsolve.ode.precondition import SUB_VP as SUB_VP
from flowsolve.ode.precondition import VE as VE
from flowsolve.ode.precondition import VP as VP
from flowsolve.ode.precondition import EDMPrediction as EDMPrediction
from flowsolve.ode.precondition import EpsPrediction as EpsPrediction
from flowsolve.ode.precondition import FlowPrediction as FlowPrediction
from flowsolve.ode.precondition import Precondition as Precondition
from flowsolve.ode.precondition import Scaled as Scaled
from flowsolve.ode.precondition import VPrediction as VPrediction
from flowsolve.ode.precondition import X0Prediction as X0Prediction
from flowsolve.ode.relabelled import Relabelled as Relabelled
from flowsolve.ode.report import Report as Report
from flowsolve.ode.report import check as check
from flowsolve.ode.training import Objective as Objective
from flowsolve.ode.training import moving_average as moving_average
