"""Problems: ODEs that solvers are measured on. Their answer is known, or they are real networks.

base        Problem: an ODE with the shape of a sample and two ends, and its flow where that is known
gaussian    Gaussian data: ε and the flow in closed form
mixture     Gaussian mixtures: ε in closed form in any dimension, the flow in one dimension
dataset     the exact denoiser of a finite set of points
shipped     Shipped: a trained network whose weights are in this folder
digits      an ε-network for 8x8 digits, and the digits themselves
photos      EDM's F for patches of two photographs, and the patches
signals     a v-network for the 40-point signals of MNIST-1D, and their making
letters     a class-conditional flow network for 16x16 letters, and their drawing
unet        the module that these networks are
classifier  a trained classifier of these digits: features for distances, and classes
network     NetworkProblem, the user's network as a problem
perturbed   PerturbedProblem, a problem whose network is disturbed, and the ways to do it
as_network  exact_network, a problem as the network that would predict it without error
catalogue   PROBLEMS and find_problem: problems by name
benchmark   the exact problems of the standing benchmark, and which of them are held back

`unet` and `classifier` load torch and are imported by their paths, `flowsolve.problems.classifier`, as is
`benchmark`.
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
from flowsolve.problems.letters import Letters as Letters
from flowsolve.problems.letters import letters_data as letters_data
from flowsolve.problems.mixture import Mixture as Mixture
from flowsolve.problems.mixture import Mixture1D as Mixture1D
from flowsolve.problems.network import NetworkProblem as NetworkProblem
from flowsolve.problems.perturbed import Perturbation as Perturbation
from flowsolve.problems.perturbed import PerturbedProblem as PerturbedProblem
from flowsolve.problems.photos import Photos as Photos
from flowsolve.problems.photos import photos_data as photos_data
from flowsolve.problems.signals import Signals as Signals
from flowsolve.problems.signals import signals_data as signals_data
