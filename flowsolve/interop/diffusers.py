"""diffusers' models and schedulers as ODEs and grids. Importing this does not import diffusers."""

from flowsolve.interop.diffusers_config import read_config as read_config
from flowsolve.interop.diffusers_load import load as load
from flowsolve.interop.diffusers_model import Denoiser as Denoiser
from flowsolve.interop.diffusers_model import Imported as Imported
from flowsolve.interop.diffusers_model import from_diffusers as from_diffusers
from flowsolve.interop.diffusers_reading import Limits as Limits
from flowsolve.interop.diffusers_reading import Reading as Reading
from flowsolve.interop.diffusers_reading import flow_start as flow_start
from flowsolve.interop.diffusers_report import Report as Report
