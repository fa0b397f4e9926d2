"""Distances from moments and from projections on lines, and the floor of any distance on real data.

Arguments, units and errors are those that the room's `__init__` describes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Union

from flowsolve._arguments import real as number
from flowsolve._arguments import whole
from flowsolve.errors import SamplesError
from flowsolve.metrics.estimate import (
    Estimate,
    jackknife,
    leave_out,
    limit_groups,
    random_groups,
    random_order,
)
from flowsolve.metrics.features import Features, embed, embed_both
from flowsolve.metrics.gaussians import (
    Moments,
    Root,
    check_number,
    chunks,
    gaussian_distance,
    of_groups,
    root_of_samples,
)

if TYPE_CHECKING:
    from torch import Tensor


def frechet(
    x: Tensor | Moments,
    y: Tensor | Moments,
    features: Features | None = None,
    *,
    groups: int = 20,
    seed: int = 0,
) -> Estimate:
    """|μ - ν|² + tr(Σ + Λ - 2(ΣΛ)^½) = |μ - ν|² + min_Q |A - BQ|².      Dowson, Landau 1982 (FID).

    μ and Σ = AAᵀ are the mean and the covariance of x, ν and Λ = BBᵀ those of y, and Q is orthogonal. The
    second form is computed: it subtracts no large numbers from each other, and A and B come from a QR of the
    samples, so that there may be fewer samples than dimensions. In squared units of the features. Biased
    upwards by O(d/N + d/M): compare sets of equal numbers, or compare `corrected`.

    x, y    samples, or the `Moments` of their features, whose A is a root of the covariance
    groups  how many groups the jackknife leaves out in turn, for the error and the bias; 0 for the value alone.
            Moments have no groups: error and bias are those of the other side, NaN where that has none either
    seed    decides which samples form a group
    """
    limit_groups(groups)
    a, b = _sides(x, y, features)
    p, q = _root(a), _root(b)
    left_out = [
        *_left_out(lambda part: gaussian_distance(root_of_samples(part), q), a, groups, seed),
        *_left_out(lambda part: gaussian_distance(p, root_of_samples(part)), b, groups, seed),
    ]
    return jackknife(gaussian_distance(p, q), *(left_out or [[]]))


def frechet_streamed(
    blocks: Iterable[Tensor],
    n: int,
    reference: Tensor | Moments,
    features: Features | None = None,
    *,
    groups: int = 20,
    seed: int = 0,
) -> Estimate:
    """`frechet` of n samples that come in blocks, in the order of their seeds, without keeping them.

    blocks     samples, or their features where `features` is None. How features are cut into blocks changes no
               digit; a network that makes them may round by its batch
    reference  what they are compared with: samples, or Moments of features

    A covariance (d, d) for each group is in memory: of 2048 features 0.7 GB for 20 groups, and 0.03 GB with
    groups=0. Equal to `frechet` up to rounding, with the same groups; and it is `frechet` of the features where
    they are not more samples than features, which take no more memory. Raises SamplesError where not n come.
    """
    import torch

    n = whole("n", n, 4, SamplesError)
    groups = limit_groups(groups, range(n))
    sets = max(groups, 1)
    rows: Iterator[Tensor] = chunks(blocks, features)
    first = next(rows, None)
    if first is not None and n <= first.shape[1]:
        seen = torch.cat([first, *rows])
        check_number(len(seen), n)
        other = _side(reference, features, "y").to(seen.device)
        return frechet(seen, other, groups=groups, seed=seed)
    rows = rows if first is None else chain([first], rows)
    parts = of_groups(rows, random_order(n, seed) % sets, sets)
    made = Moments.merged(parts)
    _, other = _sides(made, reference, features)
    p, q = made.root(), _root(other)
    rest = (Moments.merged([*parts[:b], *parts[b + 1 :]]) for b in range(groups))
    return jackknife(
        gaussian_distance(p, q),
        [gaussian_distance(one.root(), q) for one in rest],
        *_left_out(lambda part: gaussian_distance(p, root_of_samples(part)), other, groups, seed),
    )


Side = Union["Tensor", Moments]


def _sides(x: Side, y: Side, features: Features | None) -> tuple[Side, Side]:
    """Features or Moments of both, on the device of x. Raises SamplesError for what is neither, or unlike."""
    import torch

    if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor):
        return embed_both(x, y, features)
    a, b = _side(x, features, "x"), _side(y, features, "y")
    d, e = (len(side.mean) if isinstance(side, Moments) else side.shape[1] for side in (a, b))
    if d != e:
        raise SamplesError(
            f"x has {d} features and y {e}: Moments are of features, which samples get by features=."
        )
    return a, b.to((a.mean if isinstance(a, Moments) else a).device)


def _side(side: Side, features: Features | None, name: str) -> Side:
    return side.checked(name) if isinstance(side, Moments) else embed(side, features, name)


def _root(side: Side) -> Root:
    return side.root() if isinstance(side, Moments) else root_of_samples(side)


def _left_out(
    value: Callable[[Tensor], float], side: Side, groups: int, seed: int
) -> list[list[float]]:
    """The values without each group, of a side that has samples; none of Moments."""
    return [] if isinstance(side, Moments) else [leave_out(value, side, groups, seed)]


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
