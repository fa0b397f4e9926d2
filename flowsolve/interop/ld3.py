"""LD3: the times that it learned, best_v1.pt and best_v2.pt.                                  Tong et al. 2025."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

from flowsolve._arguments import instance
from flowsolve.errors import GridError, ScheduleError
from flowsolve.schedule.clock import VPSDE, Clock, EDMClock
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.labels import Labels, SigmaClock


class LD3Levels(NamedTuple):
    """The grid, and the level that the network is told at each of its levels, for `DiffusionODE.told`."""

    grid: Grid
    told: dict[float, float]


def read_ld3(path: str | PathLike[str], clock: Clock) -> LD3Levels:
    """σ_i = σ(t_i), told σ(t'_i);  best_t_steps = (t_0, ..., t_N, t'_0, ..., t'_N).      Tong et al. 2025, code.

    path   best_v1.pt or best_v2.pt, as LD3's trainer saves it. Only tensors are read: no code in it is run
    clock  of the network: EDMClock() or SigmaClock(), whose times in the file are σ; VPSDE(), 0 < t <= 1; or a
           table, as scaled_linear_beta(between="log_alpha") or dpm_solver_labels(ᾱ), where t is (i + 1)/T at
           entry i. LD3 is linear in log α between entries

    Times outside a table by the rounding of single precision are moved to its end. Raises GridError for a file
    that is none or holds no such times, or times that do not fall, and ScheduleError for another clock.
    """
    instance("clock", clock, Clock, "EDMClock() or scaled_linear_beta()")
    times = _times(fspath(path))
    sigmas = [_sigma(clock, t) for t in times]
    n = len(sigmas) // 2
    grid = Grid(sigmas[:n], "ld3")
    return LD3Levels(grid, dict(zip(grid, sigmas[n:], strict=True)))


def _times(path: str) -> Sequence[float]:
    import torch

    if not Path(path).is_file():
        raise GridError(f"there is no file {path!r}. LD3 writes best_v2.pt into its log folder.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise GridError(f"{path!r} is no checkpoint of torch's tensors: {error!s:.200}") from error
    times = saved.get("best_t_steps") if isinstance(saved, dict) else None
    if not isinstance(times, torch.Tensor) or times.ndim != 1 or len(times) % 2 or len(times) < 4:
        has = ", ".join(map(str, saved)) if isinstance(saved, dict) else type(saved).__name__
        raise GridError(
            f"{path!r} is no file of LD3, which holds best_t_steps, as many times of the steps as times "
            f"that the network is told, two or more: it has {has}."
        )
    found: list[float] = times.double().tolist()
    return found


def _sigma(clock: Clock, t: float) -> float:
    """σ at LD3's time t."""
    table = clock.clock if isinstance(clock, Labels) else clock
    if isinstance(table, DiscreteClock):
        last = len(table.alphas_cumprod) - 1
        i = (last + 1) * t - 1
        return table.sigma(min(max(i, 0.0), float(last)) if -0.01 < i < last + 0.01 else i)
    if isinstance(clock, EDMClock | SigmaClock):
        return t
    if isinstance(clock, VPSDE):
        return clock.sigma(t * clock.scale)
    raise ScheduleError(
        f"LD3's networks have times of EDM, of a table or of VPSDE, not of {clock!r}. Give EDMClock(), a "
        "table such as scaled_linear_beta(), or VPSDE()."
    )
