"""Integers that are uniform and independent, and noise that is normal: over seeds, elements and intervals.

All of it is of fixed seeds, so that a bound is passed always or never. The same tests refuse Philox of too few
rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from scipy.special import ndtri
from scipy.stats import chi2
from torch import Tensor

from flowsolve import BrownianNoise, CounterNoise, Noise, SeededNoise, karras
from flowsolve.ode.counter_noise import hashed, philox

SEEDS = range(64)
GRID = karras(8, 10.0, 0.1)
EVENT = (3, 32, 32)
LIKELY = 1e-4  # a p-value is not below, nor as near to 1
REFUSED = 1e-12


def p_uniform(counts: Tensor) -> float:
    """Of equally likely bins."""
    expected = float(counts.sum()) / len(counts)
    return p_value(float((counts - expected).square().sum()) / expected, len(counts) - 1)


def p_value(square: float, degrees: int) -> float:
    return float(chi2.sf(square, degrees))


def likely(p: float) -> bool:
    return LIKELY < p < 1 - LIKELY


# ---------------------------------------------------------------------------------------- integers


def words(rounds: int) -> Tensor:
    """(interval, seed, index, word), of neighbours in every direction."""
    index, seeds = torch.arange(512), torch.arange(64)[:, None]
    keys = [hashed(f"{s.hex()} {t.hex()}") for s, t in pairwise(GRID)]
    drawn = [philox((index, key[2], seeds, 0), key[:2], rounds) for key in keys]
    return torch.stack([torch.stack(torch.broadcast_tensors(*n), -1) for n in drawn])


def of_bits(n: Tensor) -> Iterator[float]:
    """P-values of bytes that are equally likely, and of single bits."""
    n = n.flatten()
    for byte in range(4):
        yield p_uniform(torch.bincount(n >> 8 * byte & 255, minlength=256).double())
    ones = torch.stack([(n >> bit & 1).sum() for bit in range(32)]).double()
    yield p_value(float((2 * ones - len(n)).square().sum()) / len(n), 32)


def of_integers(rounds: int) -> dict[str, list[float]]:
    """Of the words, and of what differs between neighbours: with independence, all bits by chance."""
    n = words(rounds)
    found = {f"word {i}": list(of_bits(n[..., i])) for i in range(4)}
    for axis, name in enumerate(("intervals", "seeds", "counters", "words")):
        found[name] = list(of_bits(n.diff(dim=axis) & 0xFFFFFFFF))
        lower, upper = n.narrow(axis, 0, n.shape[axis] - 1), n.narrow(axis, 1, n.shape[axis] - 1)
        found[f"{name}, bit by bit"] = list(of_bits(lower ^ upper))
    return found


def test_integers_are_uniform_and_independent() -> None:
    found = of_integers(10)
    assert len(found) == 12
    unlikely = {name: ps for name, ps in found.items() if not all(map(likely, ps))}
    assert not unlikely


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 5])
def test_integers_of_few_rounds_are_refused(rounds: int) -> None:
    assert min(p for ps in of_integers(rounds).values() for p in ps) < REFUSED


def test_integers_that_are_their_counters_are_refused() -> None:
    assert min(of_bits(torch.arange(2**16) << 8)) < REFUSED


# ----------------------------------------------------------------------------------------- normals


def draw(make: Callable[[], Noise]) -> Tensor:
    """(interval, seed, *event), in float64."""
    x = torch.zeros(len(SEEDS), *EVENT)
    noise = make()
    return torch.stack([noise(x, s, t) for s, t in pairwise(GRID)]).double()


SOURCES: dict[str, Callable[[], Noise]] = {
    "counter": lambda: CounterNoise(SEEDS),
    "seeded": lambda: SeededNoise(SEEDS),
    "Brownian": lambda: BrownianNoise(SEEDS, GRID),
}


@pytest.fixture(scope="module", params=SOURCES)
def z(request: pytest.FixtureRequest) -> Tensor:
    return draw(SOURCES[request.param])


def p_quantiles(z: Tensor, bins: int = 256) -> float:
    edges = torch.from_numpy(ndtri([i / bins for i in range(1, bins)]))
    return p_uniform(torch.bincount(torch.bucketize(z.flatten(), edges), minlength=bins).double())


def moment_errors(z: Tensor) -> list[float]:
    """Of the moments 1 to 6, in standard errors."""
    found = []
    for k in range(1, 7):
        mean, square = (float(odd(n)) if n % 2 == 0 else 0.0 for n in (k, 2 * k))
        found.append((float((z**k).mean()) - mean) * math.sqrt(z.numel() / (square - mean**2)))
    return found


def odd(n: int) -> int:
    """The n-th moment of a normal for even n: 1·3·5···(n-1)."""
    return math.prod(range(1, n, 2))


def p_independent(z: Tensor, axis: int, lags: int) -> float:
    """Of the correlations with what stands 1 to `lags` further along an axis."""
    total = 0.0
    for lag in range(1, lags + 1):
        size = z.shape[axis] - lag
        products = z.narrow(axis, 0, size) * z.narrow(axis, lag, size)
        total += float(products.sum()) ** 2 / products.numel()
    return p_value(total, lags)


def test_quantiles(z: Tensor) -> None:
    assert likely(p_quantiles(z))


def test_moments_to_the_sixth(z: Tensor) -> None:
    assert max(map(abs, moment_errors(z))) < 4


def test_tails(z: Tensor) -> None:
    for bound in (3.0, 4.0, 4.5):
        expected = z.numel() * math.erfc(bound / math.sqrt(2))
        assert abs(int((z.abs() > bound).sum()) - expected) < 4 * math.sqrt(expected)


AXES = [
    (0, 7),
    (1, 32),
    (2, 2),
    (3, 16),
    (4, 16),
]  # intervals, seeds, and the dimensions of a sample


@pytest.mark.parametrize(("axis", "lags"), AXES)
def test_no_correlation_along(z: Tensor, axis: int, lags: int) -> None:
    assert likely(p_independent(z, axis, lags))
    squares = (z.square() - 1) / math.sqrt(2)
    assert likely(p_independent(squares, axis, lags))


def test_no_correlation_along_elements(z: Tensor) -> None:
    assert likely(p_independent(z.flatten(2), 2, 64))


def test_what_is_wrong_is_refused() -> None:
    """Uniform numbers, normals a little too wide, and what two neighbours have in common."""
    right = draw(SOURCES["counter"])
    flat = (torch.special.ndtr(right) - 0.5) * math.sqrt(12)
    for wrong in (flat, 1.01 * right, right + 0.02):
        assert p_quantiles(wrong) < REFUSED
        assert max(map(abs, moment_errors(wrong))) > 6
    for axis, lags in AXES:
        shared = (right + 0.02 * right.roll(1, axis)) / math.sqrt(1.0004)
        assert p_independent(shared, axis, lags) < REFUSED


def test_few_rounds_make_noise_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "flowsolve.ode.counter_noise.philox", lambda counter, key: philox(counter, key, 4)
    )
    wrong = draw(SOURCES["counter"])
    assert min(p_independent(wrong, axis, lags) for axis, lags in AXES) < REFUSED
