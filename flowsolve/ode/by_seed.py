"""Rows that follow from the seeds of the samples, for labels and scales that do not depend on the block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import several, shown, whole
from flowsolve.errors import NetworkError, StateError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class BySeed:
    """One row for each sample, which follows from its seed: a condition, a part of one, or a scale of guidance.

    rows  a function from the seeds, a tuple of ints, to a tensor with one row for each; or a tensor (N, ...)
          whose row i is that of seed i

    `ode.for_seeds(seeds)` has the rows of these seeds in its place. Studies ask for that block by block.
    Raises StateError for rows of another kind.
    """

    def __init__(self, rows: Tensor | Callable[[tuple[int, ...]], Tensor]) -> None:
        import torch

        if not (rows.ndim if isinstance(rows, torch.Tensor) else callable(rows)):
            raise StateError(
                "BySeed takes a function from the seeds to a tensor with one row for each, or a tensor whose "
                f"row i is that of seed i, not {shown(rows)}."
            )
        self.rows = rows

    def __repr__(self) -> str:
        shape = getattr(self.rows, "shape", None)
        name = getattr(self.rows, "__name__", shown(self.rows))
        return f"BySeed({name if shape is None else f'a table {tuple(shape)}'})"

    def for_seeds(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> Tensor:
        """The rows of these seeds, in their order, on the device.

        Raises StateError for a seed that the table has no row of, and where the function returns anything but
        a tensor with one row for each seed.
        """
        import torch

        asked = tuple(check_seeds(seeds))
        if isinstance(self.rows, torch.Tensor):
            if asked and max(asked) >= len(self.rows):
                raise StateError(
                    f"{self!r} has rows for the seeds 0 to {len(self.rows) - 1}, but seed {max(asked)} is "
                    "asked for."
                )
            return self.rows[torch.tensor(asked, dtype=torch.int64, device=self.rows.device)].to(
                device
            )
        found = self.rows(asked)
        if not isinstance(found, torch.Tensor) or found.shape[:1] != (len(asked),):
            got = tuple(found.shape) if isinstance(found, torch.Tensor) else shown(found)
            raise StateError(
                f"{self!r} must return a tensor with one row for each of {len(asked)} seeds, not {got}."
            )
        return found.to(device)

    def unresolved(self, name: str) -> NetworkError:
        """The error of an ODE that is evaluated before anyone has said for which seeds."""
        return NetworkError(
            f"{name} follows from the seeds: ode.for_seeds(range(8)) has that of eight samples. Studies, which "
            "know their seeds, ask for it themselves."
        )


def check_seeds(seeds: Iterable[int]) -> Sequence[int]:
    """The seeds as ints. Raises StateError for one number, and for what is no whole number from 0 below 2⁶³."""
    if isinstance(seeds, range) and (not seeds or min(seeds) >= 0):
        return seeds
    found = several("seeds", seeds, "seeds such as range(64)", empty=True)
    for i, seed in enumerate(found):
        found[i] = whole(f"seeds[{i}]", seed, 0, StateError)
        if found[i] >= 2**63:
            raise StateError(f"seeds[{i}] must be below 2**63, but is {seed}.")
    return tuple(found)
