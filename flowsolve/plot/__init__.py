"""Figures. The only user of matplotlib; every function returns a Figure and draws nothing on a screen."""

from flowsolve.plot.axes import save as save
from flowsolve.plot.edits import edits as edits
from flowsolve.plot.grids import grids as grids
from flowsolve.plot.grids import table as table
from flowsolve.plot.paths import paths_1d as paths_1d
from flowsolve.plot.paths import paths_2d as paths_2d
from flowsolve.plot.samples import images as images
from flowsolve.plot.samples import scatter as scatter
from flowsolve.plot.studies import convergence as convergence
from flowsolve.plot.studies import error_vs_nfe as error_vs_nfe
