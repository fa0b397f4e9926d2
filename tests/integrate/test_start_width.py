"""Noise that was multiplied by σ already is warned of, and nothing else is."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from flowsolve import Grid, encode, karras, sample, unit_noise, vp_start
from flowsolve.integrate import decode
from flowsolve.ode.noise import far_wider
from flowsolve.problems import Mixture
from flowsolve_solvers import Euler

MIXTURE = Mixture()
GRID = karras(4, 80, 0.01)
NOISE = unit_noise(range(200), MIXTURE.event)


def test_scaled_noise() -> None:
    text = (
        r"^the start has a deviation of 5\.78e\+03 at σ = 80, where unit noise gives 80\.01\. "
        r"`sample` multiplies the noise by σ itself: give it unit noise, or what is scaled already with "
        r"start=lambda sigma: 1\.$"
    )
    with pytest.warns(UserWarning, match=text) as seen:
        sample(MIXTURE, 80 * NOISE, GRID, Euler())
    assert seen[0].filename == __file__


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_in_every_dtype(dtype: torch.dtype) -> None:
    assert far_wider(80 * NOISE.to(dtype)) == pytest.approx(80, rel=0.1)
    assert far_wider(NOISE.to(dtype)) is None


def test_what_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample(MIXTURE, NOISE, GRID, Euler())
        sample(MIXTURE, NOISE, GRID, Euler(), start=vp_start)
        sample(MIXTURE, 80 * NOISE, GRID, Euler(), start=lambda sigma: 1)
        sample(MIXTURE, NOISE, GRID, Euler(), start=lambda sigma: 7 * sigma)
        sample(MIXTURE, 1.9 * NOISE, Grid([5.0, 1.0, 0.1]), Euler())
        sample(MIXTURE, torch.zeros(2, 2), GRID, Euler())
        decode(MIXTURE, encode(MIXTURE, MIXTURE.data()[:50], GRID, Euler()))


def test_few_values_may_be_wide_by_chance() -> None:
    for n in (1, 2, 4, 30):
        draws = torch.randn(4000, n, generator=torch.Generator().manual_seed(n))
        assert not [row for row in draws.unbind() if far_wider(row) is not None]
    assert far_wider(torch.full((4,), 80.0)) == 80
    assert far_wider(torch.full((9,), math.nan)) is None
    assert far_wider(torch.full((1000,), 3.0)) == pytest.approx(3)
    assert far_wider(torch.full((1000,), 3.0), 2.0) is None
