"""The meanings of η, DDIM_ETA and SDE_ETA: d² + v² = t², and where they agree and differ."""

from __future__ import annotations

import math

import pytest

from flowsolve_solvers import DDIM_ETA, SDE_ETA


@pytest.mark.parametrize("s", [1.0, 80.0, 14.6])
@pytest.mark.parametrize("ratio", [0.999, 0.5, 1e-4])
def test_the_two_meanings_of_eta(s: float, ratio: float) -> None:
    """d² + v² = t² in both; the same split at η = 0 and η = 1 and nowhere else; SDE's is a semigroup."""
    t = s * ratio
    for family in (DDIM_ETA, SDE_ETA):
        assert family.split(s, t, 0.0) == (t, 0.0)
        assert family.split(s, 0.0, 0.7) == (0.0, 0.0)
        for eta in (0.2, 0.7, 1.0):
            d, v = family.split(s, t, eta)
            assert math.isclose(math.hypot(d, v), t, rel_tol=1e-15)
        assert family.split(s, t, 1.0) == pytest.approx(
            (t * t / s, t * math.sqrt((1 - ratio) * (1 + ratio))), rel=1e-12
        )
    one, two = (family.split(s, t, 0.5) for family in (DDIM_ETA, SDE_ETA))
    assert one[0] != pytest.approx(two[0], rel=1e-9)
    m = s * math.sqrt(ratio)
    (d1, v1), (d2, v2) = SDE_ETA.split(s, m, 0.5), SDE_ETA.split(m, t, 0.5)
    assert two == pytest.approx((d1 * d2 / m, math.hypot(v1 * d2 / m, v2)), rel=1e-12)
