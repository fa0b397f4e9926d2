"""on_step: called at every node, in order, with a copy of the state, before anything is evaluated there."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import Grid, encode, inpaint, partial_start, sample, solve
from flowsolve_solvers import Adams, DDIMEta, DPMSolverAdaptive, Euler, Heun, Torchdiffeq
from tests.helpers import Asked, noisy, says
from tests.integrate.helpers import GRID, PROBLEM, X

Call = tuple[int, float, Tensor]


class Heard:
    """What on_step was called with, and the evaluations made by then."""

    def __init__(self) -> None:
        self.ode = Asked(PROBLEM)
        self.calls: list[Call] = []
        self.evaluations: list[int] = []

    def __call__(self, k: int, sigma: float, x: Tensor) -> None:
        self.calls.append((k, sigma, x))
        self.evaluations.append(self.ode.calls)


@pytest.mark.parametrize(
    ("solver", "before"),
    [(Euler(), [0, 1, 2, 3, 4, 5, 6]), (Heun(), [0, 2, 4, 6, 8, 10, 12]), (Adams(points=3), [*range(7)])],
    ids=repr,
)  # fmt: skip
def test_every_node_is_heard_before_its_evaluation(solver: Any, before: list[int]) -> None:
    heard = Heard()
    done = solve(heard.ode, X, GRID, solver, keep=1, on_step=heard)
    assert [(k, s) for k, s, _ in heard.calls] == [*enumerate(GRID)]
    assert heard.evaluations == before
    for (_, _, x), point in zip(heard.calls, done.path, strict=True):
        assert torch.equal(x, point.x)
    assert torch.equal(done.x, solve(PROBLEM, X, GRID, solver).x)


def test_the_ends_at_infinity_and_zero_are_nodes() -> None:
    heard, grid = Heard(), GRID.to_zero().from_infinity()
    done = sample(heard.ode, X, grid, Heun(), on_step=heard)
    assert [s for _, s, _ in heard.calls] == [*grid]
    assert math.isinf(heard.calls[0][1])
    assert torch.equal(heard.calls[0][2], X)  # the unit noise
    assert torch.equal(heard.calls[-1][2], done.x)


@pytest.mark.parametrize("solver", [Torchdiffeq(), DPMSolverAdaptive()], ids=repr)
def test_adaptive_methods_have_the_nodes_of_their_grid(solver: Any) -> None:
    heard, grid = Heard(), Grid([10.0, 1.0, 0.05])
    done = solve(heard.ode, X, grid, solver, on_step=heard)
    assert [s for _, s, _ in heard.calls] == [*grid]
    assert torch.equal(heard.calls[-1][2], done.x)


def test_every_run_has_it() -> None:
    mask = torch.tensor([True, False])
    heard = [Heard() for _ in range(3)]
    encode(heard[0].ode, X, GRID.reversed(), Euler(), on_step=heard[0])
    partial_start(heard[1].ode, X, X, GRID, Euler(), strength=0.5, on_step=heard[1])
    inpaint(heard[2].ode, X, mask, X, grid=GRID, solver=Euler(), on_step=heard[2])
    assert [len(h.calls) for h in heard] == [7, 4, 7]
    assert heard[0].calls[-1][1] == 10.0
    assert heard[1].calls[0][:2] == (0, GRID[3])


def test_what_it_does_to_the_state_changes_nothing() -> None:
    def spoil(k: int, sigma: float, x: Tensor) -> None:
        x.fill_(math.nan)

    for solver in (Euler(), Adams(points=3), DDIMEta()):
        given = X.clone()
        plain = solve(noisy(PROBLEM, range(4)), X, GRID, solver).x
        done = solve(noisy(PROBLEM, range(4)), given, GRID, solver, keep=1, on_step=spoil)
        assert torch.equal(done.x, plain)
        assert torch.equal(given, X)
        assert all(bool(p.x.isfinite().all()) for p in done.path)


def test_gradients_pass_by_it() -> None:
    x, heard = X.clone().requires_grad_(), Heard()
    done = solve(heard.ode, x, GRID, Heun(), grad=True, on_step=heard)
    assert done.x.requires_grad
    assert not any(state.requires_grad for _, _, state in heard.calls)


@pytest.mark.parametrize("solver", [Euler(), Torchdiffeq()], ids=repr)
def test_what_it_raises_ends_the_run_and_leaves_torch_as_it_was(solver: Any) -> None:
    class Enough(Exception):
        pass

    def stop(k: int, sigma: float, x: Tensor) -> None:
        if k == 1:
            raise Enough(f"at {sigma:g}")

    assert torch.is_grad_enabled()
    says(Enough, "at 1", lambda: solve(PROBLEM, X, Grid([10.0, 1.0, 0.05]), solver, on_step=stop))
    assert torch.is_grad_enabled()


def test_a_bar_is_one_line_and_a_wrong_callback_a_sentence() -> None:
    ode = Asked(PROBLEM)
    seen: list[float] = []
    solve(ode, X, GRID, Euler(), on_step=lambda k, sigma, x: seen.append(sigma))
    assert seen == [*GRID]
    ode = Asked(PROBLEM)
    text = "on_step must be a function (k, sigma, x), but got 3."
    says(ValueError, text, lambda: solve(ode, X, GRID, Euler(), on_step=3))  # type: ignore[arg-type]
    wrong: Any = lambda sigma: None  # noqa: E731
    text = "on_step must be a function (k, sigma, x), but <function"
    says(ValueError, text, lambda: solve(ode, X, GRID, Euler(), on_step=wrong))
    assert ode.calls == 0


def test_none_is_no_callback() -> None:
    assert torch.equal(
        solve(PROBLEM, X, GRID, Euler(), on_step=None).x, solve(PROBLEM, X, GRID, Euler()).x
    )
