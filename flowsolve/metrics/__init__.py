"""Distances between two sets of samples, each with its standard error.

moments    Fréchet distance and sliced Wasserstein distance; the floor of any distance
pairwise   energy distance, KID and MMD, precision and recall
features   what distances look at: values, principal components, any callable
estimate   a number with its standard error, by the jackknife
"""

from flowsolve.metrics.estimate import Estimate as Estimate
from flowsolve.metrics.features import PCA as PCA
from flowsolve.metrics.features import Features as Features
from flowsolve.metrics.features import pca as pca
from flowsolve.metrics.moments import floor as floor
from flowsolve.metrics.moments import frechet as frechet
from flowsolve.metrics.moments import sliced_wasserstein as sliced_wasserstein
from flowsolve.metrics.pairwise import energy as energy
from flowsolve.metrics.pairwise import kid as kid
from flowsolve.metrics.pairwise import mmd as mmd
from flowsolve.metrics.pairwise import precision as precision
from flowsolve.metrics.pairwise import recall as recall
