"""Checkpoints of fitted methods: their tensors, and their times as levels."""

from __future__ import annotations

import math
import pickle
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from flowsolve._arguments import instance
from flowsolve.errors import ScheduleError, TableError
from flowsolve.schedule.clock import VPSDE, Clock, EDMClock
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.labels import Labels, SigmaClock


def read_checkpoint(path: str | PathLike[str], hint: str) -> Any:
    """What torch.save wrote, if it is tensors, numbers, texts and lists of them: no code in it is run.

    hint  where such files come from. Raises TableError for a file that is none.
    """
    import torch

    name = fspath(path)
    if not Path(name).is_file():
        raise TableError(f"there is no file {name!r}. {hint}")
    try:
        return torch.load(name, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise TableError(f"{name!r} is no checkpoint of torch's tensors: {error!s:.200}") from error


def sigma_at(clock: Clock, t: float) -> float:
    """σ at the time t of DPM-Solver's code, which LD3 and GAS took over.

    On a table (i + 1)/T is entry i, and a time less than a hundredth of an entry outside is moved to the end:
    files are in single precision. On VPSDE t is 0 to 1, and beyond. EDM's time is σ. Raises
    ScheduleError for another clock, and a time that is not positive and finite.
    """
    if not 0 < t < math.inf:
        raise ScheduleError(f"a fitted method's times are positive and finite, not {t!r}.")
    instance("clock", clock, Clock, "EDMClock() or scaled_linear_beta()")
    table = clock.clock if isinstance(clock, Labels) else clock
    if isinstance(table, DiscreteClock):
        last = len(table.alphas_cumprod) - 1
        i = (last + 1) * t - 1
        return table.sigma(min(max(i, 0.0), float(last)) if -0.01 < i < last + 0.01 else i)
    if isinstance(clock, EDMClock | SigmaClock):
        return t
    if isinstance(clock, VPSDE):
        low, high = clock.beta_min, clock.beta_max
        return math.sqrt(math.expm1(t * (low + (high - low) * t / 2)))
    raise ScheduleError(
        f"the times of such a file are EDM's, a table's or VPSDE's, not those of {clock!r}. Give EDMClock(), "
        "a table such as scaled_linear_beta(), or VPSDE()."
    )
