"""Figures. The only user of matplotlib; every function returns a Figure and draws nothing on a screen."""

from flowsolve.plot.axes import save as save
from flowsolve.plot.edits import edits as edits
from flowsolve.plot.fields import field_2d as field_2d
from flowsolve.plot.grids import grids as grids
from flowsolve.plot.grids import table as table
from flowsolve.plot.inversion import round_trips as round_trips
from flowsolve.plot.noises import interpolation as interpolation
from flowsolve.plot.noises import likelihood as likelihood
from flowsolve.plot.paths import paths_1d as paths_1d
from flowsolve.plot.paths import paths_2d as paths_2d
from flowsolve.plot.quality import consistency as consistency
from flowsolve.plot.quality import quality as quality
from flowsolve.plot.quality import table1 as table1
from flowsolve.plot.samples import along_path as along_path
from flowsolve.plot.samples import images as images
from flowsolve.plot.samples import scatter as scatter
from flowsolve.plot.samples import sheet as sheet
from flowsolve.plot.studies import convergence as convergence
from flowsolve.plot.studies import error_vs_nfe as error_vs_nfe
