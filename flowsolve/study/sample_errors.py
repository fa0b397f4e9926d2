"""The error of samples against the ODE's solution from the same noise, block by block as they were drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flowsolve.study.error import Truth, root_error
from flowsolve.study.one_thread import one_thread
from flowsolve.study.references import rms
from flowsolve.study.samples import Blocks
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule.grid import Grid


def block_error(made: Blocks, grid: Grid, block: Setup) -> tuple[Tensor, dict[str, str]]:
    """The RMS error of each sample, with the scale of the reference and its own error."""

    def make() -> tuple[Tensor, dict[str, str]]:
        s, problem = grid[0], made.problem
        start = block.noise(problem.event) * block.start(s)
        ours = problem.for_seeds(block.seeds, block.device)
        truth, errors = Truth(ours, start, s, grid[-1], block.cached).of(made.draw(block).x)
        with one_thread():
            each, scale = errors.square().mean(1).sqrt(), rms(truth.x)
        return each, {"scale": repr(scale), "ref_err": repr(truth.err)}

    return made.kept(block, "error", make)


def error_fields(made: Blocks, grid: Grid) -> dict[str, Any]:
    """Against a reference for each block of seeds, as the samples were drawn."""
    import torch

    found = [block_error(made, grid, block) for block in made.each]
    with one_thread():
        each = torch.cat([errors for errors, _ in found])
        return {
            "rmse": rms(each),
            "stderr": root_error(each),
            "scale": math.sqrt(
                math.fsum(len(e) * float(notes["scale"]) ** 2 for e, notes in found) / len(each)
            ),
            "ref_err": max(float(notes["ref_err"]) for _, notes in found),
        }
