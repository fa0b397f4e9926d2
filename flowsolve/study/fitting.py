"""The weights of a linear method, fitted step by step to the solution on one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flowsolve.analysis.replay import combine
from flowsolve.analysis.table import Table, WeightRow
from flowsolve.errors import TableError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE

RIDGE = 1e-5
PASSES = 4


def fit(
    table: Table,
    ode: ODE,
    x: Tensor,
    truth: Mapping[float, Tensor],
    *,
    first: int,
    reach: int = 3,
) -> tuple[Table, Tensor]:
    """Each step's weights by least squares, and the answer: x̄_t = x̄_s + (the method's step) + Σ δ_j d_j.

    The d_j are the differences of the newest `reach` x₀ and of the newest `reach` ε, so that a step stays exact
    where either is constant. δ minimises Σ |x̄_t - truth|, of the first samples, with a ridge that holds it near
    0, by least squares whose weights are 1/|residual| of the pass before. The next step goes on from the fitted
    state, where the network is asked: as many evaluations as the table has.

    truth  x̄ of the solution by level; a step to a level that it has not, or with one answer, stays as it is
    first  samples that are fitted to; the others only come along

    Raises TableError for a method that does not ask once at each level, down to the last but one.
    """
    own = dict(zip(table.levels, ((1.0,), *table.nodes), strict=True))  # the method's states
    if table.sigmas != table.levels[-len(table.sigmas) - 1 : -1]:
        raise TableError(
            f"fit takes a method with one evaluation at each level, not {table.solver}."
        )
    known, states, probes = [x], dict[float, WeightRow](), list[WeightRow]()
    before = math.nan
    for sigma, row in zip(
        (*table.sigmas, table.levels[-1]), (*table.probes, table.answer), strict=True
    ):
        made = row
        if probes:
            made = _sum(states[before], row, own[before])
            if sigma in truth:
                made = _fitted(made, known, probes, table.sigmas, truth[sigma][:first], reach=reach)
        state = combine(made, known)
        if len(probes) == len(table.sigmas):
            break
        # a start corrects the first state by what is found at it
        states[sigma] = made if probes else own[sigma]
        probes.append(made)
        known.append(ode.eps(state, sigma))
        before = sigma
    nodes = (*(states[level] for level in table.levels[1:-1]), made)
    fitted = replace(table, solver=f"{table.solver}, fitted", probes=tuple(probes), nodes=nodes)
    return fitted, state


def _fitted(
    row: WeightRow,
    known: Sequence[Tensor],
    probes: Sequence[WeightRow],
    sigmas: Sequence[float],
    truth: Tensor,
    *,
    reach: int,
) -> WeightRow:
    """The row with the δ added that bring its state nearest to the truth."""
    import torch

    k, first = len(known) - 1, len(truth)
    known = [v[:first].double() for v in known]
    directions: list[WeightRow] = []
    for i in range(k, max(k - reach + 1, 1), -1):
        newer, older = (
            _sum(probes[j - 1], tuple(-sigmas[j - 1] * w for w in _unit(j, k))) for j in (i, i - 1)
        )
        directions += [_sum(_unit(i, k), (), _unit(i - 1, k)), _sum(newer, (), older)]
    if not directions:
        return row
    off = (truth.double() - combine(row, known)).reshape(first, -1)
    features = torch.stack([combine(d, known).reshape(first, -1) for d in directions])
    size = features.square().mean((1, 2)).sqrt().clamp_min(1e-300)
    features = features / size[:, None, None]
    delta, weights = features.new_zeros(len(directions)), off.new_ones(first)
    for _ in range(PASSES):
        weighted = features * weights[None, :, None]
        gram = torch.einsum("aij,bij->ab", weighted, features)
        ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        delta = torch.linalg.solve(gram + ridge.to(gram), torch.einsum("aij,ij->a", weighted, off))
        left = (off - torch.einsum("a,aij->ij", delta, features)).square().mean(1).sqrt()
        weights = 1 / left.clamp_min(float(left.median()) * 1e-2 + 1e-300)
    for d, w in zip(directions, (delta / size).tolist(), strict=True):
        row = _sum(row, tuple(w * v for v in d))
    return row


def _unit(i: int, k: int) -> WeightRow:
    return tuple(float(j == i) for j in range(k + 1))


def _sum(a: WeightRow, b: WeightRow, minus: WeightRow = ()) -> WeightRow:
    """a + b - minus, rows of any lengths."""
    length = max(map(len, (a, b, minus)))
    at = [(*row, *(0.0,) * (length - len(row))) for row in (a, b, minus)]
    return tuple(p + q - r for p, q, r in zip(*at, strict=True))
