"""Anderson's acceleration of states in order, each by itself and those before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_RIDGE = 1e-6  # of the mean square of the changes, which may be all but parallel


def triangular(goals: Sequence[Tensor], residuals: Sequence[Tensor]) -> Tensor:
    """G_k - Σ_p γ_kp Δ_p G_k,  γ_k = argmin Σ_{j<=k} |r_j - Σ_p γ_p Δ_p r_j|².   ParaTAA: Tang et al. 2024.

    goals      G of the newest round, then of older ones, (n, B, d) each, or shorter in n where the later
               states were not there yet; Δ_p is the change from the (p+1)-th to the p-th of these
    residuals  r = G - x of the same, x what the round was made at

    γ is found for each sample, with a ridge of 1e-6, in the dtype of the tensors.
    """
    import torch

    dg, dr = (torch.stack(_changes(values)) for values in (goals, residuals))
    gram = torch.einsum("pkbd,qkbd->kbpq", dr, dr).cumsum(0)
    right = torch.einsum("pkbd,kbd->kbp", dr, residuals[0]).cumsum(0)
    mean = gram.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    ridge = torch.diag_embed((_RIDGE * mean + torch.finfo(mean.dtype).tiny).expand_as(right))
    # solve would read back whether it could
    gamma = torch.linalg.solve_ex(gram + ridge, right.unsqueeze(-1))[0].squeeze(-1)
    return goals[0] - torch.einsum("kbp,pkbd->kbd", gamma, dg)


def _changes(values: Sequence[Tensor]) -> list[Tensor]:
    """Each less the next, 0 for the states that the next has not, (n, B, d)."""
    import torch

    out = []
    for new, old in pairwise(values):
        m = min(len(new), len(old))
        rest = values[0].new_zeros(len(values[0]) - m, *new.shape[1:])
        out.append(torch.cat((new[:m] - old[:m], rest)))
    return out
