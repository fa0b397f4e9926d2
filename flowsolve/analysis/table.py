"""The coefficient table of a linear method, found by running the method on basis vectors."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve._arguments import html_table, read_json, write_json
from flowsolve.analysis.basis import Alpha, respond
from flowsolve.errors import GridError, TableError
from flowsolve.ode.precondition import VP
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WeightRow = tuple[float, ...]
VERSION = (
    2  # of what `save` writes where there are alphas, else 1; files from before that have none
)


@dataclass(frozen=True, repr=False)
class Table:
    """The weights c of a linear method on a fixed grid: x̄ = Σ_k c_k v_k, v = (x̄_T, ε_1, ε_2, ...).

    sigmas   σ of evaluation k = 1, ..., K
    probes   row k: the state that evaluation k is made at, in v_0, ..., v_{k-1}
    nodes    row i: the state at grid[i + 1], in the v known by then; the last row is the answer
    levels   the grid
    solver   the method's repr;  order: the order that it declares
    alphas   (σ, α) of the path, where the weights depend on it: those that the method asked for

    A method that is exact for a constant ε has weight 1 on x̄_T in every row, and ε-weights that sum to the
    row's σ - σ_T.
    """

    solver: str
    order: int
    levels: WeightRow
    sigmas: WeightRow
    probes: tuple[WeightRow, ...]
    nodes: tuple[WeightRow, ...]
    alphas: tuple[tuple[float, float], ...] = ()

    def __repr__(self) -> str:
        first, last = self.levels[0], self.levels[-1]
        return (
            f"Table({self.solver}, {len(self.nodes)} steps, σ {first:.4g} to {last:.4g}: "
            f"{len(self.sigmas)} evaluations)"
        )

    def _repr_html_(self) -> str | None:
        if len(self.sigmas) > 40:  # notebooks then show the repr
            return None
        head = ["", "x̄_T", *(f"ε{k}" for k in range(1, len(self.sigmas) + 1))]
        names = [*(f"ε{k} at σ = {s:.4g}" for k, s in enumerate(self.sigmas, 1)), "answer"]
        rows = zip(names, (*self.probes, self.answer), strict=True)
        body = [
            [name, *(f"{w:.4g}" for w in row), *[""] * (len(head) - 1 - len(row))]
            for name, row in rows
        ]
        return html_table(head, body, repr(self))

    @property
    def answer(self) -> WeightRow:
        """The weights of the final state: on x̄_T, then on each ε."""
        return self.nodes[-1]

    @property
    def row_sums(self) -> WeightRow:
        """Σ of the ε-weights of each probe, then of the answer: σ_k - σ_T and σ_end - σ_T."""
        return tuple(math.fsum(row[1:]) for row in (*self.probes, self.answer))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(K + 1, 1 + K), probes and then the answer, lower-triangular."""
        import numpy as np

        out = np.zeros((len(self.probes) + 1, len(self.probes) + 1))
        for i, row in enumerate((*self.probes, self.answer)):
            out[i, : len(row)] = row
        return out

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers; `Table.from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Table:
        """The inverse of `as_dict`. Raises TableError for anything else, and for a row that cannot be.

        Levels must fall (or rise) and weights be finite. `save` also writes a version, and whether the table
        was consistent: then each row must have weight 1 on x̄_T, and ε-weights that sum to its σ - σ_T.
        """
        version = data.get("version", 0) if isinstance(data, dict) else 0
        if isinstance(version, int) and version > VERSION:
            raise TableError(
                f"this Table has version {version}, and this flowsolve reads versions up to {VERSION}. "
                "Read it with the flowsolve that saved it, or a later one."
            )
        try:
            table = cls(
                solver=str(data["solver"]),
                order=int(data["order"]),
                levels=tuple(map(float, data["levels"])),
                sigmas=tuple(map(float, data["sigmas"])),
                probes=tuple(tuple(map(float, row)) for row in data["probes"]),
                nodes=tuple(tuple(map(float, row)) for row in data["nodes"]),
                alphas=tuple((float(s), float(a)) for s, a in data.get("alphas", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"this is not a saved Table: {error!r} is missing or wrong.") from None
        known = [1, *map(len, table.nodes)]  # evaluations known at each node, and x̄_T
        if not (
            len(known) == len(table.levels)
            and known == sorted(known)
            and known[-1] == 1 + len(table.sigmas)
            and [*map(len, table.probes)] == [*range(1, known[-1])]
        ):
            raise TableError("this is not a saved Table: its rows do not fit its levels.")
        wrong = table._wrong_level() or table._not_finite()
        if wrong is None and data.get("consistent", False):
            wrong = table._wrong_sum()
        if wrong is not None:
            raise TableError(f"this is not a saved Table, or one that was changed: {wrong}.")
        return table

    @property
    def _rows(self) -> list[tuple[str, float, WeightRow]]:
        """(what, σ, weights) of every probe and node."""
        probes = enumerate(zip(self.sigmas, self.probes, strict=True), 1)
        nodes = enumerate(zip(self.levels[1:], self.nodes, strict=True), 1)
        return [
            *((f"probe {k}, σ = {s:.6g}", s, row) for k, (s, row) in probes),
            *((f"node {k}, σ = {s:.6g}", s, row) for k, (s, row) in nodes),
        ]

    def _wrong_level(self) -> str | None:
        """What there is to say against the levels, or None."""
        rising = self.levels[0] < self.levels[-1]
        try:
            Grid(self.levels[::-1] if rising else self.levels)
        except GridError as error:
            return f"its levels are no grid{' from the end' if rising else ''}, {error}".rstrip(".")
        return "its first level is not finite" if math.isinf(self.levels[0]) else None

    def _not_finite(self) -> str | None:
        """The first row with a σ or a weight that is not finite, or None. A last level may be ∞."""
        for k, s in enumerate(self.sigmas, 1):
            if not math.isfinite(s):
                return f"the σ of probe {k} is {s!r}"
        for s, alpha in self.alphas:
            if not (math.isfinite(s) and 0 < alpha < math.inf):
                return f"its α at σ = {s!r} is {alpha!r}"
        for what, _, row in self._rows:
            if not all(map(math.isfinite, row)):
                return f"the weights of {what} are not all finite"
        return None

    def _wrong_sum(self) -> str | None:
        """The first row that is not consistent, or None. Round-off is 1e-9 of all that is added up."""
        top = self.levels[0]
        for what, s, row in self._rows:
            total = math.fsum(row[1:])
            size = math.fsum(map(abs, row[1:])) + top + s
            if abs(row[0] - 1) > 1e-9:
                return f"the weight on x̄_T of {what} is {row[0]!r}, not 1"
            if not abs(total - (s - top)) <= 1e-9 * size:
                return f"the ε-weights of {what} sum to {total:.6g}, not to σ - σ_T = {s - top:.6g}"
        return None

    def save(self, path: str | Path) -> None:
        """Write JSON; every float comes back bit for bit. Raises ResultsError where it cannot."""
        version = VERSION if self.alphas else 1
        notes = {"version": version, "consistent": self._wrong_sum() is None}
        write_json(path, {**notes, **self.as_dict()})

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """Read what `save` wrote. Raises ResultsError without such a file, and TableError as `from_dict`."""
        return cls.from_dict(read_json(path, TableError))


def tabulate(solver: Solver, grid: Grid, alpha: Alpha = VP.alpha) -> Table:
    """Run `solver` on basis vectors: x̄_T is e₀ and the k-th ε is e_k.

    alpha  α for σ, as `Precondition.alpha`: BDIA, EDICT, DDIMInverse and a first step from σ = 0 depend on it

    A second run on other, random vectors must give the same combinations of them. Raises TableError
    where it does not: the method chooses by the values that it sees, or is not linear in them.
    """
    check_solver(solver)
    if solver.stochastic:
        raise TableError(f"{solver!r} draws noise, which a table of ε-weights does not hold.")
    grid = as_grid(grid)
    if math.isinf(grid[0]):
        raise TableError("a table starts at a finite σ: at σ = ∞ there is no x̄ to combine.")
    run = respond(solver, grid, alpha=alpha)
    return Table(
        repr(solver),
        solver.order,
        grid[:],
        tuple(g.s for g in run.given),
        tuple(tuple(g.state.tolist()[: g.number]) for g in run.given),
        tuple(tuple(x.tolist()[:known]) for x, known in run.nodes[1:]),
        tuple(run.alphas.items()),
    )
