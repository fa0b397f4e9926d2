"""diffusers' models and schedulers as ODEs and grids. Importing this does not import diffusers.

config     a scheduler's config, read: read_config
families   what each scheduler class means by its options; clock and grid: their tables and levels
report     what was read, what was ignored and why; refused: what is not read, and the way that works
continuous configs without a table of β
reading    Reading: clock, prediction, levels and method of a config
model      a model as an ODE: from_diffusers; conventions: each class's label, direction and sign
loading    a saved pipeline: load; pretrained: its parts
scheduler  a solver as a scheduler in diffusers' pipelines: as_scheduler; from_config: how it reads a config
stepping   the loop of a pipeline; timesteps: what it passes; noising: noise added to data
"""

from flowsolve.interop.diffusers.config import read_config as read_config
from flowsolve.interop.diffusers.loading import load as load
from flowsolve.interop.diffusers.model import Denoiser as Denoiser
from flowsolve.interop.diffusers.model import Imported as Imported
from flowsolve.interop.diffusers.model import from_diffusers as from_diffusers
from flowsolve.interop.diffusers.reading import Limits as Limits
from flowsolve.interop.diffusers.reading import Reading as Reading
from flowsolve.interop.diffusers.reading import flow_start as flow_start
from flowsolve.interop.diffusers.report import Report as Report
