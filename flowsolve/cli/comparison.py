"""compare: error against evaluations for a network in Python, as the command `compare` has it for a problem."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flowsolve._arguments import html_table, shown
from flowsolve.errors import StateError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.ode.base import ODE
    from flowsolve.ode.precondition import Precondition
    from flowsolve.plot.look import Look
    from flowsolve.problems.base import Problem
    from flowsolve.problems.perturbed import Perturbation
    from flowsolve.study.cases import Method
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.series import Study
    from flowsolve.study.settings import Settings

    class Compared(Settings, total=False):
        """The keywords of `compare`: those of every study, and the perturbations."""

        perturb: str | Iterable[str | Perturbation]


SOLVERS = "default euler@log_snr heun@karras dpmsolverpp2m@log_snr unipc:points=3@log_snr"
NFE = (5, 6, 8, 10, 12, 16, 24, 40)
EVERY = 5.0  # seconds
FARTHEST = 999.0  # σ of flow matching at t = 0.999, for networks that are trained to σ = ∞ and 0


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` measured. At the end of a notebook's cell it shows the table and the figure.

    study   the rows, and orders;  labels: what the solvers were asked for as, by their reprs
    table   errors with their standard errors, orders and notes: text where printed, HTML in a notebook
    figure  `plot.error_vs_nfe` of it, with perturbations `plot.error_by_perturbation`; `draw(style="slides")`
            draws it in another way
    """

    study: Study
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def figure(self) -> Figure:
        return self.draw()

    def draw(self, title: str = "", **look: Unpack[Look]) -> Figure:
        """The figure, with a title and the options of every figure."""
        from flowsolve.plot.error import error_vs_nfe
        from flowsolve.plot.perturbed import error_by_perturbation

        named: Look = {"labels": self.labels, **look}
        draw = error_by_perturbation if len(self.study.perturbations) > 1 else error_vs_nfe
        return draw(self.study, title, **named)

    @property
    def table(self) -> Report:
        from flowsolve.cli.show import Table

        tables = tuple(Table(*cells) for cells in self.study.tables(self.labels))
        return Report(tables, tuple(self.study.notes()))

    def __repr__(self) -> str:
        return f"Comparison: {self.study!r}\n  with .table, .figure and .study"

    def _repr_html_(self) -> str:
        from flowsolve.plot.axes import Figure

        assert isinstance(self.figure, Figure)
        picture = base64.b64encode(self.figure._repr_png_()).decode()
        return f'{self.table._repr_html_()}<img src="data:image/png;base64,{picture}">'


@dataclass(frozen=True, repr=False)
class Report:
    """Tables, and what their reader must know."""

    tables: tuple[Any, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        from flowsolve.cli.show import columns

        return "\n\n".join([*map(columns, self.tables), *self.notes])

    def _repr_html_(self) -> str:
        notes = html_table([], [[note] for note in self.notes]) if self.notes else ""
        return "".join(html_table(*table) for table in self.tables) + notes


def compare(
    network: ODE | Callable[..., Any],
    prediction: Precondition | None = None,
    event: Sequence[int] | None = None,
    solvers: str | Iterable[str | Method] = SOLVERS,
    nfe: Sequence[int] = NFE,
    *,
    path: str | Path | None = None,
    on_row: Callable[[ErrorRow, int, int], None] | None = None,
    **settings: Unpack[Compared],
) -> Comparison:
    """RMS error against evaluations of several solvers on a network: study, table and figure.

    network     network(x, t) with what it predicts, `prediction`; or an ODE, whose prediction is known; or a
                Problem, whose event is known too
    prediction  EpsPrediction(linear_beta()), say;  event: the shape of one sample
    solvers     as on the command line, "default euler@log_snr heun@karras", or a sequence of such names,
                solvers (on karras), rules and pairs (solver, spacing)
    nfe         budgets of evaluations
    path        a file of rows, which is continued if the network has a digest (`NetworkProblem`)
    on_row      called with each row, how many are done and how many there will be
    settings    the seeds 0 to 63 and float32 unless told otherwise; and perturb, the network disturbed beside
                the one as it is: "gaussian:0.01, int8, reuse:2", or a sequence of such names and Perturbations

    Its references take most of the time of a large network: a line on stderr says every 5 s how far one is.
    It goes between the levels that the network was trained on (`ode.sigma_range`), at most from 999 to 1/999.
    Raises NetworkError, StateError and NameUnknown as those things do elsewhere.
    """
    from flowsolve.cli.methods import find_methods, find_names
    from flowsolve.cli.perturbations import find_perturbations
    from flowsolve.cli.reference_progress import reference_progress
    from flowsolve.study.runner import collect
    from flowsolve.study.series import Study
    from flowsolve.study.studies import work_precision_tasks

    problem = _problem(network, prediction, event)
    given = solvers.split() if isinstance(solvers, str) else solvers
    listed: list[Any] = [*given] if isinstance(given, Iterable) else [given]
    methods: list[Method] = []
    for one in listed:
        methods += find_methods([one], ["own"], problem) if isinstance(one, str) else [one]
    problems = with_perturbations(problem, find_perturbations(settings.pop("perturb", ())))
    run: Any = {"seeds": range(64), **settings}
    tasks = [task for one in problems for task in work_precision_tasks(methods, one, nfe, **run)]
    names = find_names([one for one in listed if isinstance(one, str)])
    with reference_progress(partial(print, file=sys.stderr, flush=True), EVERY):
        return Comparison(Study(collect(tasks, path, on_row)), names)


def with_perturbations(problem: Problem, perturbations: Sequence[Perturbation]) -> list[Problem]:
    """The problem, and the same under each of the perturbations."""
    from flowsolve.problems.perturbed import PerturbedProblem

    return [problem, *(PerturbedProblem(problem, one) for one in perturbations)]


def _problem(network: Any, prediction: Any, event: Sequence[int] | None) -> Problem:
    """The network as a problem, between the levels that it knows."""
    from flowsolve.ode.base import ODE
    from flowsolve.ode.data_scales import sigma_range
    from flowsolve.ode.diffusion import DiffusionODE
    from flowsolve.problems.base import Problem
    from flowsolve.problems.network import NetworkProblem

    if isinstance(network, ODE) and prediction is not None:
        raise StateError(
            f"{shown(network)} is an ODE, which says itself what its network predicts: leave prediction out."
        )
    if isinstance(network, Problem):
        if event is not None and tuple(event) != network.event:
            raise StateError(
                f"{shown(network)} has samples of shape {network.event}: leave event out."
            )
        return network
    ode = network if isinstance(network, ODE) else DiffusionODE(network, prediction)
    if event is None:
        raise StateError("compare needs the shape of one sample, event=(3, 32, 32), say.")
    high, low = sigma_range(ode)
    return NetworkProblem(ode, tuple(event), min(high, FARTHEST), max(low, 1 / FARTHEST))
