"""Networks and programs of other projects, each by one call. Importing this imports none of them.

diffusers    its schedulers' configs, its models and pipelines; solvers as its schedulers
edm          networks of EDM
k_diffusion  denoisers D(x, σ); solvers as k-diffusion samplers
comfyui      every solver as a sampler node of ComfyUI
score_sde    scores
sbi          estimators of posteriors
flow         velocities of flow matching, in either direction of time
fid          Inception features for FID
ld3          the times that LD3 learned
gas          the solvers that GAS learned, as tables
checkpoints  files of fitted methods: their tensors, and their times as levels
"""

from flowsolve.interop.edm import from_edm as from_edm
from flowsolve.interop.fid import inception_features as inception_features
from flowsolve.interop.flow import from_velocity as from_velocity
from flowsolve.interop.gas import GeneralizedSolver as GeneralizedSolver
from flowsolve.interop.gas import read_gas as read_gas
from flowsolve.interop.k_diffusion import as_k_sampler as as_k_sampler
from flowsolve.interop.k_diffusion import from_denoiser as from_denoiser
from flowsolve.interop.ld3 import LD3Levels as LD3Levels
from flowsolve.interop.ld3 import read_ld3 as read_ld3
from flowsolve.interop.sbi import from_sbi as from_sbi
from flowsolve.interop.score_sde import from_score as from_score
