"""Measurements: one row each, on the disk before the next begins.

    studies      convergence and work_precision: error against steps and against evaluations
    series       Study: their rows;  pooling: one row for several blocks;  names: what lines are called
    certificate  what solvers claim, measured
    error        one row of a study: the error of a solver on a grid, for a block of seeds
    references   the certified answers that errors are measured against; cache: where they are kept
    integrators  what references are integrated with, and `watched`; float32: TF32 off while a study runs
    cases        a solver on a grid, as it is to be measured
    door         every network is asked before it is measured
    settings     Settings: seeds, blocks, dtype, device, start
    results      Row, and the file that rows grow in;  lock: one process at a time
    runner       Task, and collect, which measures tasks one after another
    shards       one study in several processes: whose turn it is;  one_thread: sums to the last bit
    samples      samples in blocks of seeds, kept on the disk;  sample_files: one file or images of them
    tuning       tune: solver and grid for one network;  tuned: in a file;  fitting: weights by least squares
    statistics   the chart of DPM-Solver-v3, measured;  ratios: those of DC-Solver

An experiment is a file: its row, and a function of its name that makes the tasks for collect.

    quality        distances to data beside the error; Table 1 of the DDIM paper;  real: the data's side
    sample_errors  the error's side
    consistency    one x_T at many numbers of steps
    interpolation  samples from between two noises
    round_trip     data up to noise and down again; Table 2 of the DDIM paper
    likelihood     log p of data by several solvers
    editing        digits made into others; editing_methods: the ways to do it
    tuning_rows    tune at several budgets

    benchmark      methods on the problems of the standing benchmark
    ranking        who is best there, by how much, and who ties
"""

from flowsolve.study.benchmark import BenchRow as BenchRow
from flowsolve.study.cases import Case as Case
from flowsolve.study.cases import budget_cases as budget_cases
from flowsolve.study.cases import steps_case as steps_case
from flowsolve.study.certificate import Certificate as Certificate
from flowsolve.study.certificate import certify as certify
from flowsolve.study.consistency import ConsistencyRow as ConsistencyRow
from flowsolve.study.editing import EditRow as EditRow
from flowsolve.study.editing import edits as edits
from flowsolve.study.error import ErrorRow as ErrorRow
from flowsolve.study.error import error_tasks as error_tasks
from flowsolve.study.float32 import true_float32 as true_float32
from flowsolve.study.integrators import watched as watched
from flowsolve.study.interpolation import InterpolationRow as InterpolationRow
from flowsolve.study.likelihood import LikelihoodRow as LikelihoodRow
from flowsolve.study.lock import Lock as Lock
from flowsolve.study.quality import QualityRow as QualityRow
from flowsolve.study.ranking import Place as Place
from flowsolve.study.ratios import fit_ratios as fit_ratios
from flowsolve.study.references import Reference as Reference
from flowsolve.study.references import reference as reference
from flowsolve.study.results import Row as Row
from flowsolve.study.results import RowFile as RowFile
from flowsolve.study.results import read_jsonl as read_jsonl
from flowsolve.study.results import write_csv as write_csv
from flowsolve.study.round_trip import RoundTripRow as RoundTripRow
from flowsolve.study.round_trip import Way as Way
from flowsolve.study.round_trip import round_trips as round_trips
from flowsolve.study.runner import Task as Task
from flowsolve.study.runner import collect as collect
from flowsolve.study.samples import Drawn as Drawn
from flowsolve.study.samples import draw as draw
from flowsolve.study.series import Study as Study
from flowsolve.study.settings import Settings as Settings
from flowsolve.study.settings import Setup as Setup
from flowsolve.study.shards import Alone as Alone
from flowsolve.study.shards import Portion as Portion
from flowsolve.study.shards import Ranks as Ranks
from flowsolve.study.shards import my_shard as my_shard
from flowsolve.study.statistics import model_statistics as model_statistics
from flowsolve.study.studies import convergence as convergence
from flowsolve.study.studies import work_precision as work_precision
from flowsolve.study.studies import work_precision_tasks as work_precision_tasks
from flowsolve.study.tuned import Tuned as Tuned
from flowsolve.study.tuning import tune as tune
from flowsolve.study.tuning_rows import TunedRow as TunedRow
from flowsolve.study.tuning_rows import tunings as tunings
