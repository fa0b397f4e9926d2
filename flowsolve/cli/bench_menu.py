"""What `flowsolve bench` compares, by name.

A method is written as everywhere on the command line, SOLVER@SPACING. The spacings uniform_t and quadratic_t
are in one time on every problem, so that one name is one grid between two levels: that of linear β, or of flow
matching where the levels go beyond it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from flowsolve.cli.methods import find_method, is_path
from flowsolve.errors import StateError
from flowsolve.study.names import readable

if TYPE_CHECKING:
    from flowsolve.schedule.grid import Spacing
    from flowsolve.solver.base import Solver
    from flowsolve.solver.rule import Rule
    from flowsolve.study.benchmark import Entry
    from flowsolve.study.cases import Method

DEFAULT = ("default, scales measured", "default, scales guessed")
DPM = "publisheddpmsolver:points=2,lower_order_final=True"
UNIPC = "unipc:points=2,variant='bh2',lower_order_final=True,guard=None"
PEERS = {
    "k-diffusion sample_euler, karras": "euler@karras",
    "k-diffusion sample_heun, karras": "heun@karras",
    "k-diffusion sample_dpm_2, karras": "dpmsolver2@karras",
    "k-diffusion sample_lms, karras": "lms:points=4,guard=None@karras",
    "k-diffusion sample_dpmpp_2m, karras": "dpmsolverpp2m:guard=None@karras",
    "k-diffusion sample_dpmpp_2m, exponential": "dpmsolverpp2m:guard=None@log_snr",
    "diffusers DDIM": "euler@uniform_t",
    "diffusers PNDM": "plms:guard=None@uniform_t",
    "diffusers DEISMultistep": "dpmsolverm:points=2,lower_order_final=True,guard=None@uniform_t",
    "diffusers DPMSolverMultistep": f"{DPM}@uniform_t",
    "diffusers DPMSolverMultistep, karras": f"{DPM}@karras",
    "diffusers DPMSolverMultistep, lu_lambdas": f"{DPM}@log_snr",
    "diffusers UniPCMultistep": f"{UNIPC}@uniform_t",
    "diffusers UniPCMultistep, karras": f"{UNIPC}@karras",
    "diffusers FlowMatchEuler": "euler@two_power:below=1,above=1",
    "diff-sampler ipndm, polynomial": "ipndm:guard=None@karras",
    "DEIS tAB3, quadratic": "deis:points=4,guard=None@quadratic_t",
    "azula zABSampler, order 3, VESchedule": "lms:points=3,guard=None@log_snr",
    "azula vABSampler, order 3, VESchedule": "adams:points=3,chart=flow,variable=flowtime,guard=None@log_snr",
    "azula zEABSampler, order 3, VESchedule": "dpmsolverm:points=3,guard=None@log_snr",
    "azula xEABSampler, order 3, VESchedule": "dpmsolverppm:points=3,guard=None@log_snr",
}
"""Methods of other programs, on the levels that they would take between the two ends of a problem."""
METHODS = (
    "euler", "midpoint", "heun", "rk4", "pseudork4", "eulerinvariance", "flowheun",
    "dpmsolver2", "dpmsolver3", "dpmsolverpp2s", "res2s", "res3s", "gridsinglestep", "plan",
    "dpmsolverpp2m", "dpmsolverppm:points=3", "dpmsolverm:points=2", "dpmsolverm:points=3",
    "publisheddpmsolver", "lms:points=2", "lms:points=3", "lms:points=4", "deis:points=3", "deis:points=4",
    "ipndm:points=2", "ipndm:points=3", "ipndm:points=4", "ipndmv:points=3", "plms", "pndm", "spndm",
    "unipc:points=2", "unipc:points=3", "unipc:points=3,chart=noise", "unipc:points=3,variant='bh1'",
    "adams:points=3,chart=velocity,variable=phi", "adams:points=3,chart=flow,variable=phi",
    "unipc:points=3,chart=velocity,variable=phi", "unipc:points=3,chart=flow,variable=phi",
    "obelm", "bdia", "edict", "rex",
)  # fmt: skip
LEFT_OUT = {
    "AFS": "a start for other methods, in the default", "RescaledStart": "a start", "GaussianStart": "a start",
    "CorrectedStart": "a start", "EulerInT": "in a time that does not reach all levels",
    "DDIMInverse": "a step that is wrong, for round trips",
    **dict.fromkeys(
        ("DCSolver", "FireFlow", "GradientEstimation", "PFDiff", "Picard", "RFSolver", "RungeKutta", "STORK",
         "UniC"),
        "added after version 1 was run",
    ),
    "DPMSolverFast": "a Plan", "GridDPMSolverFast": "a GridSinglestep", "RhoAB": "LMS", "DDIM": "Euler",
}  # fmt: skip
"""Deterministic solvers that METHODS has not, and why."""
LINEAR = 200.0  # σ; where linear β ends, at 152 and 157
SPACINGS = ("karras", "log_snr", "quadratic_t", "uniform_t", "uniform_phi")
MORE_SPACINGS = ("arctan", "beta", "uniform", "karras:rho=3", "two_power:below=1,above=1")
"""Without ays and gits_table, tables for the levels of one network, and dmn, a search for each grid."""
GOOD = (
    "ipndm:points=3@quadratic_t", "ipndm:points=3@karras", "unipc:points=3@log_snr",
    "unipc:points=3,chart=flow,variable=phi@uniform_phi",
    "adams:points=3,chart=velocity,variable=phi@uniform_phi",
)  # fmt: skip
WELL_KNOWN = (
    "heun@log_snr", "dpmsolver3@log_snr", "deis:points=3@quadratic_t", "lms:points=3@karras",
    "unipc:points=2@log_snr", "unipc:points=3@uniform_t", "unipc:points=3@karras",
    "dpmsolverppm:points=3@uniform_t", "ipndm:points=2@karras", "ipndm:points=2@quadratic_t",
)  # fmt: skip
WITH_ENERGY = (
    *DEFAULT, "k-diffusion sample_dpmpp_2m, karras", "diffusers DPMSolverMultistep",
    "diffusers UniPCMultistep", "diff-sampler ipndm, polynomial",
)  # fmt: skip


def texts(size: str, network: bool) -> list[str]:
    """The menu of a size, as texts; on networks, whose evaluations cost, a shorter one."""
    short = [*DEFAULT, *PEERS, *GOOD]
    if size == "quick":
        return short
    if size == "standard" and network:
        return [*short, *WELL_KNOWN]
    spacings = SPACINGS if size == "standard" else (*SPACINGS, *MORE_SPACINGS)
    return [*short, *WELL_KNOWN, *(f"{m}@{s}" for m in METHODS for s in spacings)]


@cache
def menu(size: str, network: bool) -> tuple[Entry, ...]:
    """The methods of a size, each once."""
    made = [entry for text in texts(size, network) for entry in find_entries(text)]
    return (*{entry.key: entry for entry in reversed(made)}.values(),)[::-1]


def find_entries(text: str, spacings: Sequence[str] = ("own",)) -> list[Entry]:
    """What `text` names: a peer's method, the default, a solver on its spacing or on each of `spacings`.

    A solver or a rule may be package.module:Mine too. A rule is two methods, by the scales that it is given.
    Raises NameUnknown, and StateError for a method that has no error at a budget.
    """
    from flowsolve.solver.rule import default_rule

    if text in PEERS:
        (entry,) = find_entries(PEERS[text])
        return [replace(entry, name=text)]
    plain, _, how = text.partition(", scales ")
    name, _, own = plain.partition("@")
    method = default_rule() if name == "default" else find_method(name)
    called = name if name == "default" or is_path(name) else readable(repr(method))
    named = [_spacing((own or "karras") if s == "own" else s) for s in spacings]
    return _entries(called, method, named, how)


def entries_of(one: str | Method, spacings: Sequence[str] = ("own",)) -> list[Entry]:
    """Of a name, a solver, a rule or a pair (solver, spacing)."""
    from flowsolve.study.cases import methods

    if isinstance(one, str):
        return find_entries(one, spacings)
    ((method, spacing),) = methods([one])
    return _entries(readable(repr(method)), method, [spacing or _spacing("karras")])


def _entries(
    called: str, method: Solver | Rule, spacings: Sequence[Spacing], how: str = ""
) -> list[Entry]:
    """A rule by the scales that it is given, a solver on each spacing. Raises StateError."""
    from flowsolve.solver.rule import Rule
    from flowsolve.study.benchmark import Entry
    from flowsolve.study.cases import check_noise_free, spacing_name

    if isinstance(method, Rule):
        kinds = [how] if how else ["measured", "guessed"]
        return [Entry(f"{called}, scales {kind}", method, None, kind) for kind in kinds]
    check_noise_free(method)
    if method.adaptive:
        raise StateError(
            f"{method!r} chooses its own steps, so it has no place at a budget. `flowsolve compare` runs it at "
            "several tolerances."
        )
    return [Entry(f"{called}, {spacing_name(s)}", method, s) for s in spacings]


def _spacing(text: str) -> Spacing:
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.schedule.clock import VPSDE, FlowClock
    from flowsolve.schedule.grid import Grid

    if text not in ("uniform_t", "quadratic_t"):
        return find_spacing(text, VPSDE())

    def in_time(n: int, sigma_max: float, sigma_min: float) -> Grid:
        clock = VPSDE() if sigma_max < LINEAR else FlowClock()
        return Grid(find_spacing(text, clock)(n, sigma_max, sigma_min), text)

    return in_time


def fingerprint() -> str:
    """12 digits of what the benchmark's version stands for: problems, sides, sizes, menus, what is a tie."""
    from flowsolve.study.benchmark import FLOAT32, SIDES, SIZES
    from flowsolve.study.ranking import CLEAR, LEAST

    parts = [repr((FLOAT32, CLEAR, LEAST, SIZES, WITH_ENERGY))]
    for side, made in SIDES.items():
        parts += [f"{side} {name} {make().digest}" for name, make in made.items()]
    for size in SIZES:
        parts += [repr(e.key) for network in (False, True) for e in menu(size, network)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
