"""Features: the map that is applied to samples before a distance is taken. Values, PCA, or any callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import shown, whole
from flowsolve.errors import SamplesError

if TYPE_CHECKING:
    from torch import Tensor

Features = Callable[["Tensor"], "Tensor"]
"""(N, *event) -> (N, d), for example a classifier's last layer. It is called on batches of BATCH samples."""
BATCH = 500


@dataclass(frozen=True, eq=False)
class PCA:
    """y = (x - μ) W, the first d principal components of a reference set.      Pearson 1901.

    mean       μ, (D,), the mean of the reference; D is the product of the event's dimensions
    axes       W, (D, d), orthonormal columns
    explained  the share of the reference's variance along the axes, 0 to 1
    """

    mean: Tensor
    axes: Tensor
    explained: float

    def __call__(self, x: Tensor) -> Tensor:
        """(N, *event) -> (N, d), float64."""
        flat = x.flatten(1).double()
        return (flat - self.mean.to(x.device)) @ self.axes.to(x.device)


def pca(reference: Tensor, dimensions: int) -> PCA:
    """PCA fitted on the reference data, (N, *event). Use one for all the sets that are to be compared.

    Raises SamplesError for a bad sample set, and unless 1 <= dimensions <= min(N - 1, D).
    """
    import torch

    flat = embed(reference, None, "reference")
    most = min(len(flat) - 1, flat.shape[1])
    if not 1 <= whole("dimensions", dimensions, error=SamplesError) <= most:
        raise SamplesError(
            f"{len(flat)} samples of {flat.shape[1]} values have 1 to {most} principal components, "
            f"not {dimensions!r}."
        )
    mean = flat.mean(0)
    _, s, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    power = s.square()
    return PCA(mean, axes[:dimensions].T, float(power[:dimensions].sum() / power.sum()))


def embed(x: Tensor, features: Features | None, name: str = "x", least: int = 4) -> Tensor:
    """The features of samples (N, *event) as (N, d) in float64, in batches, without gradients; N >= least."""
    import torch

    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim < 1:
        given = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, torch.Tensor) else f"{x!r:.60}"
        raise SamplesError(
            f"{name} is a floating tensor, (N, *event), not {given}: whole numbers as images have "
            "them need .float() and the range that the other set has."
        )
    if len(x) < least:
        raise SamplesError(f"{name} has {len(x)} samples, and a distance needs 4 or more.")
    if x.numel() == 0:
        raise SamplesError(f"the samples of {name} are {tuple(x.shape[1:])}: they hold no values.")
    if not bool(x.isfinite().all()):
        bad = int((~x.reshape(len(x), -1).isfinite().all(1)).sum())
        raise SamplesError(f"{bad} of {len(x)} samples in {name} hold NaN or infinity.")
    if features is not None and not callable(features):
        raise SamplesError(
            f"features must be a function (N, *event) -> (N, d) or None, not {shown(features)}."
        )
    if features is None:
        return x.detach().reshape(len(x), -1).double()
    parts = torch.split(x, BATCH)
    with torch.no_grad():
        out = [features(part) for part in parts]
    for f, part in zip(out, parts, strict=True):
        if not isinstance(f, torch.Tensor) or f.ndim != 2 or len(f) != len(part):
            got = tuple(f.shape) if isinstance(f, torch.Tensor) else f"{f!r:.60}"
            raise SamplesError(
                f"features map {tuple(part.shape)} to a tensor ({len(part)}, d), not to {got}."
            )
    whole = torch.cat(out).double()
    if not bool(whole.isfinite().all()):
        raise SamplesError(f"the features of {name} hold NaN or infinity, and {name} does not.")
    return whole


def embed_both(x: Tensor, y: Tensor, features: Features | None) -> tuple[Tensor, Tensor]:
    """The features of both sets, on the device of x. Raises SamplesError for bad sets or unlike events."""
    a, b = embed(x, features, "x"), embed(y, features, "y")
    if x.shape[1:] != y.shape[1:]:
        raise SamplesError(
            f"the samples of x are {tuple(x.shape[1:])} and those of y {tuple(y.shape[1:])}: "
            "give both sets one shape (resize or crop before)."
        )
    return a, b.to(a.device)
