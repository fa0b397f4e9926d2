"""What `flowsolve bench` compares, by name, and the tables that it prints.

A method is written as everywhere on the command line, SOLVER@SPACING. The spacings uniform_t and quadratic_t
are in one time on every problem, so that one name is one grid between two levels: that of linear β, or of flow
matching where the levels go beyond it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.cli.show import Table
    from flowsolve.schedule.grid import Spacing
    from flowsolve.study.benchmark import Entry
    from flowsolve.study.ranking import Place

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


def menu(size: str, network: bool) -> list[Entry]:
    """The methods of a size, each once."""
    made = [entry for text in texts(size, network) for entry in find_entries(text)]
    return [*{entry.key: entry for entry in reversed(made)}.values()][::-1]


def find_entries(text: str, spacings: Sequence[str] = ("own",)) -> list[Entry]:
    """What `text` names: a peer's method, the default, a solver on its spacing or on each of `spacings`.

    A solver or a rule may be package.module:Mine too. A rule is two methods, by the scales that it is given.
    Raises NameUnknown and StateError.
    """
    from flowsolve.solver.rule import Rule, default_rule
    from flowsolve.study.benchmark import Entry
    from flowsolve.study.cases import spacing_name
    from flowsolve.study.names import readable

    if text in PEERS:
        return [Entry(text, *_pair(PEERS[text]))]
    name, _, how = text.partition(", scales ")
    method = (
        default_rule()
        if name == "default"
        else options.find_method(text.rpartition("@")[0] or text)
    )
    if isinstance(method, Rule):
        called = "default" if name == "default" else readable(repr(method))
        kinds = [how] if how else ["measured", "guessed"]
        return [Entry(f"{called}, scales {kind}", method, None, kind) for kind in kinds]
    own = text.partition("@")[2] or "karras"
    named = [_spacing(own if s == "own" else s) for s in spacings]
    return [Entry(f"{readable(repr(method))}, {spacing_name(s)}", method, s) for s in named]


def _pair(text: str) -> tuple[Any, Any]:
    entry = find_entries(text)[0]
    return entry.method, entry.spacing


def _spacing(text: str) -> Spacing:
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.schedule.clock import VPSDE, FlowClock
    from flowsolve.schedule.grid import Grid

    find_spacing(text, VPSDE())
    if text not in ("uniform_t", "quadratic_t"):
        return find_spacing(text, VPSDE())

    def in_time(n: int, sigma_max: float, sigma_min: float) -> Grid:
        clock = VPSDE() if sigma_max < LINEAR else FlowClock()
        return Grid(find_spacing(text, clock)(n, sigma_max, sigma_min), text)

    return in_time


def fingerprint() -> str:
    """12 digits of all that the version of the benchmark stands for: problems, sizes, menus."""
    from flowsolve.study.benchmark import SIDES, SIZES

    parts = [f"{name} {make().digest}" for made in SIDES.values() for name, make in made.items()]
    parts += [f"{name} {size}" for name, size in SIZES.items()]
    parts += [
        repr(e.key) for size in SIZES for network in (False, True) for e in menu(size, network)
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def tables(found: Sequence[Place], asked: Sequence[str], top: int = 12) -> Iterator[Table]:
    """For each side the `top` methods and those asked for; then what is to be said of those asked for."""
    from flowsolve.cli.show import Table
    from flowsolve.study.benchmark import SIDES
    from flowsolve.study.ranking import overall

    at = {(p.side, p.nfe, p.method): p for p in found}
    for side in SIDES:
        budgets = sorted({p.nfe for p in found if p.side == side})
        ordered = overall(found, side)
        missing = [
            m for m in asked if m not in ordered and any((side, n, m) in at for n in budgets)
        ]
        shown = [m for i, m in enumerate(ordered) if i < top or m in asked] + missing
        if not shown:
            continue
        body = [
            [
                m,
                *(_cell(at.get((side, n, m))) for n in budgets),
                f"{ordered[m]:.2f}" if m in ordered else "-",
            ]
            for m in shown
        ]
        what = f"{side}: error over the best of the menu on each problem, and the rank; = where it ties"
        yield Table(["method", *map(str, budgets), "all"], body, what)
    own = [p for m in asked for p in found if p.method == m]
    if own:
        body = [
            [p.method, p.side, str(p.nfe), f"{p.score:.2f} ± {p.spread:.0%}", f"{p.place} of {p.of}",
             f"{p.worst:.2f} on {p.on}"]
            for p in own
        ]  # fmt: skip
        head = ["method", "side", "NFE", "score", "rank", "worst"]
        yield Table(
            head,
            body,
            "Score: a ratio of errors, ± its standard error; below 1 better than the menu",
        )


def _cell(place: Place | None) -> str:
    return "-" if place is None else f"{place.score:.2f} ({place.rank}{'=' if place.ties else ''})"
