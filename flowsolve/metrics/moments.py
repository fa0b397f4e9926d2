"""Distances from moments and from projections on lines, and the floor of any distance on real data.

Arguments, units and errors are those that the room's `__init__` describes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowsolve._arguments import real as number
from flowsolve._arguments import whole
from flowsolve.metrics.estimate import (
    Estimate,
    jackknife,
    leave_out,
    limit_groups,
    random_groups,
)
from flowsolve.metrics.features import Features, embed, embed_both

if TYPE_CHECKING:
    from torch import Tensor


def frechet(
    x: Tensor, y: Tensor, features: Features | None = None, *, groups: int = 20, seed: int = 0
) -> Estimate:
    """|μ - ν|² + tr(Σ + Λ - 2(ΣΛ)^½) = |μ - ν|² + min_Q |A - BQ|².      Dowson, Landau 1982 (FID).

    μ and Σ = AAᵀ are the mean and the covariance of x, ν and Λ = BBᵀ those of y, and Q is orthogonal. The
    second form is computed: it subtracts no large numbers from each other, and A and B come from a QR of the
    samples, so that there may be fewer samples than dimensions. In squared units of the features. Biased
    upwards by O(d/N + d/M): compare sets of equal numbers, or compare `corrected`.

    groups  how many groups the jackknife leaves out in turn, for the error and the bias; 0 for the value alone
    seed    decides which samples form a group
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
    U, _, Vt = torch.linalg.svd(A.T @ B)  # the minimum is at Q = V Uᵀ, and |A - BQ| = |AU - BV|
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
    """(mean_θ ∫₀¹ |F_θ⁻¹(u) - G_θ⁻¹(u)|^p du)^(1/p).      Bonneel et al. 2015.

    F_θ and G_θ are the distribution functions of θ·x and θ·y, and θ runs over `directions` unit vectors,
    uniform on the sphere and drawn from `seed`. p = 1 or 2; in units of the features. The integral is exact
    for any two numbers of samples. The error does not include the choice of directions. groups as in `frechet`.
    """
    import torch

    if number("p", p) not in (1, 2) or whole("directions", directions) < 1:
        raise ValueError(
            f"needs p = 1 or 2 and directions >= 1, but got p = {p!r}, directions = {directions!r}."
        )
    a, b = embed_both(x, y, features)
    generator = torch.Generator("cpu").manual_seed(whole("seed", seed))
    shape = (directions, a.shape[1])
    theta = torch.randn(shape, dtype=a.dtype, generator=generator, device="cpu").to(a.device)
    theta /= theta.norm(dim=1, keepdim=True)
    (u, order), (v, other) = (theta @ a.T).sort(1), (theta @ b.T).sort(1)
    n, m = limit_groups(groups, a), limit_groups(groups, b)
    g, h = random_groups(a, n, seed)[order], random_groups(b, m, seed)[other]
    return jackknife(
        _between_sorted(u, v, p),
        [_between_sorted(u[g != i].reshape(directions, -1), v, p) for i in range(n)],
        [_between_sorted(u, v[h != i].reshape(directions, -1), p) for i in range(m)],
    )


def _between_sorted(u: Tensor, v: Tensor, p: int) -> float:
    """(mean over rows of ∫₀¹ |F⁻¹ - G⁻¹|^p)^(1/p), u (rows, n) and v (rows, m) sorted along each row.

    Both quantile functions are constant between neighbours among the multiples of 1/n and of 1/m, so that
    the integral is a sum. `starts` are these multiples times n m, which are whole numbers.
    """
    import torch

    n, m = u.shape[1], v.shape[1]
    starts = torch.cat([k * torch.arange(j, device=u.device) for j, k in ((n, m), (m, n))])
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
    """The mean of distance(one half, other half) over random halvings of the real data.

    A perfect sampler scores this on average, with as many samples as a half has against as many real ones.

    samples  compare this many real samples with all the others, instead of half with half
    repeats  how many random halvings, at least 2

    Of the Estimate, `error` is the standard deviation of the distance over halvings, and not the smaller
    standard error of their mean: (distance(made, real) - floor.value)/floor.error says by how many standard
    deviations samples miss the floor. `bias` is the mean of the biases. Give the distance its options by
    functools.partial; groups=0 saves time, since the distance's own errors are not used here.
    """
    import torch

    if whole("repeats", repeats) < 2:
        raise ValueError(f"the spread of a floor needs repeats >= 2, not {repeats!r}.")
    data, generator = (
        embed(real, features, "real"),
        torch.Generator("cpu").manual_seed(whole("seed", seed)),
    )
    n, m = (samples, len(data) - samples) if samples else (len(data) // 2, len(data) // 2)
    got = []
    for _ in range(repeats):
        order = torch.randperm(len(data), generator=generator, device="cpu").to(data.device)
        got.append(distance(data[order[:n]], data[order[n : n + m]]))
    values = [e.value for e in got]
    mean = math.fsum(values) / repeats
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (repeats - 1))
    return Estimate(mean, spread, math.fsum(e.bias for e in got) / repeats)
