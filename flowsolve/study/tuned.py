"""Tuned: a solver and a grid found for one network, with what was measured, in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flowsolve._arguments import file_path, html_table, read_json
from flowsolve._version import __version__
from flowsolve.analysis.replay import Replay
from flowsolve.analysis.table import Table
from flowsolve.errors import ResultsError
from flowsolve.integrate.driver import sample
from flowsolve.ode.base import Scales
from flowsolve.schedule.grid import Grid
from flowsolve.solver.plugins import make_solver
from flowsolve.study.results import write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.options import Options
    from flowsolve.integrate.solution import Solution
    from flowsolve.ode.base import ODE
    from flowsolve.solver.base import Solver

VERSION = 1  # of what `save` writes


@dataclass(frozen=True, kw_only=True, repr=False)
class Tuned:
    """What `tune` found for `nfe` evaluations.

    solver, grid   to be given to `sample`; a fitted method is a Replay of its table
    refused        the default is as good, and this is it
    error          geometric mean of the RMS errors of the noises that chose nothing;  stderr: of its logarithm
    default_error  the default's on the same noises;  gain: default_error / error, gain_stderr: of its logarithm
    ref_err        the error of the reference that both are measured against
    energy         distance of its samples to the reference's of other noises, ± energy_stderr; default_energy
    noises         how many judged;  spent: evaluations of the whole batch, all in all
    scales         of the data, as measured
    menu           (solver, grid, its error) of every row that was run, by the noises that chose
    """

    nfe: int
    solver: Solver
    grid: Grid
    refused: bool
    error: float
    stderr: float
    default_error: float
    gain: float
    gain_stderr: float
    ref_err: float
    noises: int
    energy: float = math.nan
    energy_stderr: float = math.nan
    default_energy: float = math.nan
    spent: int
    scales: Scales
    menu: tuple[tuple[str, str, float], ...] = ()

    def __repr__(self) -> str:
        return f"Tuned({', '.join(f'{k} {v}' for k, v in self._said())})"

    def _repr_html_(self) -> str:
        return html_table([], [*self._said()], "Tuned")

    def _said(self) -> list[tuple[str, str]]:
        better = "as good as the default, which it is" if self.refused else (
            f"{self.gain:.2f} times better than the default (±{100 * self.gain_stderr:.0f} %)"
        )  # fmt: skip
        return [
            ("nfe", str(self.nfe)),
            ("error", f"{self.error:.2e} ±{100 * self.stderr:.0f} %, {better}"),
            ("solver", repr(self.solver)),
            ("grid", str(self.grid)),
            ("cost", f"{self.spent} evaluations of the batch"),
        ]

    def sample(self, ode: ODE, noise: Tensor, **options: Unpack[Options]) -> Solution:
        """`sample` on this grid with this solver."""
        return sample(ode, noise, self.grid, self.solver, **options)

    def save(self, path: str | Path) -> None:
        """Write JSON; every float comes back bit for bit. Raises ResultsError where it cannot."""
        table = self.solver.table.as_dict() if isinstance(self.solver, Replay) else None
        values = {k: v for k, v in vars(self).items() if k not in ("solver", "grid", "scales")}
        data = {
            "version": VERSION, "flowsolve": __version__, **values,
            "scales": [self.scales.std, self.scales.top], "levels": [*map(str, self.grid)],
            "grid": self.grid.name, "solver": None if table else repr(self.solver), "table": table,
        }  # fmt: skip
        text = json.dumps(data, indent=1) + "\n"
        write_whole(file_path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> Tuned:
        """Read what `save` wrote. Raises ResultsError for anything else."""
        data = read_json(path, ResultsError)
        if not isinstance(data, Mapping) or data.get("version") != VERSION:
            raise ResultsError(
                f"{path} is no result of tune, or not of version {VERSION}, which this flowsolve reads."
            )
        return cls._from(dict(data), path)

    @classmethod
    def _from(cls, data: dict[str, Any], path: object) -> Tuned:
        try:
            table = data.pop("table")
            text = data.pop("solver")
            data["solver"] = Replay(Table.from_dict(table)) if table else make_solver(text)
            data["grid"] = Grid([*map(float, data.pop("levels"))], data["grid"])
            data["scales"] = Scales(*data["scales"])
            data["menu"] = tuple((s, g, float(e)) for s, g, e in data["menu"])
            names = cls.__dataclass_fields__
            return cls(**{k: v for k, v in data.items() if k in names})
        except (KeyError, TypeError, ValueError) as error:
            raise ResultsError(
                f"{path} is no result of tune: {error!r} is missing or wrong."
            ) from None


def geometric(each: Tensor) -> tuple[float, float]:
    """The geometric mean, and the standard error of its logarithm."""
    logs = each.log()
    return math.exp(float(logs.mean())), float(logs.std()) / math.sqrt(len(logs))
