"""Guidance of several terms: its formula, its cost, and the errors of its arguments."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import StateError
from flowsolve_solvers import DPMSolverPP2M
from tests.ode.guided import ALL_OF_IT, GRID, PART, X


def affine(shift: float) -> fs.DiffusionODE:
    def network(x: Tensor, t: Tensor) -> Tensor:
        return x * 0.3 + shift

    return fs.DiffusionODE(network, fs.EpsPrediction(fs.VPSDE()))


NONE, IMAGE, BOTH = affine(0.0), affine(1.0), affine(-2.0)


@pytest.mark.parametrize("ask", ["eps", "x0"])
def test_instruct_pix2pix(ask: str) -> None:
    """Brooks et al. 2023, Eq. 3: e(∅,∅) + s_I (e(I,∅) - e(∅,∅)) + s_T (e(I,T) - e(I,∅))."""
    s_i, s_t = 1.5, 7.5
    none, image, both = (getattr(ode, ask)(X, 0.5) for ode in (NONE, IMAGE, BOTH))
    want = none + s_i * (image - none) + s_t * (both - image)
    ode = fs.Composed(NONE, [(IMAGE, s_i - s_t), (BOTH, s_t)])
    torch.testing.assert_close(getattr(ode, ask)(X, 0.5), want, rtol=1e-12, atol=1e-12)


def test_one_term_is_guided() -> None:
    w = torch.linspace(0, 5, 6)
    for scale in (3.0, w, lambda s: 2 * s):
        one, two = fs.Composed(ALL_OF_IT, [(PART, scale)]), fs.Guided(PART, ALL_OF_IT, scale)
        a, b = (fs.solve(ode, X, GRID, DPMSolverPP2M()).x for ode in (one, two))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_every_network_is_counted() -> None:
    ode = fs.Composed(NONE, [(IMAGE, 2.0), (BOTH, 1.0)])
    result = fs.solve(ode, X, GRID, DPMSolverPP2M())
    assert (result.nfe, result.forwards) == (GRID.steps, 3 * GRID.steps)


@pytest.mark.parametrize("terms", [[], [PART], [(PART, 1.0, 2.0)], [(3, 1.0)], PART])
def test_wrong_terms(terms: object) -> None:
    with pytest.raises(
        StateError, match=r"Composed takes terms \[\(ODE, weight\), ...\], at least one, not"
    ):
        fs.Composed(ALL_OF_IT, terms)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a guidance scale is a finite number"):
        fs.Composed(ALL_OF_IT, [(PART, float("nan"))])
