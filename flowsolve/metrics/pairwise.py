"""Distances over pairs of samples: energy distance, KID and MMD; precision and recall by nearest neighbours.

Arguments, units and errors are those that the room's `__init__` describes. Pairs are computed in blocks of
at most BLOCK of them, 16 MiB in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flowsolve._arguments import real, whole
from flowsolve.errors import SamplesError
from flowsolve.metrics.estimate import (
    Estimate,
    jackknife,
    limit_groups,
    random_groups,
    random_order,
)
from flowsolve.metrics.features import Features, embed_both

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 2**21
Kernel = Callable[["Tensor", "Tensor"], "Tensor"]


def energy(x: Tensor, y: Tensor, features: Features | None = None) -> Estimate:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs.      Székely, Rizzo 2013.

    In units of the features; 0 only between equal sets. `corrected` equals the unbiased form exactly.
    For the error the jackknife leaves out single samples, as it does for `kid` and `mmd`.
    """
    a, b = embed_both(x, y, features)
    return _discrepancy(
        lambda u, v: -_distances(u, v), a - b.mean(0), b - b.mean(0), unbiased=False
    )


def kid(x: Tensor, y: Tensor, features: Features | None = None) -> Estimate:
    """MMD² of k(a, b) = (a·b/d + 1)³, unbiased.      Bińkowski et al. 2018, section 4; KID.

    d is the number of features. Over all pairs, where other codes average over subsets. Without unit; may be
    below 0. Unlike the other distances it changes when both sets are shifted by one vector.
    """
    a, b = embed_both(x, y, features)
    return _discrepancy(lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3, a, b, unbiased=True)


def mmd(
    x: Tensor, y: Tensor, features: Features | None = None, *, bandwidth: float | None = None
) -> Estimate:
    """MMD² of k(a, b) = exp(-|a - b|²/(2h²)), unbiased.      Gretton et al. 2012, eq. 3.

    bandwidth  h, in units of the features; unless given, the median distance between 1000 of the reference y
               (always the same ones), so that all sets are compared with y by the same kernel
    """
    import torch

    a, b = embed_both(x, y, features)
    some = random_order(len(b), 0)[:1000].to(b.device)
    h = float(torch.pdist(b[some]).median()) if bandwidth is None else real("bandwidth", bandwidth)
    if not 0 < h < math.inf:
        why = (
            "half of the reference is one point; give one" if bandwidth is None else "give another"
        )
        raise SamplesError(f"mmd needs a bandwidth above 0, not {h!r}: {why}.")
    return _discrepancy(
        lambda u, v: (-0.5 * (_distances(u, v) / h) ** 2).exp(),
        a - b.mean(0),
        b - b.mean(0),
        unbiased=True,
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
    """mean over x of [|x - y_j| <= r_j for some j].      Kynkäänniemi et al. 2019, eq. 2.

    r_j is the distance of y_j to its k-th nearest neighbour in y. It is the share of the samples x that lie
    within the data y, 0 to 1, and depends on the numbers of samples.

    groups  as in `frechet`; the bias is not estimated and is NaN
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
    """precision(y, x): the share of the data y that lies within the samples x.      Options as there."""
    a, b = embed_both(x, y, features)
    return _covered(b, a, k, groups, seed)


def _distances(u: Tensor, v: Tensor) -> Tensor:
    """|u_i - v_j|, (n, m), by a matrix product. Its rounding, 1e-8, shows only where points coincide."""
    import torch

    return torch.cdist(u, v, compute_mode="use_mm_for_euclid_dist")


def _sums(kernel: Kernel, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j k(a_i, b_j) for each i, and Σ_i k(a_i, b_j) for each j; without the pairs i = j if a is b."""
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


def _discrepancy(kernel: Kernel, x: Tensor, y: Tensor, *, unbiased: bool) -> Estimate:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y), with its jackknife over single samples.

    unbiased  the means within a set are over the n (n - 1) pairs of different samples; else over all n²
              pairs, for a kernel with k(x, x) = 0
    """
    n, m, own = len(x), len(y), int(unbiased)  # own: the pairs of a sample with itself, left out
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
    """The share of x within a radius of some y, its jackknife over groups of x and of y, in one pass.

    radii (B + 1, len(y)): row b holds the radii of y without its group b, the last row those of all of y.
    """
    import torch

    B = limit_groups(groups, x, y)
    fewest = len(y) - (-(-len(y) // B) if B else 0)
    if not 1 <= whole("k", k) < fewest:
        raise SamplesError(
            f"k = {k!r} neighbours need 1 <= k < {fewest}: the set of {len(y)} samples, less one "
            "group of the jackknife."
        )
    g, h = (random_groups(part, B, seed) for part in (x, y))
    radii = torch.cat([_radii(part, y, h, k, B) for part in _parts(y, y)], 1)
    for b in range(B):
        radii[b, h == b] = -1.0  # samples that are left out cover nothing
    inside = torch.cat([_inside(part, y, radii) for part in _parts(x, y)], 1).double()
    estimate = jackknife(
        float(inside[-1].mean()),
        [float(inside[-1][g != b].mean()) for b in range(B)],
        [float(inside[b].mean()) for b in range(B)],
    )
    return replace(
        estimate, bias=math.nan
    )  # the jackknife assumes a bias that falls as 1/N: this does not


def _parts(a: Tensor, b: Tensor) -> Sequence[Tensor]:
    import torch

    return torch.split(a, max(1, BLOCK // len(b)))


def _exact(u: Tensor, v: Tensor) -> Tensor:
    """|u_i - v_j|, (n, m), exactly 0 between equal points, which a matrix product would not give."""
    import torch

    return torch.cdist(u, v, compute_mode="donot_use_mm_for_euclid_dist")


def _radii(part: Tensor, y: Tensor, h: Tensor, k: int, B: int) -> Tensor:
    """The distance of each of `part`, samples of y, to its k-th neighbour: (B + 1, len(part)).

    Row b: among y without group b, h = b. The last row: among all of y.
    """
    import torch

    D = _exact(part, y)
    groups = [D[:, h == b] for b in range(max(B, 1))]
    # the nearest of a sample is itself, so its k-th neighbour is among the k + 1 nearest of each group
    near = [d.topk(min(k + 1, d.shape[1]), largest=False).values for d in groups]
    rest = [torch.cat(near[:b] + near[b + 1 :], 1) for b in range(B)]
    return torch.stack([d.kthvalue(k + 1).values for d in [*rest, torch.cat(near, 1)]])


def _inside(part: Tensor, y: Tensor, radii: Tensor) -> Tensor:
    """(rows of radii, len(part)): whether each of `part` lies within the radius of some y."""
    import torch

    D = _exact(part, y)
    return torch.stack([(r >= D).any(1) for r in radii])
