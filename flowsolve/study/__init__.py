"""Measurements: one row each, on the disk before the next begins.

error            Study; convergence and work_precision: error against steps and evaluations
references       the certified answers that errors are measured against; cache: where they are kept
cases            a solver on a grid, as it is to be measured
results          rows, and the file that they grow in
runner           tasks, and collect, which measures them one after another
samples          samples in blocks of seeds, kept on the disk
certificate      what solvers claim, measured
quality          distances to data beside the error; table1 of the DDIM paper
consistency      one x_T at many numbers of steps
interpolation    samples from between two noises
round_trip       data up to noise and down again; table2 of the DDIM paper
likelihood       log p of data by several solvers
editing          digits made into others; editing_methods: how
"""

from flowsolve.study.cases import Case as Case
from flowsolve.study.cases import budget_cases as budget_cases
from flowsolve.study.cases import steps_case as steps_case
from flowsolve.study.certificate import Certificate as Certificate
from flowsolve.study.certificate import certify as certify
from flowsolve.study.consistency import ConsistencyRow as ConsistencyRow
from flowsolve.study.editing import EditRow as EditRow
from flowsolve.study.editing import edits as edits
from flowsolve.study.error import Study as Study
from flowsolve.study.error import convergence as convergence
from flowsolve.study.error import work_precision as work_precision
from flowsolve.study.interpolation import InterpolationRow as InterpolationRow
from flowsolve.study.likelihood import LikelihoodRow as LikelihoodRow
from flowsolve.study.quality import QualityRow as QualityRow
from flowsolve.study.references import Reference as Reference
from flowsolve.study.references import reference as reference
from flowsolve.study.results import Row as Row
from flowsolve.study.results import RowFile as RowFile
from flowsolve.study.results import read_jsonl as read_jsonl
from flowsolve.study.results import write_csv as write_csv
from flowsolve.study.round_trip import RoundTripRow as RoundTripRow
from flowsolve.study.round_trip import Way as Way
from flowsolve.study.round_trip import round_trips as round_trips
from flowsolve.study.runner import Record as Record
from flowsolve.study.runner import Task as Task
from flowsolve.study.runner import collect as collect
from flowsolve.study.samples import Drawn as Drawn
from flowsolve.study.samples import draw as draw
