"""LD3: the times that it learned, best_v1.pt and best_v2.pt.                               Tong et al. 2024."""

from __future__ import annotations

from os import PathLike
from typing import NamedTuple

from flowsolve.errors import TableError
from flowsolve.interop.checkpoints import read_checkpoint, sigma_at
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.grid import Grid


class LD3Levels(NamedTuple):
    """The grid, and the level that the network is told at each of its levels, for `DiffusionODE.told`."""

    grid: Grid
    told: dict[float, float]


def read_ld3(path: str | PathLike[str], clock: Clock) -> LD3Levels:
    """σ_i = σ(t_i), told σ(t'_i);  best_t_steps = (t_0, ..., t_N, t'_0, ..., t'_N).    Tong et al. 2024, code.

    path   best_v1.pt or best_v2.pt, as LD3's trainer saves it. Only tensors are read: no code in it is run
    clock  of the network: EDMClock() or SigmaClock(), whose times in the file are σ; VPSDE(), 0 < t <= 1; or a
           table, as scaled_linear_beta(between="log_alpha") or dpm_solver_labels(ᾱ), where t is (i + 1)/T at
           entry i. LD3 is linear in log α between entries

    Its solver is not in the file: dpm_solver++ is PublishedDPMSolver(order, lower_order_final=True), uni_pc
    UniPC(order, variant=..., lower_order_final=True, guard=None), and ipndm IPNDM(order, guard=None).

    Raises TableError for a file that is none or holds no such times, GridError for times that do not fall, and
    ScheduleError for another clock and for times outside a table.
    """
    saved = read_checkpoint(path, "LD3 writes best_v2.pt into its log folder.")
    import torch

    times = saved.get("best_t_steps") if isinstance(saved, dict) else None
    if not isinstance(times, torch.Tensor) or times.ndim != 1 or len(times) % 2 or len(times) < 4:
        has = ", ".join(map(str, saved)) if isinstance(saved, dict) else type(saved).__name__
        raise TableError(
            f"{str(path)!r} is no file of LD3, which holds best_t_steps, as many times of the steps as times "
            f"that the network is told, two or more: it has {has}."
        )
    sigmas = [sigma_at(clock, t) for t in times.double().tolist()]
    n = len(sigmas) // 2
    grid = Grid(sigmas[:n], "ld3")
    return LD3Levels(grid, dict(zip(grid, sigmas[n:], strict=True)))
