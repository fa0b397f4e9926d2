"""A method's table is the method: replayed it gives the same states, saved it comes back whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    ODE,
    DiffusionODE,
    EDMPrediction,
    FlowPrediction,
    Grid,
    OneStep,
    Replay,
    Solver,
    Table,
    encode,
    karras,
    sample,
    solve,
    tabulate,
)
from flowsolve.errors import ResultsError, StateError, TableError
from flowsolve.integrate.cost import cost
from flowsolve.ode import Precondition
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    ALL,
    BDIA,
    DEIS,
    EDICT,
    LMS,
    RK4,
    DDIMInverse,
    Euler,
    EulerInT,
    Heun,
    Scipy,
    Torchdiffeq,
)
from tests.helpers import says

PROBLEM = Mixture()
X = PROBLEM.start(range(8), torch.float64)
GRID = Grid([10, 6.1, 5.6, 2.0, 0.9, 0.3, 0.05])
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("solver", [*ALL, Torchdiffeq("rk4")], ids=repr)
def test_replay_is_the_method(solver: Solver) -> None:
    table = tabulate(solver, GRID)
    direct = solve(PROBLEM, X, GRID, solver, keep=1)
    replayed = solve(PROBLEM, X, GRID, Replay(table), keep=1)
    assert replayed.nfe == direct.nfe == len(table.sigmas)
    assert len(table.nodes) == GRID.steps
    assert len(direct.path) == len(replayed.path) == len(GRID)
    for one, two in zip(direct.path, replayed.path, strict=True):
        assert (one.sigma, one.nfe) == (two.sigma, two.nfe)
        torch.testing.assert_close(one.x, two.x, **EXACT)
        torch.testing.assert_close(one.x0, two.x0, **EXACT)


@pytest.mark.parametrize("solver", [*ALL, Torchdiffeq("rk4")], ids=repr)
def test_replay_upwards(solver: Solver) -> None:
    up = GRID.reversed()
    x = solve(PROBLEM, X, GRID, Heun()).x
    one, two = (solve(PROBLEM, x, up, s).x for s in (solver, Replay(tabulate(solver, up))))
    torch.testing.assert_close(one, two, **EXACT)


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_tables_down_to_zero(solver: Solver) -> None:
    """The tail is in the table: its last row ends at σ = 0."""
    grid = GRID.to_zero()
    table = tabulate(solver, grid)
    assert len(table.nodes) == grid.steps
    one, two = (sample(PROBLEM, X / 10, grid, s) for s in (solver, Replay(table)))
    assert one.nfe == two.nfe == len(table.sigmas)
    torch.testing.assert_close(one.x, two.x, **EXACT)


OF_ALPHA = [BDIA(), BDIA(0.9), EDICT(), DDIMInverse()]
PATHS = [EDMPrediction(), FlowPrediction()]


def on_path(precondition: Precondition) -> DiffusionODE:
    return DiffusionODE(exact_network(PROBLEM, precondition), precondition)


@pytest.mark.parametrize("precondition", PATHS, ids=repr)
@pytest.mark.parametrize("solver", [*OF_ALPHA, Heun()], ids=repr)
def test_replay_on_other_paths(solver: Solver, precondition: Precondition) -> None:
    """Up from σ = 0, up from above it, and up to σ = ∞: BDIA and EDICT depend on α at every step."""
    ode, levels = on_path(precondition), [*GRID, 0.0]
    for grid in (levels, GRID, [math.inf, *GRID]):
        up = Grid(grid).reversed()
        replay = Replay(tabulate(solver, up, ode.alpha))
        one, two = (encode(ode, X / 10, up, s) for s in (solver, replay))
        assert one.nfe == two.nfe == cost(replay, up)
        torch.testing.assert_close(one.x, two.x, **EXACT)


def test_only_a_table_that_depends_on_alpha_holds_it(tmp_path: Path) -> None:
    up = GRID.to_zero().reversed()
    assert tabulate(Heun(), GRID).alphas == ()
    assert tabulate(Heun(), up, FlowPrediction().alpha).alphas == ((0.0, 1.0), (0.05, 1 / 1.05))
    table = tabulate(BDIA(), GRID.reversed(), FlowPrediction().alpha)
    assert sorted(table.alphas) == sorted((s, 1 / (1 + s)) for s in GRID)
    table.save(tmp_path / "t.json")
    assert Table.load(tmp_path / "t.json") == table
    saved = json.loads((tmp_path / "t.json").read_text())
    assert saved["version"] == 2
    old = {k: v for k, v in saved.items() if k != "alphas"} | {"version": 1}
    assert Table.from_dict(old) == replace(table, alphas=())
    says(
        TableError,
        CHANGED + "its α at σ = 0.05 is 0.0.",
        lambda: Table.from_dict({**saved, "alphas": [[0.05, 0.0]]}),
    )


def test_another_path() -> None:
    up = GRID.reversed()
    replay = Replay(tabulate(DDIMInverse(), up))
    says(
        TableError,
        "this table of DDIMInverse() was made for a path with α = 0.998752 at σ = 0.05, where this has 1. "
        "Give tabulate the path's alpha.",
        lambda: solve(on_path(EDMPrediction()), X, up, replay),
    )
    assert solve(on_path(EDMPrediction()), X, up, Replay(tabulate(Heun(), up))).nfe == 12


def test_what_a_table_holds() -> None:
    """Heun on two steps, by hand."""
    table = tabulate(Heun(), Grid([4, 2, 1]))
    assert (table.solver, table.order, table.levels) == ("Heun()", 2, (4, 2, 1))
    assert table.sigmas == (4, 2, 2, 1)
    assert table.probes == ((1,), (1, -2), (1, -1, -1), (1, -1, -1, -1))
    assert table.nodes == ((1, -1, -1), (1, -1, -1, -0.5, -0.5))
    assert table.answer == table.nodes[-1]
    assert table.row_sums == (0, -2, -2, -3, -3)
    matrix = table.matrix
    assert matrix.shape == (5, 5)
    assert matrix[-1].tolist() == list(table.answer)
    assert matrix[1].tolist() == [1, -2, 0, 0, 0]


@pytest.mark.parametrize("solver", [Euler(), LMS(), DEIS()], ids=repr)
def test_saved_tables_come_back_bit_for_bit(solver: Solver, tmp_path: Path) -> None:
    table = tabulate(solver, karras(7, 80, 0.002).to_zero())
    table.save(tmp_path / "t.json")
    assert Table.load(tmp_path / "t.json") == table
    assert Table.load(str(tmp_path / "t.json")).as_dict() == table.as_dict()
    assert Table.from_dict(table.as_dict()) == table
    assert Table.from_dict(json.loads(json.dumps(table.as_dict()))) == table


def without(key: str) -> Any:
    def damage(data: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in data.items() if k != key}

    return damage


DAMAGE = [
    *(without(key) for key in ("solver", "order", "levels", "sigmas", "probes", "nodes")),
    lambda data: {**data, "levels": None},
    lambda data: {**data, "sigmas": ["ten"]},
    lambda data: {**data, "nodes": 3},
    lambda data: [data],
    lambda data: None,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damaged_tables(damage: Any, tmp_path: Path) -> None:
    data = damage(tabulate(Heun(), GRID).as_dict())
    with pytest.raises(TableError, match="not a saved Table"):
        Table.from_dict(data)
    (tmp_path / "t.json").write_text(json.dumps(data))
    with pytest.raises(TableError, match="not a saved Table"):
        Table.load(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("levels", lambda v: v[:-1]),
        ("sigmas", lambda v: v[:-1]),
        ("probes", lambda v: v[:-1]),
        ("probes", lambda v: [*v[:-1], v[-1][:-1]]),
        ("nodes", lambda v: v[:-1]),
        ("nodes", lambda v: [*v[:-1], [*v[-1], 1.0]]),
        ("nodes", lambda v: [[], *v[1:]]),
    ],
)
def test_tables_whose_parts_do_not_fit(key: str, change: Any) -> None:
    """A hand-edited table is refused when it is read, not in the middle of a solve."""
    data = json.loads(json.dumps(tabulate(Heun(), GRID).as_dict()))
    data[key] = change(data[key])
    with pytest.raises(TableError, match="not a saved Table"):
        Table.from_dict(data)


CHANGED = "this is not a saved Table, or one that was changed: "
SAVED = {
    "version": 1,
    "consistent": True,
    **json.loads(json.dumps(tabulate(Heun(), Grid([4, 2, 1])).as_dict())),
}


def changed(key: str, *where: int, to: float) -> dict[str, Any]:
    """The saved table of Heun with one number another."""
    data = json.loads(json.dumps(SAVED))
    place = data[key]
    for i in where[:-1]:
        place = place[i]
    place[where[-1]] = to
    return data


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (changed("nodes", 1, 3, to=-0.4), "the ε-weights of node 2, σ = 1 sum to -2.9, not to σ - σ_T = -3."),
        (changed("nodes", 0, 0, to=2.0), "the weight on x̄_T of node 1, σ = 2 is 2.0, not 1."),
        (changed("probes", 1, 1, to=2.0), "the ε-weights of probe 2, σ = 2 sum to 2, not to σ - σ_T = -2."),
        (changed("sigmas", 3, to=1.5), "the ε-weights of probe 4, σ = 1.5 sum to -3, not to σ - σ_T = -2.5."),
        (changed("probes", 2, 1, to=math.nan), "the weights of probe 3, σ = 2 are not all finite."),
        (changed("sigmas", 0, to=math.inf), "the σ of probe 1 is inf."),
        (changed("levels", 1, to=4.0), "its levels are no grid, σ must fall at every step, but grid[0] ="),
        (changed("levels", 1, to=9.0), "its levels are no grid, σ must fall at every step, but grid[0] = 4"),
        (changed("levels", 2, to=-1.0), "its levels are no grid, grid[2] = -1.0 is negative."),
        (changed("levels", 1, to=math.nan), "its levels are no grid, grid[1] is NaN."),
        (changed("levels", 0, to=math.inf), "its first level is not finite."),
        (changed("levels", 0, to=0.5), "its levels are no grid from the end, σ must fall at every step"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_named(data: dict[str, Any], text: str, tmp_path: Path) -> None:
    says(TableError, CHANGED + text, lambda: Table.from_dict(data))
    (tmp_path / "t.json").write_text(json.dumps(data))
    says(TableError, CHANGED + text, lambda: Table.load(tmp_path / "t.json"))


@pytest.mark.parametrize("solver", [EulerInT(), RK4(LOG_SIGMA)], ids=repr)
def test_methods_that_are_not_consistent_are_saved_all_the_same(
    solver: Solver, tmp_path: Path
) -> None:
    assert not saved_as_consistent(tabulate(solver, GRID), tmp_path)


def saved_as_consistent(table: Table, folder: Path) -> bool:
    """What the file says; the table comes back from it."""
    table.save(folder / "t.json")
    assert Table.load(folder / "t.json") == table
    data = json.loads((folder / "t.json").read_text())
    assert data["version"] == (2 if table.alphas else 1)
    return bool(data["consistent"])


@pytest.mark.parametrize("solver", [s for s in ALL if "RK4" not in repr(s)], ids=repr)
def test_every_other_table_is_consistent_to_round_off(solver: Solver, tmp_path: Path) -> None:
    own = repr(solver).startswith("EulerIn") or any(
        c in repr(solver) for c in ("VELOCITY", "Fitted")
    )
    for grid in (GRID, GRID.reversed(), karras(20, 80, 0.002), karras(7, 80, 0.002).to_zero()):
        assert saved_as_consistent(tabulate(solver, grid), tmp_path) is not own


def test_tables_of_other_versions() -> None:
    old = {k: v for k, v in SAVED.items() if k not in ("version", "consistent", "alphas")}
    assert Table.from_dict(old) == Table.from_dict(SAVED)
    says(
        TableError,
        "this Table has version 3, and this flowsolve reads versions up to 2. Read it with the "
        "flowsolve that saved it, or a later one.",
        lambda: Table.from_dict({**SAVED, "version": 3}),
    )


def test_tables_without_a_file(tmp_path: Path) -> None:
    table, missing = Table.from_dict(SAVED), tmp_path / "none" / "t.json"
    says(ResultsError, f"cannot read {missing}: No such file", lambda: Table.load(missing))
    says(ResultsError, f"cannot read {tmp_path}: Is a dir", lambda: Table.load(tmp_path))
    says(ResultsError, f"cannot write {missing}: No such file", lambda: table.save(missing))
    text = "a path is a text or a Path, not 3."
    says(StateError, text, lambda: Table.load(3))  # type: ignore[arg-type]
    says(StateError, text, lambda: table.save(3))  # type: ignore[arg-type]
    text = "Replay runs a Table such as tabulate(Heun(), grid), not Heun()."
    says(TableError, text, lambda: Replay(Heun()))  # type: ignore[arg-type]


def test_a_file_cut_short_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    tabulate(Heun(), GRID).save(path)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(TableError, match="is not JSON"):
        Table.load(path)


@dataclass(frozen=True, repr=False)
class Clipping(OneStep):
    """Euler with a clipped ε: one formula, but not linear."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x + (t - s) * ode.eps(x, s).clamp(-0.5, 0.5)


