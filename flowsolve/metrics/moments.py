"""Distances between two sets of samples, each with a standard error, and their floor on real data.

All are called as distance(x, y, features=None): x samples (N, *event) and y the reference (M, *event),
floating tensors of any dtype and device; features any callable (N, *event) -> (N, d), the flattened
samples unless told otherwise. Everything is computed in float64, pairs in blocks, so that memory grows
with N + M. All raise SamplesError for other shapes, fewer than 4 samples, whole numbers, NaN.

Here are those of moments and of projections, and the floor; those of pairs are in `flowsolve.pairs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowsolve.metrics.estimate import Estimate as Estimate
from flowsolve.metrics.estimate import count_groups, jackknife, labels, leave_out
from flowsolve.metrics.features import PCA as PCA
from flowsolve.metrics.features import Features, embed, embed_both
from flowsolve.metrics.features import pca as pca
from flowsolve.metrics.pairwise import energy as energy
from flowsolve.metrics.pairwise import kid as kid
from flowsolve.metrics.pairwise import mmd as mmd
from flowsolve.metrics.pairwise import precision as precision
from flowsolve.metrics.pairwise import recall as recall

if TYPE_CHECKING:
    from torch import Tensor


def frechet(
    x: Tensor, y: Tensor, features: Features | None = None, *, groups: int = 20, seed: int = 0
) -> Estimate:
    """|μ - ν|² + tr(Σ + Λ - 2(ΣΛ)^½) = |μ - ν|² + min_Q |A - BQ|².      Dowson, Landau 1982 (FID).

    Of the moments of x and y, Σ = AAᵀ, Λ = BBᵀ and Q orthogonal: the sum of squares has no difference of
    large numbers, and A and B come from a QR of the samples, so fewer samples than dimensions will do.
    Squared units of the features. Biased upwards by O(d/N + d/M): compare at equal numbers, or `corrected`.

    groups  leave-one-out groups for the error, seeded; 0 for the value alone
    """
    a, b = embed_both(x, y, features)
    p, q = _moments(a), _moments(b)
    return jackknife(
        _gaussian_distance(p, q),
        leave_out(lambda part: _gaussian_distance(_moments(part), q), a, groups, seed),
        leave_out(lambda part: _gaussian_distance(p, _moments(part)), b, groups, seed),
    )


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and A (d, min(N, d)) with AAᵀ the covariance."""
    import torch

    mean = x.mean(0)
    return mean, torch.linalg.qr(x - mean, mode="r").R.T / math.sqrt(len(x) - 1)


def _gaussian_distance(p: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor]) -> float:
    import torch
    from torch.nn.functional import pad

    (mu, A), (nu, B) = p, q
    width = max(A.shape[1], B.shape[1])
    A, B = pad(A, (0, width - A.shape[1])), pad(B, (0, width - B.shape[1]))
    U, _, Vt = torch.linalg.svd(A.T @ B)  # the best rotation turns B V onto A U
    return float((mu - nu).square().sum() + (A @ U - B @ Vt.T).square().sum())


def sliced_wasserstein(
    x: Tensor,
    y: Tensor,
    features: Features | None = None,
    *,
    p: int = 2,
    directions: int = 128,
    groups: int = 20,
    seed: int = 0,
) -> Estimate:
    """(mean_θ ∫₀¹ |F_θ⁻¹(u) - G_θ⁻¹(u)|^p du)^(1/p), F_θ, G_θ of θ·x, θ·y.      Bonneel et al. 2015.

    p = 1 or 2; units of the features. Exact for any two numbers of samples. The directions are seeded,
    uniform on the sphere, and the error is for these directions; groups as in `frechet`.
    """
    import torch

    if p not in (1, 2) or directions < 1:
        raise ValueError(
            f"needs p = 1 or 2 and directions >= 1, but got p = {p!r}, directions = {directions!r}."
        )
    a, b = embed_both(x, y, features)
    theta = torch.randn(
        directions, a.shape[1], dtype=a.dtype, generator=torch.Generator().manual_seed(seed)
    ).to(a.device)
    theta /= theta.norm(dim=1, keepdim=True)
    (u, order), (v, other) = (theta @ a.T).sort(1), (theta @ b.T).sort(1)
    n, m = count_groups(groups, a), count_groups(groups, b)
    g, h = labels(a, n, seed)[order], labels(b, m, seed)[other]
    return jackknife(
        _between_sorted(u, v, p),
        [_between_sorted(u[g != i].reshape(directions, -1), v, p) for i in range(n)],
        [_between_sorted(u, v[h != i].reshape(directions, -1), p) for i in range(m)],
    )


def _between_sorted(u: Tensor, v: Tensor, p: int) -> float:
    """Rows of u and v sorted. The quantile functions are constant between multiples of 1/n and 1/m."""
    import torch

    n, m = u.shape[1], v.shape[1]
    starts = torch.cat([torch.arange(n) * m, torch.arange(m) * n]).to(u.device)
    starts = torch.unique(starts)  # sorted
    widths = torch.diff(starts, append=starts.new_tensor([n * m])).double() / (n * m)
    gaps = (u[:, starts // m] - v[:, starts // n]).abs() ** p
    mean = float((gaps @ widths).mean())
    return mean if p == 1 else math.sqrt(mean)


def floor(
    distance: Callable[[Tensor, Tensor], Estimate],
    real: Tensor,
    features: Features | None = None,
    *,
    samples: int | None = None,
    repeats: int = 20,
    seed: int = 0,
) -> Estimate:
    """The mean of distance(half, other half) over random halvings of the real data: what perfection scores.

    samples  so many against the rest, instead of halves: for as many samples to be compared with a rest

    `error` is the standard deviation of one choice about that mean, not that of the mean, so a distance
    of as many samples to as many of the data is told from perfection by value - floor.value in units of it;
    `bias` is the mean bias. Set options with functools.partial; groups=0 spares errors that are not used here.
    """
    import torch

    if repeats < 2:
        raise ValueError(f"the spread of a floor needs repeats >= 2, not {repeats!r}.")
    data, generator = embed(real, features, "real"), torch.Generator().manual_seed(seed)
    n, m = (samples, len(data) - samples) if samples else (len(data) // 2, len(data) // 2)
    got = []
    for _ in range(repeats):
        order = torch.randperm(len(data), generator=generator).to(data.device)
        got.append(distance(data[order[:n]], data[order[n : n + m]]))
    values = [e.value for e in got]
    mean = math.fsum(values) / repeats
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (repeats - 1))
    return Estimate(mean, spread, math.fsum(e.bias for e in got) / repeats)
