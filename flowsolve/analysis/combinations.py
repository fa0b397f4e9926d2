"""Vectors as combinations of as few others as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

TOLERANCE = 1e-13  # relative to the size of a target: how well the vectors of a basis run are known


def combinations(
    targets: Sequence[Vector], vectors: Sequence[Sequence[Vector]]
) -> NDArray[np.float64] | None:
    """Weights of each target on as many of its vectors, in order, as it takes, (K, most).

    None if all are too few for one. The vectors are made orthogonal one by one, until nothing is left of the
    targets; one refinement.
    """
    import numpy as np

    goal, most = np.stack(targets), max(map(len, vectors))
    units, basis = np.zeros((2, len(goal), most, goal.shape[1]))
    for k, own in enumerate(vectors):
        units[k, : len(own)] = own
    norms = np.linalg.norm(units, axis=2)
    norms[norms == 0] = 1
    units /= norms[:, :, None]
    size, rest = np.linalg.norm(goal, axis=1), goal
    triangle, counts = np.tile(np.eye(most), (len(goal), 1, 1)), np.zeros(len(goal), int)
    for i in range(most):
        new = units[:, i]
        for _ in range(2):
            parts = np.einsum("kin,kn->ki", basis[:, :i], new)
            new = new - np.einsum("ki,kin->kn", parts, basis[:, :i])
            triangle[:, :i, i] += parts
        length = np.linalg.norm(new, axis=1)
        free = length > 1e-14  # else it is a combination of those before it, and its weight is 0
        triangle[free, i, i] = length[free]
        basis[free, i] = new[free] / length[free, None]
        rest = rest - (basis[:, i] * rest).sum(1, keepdims=True) * basis[:, i]
        counts[(counts == 0) & (np.linalg.norm(rest, axis=1) <= TOLERANCE * size)] = i + 1
        if counts.all():
            break
    else:
        return None
    used = np.arange(most) < counts[:, None]
    basis[~used] = 0
    triangle = np.where(used[:, :, None] & used[:, None], triangle, np.eye(most))
    weights, rest = np.zeros((len(goal), most)), goal
    for _ in range(2):
        parts = np.einsum("kin,kn->ki", basis, rest)
        weights += np.linalg.solve(triangle, parts[..., None])[..., 0]
        rest = goal - np.einsum("ki,kin->kn", weights, units)
    weights[abs(weights) <= TOLERANCE * size[:, None]] = 0
    found: NDArray[np.float64] = weights / norms
    return found