@dataclass(frozen=True, repr=False)
class Branching(Solver):
    """Heun's second evaluation only where the state is large."""

    order = 1

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for s, t in pairwise(grid):
            large = float(x.abs().max()) > 1
            x = Heun().step(ode, x, s, t) if large else Euler().step(ode, x, s, t)
            yield x


@dataclass(frozen=True, repr=False)
class Offset(OneStep):
    """Affine, not linear: a bias that no weight on x̄ or ε can hold."""

    order = 0

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x + (t - s) * ode.eps(x, s) + 0.01


@pytest.mark.parametrize("solver", [Clipping(), Branching(), Offset()], ids=repr)
def test_methods_that_look_at_values(solver: Solver) -> None:
    solve(PROBLEM, X, GRID, solver)  # a fine method, but not a table
    with pytest.raises(TableError, match="for other values, so it has no coefficient table"):
        tabulate(solver, GRID)


@pytest.mark.parametrize("solver", [Torchdiffeq(), Scipy()], ids=repr)
def test_adaptive_methods(solver: Solver) -> None:
    with pytest.raises(TableError, match="chooses its steps from the values it sees"):
        tabulate(solver, GRID)


def test_another_grid() -> None:
    replay = Replay(tabulate(Heun(), GRID))
    others = [GRID.reversed(), Grid(GRID[:-1]), GRID.to_zero(), Grid([*GRID[:-1], 0.050000000001])]
    for other in others:
        run, start = (sample, X / X.std()) if other[0] > 1 else (solve, X)
        with pytest.raises(TableError, match=r"made for .* not for .* Tabulate the method"):
            run(PROBLEM, start, other, replay)


def test_infinite_start() -> None:
    with pytest.raises(TableError, match="starts at a finite σ"):
        tabulate(Heun(), GRID.from_infinity())
    replay = Replay(tabulate(Heun(), GRID))  # but the head before a table is sample's own step
    one, two = (sample(PROBLEM, X, GRID.from_infinity(), s).x for s in (Heun(), replay))
    torch.testing.assert_close(one, two, **EXACT)


def test_replay_describes_itself() -> None:
    replay = Replay(tabulate(LMS(3), GRID))
    assert repr(replay) == "Replay(LMS(3))"
    assert replay.order == LMS(3).order
    assert replay.reaches_zero
    assert not replay.adaptive
    again = tabulate(replay, GRID)
    assert again.matrix == pytest.approx(replay.table.matrix, abs=1e-12)
    assert math.isclose(sum(replay.table.answer[1:]), GRID[-1] - GRID[0], rel_tol=1e-12)
