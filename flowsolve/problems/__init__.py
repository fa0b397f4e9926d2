"""ODEs whose answer is known, and a real network.

base        Problem: an ODE with its two ends, and its flow where that is known
gaussian    Gaussian data: the flow in closed form
mixture     Gaussian mixtures in one and more dimensions
dataset     the exact denoiser of a finite set of points
digits      a trained ε-network for 8x8 digits, its weights in the package; unet: what it is made of
classifier  a trained classifier of those digits: features and classes. It loads torch, as unet does,
            and is imported by its own path
network     NetworkProblem, a network of your own as a problem
as_network  exact_network, a problem disguised as a network
catalogue   problems by name
"""

from flowsolve.problems.as_network import exact_network as exact_network
from flowsolve.problems.base import Problem as Problem
from flowsolve.problems.catalogue import PROBLEMS as PROBLEMS
from flowsolve.problems.catalogue import find_problem as find_problem
from flowsolve.problems.dataset import Dataset as Dataset
from flowsolve.problems.digits import Digits as Digits
from flowsolve.problems.digits import digits_data as digits_data
from flowsolve.problems.digits import digits_network as digits_network
from flowsolve.problems.gaussian import Gaussian as Gaussian
from flowsolve.problems.mixture import Mixture as Mixture
from flowsolve.problems.mixture import Mixture1D as Mixture1D
from flowsolve.problems.network import NetworkProblem as NetworkProblem
