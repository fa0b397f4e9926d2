"""Pipelines of diffusers as they are: their own scheduler, solvers in its place, saved and loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve_solvers import DPMSolverPP2M, UniPC
from tests.parity.pipelines import difference
from tests.parity.unmodified import CASES, Case

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
STEPS = 6


def run(case: Case, pipe: Any) -> Tensor:
    pipe.set_progress_bar_config(disable=True)
    out = pipe(
        **case.call, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(0),
        output_type=case.kind,
    )  # fmt: skip
    return torch.as_tensor(getattr(out, case.output))


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_as_it_is(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    scheduler = case.scheduler()
    want = run(case, case.make(scheduler))
    mine = run(case, case.make(fs.as_scheduler(case.solver, scheduler, as_shipped=True)))
    assert difference(mine, want, f"{name}, unmodified") < 1e-5
    others = []
    for solver in (DPMSolverPP2M(), UniPC(3)):
        pipe = case.make(fs.as_scheduler(solver, scheduler))
        others.append(run(case, pipe))
        assert others[-1].isfinite().all()
    assert max(difference(other, want, "") for other in others) > 1e-4
    pipe.save_pretrained(tmp_path)
    # what was None stays None, which diffusers wants to be told
    none = {part: None for part, value in pipe.components.items() if value is None}
    again = type(pipe).from_pretrained(tmp_path, **none)
    if (
        name == "DDIM"
    ):  # it has made a DDIMScheduler of its own, whose config still holds the solver
        again.scheduler = fs.as_scheduler(None, again.scheduler)
    assert again.scheduler.solver == UniPC(3)
    # weights from a file lie elsewhere in memory, which moves the last bits of a product
    assert difference(run(case, again), others[-1], f"{name}, loaded again") < 1e-5
