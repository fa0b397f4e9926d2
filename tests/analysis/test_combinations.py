"""Weights on as few vectors as it takes."""

from __future__ import annotations

import numpy as np
import pytest

from flowsolve.analysis.combinations import combinations

V = np.random.default_rng(0).normal(size=(4, 9))


def test_as_few_as_it_takes_for_each_target() -> None:
    targets = [3 * V[0], V[1] - 2 * V[0], V[3] + 1e-3 * V[2], 0 * V[0]]
    found = combinations(targets, [V[:1], V[:3], V, V[:2]])
    assert found is not None
    expected = [[3, 0, 0, 0], [-2, 1, 0, 0], [0, 0, 1e-3, 1], [0, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


def test_vectors_of_very_different_sizes() -> None:
    scaled = V * np.array([1e8, 1, 1e-8, 1])[:, None]
    found = combinations([scaled[0] + scaled[1] + scaled[2] + scaled[3]], [scaled[[1, 3, 2, 0]]])
    assert found is not None
    np.testing.assert_allclose(
        found[0, [0, 1, 3]], 1, rtol=1e-6
    )  # round-off of the target, 1e8 2^-53


def test_a_vector_that_is_a_combination_of_those_before_it_has_no_weight() -> None:
    known = [V[0], 5 * V[0], V[1]]
    found = combinations([V[0] + V[1]], [known])
    assert found is not None
    np.testing.assert_allclose(found, [[1, 0, 1]], rtol=1e-12, atol=1e-15)


def test_too_few() -> None:
    assert combinations([V[0], V[3]], [V[:2], V[:3]]) is None


@pytest.mark.parametrize("off", [1e-12, 1e-9])
def test_what_is_nearly_a_combination_is_none(off: float) -> None:
    assert combinations([V[0] + off * V[3]], [V[:2]]) is None
