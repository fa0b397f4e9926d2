"""Moments: the mean and the covariance of a sample set, in parts, in files, and as one side of a distance."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve._arguments import file_path, shown
from flowsolve.errors import SamplesError
from flowsolve.metrics.features import Features, embed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Root = tuple["Tensor", "Tensor"]
"""The mean of a set and a root A of its covariance AAᵀ."""
CHUNK = 2000  # samples that are added at a time, however they come


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Fréchet distance knows of a sample set, in float64.

    mean        μ, (d,)
    covariance  Σ (x - μ)(x - μ)ᵀ/(n - 1), (d, d)
    n           how many samples; None where a file does not say
    """

    mean: Tensor
    covariance: Tensor
    n: int | None = None

    def __repr__(self) -> str:
        return f"Moments(n={self.n}, d={len(self.mean)})"

    @staticmethod
    def of(x: Tensor | Iterable[Tensor], features: Features | None = None) -> Moments:
        """Those of samples (N, *event), or of their features; also of batches one after the other.

        The memory does not grow with N, and the numbers do not depend on how samples are cut into batches.
        Raises SamplesError for bad samples.
        """
        import torch

        blocks = [x] if isinstance(x, torch.Tensor) else x
        return Moments.merged(_of(part) for part in chunks(blocks, features))

    @staticmethod
    def merged(parts: Iterable[Moments]) -> Moments:
        """Those of all samples together, part after part: another order changes the rounding.

        Raises SamplesError for no parts, for unlike ones, and for one that does not know its number of samples.
        """
        found = iter(parts)
        first = next(found, None)
        if first is None:
            raise SamplesError("there are no samples.")
        return reduce(Moments.merge, found, first)

    def merge(self, other: Moments) -> Moments:
        """Of both sets:  μ + δ m/(n+m),  ((n-1) Σ + (m-1) Λ + δδᵀ nm/(n+m))/(n+m-1).     Chan et al. 1979.

        δ = ν - μ, with m, ν and Λ those of the other.
        """
        if self.n is None or other.n is None or self.mean.shape != other.mean.shape:
            raise SamplesError(
                f"only moments of as many values and of known numbers of samples can be merged, not {self!r} "
                f"and {other!r}."
            )
        n, m = self.n, other.n
        delta = other.mean - self.mean
        scatter = self.covariance * (n - 1)
        scatter.add_(other.covariance, alpha=m - 1)
        scatter.addr_(delta, delta, alpha=n * m / (n + m))
        return Moments(self.mean + delta * (m / (n + m)), scatter.div_(n + m - 1), n + m)

    def to(self, device: torch.device | str) -> Moments:
        """The same on another device."""
        return Moments(self.mean.to(device), self.covariance.to(device), self.n)

    def root(self) -> Root:
        """Mean, and A = V √Λ (d, d) with AAᵀ = VΛVᵀ the covariance; eigenvalues below 0 by rounding are 0.

        Raises SamplesError where one is further below than rounding in float32 explains.
        """
        import torch

        values, vectors = torch.linalg.eigh(self.covariance)
        if float(values[0]) < -1e-4 * float(values[-1]):
            raise SamplesError(
                f"a covariance has no eigenvalues below 0, but {self!r} has {float(values[0]):.3g} beside "
                f"{float(values[-1]):.3g}."
            )
        return self.mean, vectors * values.clamp(min=0).sqrt()

    def checked(self, name: str) -> Moments:
        """The same in float64, its covariance symmetric. Raises SamplesError for what no sample set has."""
        import torch

        mu, sigma = self.mean, self.covariance
        shapes = [tuple(getattr(v, "shape", ())) for v in (mu, sigma)]
        if len(shapes[0]) != 1 or not shapes[0][0] or shapes[1] != 2 * shapes[0]:
            raise SamplesError(
                f"{name} needs a mean (d,) and a covariance (d, d), but they are {shapes[0]} and {shapes[1]}."
            )
        if not bool(mu.isfinite().all() and sigma.isfinite().all()):
            raise SamplesError(f"the moments of {name} hold NaN or infinity.")
        sigma = sigma.double()
        if float((sigma - sigma.T).abs().max()) > 1e-5 * float(sigma.abs().max()):
            raise SamplesError(f"the covariance of {name} is not symmetric.")
        if self.n is not None and self.n < 4:
            raise SamplesError(f"{name} has {self.n} samples, and a distance needs 4 or more.")
        return Moments(mu.double(), torch.lerp(sigma, sigma.T, 0.5), self.n)

    def save(self, path: str | Path) -> None:
        """As .npz with the keys mu, sigma and n, of which EDM's fid.py and clean-fid read the first two."""
        import numpy as np

        mu, sigma = self.mean.cpu().numpy(), self.covariance.cpu().numpy()
        with open(file_path(path), "wb") as file:  # np.savez appends .npz to a name
            np.savez(file, mu=mu, sigma=sigma, n=self.n or 0)

    @staticmethod
    def load(path: str | Path) -> Moments:
        """From .npz with mu and sigma, as EDM's fid.py, ADM's reference batches and clean-fid have them.

        Other keys are left alone, but for n. Raises SamplesError for a file without them, or with other things
        in their place.
        """
        import numpy as np
        import torch

        path = file_path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                missing = [key for key in ("mu", "sigma") if key not in file]
                if missing:
                    raise SamplesError(
                        f"{path} has no {' and no '.join(missing)}, but {shown(sorted(file))}: moments are in "
                        "a .npz with mu (d,) and sigma (d, d)."
                    )
                mu, sigma = (np.asarray(file[key], dtype=np.float64) for key in ("mu", "sigma"))
                n = (int(file["n"]) or None) if "n" in file else None
        except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            if isinstance(error, SamplesError):
                raise
            raise SamplesError(f"{path} holds no moments: {error}.") from error
        return Moments(torch.from_numpy(mu), torch.from_numpy(sigma), n).checked(str(path))


