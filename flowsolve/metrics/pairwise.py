"""Distances of sample sets from their pairs: energy, MMD, and precision and recall by nearest neighbours.

Called as those of `flowsolve.metrics`, which has the words. Pairs are made in blocks of 16 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flowsolve.errors import SamplesError
from flowsolve.metrics.estimate import Estimate, count_groups, jackknife, labels
from flowsolve.metrics.features import Features, embed_both

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 2**21
Kernel = Callable[["Tensor", "Tensor"], "Tensor"]


def energy(x: Tensor, y: Tensor, features: Features | None = None) -> Estimate:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs.      Székely, Rizzo 2013.

    Units of the features; 0 only between equal sets, and `corrected` is its unbiased form exactly.
    The error leaves out every single sample; so it does for `kid` and `mmd`.
    """
    a, b = embed_both(x, y, features)
    return _discrepancy(lambda u, v: -_distances(u, v), a - b.mean(0), b - b.mean(0), own=0)


def kid(x: Tensor, y: Tensor, features: Features | None = None) -> Estimate:
    """MMD² of k(a, b) = (a·b/d + 1)³, unbiased.      Bińkowski et al. 2018, section 4; KID.

    Of all pairs, where others average over subsets. No unit; may be below 0. Knows where the origin is.
    """
    a, b = embed_both(x, y, features)
    return _discrepancy(lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3, a, b, own=1)


def mmd(
    x: Tensor, y: Tensor, features: Features | None = None, *, bandwidth: float | None = None
) -> Estimate:
    """MMD² of k(a, b) = exp(-|a - b|²/(2h²)), unbiased.      Gretton et al. 2012, eq. 3.

    bandwidth  h, in units of the features; unless given, the median distance in the reference y (of
               1000 of it, seeded), so that all that is compared with y is compared by one kernel
    """
    import torch

    a, b = embed_both(x, y, features)
    some = torch.randperm(len(b), generator=torch.Generator().manual_seed(0))[:1000].to(b.device)
    h = float(torch.pdist(b[some]).median()) if bandwidth is None else bandwidth
    if not 0 < h < math.inf:
        why = (
            "half of the reference is one point; give one" if bandwidth is None else "give another"
        )
        raise SamplesError(f"mmd needs a bandwidth above 0, not {h!r}: {why}.")
    return _discrepancy(
        lambda u, v: (-0.5 * (_distances(u, v) / h) ** 2).exp(), a - b.mean(0), b - b.mean(0), own=1
    )


def precision(
    x: Tensor,
    y: Tensor,
    features: Features | None = None,
    *,
    k: int = 3,
    groups: int = 20,
    seed: int = 0,
) -> Estimate:
    """mean_x [|x - y_j| <= r_j for some j], r_j to y_j's k-th neighbour.      Kynkäänniemi et al. 2019, eq. 2.

    The share of x that is like the data y, 0 to 1. It depends on the numbers of samples.

    groups  leave-one-out groups for the error, seeded; 0 for the value alone. No bias is estimated.
    """
    a, b = embed_both(x, y, features)
    return _covered(a, b, k, groups, seed)


def recall(
    x: Tensor,
    y: Tensor,
    features: Features | None = None,
    *,
    k: int = 3,
    groups: int = 20,
    seed: int = 0,
) -> Estimate:
    """precision(y, x): the share of the data y that is like samples x.      As `precision`."""
    a, b = embed_both(x, y, features)
    return _covered(b, a, k, groups, seed)


def _distances(u: Tensor, v: Tensor) -> Tensor:
    """By a product of matrices: its rounding of 1e-8 shows only where points coincide."""
    import torch

    return torch.cdist(u, v, compute_mode="use_mm_for_euclid_dist")


