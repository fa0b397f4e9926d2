"""Distances between two sets of samples, each with its standard error.

moments    Fréchet distance and sliced Wasserstein distance; floor, the distance between halves of real data
gaussians  Moments, the mean and the covariance of a set: in parts, in files, as a side of a Fréchet distance
pairwise   distances over pairs of samples: energy distance, KID and MMD, precision and recall
features   Features, the map (N, *event) -> (N, d) that distances are taken after; PCA is one
estimate   Estimate, a number with its standard error, found by the jackknife

All are called as distance(x, y, features=None): x samples (N, *event), y the reference (M, *event), floating
tensors of any dtype and device; features any callable (N, *event) -> (N, d), the flattened samples unless
given. Everything is computed in float64, pairs in blocks, so that memory grows with N + M and not with N M.
All raise SamplesError for other shapes, fewer than 4 samples, whole numbers and NaN.
"""

from flowsolve.metrics.estimate import Estimate as Estimate
from flowsolve.metrics.features import PCA as PCA
from flowsolve.metrics.features import Features as Features
from flowsolve.metrics.features import pca as pca
from flowsolve.metrics.gaussians import Moments as Moments
from flowsolve.metrics.moments import floor as floor
from flowsolve.metrics.moments import frechet as frechet
from flowsolve.metrics.moments import frechet_streamed as frechet_streamed
from flowsolve.metrics.moments import sliced_wasserstein as sliced_wasserstein
from flowsolve.metrics.pairwise import energy as energy
from flowsolve.metrics.pairwise import kid as kid
from flowsolve.metrics.pairwise import mmd as mmd
from flowsolve.metrics.pairwise import precision as precision
from flowsolve.metrics.pairwise import recall as recall
