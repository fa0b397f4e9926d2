"""Figures, the only user of matplotlib. Every function returns a Figure, which a notebook shows.

look           options of every figure: ax, labels, style; colours and markers
axes           what all share, and save
view           the range of an axis, points beyond it, slope triangles
error          error against evaluations, and against steps
perturbed      error against evaluations of a network disturbed in several ways
trajectories   paths over the density, in x_t and in x̄
fields         the ε-field of a problem in two dimensions
grids          where the levels of grids lie; coefficient tables
samples        sheets of images and of curves, scatter plots
quality        distance to data against evaluations; Table 1
consistency    the distance between samples of one x_T, against steps
interpolation  samples from between two noises
likelihood     log p against evaluations
round_trip     what round trips lose, against steps
editing        edited images under their originals
benchmark      work and precision of the benchmark, a panel a side
"""

from flowsolve.plot.axes import save as save
from flowsolve.plot.benchmark import work_precision_by_side as work_precision_by_side
from flowsolve.plot.consistency import consistency_vs_steps as consistency_vs_steps
from flowsolve.plot.editing import edits as edits
from flowsolve.plot.error import convergence as convergence
from flowsolve.plot.error import error_vs_nfe as error_vs_nfe
from flowsolve.plot.fields import field_2d as field_2d
from flowsolve.plot.grids import coefficients as coefficients
from flowsolve.plot.grids import grid_levels as grid_levels
from flowsolve.plot.interpolation import along_interpolation as along_interpolation
from flowsolve.plot.likelihood import likelihood_vs_nfe as likelihood_vs_nfe
from flowsolve.plot.look import Look as Look
from flowsolve.plot.perturbed import error_by_perturbation as error_by_perturbation
from flowsolve.plot.quality import quality_vs_nfe as quality_vs_nfe
from flowsolve.plot.quality import table1 as table1
from flowsolve.plot.round_trip import round_trips_vs_steps as round_trips_vs_steps
from flowsolve.plot.samples import along_path as along_path
from flowsolve.plot.samples import images as images
from flowsolve.plot.samples import scatter as scatter
from flowsolve.plot.samples import sheet as sheet
from flowsolve.plot.samples import signals as signals
from flowsolve.plot.trajectories import paths_1d as paths_1d
from flowsolve.plot.trajectories import paths_2d as paths_2d
