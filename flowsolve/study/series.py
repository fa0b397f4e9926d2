"""Study: the rows of a study, their blocks pooled into series, and what can be read from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve._arguments import file_path, html_table
from flowsolve.analysis.order import Slope, observed_order
from flowsolve.errors import MissingExtra, ResultsError
from flowsolve.study.error import ErrorRow
from flowsolve.study.names import Labels, line_names
from flowsolve.study.pooling import pool
from flowsolve.study.results import read_jsonl, write_csv

if TYPE_CHECKING:
    from pandas import DataFrame

UNPERTURBED = "unperturbed"
Cells = tuple[Sequence[str], Sequence[Sequence[str]], str, Sequence[Sequence[str]]]


@dataclass(frozen=True, repr=False)
class Study:
    """The rows of a study, and what can be read from them."""

    rows: tuple[ErrorRow, ...]

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Read a JSON Lines file. Of a measurement that was tried again, the last try counts."""
        path = file_path(path)
        if not path.exists():
            raise ResultsError(f"there is no file {path}: a study writes it, with path=.")
        return cls(tuple({row.key: row for row in read_jsonl(path, ErrorRow)}.values()))

    def save_csv(self, path: str | Path) -> None:
        """Write all rows as CSV."""
        write_csv(self.rows, file_path(path), ErrorRow)

    def frame(self) -> DataFrame:
        """All rows as a pandas DataFrame, a column for each field. Raises MissingExtra without pandas."""
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise MissingExtra(
                "Study.frame() makes a DataFrame of pandas: pip install 'flowsolve[pandas]'."
            ) from error
        return DataFrame(
            [asdict(row) for row in self.rows], columns=[f.name for f in fields(ErrorRow)]
        )

    @property
    def series(self) -> dict[tuple[str, str], list[ErrorRow]]:
        """The measured rows of each (solver, spacing), by evaluations; blocks of seeds pooled.

        Raises ResultsError for rows that cannot be: of one seed twice, or of two problems, perturbations,
        dtypes or versions.
        """
        groups: dict[tuple[str, str], dict[str, list[ErrorRow]]] = {}
        for row in self.rows:
            if not row.error:
                points = groups.setdefault((row.solver, row.spacing), {})
                points.setdefault(row.asked, []).append(row)
        return {
            name: sorted((pool(block) for block in points.values()), key=lambda r: (r.nfe, r.steps))
            for name, points in groups.items()
        }

    @property
    def perturbations(self) -> dict[str, Study]:
        """The study of each perturbation by its name, "" where there is none."""
        rows: dict[str, list[ErrorRow]] = {}
        for row in self.rows:
            rows.setdefault(row.perturb, []).append(row)
        return {name: Study(tuple(some)) for name, some in rows.items()}

    @property
    def failures(self) -> list[ErrorRow]:
        """The rows that say why they hold no measurement."""
        return [row for row in self.rows if row.error]

    def slope(self, solver: str | None = None, spacing: str | None = None) -> Slope:
        """The observed order in steps of one series (of the only one, if the study has one).

        Errors within ten times their reference's own, or within round-off of the dtype, are left out. A
        network of a lower dtype than the study's is in the reference's own.
        """
        names = [k for k in self.series if solver in (None, k[0]) and spacing in (None, k[1])]
        if len(names) != 1:
            raise ValueError(
                f"the study has {len(names)} such series; name one of {[*self.series]}."
            )
        rows = self.series[names[0]]
        unit = {"float64": 2.0**-52, "float32": 2.0**-23}.get(rows[0].dtype, 2.0**-8)
        clean = [r for r in rows if r.rmse > max(10 * r.ref_err, 100 * unit * r.scale)]
        by_steps = {r.steps: r.rmse for r in clean if r.fixed}
        return observed_order([*by_steps], [*by_steps.values()])

    def order(self, solver: str | None = None, spacing: str | None = None) -> float:
        return self.slope(solver, spacing).order

    def __repr__(self) -> str:
        solvers = {row.solver for row in self.rows}
        problems = ", ".join(dict.fromkeys(row.problem for row in self.rows)) or "nothing"
        failed = f", {len(self.failures)} of them failed" if self.failures else ""
        costs = [row.nfe for row in self.rows if not row.error]
        spent = f", {min(costs)} to {max(costs)} evaluations" if costs else ""
        return f"Study({len(solvers)} solvers on {problems}, {len(self.rows)} rows{failed}{spent})"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes())
        return "".join(html_table(*table) for table in self.tables({})) + notes

    def tables(self, labels: Labels = None) -> Iterator[Cells]:
        """RMS errors by budget (rows) and solver (columns), slopes below; then the adaptive runs.

        Each is (head, body, title, foot).  labels  as figures take them; None for the solvers' reprs
        """
        if len(parts := self.perturbations) > 1:
            for name, part in parts.items():
                for head, body, title, foot in part.tables(labels):
                    yield head, body, f"{name or UNPERTURBED}: {title}", foot
            return
        series = {k: r for k, r in self.series.items() if r[0].fixed}
        if series:
            several = len({spacing for _, spacing in series}) > 1
            names = (
                line_names([*series], labels)
                if labels is not None
                else [f"{solver}\n{spacing}" if several else solver for solver, spacing in series]
            )
            columns = [{r.asked: _cell(r) for r in rows} for rows in series.values()]
            budgets = sorted({asked for cells in columns for asked in cells}, key=_number)
            body = [[str(_number(n)), *(cells.get(n, "-") for cells in columns)] for n in budgets]
            slopes = ["slope", *(_slope(self.slope(*name)) for name in series)]
            orders = ["order", *(str(rows[0].order) for rows in series.values())]
            what = "RMS error ± its standard error over the samples"
            if budgets[0].startswith("nfe"):
                yield (
                    ["NFE", *names],
                    body,
                    f"{what} (evaluations used, where fewer)",
                    [slopes, orders],
                )
            else:
                yield ["steps", *names], body, what, [slopes, orders]
        adaptive = [r for rows in self.series.values() for r in rows if not r.fixed]
        if adaptive:
            lines = [
                [r.solver, r.asked.removeprefix("tol="), str(r.nfe), f"{r.rmse:.2e}"]
                for r in adaptive
            ]
            yield ["solver", "tolerance", "NFE", "RMS error"], lines, "Adaptive", []

    def notes(self) -> Iterator[str]:
        """What a reader of the tables must know: failures, and errors that reach the reference's own."""
        parts = self.perturbations.values()
        lines = [(part, *line) for part in parts for line in part.series.items()]
        slopes = [part.slope(*name) for part, name, rows in lines if rows[0].fixed]
        if any(not (s.settled or math.isnan(s.order)) for s in slopes):
            yield "?: the last two slopes differ by more than 0.15, so it is no order yet"
        for row in self.failures:
            by = f"{row.perturb}: " if row.perturb else ""
            yield f"{by}{row.solver}, {row.spacing}, {row.asked}: {row.error}"
        reached = [r for _, _, rows in lines for r in rows if not r.certified]
        if reached:
            err = max(r.ref_err for r in reached)
            yield f"* within ten times the reference's own error ({err:.1e}): {len(reached)} results."

    def __str__(self) -> str:
        if len(parts := self.perturbations) > 1:
            return "\n\n".join(f"{name or UNPERTURBED}\n{part}" for name, part in parts.items())
        lines = []
        for (solver, spacing), rows in self.series.items():
            lines += [f"{solver} on {rows[0].problem}, {spacing}", " steps    nfe      rmse  slope"]
            for before, row in zip([None, *rows], rows, strict=False):
                local = "" if before is None or before.steps == row.steps else (
                    f"{math.log(before.rmse / row.rmse) / math.log(row.steps / before.steps):7.2f}"
                )  # fmt: skip
                mark = "" if row.certified else "  reference reached"
                lines.append(f"{row.steps:6d} {row.nfe:6d} {row.rmse:9.2e}{local}{mark}")
        lines += [f"{r.solver} {r.asked}: {r.error}" for r in self.failures]
        return "\n".join(lines)


def _slope(s: Slope) -> str:
    return "-" if math.isnan(s.order) else f"{s.order:.2f}" + ("" if s.settled else "?")


def _number(asked: str) -> int:
    return int(asked.partition("=")[2])


def _cell(row: ErrorRow) -> str:
    used = "" if row.asked in (f"nfe={row.nfe}", f"steps={row.steps}") else f" ({row.nfe})"
    spread = "" if math.isnan(row.stderr) else f" ± {row.stderr / row.rmse:.0%}"
    return f"{row.rmse:.2e}{spread}{used}" + ("" if row.certified else " *")
