"""flowsolve plan: the file, the replayers beside it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowsolve import (
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    karras,
    log_snr,
    sample,
    scaled_linear_beta,
    tune,
    vp_start,
)
from flowsolve.analysis import EnginePlan, engine_plan
from flowsolve.analysis.plan import REPLAYERS
from flowsolve.problems import Mixture
from flowsolve_solvers import Heun, UniPC
from tests.cli.helpers import done, flowsolve


def test_the_file_is_the_plan_of_python(tmp_path: Path) -> None:
    grid = [
        "--nfe",
        "6",
        "--spacing",
        "log_snr",
        "--sigma-max",
        "14.6",
        "--sigma-min",
        "0.03",
        "--to-zero",
    ]
    network = ["--network", "eps:clock=scaled_linear_beta", "--start", "vp"]
    text = done("plan", "unipc:points=3", *grid, *network, cwd=tmp_path)
    expected = engine_plan(UniPC(3), log_snr(5, 14.6, 0.03).to_zero(), EpsPrediction(scaled_linear_beta()),
                           start=vp_start)  # fmt: skip
    assert EnginePlan.load(tmp_path / "plan.json") == expected
    assert text == f"{expected!r}\nplan.json\n"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_the_default(tmp_path: Path) -> None:
    """As `sample` chooses for a network of EDM's kind that has seen such images."""
    done("plan", "default", "--nfe", "8", "--shape", "3", "8", "8", "--to-zero", "--network",
         "edm:sigma_data=0.7", cwd=tmp_path)  # fmt: skip
    ode = DiffusionODE(lambda x, t: x, EDMPrediction(sigma_data=0.7))
    ode.sigma_range = (80.0, 0.0)
    used = sample(ode, torch.ones(1, 3, 8, 8), nfe=8)
    expected = engine_plan(used.solver, used.grid, EDMPrediction(sigma_data=0.7))
    assert EnginePlan.load(tmp_path / "plan.json") == expected


def test_what_tune_saved(tmp_path: Path) -> None:
    problem = Mixture(sigma_max=10.0, sigma_min=0.05)
    tuned = tune(problem, torch.randn(16, 2, generator=torch.Generator().manual_seed(0)), 5)
    tuned.save(tmp_path / "tuned.json")
    done("plan", "--tuned", "tuned.json", cwd=tmp_path)
    assert EnginePlan.load(tmp_path / "plan.json") == engine_plan(tuned.solver, tuned.grid)


def test_replayers_beside_it(tmp_path: Path) -> None:
    text = done("plan", "heun", "--steps", "3", "--from-infinity", "--network", "flow", "--out", "p.json",
                "--replayers", cwd=tmp_path)  # fmt: skip
    grid = karras(3, 80, 0.002).from_infinity()
    assert EnginePlan.load(tmp_path / "p.json") == engine_plan(Heun(), grid, FlowPrediction())
    assert text.splitlines()[-1] == "p.json, replay_plan.py, replay_plan.mjs"
    for file in REPLAYERS:
        found = (tmp_path / file.name).read_text(encoding="utf-8")
        assert found == file.read_text(encoding="utf-8")
        assert len(found.splitlines()) <= 60
    (tmp_path / "p.json").unlink()
    again = flowsolve("plan", "heun", "--out", "p.json", "--replayers", cwd=tmp_path)
    assert again.returncode == 1
    assert "replay_plan.py exists. Give another --out, or --overwrite." in again.stderr
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["heun", "--steps", "2", "--nfe", "4"], 2, "give --steps or --nfe, not both."),
        (["heun", "--steps", "0"], 2, "--steps must be at least 1, but got 0."),
        (["heun", "--network", "banana"], 2, "there is no network 'banana'. Did you mean"),
        (["heun", "--network", "eps"], 2, "eps: missing a required argument: 'clock'."),
        (["scipy"], 1, "Scipy() chooses its steps from the values it sees"),
        (["heun", "--nfe", "1"], 1, "Heun() needs at least 2 evaluations"),
        ([], 2, "give a solver such as heun, default, or --tuned FILE."),
        (
            ["default", "--nfe", "8"],
            2,
            "default chooses for a budget and for data of a shape: give --nfe 8",
        ),
        (
            ["heun", "--tuned", "x.json"],
            2,
            "--tuned brings its solver, grid and budget: leave the solver",
        ),
        (["--tuned", "x.json"], 1, "cannot read x.json"),
    ],
)
def test_what_is_refused(args: list[str], code: int, said: str, tmp_path: Path) -> None:
    made = flowsolve("plan", *args, cwd=tmp_path)
    assert (made.returncode, made.stdout) == (code, "")
    assert made.stderr.startswith(f"flowsolve: {said}"), made.stderr
    assert not [*tmp_path.iterdir()]
