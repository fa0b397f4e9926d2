"""What recurs in every study, in one object: which seeds, in which blocks, in which dtype, where."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from flowsolve._arguments import shown, whole
from flowsolve._version import __version__
from flowsolve.errors import StateError
from flowsolve.integrate.options import check_names
from flowsolve.integrate.starting import start_scale, ve_start
from flowsolve.ode.base import ODE
from flowsolve.ode.by_seed import check_seeds
from flowsolve.ode.counter_noise import CounterNoise
from flowsolve.ode.noise import SeededNoise, WithNoise, floating, unit_noise, usable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.base import Problem

Start = Callable[[float], float]
STEP_NOISE: dict[str, type[SeededNoise]] = {"seeded": SeededNoise, "counter": CounterNoise}


class Settings(TypedDict, total=False):
    """The keywords that every study takes; what is left out has the default that the study states.

    seeds   one sample each
    block   samples solved at a time (256)
    dtype   of the state, a torch.dtype or its name ("float32");  device: where it is ("cpu")
    start   `ve_start` or `vp_start`, as in `sample` (`ve_start`)
    cached  keep references in the user's cache folder (yes)
    step_noise  of stochastic methods: "seeded" (`SeededNoise`, drawn on the CPU; the default) or "counter"
                (`CounterNoise`, made on the device)
    """

    seeds: Sequence[int]
    block: int
    dtype: torch.dtype | str
    device: torch.device | str
    start: Start
    cached: bool
    step_noise: str


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The Settings of one study, all of them."""

    seeds: Sequence[int]
    block: int
    dtype: torch.dtype
    device: torch.device
    start: Start
    cached: bool
    step_noise: str

    @staticmethod
    def of(settings: Settings, **defaults: Unpack[Settings]) -> Setup:
        """The settings given, over the study's defaults, over those of all studies.

        Raises TypeError for a word that is no setting, StateError for seeds or a start of the wrong kind,
        ValueError for no seeds, a block of no samples, and a dtype or device that cannot be.
        """
        check_names(settings, Settings)
        every = Settings(
            seeds=(), block=256, dtype="float32", device="cpu", start=ve_start, cached=True,
            step_noise="seeded",
        )  # fmt: skip
        given = {k: v for k, v in settings.items() if v is not None}
        words: dict[str, Any] = {**every, **defaults, **given}
        seeds, start, cached = check_seeds(words["seeds"]), words["start"], words["cached"]
        if "seeds" in given and not seeds:
            raise ValueError("seeds are empty: give one for each sample, such as range(64).")
        if whole("block", words["block"]) < 1:
            raise ValueError(f"block must be at least 1 sample, but got {words['block']!r}.")
        start_scale(start, 1.0)
        if not hasattr(start, "__name__"):  # rows are keyed by it
            raise StateError(
                f"start must be a function with a name, such as vp_start, not {shown(start)}."
            )
        if cached not in (True, False):
            raise ValueError(f"cached must be True or False, but got {shown(cached)}.")
        if words["step_noise"] not in STEP_NOISE:
            raise ValueError(
                f"step_noise must be {' or '.join(STEP_NOISE)}, but got {shown(words['step_noise'])}."
            )
        checked = {"dtype": floating(words["dtype"]), "device": usable(words["device"])}
        return Setup(**{**words, **checked, "seeds": seeds})

    @property
    def seeds_text(self) -> str:
        """first-last, or every seed where some between are missing, so that keys tell them apart."""
        whole = [*self.seeds] == [*range(self.seeds[0], self.seeds[-1] + 1)]
        return f"{self.seeds[0]}-{self.seeds[-1]}" if whole else ",".join(map(str, self.seeds))

    def blocks(self) -> Iterator[Setup]:
        """The same for the first `block` seeds, for the next, and so on."""
        for i in range(0, len(self.seeds), self.block):
            yield replace(self, seeds=self.seeds[i : i + self.block])

    def noise(self, event: tuple[int, ...]) -> Tensor:
        """The unit noise of the seeds, (len(seeds), *event)."""
        return unit_noise(self.seeds, event, self.dtype, self.device)

    def with_noise(self, ode: ODE) -> ODE:
        """The ODE with the noise of the seeds for every step of a stochastic method."""
        return WithNoise(ode, STEP_NOISE[self.step_noise](self.seeds))

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


def seeds_of(text: str) -> Sequence[int]:
    """The seeds that a row was made of, from its text: "0-15" or "0,2,5"."""
    first, dash, last = text.partition("-")
    if dash:
        return range(int(first), int(last) + 1)
    return [int(seed) for seed in text.split(",") if seed]