def _sums(kernel: Kernel, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j k(a_i, b_j) for each i, and Σ_i for each j; without the pairs of a sample and itself if a is b."""
    import torch

    rows, columns, start = a.new_zeros(len(a)), a.new_zeros(len(b)), 0
    for part in _parts(a, b):
        K = kernel(part, b)
        if a is b:
            torch.diagonal(K, start)[: len(part)].zero_()
        rows[start : start + len(part)] = K.sum(1)
        columns += K.sum(0)
        start += len(part)
    return rows, columns


def _discrepancy(kernel: Kernel, x: Tensor, y: Tensor, own: int) -> Estimate:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y), own pairs left out (own = 1) or 0 (own = 0)."""
    n, m = len(x), len(y)
    xx, yy, (xy, yx) = _sums(kernel, x, x)[0], _sums(kernel, y, y)[0], _sums(kernel, x, y)
    X, Y, C = xx.sum() / (n * (n - own)), yy.sum() / (m * (m - own)), xy.sum() / (n * m)
    less_x = (xx.sum() - 2 * xx) / ((n - 1) * (n - 1 - own))
    less_y = (yy.sum() - 2 * yy) / ((m - 1) * (m - 1 - own))
    cross_x, cross_y = (xy.sum() - xy) / ((n - 1) * m), (yx.sum() - yx) / (n * (m - 1))
    return jackknife(
        float(X + Y - 2 * C),
        (less_x + Y - 2 * cross_x).tolist(),
        (X + less_y - 2 * cross_y).tolist(),
    )


def _covered(x: Tensor, y: Tensor, k: int, groups: int, seed: int) -> Estimate:
    """One pass for all groups: radii[b] are those of y without group b, the last those of the whole."""
    import torch

    B = count_groups(groups, x, y)
    fewest = len(y) - (-(-len(y) // B) if B else 0)
    if not 1 <= k < fewest:
        raise SamplesError(
            f"k = {k!r} neighbours need 1 <= k < {fewest}: the set of {len(y)} samples, less one "
            "group of the jackknife."
        )
    g, h = (labels(part, B, seed) for part in (x, y))
    radii = torch.cat([_radii(part, y, h, k, B) for part in _parts(y, y)], 1)
    for b in range(B):
        radii[b, h == b] = -1.0  # what is left out covers nothing
    inside = torch.cat([_inside(part, y, radii) for part in _parts(x, y)], 1).double()
    whole = jackknife(
        float(inside[-1].mean()),
        [float(inside[-1][g != b].mean()) for b in range(B)],
        [float(inside[b].mean()) for b in range(B)],
    )
    return replace(whole, bias=math.nan)  # it does not fall as 1/N, which the jackknife assumes


def _parts(a: Tensor, b: Tensor) -> Sequence[Tensor]:
    import torch

    return torch.split(a, max(1, BLOCK // len(b)))


def _exact(u: Tensor, v: Tensor) -> Tensor:
    """0 between equal points, which a product of matrices does not keep."""
    import torch

    return torch.cdist(u, v, compute_mode="donot_use_mm_for_euclid_dist")


def _radii(part: Tensor, y: Tensor, h: Tensor, k: int, B: int) -> Tensor:
    """From part of y to the k-th neighbour in y without group b, and in all of y: (B + 1, len(part))."""
    import torch

    D = _exact(part, y)
    groups = [D[:, h == b] for b in range(max(B, 1))]
    # a sample is its own nearest, so the k-th other one is among the k + 1 nearest of each group
    near = [d.topk(min(k + 1, d.shape[1]), largest=False).values for d in groups]
    rest = [torch.cat(near[:b] + near[b + 1 :], 1) for b in range(B)]
    return torch.stack([d.kthvalue(k + 1).values for d in [*rest, torch.cat(near, 1)]])


def _inside(part: Tensor, y: Tensor, radii: Tensor) -> Tensor:
    """Whether each of part lies in a ball about some y, for each row of radii."""
    import torch

    D = _exact(part, y)
    return torch.stack([(r >= D).any(1) for r in radii])
