"""What recurs in every study, in one object: which seeds, in which blocks, in which dtype, where."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flowsolve._version import __version__
from flowsolve.integrate.driver import ve_start
from flowsolve.ode.noise import unit_noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.base import Problem

Start = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a study runs. What is None here takes the default that the study states.

    seeds   one sample each
    block   samples solved at a time
    dtype   of the state;  device: where it is
    start   `ve_start` or `vp_start`, as in `sample`
    cached  keep references in the user's cache folder
    """

    seeds: Sequence[int] | None = None
    block: int = 256
    dtype: torch.dtype | None = None
    device: torch.device | str = "cpu"
    start: Start | None = None
    cached: bool = True

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block must be at least 1 sample, but got {self.block!r}.")

    def over(
        self, *, seeds: Sequence[int] = (), dtype: str = "float32", start: Start = ve_start
    ) -> Run:
        """These settings over a study's defaults."""
        import torch

        return Run(
            seeds=seeds if self.seeds is None else self.seeds,
            block=self.block,
            dtype=getattr(torch, dtype) if self.dtype is None else self.dtype,
            device=torch.device(self.device),
            start=self.start or start,
            cached=self.cached,
        )


@dataclass(frozen=True, kw_only=True)
class Run(Settings):
    """Settings without gaps."""

    seeds: Sequence[int]
    dtype: torch.dtype
    device: torch.device
    start: Start

    @property
    def seeds_text(self) -> str:
        """first-last, or every seed where some between are missing, so that keys tell them apart."""
        whole = [*self.seeds] == [*range(self.seeds[0], self.seeds[-1] + 1)]
        return f"{self.seeds[0]}-{self.seeds[-1]}" if whole else ",".join(map(str, self.seeds))

    def blocks(self) -> Iterator[Run]:
        """The same, for `block` seeds after the other."""
        for i in range(0, len(self.seeds), self.block):
            yield replace(self, seeds=self.seeds[i : i + self.block])

    def noise(self, event: tuple[int, ...]) -> Tensor:
        """The unit noise of the seeds, (len(seeds), *event)."""
        return unit_noise(self.seeds, event, self.dtype, self.device)

    def stamp(self, problem: Problem) -> dict[str, Any]:
        """The fields of a Row that say what was run, and on what."""
        import torch

        return {
            "problem": problem.name,
            "problem_digest": problem.digest,
            "dtype": str(self.dtype)[6:],
            "device": self.device.type,
            "flowsolve": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