def chunks(blocks: Iterable[Tensor], features: Features | None) -> Iterator[Tensor]:
    """The features of samples that come in blocks, CHUNK rows at a time wherever the blocks end.

    Raises SamplesError for bad samples, and for blocks of unlike ones.
    """
    import torch

    held: list[Tensor] = []
    for block in blocks:
        for part in torch.split(block, CHUNK) if isinstance(block, torch.Tensor) else [block]:
            held.append(embed(part, features, least=1))
            if held[-1].shape[1] != held[0].shape[1]:
                raise SamplesError(
                    f"blocks of one set have features of one length, not {held[0].shape[1]} and then "
                    f"{held[-1].shape[1]}."
                )
            if sum(map(len, held)) >= CHUNK:
                whole = torch.cat(held)
                yield whole[:CHUNK]
                held = [whole[CHUNK:]]
    if sum(map(len, held)):
        yield torch.cat(held)


def _of(x: Tensor) -> Moments:
    """Of rows that are in memory; one row has the covariance 0."""
    mean = x.mean(0)
    off = x - mean
    return Moments(mean, off.T @ off / max(len(x) - 1, 1), len(x))


def of_groups(parts: Iterable[Tensor], group: Tensor, groups: int) -> Sequence[Moments]:
    """The moments of each group, of rows that come in parts.

    group  the group of each row, (N,) on the CPU. Raises SamplesError unless there are N rows.
    """
    found: list[Moments | None] = [None] * groups
    begin = 0
    for part in parts:
        own = group[begin : begin + len(part)].to(part.device)
        begin += len(part)
        if len(own) < len(part):
            break
        for b in range(groups):
            rows = part[own == b]
            if len(rows):
                before, new = found[b], _of(rows)
                found[b] = new if before is None else before.merge(new)
    check_number(begin, len(group))
    return [one for one in found if one is not None]


def check_number(found: int, n: int) -> None:
    """Raise SamplesError unless n came."""
    if found != n:
        came = "more came" if found > n else f"{found} came"
        raise SamplesError(f"the blocks were said to hold n = {n} samples, but {came}.")


def gaussian_distance(p: Root, q: Root) -> float:
    """|μ - ν|² + min_Q |A - BQ|², Q orthogonal, of (μ, A) and (ν, B)."""
    import torch
    from torch.nn.functional import pad

    (mu, A), (nu, B) = p, q
    width = max(A.shape[1], B.shape[1])
    A, B = pad(A, (0, width - A.shape[1])), pad(B, (0, width - B.shape[1]))
    U, _, Vt = torch.linalg.svd(A.T @ B)  # the minimum is at Q = V Uᵀ, and |A - BQ| = |AU - BV|
    return float((mu - nu).square().sum() + (A @ U - B @ Vt.T).square().sum())


def root_of_samples(x: Tensor) -> Root:
    """Mean, and A (d, min(N, d)) with AAᵀ the covariance, which is never made: more digits."""
    import torch

    mean = x.mean(0)
    return mean, torch.linalg.qr(x - mean, mode="r").R.T / math.sqrt(len(x) - 1)
