"""The options that runs take by name: what each does everywhere, and names that there are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from flowsolve import encode, inpaint, invert, partial_start, sample, solve
from flowsolve_solvers import Euler
from tests.helpers import Asked, says
from tests.integrate.helpers import GRID, PROBLEM, X

MASK = torch.tensor([True, False])
RUN = "keep, keep_on, grad, check, on_step"
RUNS: dict[str, Callable[..., object]] = {
    "solve": lambda ode, **options: solve(ode, X, GRID, Euler(), **options),
    "sample": lambda ode, **options: sample(ode, X / 10, GRID, Euler(), **options),
    "encode": lambda ode, **options: encode(ode, X, GRID, Euler(), **options),
    "partial_start": lambda ode, **options: partial_start(
        ode, X, X, GRID, Euler(), strength=0.5, **options
    ),
    "inpaint": lambda ode, **options: inpaint(
        ode, X, MASK, X, grid=GRID, solver=Euler(), **options
    ),
}
each_run = pytest.mark.parametrize("name", RUNS)


@pytest.mark.parametrize("option", ["kep", "steps", "nef", "iterations"])
@each_run
def test_an_unknown_option_is_a_type_error_before_any_evaluation(name: str, option: str) -> None:
    known = RUN + (", span" if name in ("partial_start", "inpaint") else "")
    ode = Asked(PROBLEM)
    says(
        TypeError,
        f"there is no option {option!r}. The options are {known}.",
        lambda: RUNS[name](ode, **{option: 1}),
    )
    assert ode.calls == 0


def test_an_unknown_option_of_invert() -> None:
    ode = Asked(PROBLEM)
    says(
        TypeError,
        "there is no option 'keep'. The options are tolerance, iterations, look, memory.",
        lambda: invert(ode, X, GRID, Euler(), keep=1),  # type: ignore[call-arg]
    )
    assert ode.calls == 0


def test_an_unknown_option_where_no_step_is_taken() -> None:
    call = partial(partial_start, PROBLEM, X, X, GRID, Euler(), strength=0.0)
    assert call(keep=1, check=False).nfe == 0
    says(TypeError, "there is no option 'kep'.", lambda: call(kep=1))


@each_run
def test_every_run_keeps_its_path_where_it_is_told(name: str) -> None:
    found = RUNS[name](PROBLEM, keep=1, keep_on="meta", check=False)
    assert len(found.path) == len(found.grid)  # type: ignore[attr-defined]
    assert {p.x.device.type for p in found.path} == {"meta"}  # type: ignore[attr-defined]
    assert RUNS[name](PROBLEM).path == ()  # type: ignore[attr-defined]


@each_run
def test_every_run_records_gradients_only_if_asked(name: str) -> None:
    class Weighted(Asked):
        weight = torch.ones((), dtype=torch.float64, requires_grad=True)

        def eps(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            return self.weight * super().eps(x, sigma)

        def x0(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            return x - sigma * self.eps(x, sigma)

    assert RUNS[name](Weighted(PROBLEM), grad=True).x.requires_grad  # type: ignore[attr-defined]
    assert not RUNS[name](Weighted(PROBLEM)).x.requires_grad  # type: ignore[attr-defined]


@each_run
def test_every_run_checks_unless_told_not_to(name: str) -> None:
    class Broken(Asked):
        def eps(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            return super().eps(x, sigma) * torch.nan

        def x0(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            return x - sigma * self.eps(x, sigma)

    with pytest.raises(ArithmeticError, match="not finite at evaluation 1"):
        RUNS[name](Broken(PROBLEM))
    assert RUNS[name](Broken(PROBLEM), check=False).x.isnan().any()  # type: ignore[attr-defined]
