"""Plans: what NumPy and node make of the file is what `solve` and `sample` make of the method."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import (
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Grid,
    SeededNoise,
    Solver,
    WithNoise,
    karras,
    linear_beta,
    log_snr,
    sample,
    unit_noise,
    vp_start,
)
from flowsolve.analysis import EnginePlan, engine_plan
from flowsolve.analysis import plan as module
from flowsolve.analysis.stages import drive
from flowsolve.errors import ResultsError, ScheduleError, StateError, TableError
from flowsolve.integrate.driver import run
from flowsolve.ode import Precondition
from flowsolve_solvers import ALL, STOCHASTIC, TWO_STATE, DDIMEta, Euler, GaussianStart, Heun, Scipy
from tests.explorer.helpers import NODE, needs_node
from tests.helpers import says

FOLDER = Path(module.__file__).parent
NOISE = unit_noise(range(3), (2,), torch.float64)
CASES: dict[str, tuple[Grid, Precondition]] = {
    "from infinity to 0": (log_snr(6, 20, 0.05).from_infinity().to_zero(), FlowPrediction()),
    "between": (karras(6, 80, 0.01), EDMPrediction()),
}
PYTHON = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from replay_plan import by_network, replay

answer = by_network(lambda x, t: np.tanh(x + t))
out = []
for job in json.load(open("jobs.json")):
    draws = {int(n): np.array(z) for n, z in job["draws"].items()}
    x = job["plan"]["noise_scale"] * np.array(job["noise"])
    out.append(replay(job["plan"], x, answer, lambda x, d: draws[d["number"]]).tolist())
assert not {"torch", "flowsolve"} & {*sys.modules}
json.dump(out, open("out.json", "w"))
"""
NODE_JS = """
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const { byNetwork, replay } = await import(pathToFileURL(process.argv[2] + "/replay_plan.mjs"));

const answer = byNetwork((x, t) => x.map((v) => Math.tanh(v + t)));
const out = JSON.parse(readFileSync("jobs.json")).map(({ plan, noise, draws }) => {
  const x = Float64Array.from(noise, (z) => plan.noise_scale * z);
  return Array.from(replay(plan, x, answer, (x, d) => draws[d.number]));
});
writeFileSync("out.json", JSON.stringify(out));
"""


def network(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x + t[:, None])


class Recording(WithNoise):
    """Notes every noise, in order; one list for its copies, too."""

    def __init__(self, ode: DiffusionODE) -> None:
        super().__init__(ode, SeededNoise(range(3)))
        self.drawn: list[tuple[float, float, int, list[float]]] = []

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        found = super().noise(x, s, t, again)
        self.drawn.append((s, t, again, found.flatten().tolist()))
        return found


def ode(precondition: Precondition) -> Recording:
    return Recording(DiffusionODE(network, precondition))


def job(solver: Solver, grid: Grid, precondition: Precondition) -> tuple[dict[str, Any], Tensor]:
    """A plan as the file has it, the noises that Python drew, and where `sample` ended."""
    own = ode(precondition)
    end = sample(own, NOISE, grid, solver).x
    plan = json.loads(
        json.dumps(engine_plan(solver, grid, precondition).as_dict(), allow_nan=False)
    )
    draws = [d for stage in (plan["start"], *plan["stages"]) for d in stage["draws"]]
    assert [(d["from"], d["to"], d["visit"]) for d in draws] == [d[:3] for d in own.drawn]
    assert len({d[:3] for d in own.drawn}) == len(own.drawn)  # so all are independent
    given = {d["number"]: z for d, (*_, z) in zip(draws, own.drawn, strict=True)}
    return {"plan": plan, "noise": NOISE.flatten().tolist(), "draws": given}, end


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ["python", pytest.param("node", marks=needs_node)])
def test_every_method_without_torch(engine: str, case: str, tmp_path: Path) -> None:
    """To 1e-13 of the state, all in one process. The stages of two-state methods add up all earlier answers,
    which are far larger than the state: 1e-12.
    """
    solvers = [*ALL, *STOCHASTIC, *TWO_STATE]
    made = [job(solver, *CASES[case]) for solver in solvers]
    (tmp_path / "jobs.json").write_text(json.dumps([j for j, _ in made]))
    (tmp_path / "run.mjs").write_text(NODE_JS)
    (tmp_path / "run.py").write_text(PYTHON)
    command = [sys.executable, "-I", "run.py"] if engine == "python" else [str(NODE), "run.mjs"]
    subprocess.run([*command, str(FOLDER)], cwd=tmp_path, check=True, timeout=60)
    found = json.loads((tmp_path / "out.json").read_text())
    off = {
        repr(solver): float(np.linalg.norm(x - end.flatten().numpy()) / end.norm())
        for solver, x, (_, end) in zip(solvers, found, made, strict=True)
    }
    print({k: f"{v:.1e}" for k, v in sorted(off.items(), key=lambda i: -i[1])[:8]})
    looser = {*map(repr, TWO_STATE)}
    assert len(off) > 140
    assert not {k: v for k, v in off.items() if not v < (1e-12 if k in looser else 1e-13)}


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    for solver in (*STOCHASTIC, Heun()):
        for grid, precondition in CASES.values():
            for plan in (engine_plan(solver, grid), engine_plan(solver, grid, precondition)):
                plan.save(tmp_path / "plan.json")
                assert "NaN" not in (tmp_path / "plan.json").read_text()
                assert EnginePlan.load(tmp_path / "plan.json") == plan


@pytest.mark.parametrize("solver", [*ALL[:8], *TWO_STATE], ids=repr)
def test_upwards(solver: Solver) -> None:
    """From data at σ = 0 to noise; the first step depends on the path's α."""
    grid, flow = Grid([20, 3, 0.7, 0.1, 0]).reversed(), FlowPrediction()
    plan = EnginePlan.from_dict(engine_plan(solver, grid, flow).as_dict())
    assert plan.noise_scale is None
    own = ode(flow)
    end = run(own, NOISE, grid, solver).x
    torch.testing.assert_close(drive(own, NOISE, plan.recurrence), end, rtol=1e-11, atol=1e-11)


def test_a_stage_by_hand() -> None:
    """Euler from σ = 2 on VP: ε = F, x₀ at the end; the network sees x/√5 at the clock's label."""
    clock = linear_beta()
    plan = engine_plan(Euler(), Grid([2, 1, 0]), EpsPrediction(clock), start=vp_start).as_dict()
    first, second = plan["stages"]
    call = {"c_in": 1 / math.sqrt(5), "t": clock.t(2.0), "skip": 0, "out": 1}
    assert first["network"] == pytest.approx(call)
    assert {k: first[k] for k in ("sigma", "asks", "number", "mix", "draws", "scale", "keep")} == {
        "sigma": 2.0, "asks": "eps", "number": 1, "mix": [0, 1], "draws": [], "scale": 1, "keep": [],
    }  # fmt: skip
    assert first["weights"] == [[1, -1.0]]
    assert second["weights"] == [[2, -1.0]]
    assert plan["alpha"] == pytest.approx([1 / math.sqrt(5), 1])
    assert plan["noise_scale"] == pytest.approx(math.sqrt(5))
    assert (plan["order"], plan["levels"], plan["nodes"]) == (1, [2, 1, 0], [0, 1, 2])


def test_repr() -> None:
    plan = engine_plan(Heun(), karras(3, 10, 0.1).from_infinity(), FlowPrediction())
    assert repr(plan) == (
        "EnginePlan(Heun(), 4 steps, σ inf to 0.1: 7 evaluations, FlowPrediction(clock=FlowClock()))"
    )


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """A good plan with one value changed; to=None takes it out."""
    solver = DDIMEta()
    data = copy.deepcopy(engine_plan(solver, Grid([4, 2, 1]), EDMPrediction()).as_dict())
    at: Any = data
    for key in path[:-1]:
        at = at[key]
    if to is None:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return data


WAS = "this is not a saved plan, or one that was changed: "


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "this is not a saved plan: its format is not 'flowsolve plan'."),
        (changed("format", to="table"), "this is not a saved plan: its format is not"),
        (changed("version", to=2), "this plan has version 2, and this flowsolve reads versions up to 1."),
        (changed("version", to="1"), f"{WAS}its version must be a whole number, but is '1'."),
        (changed("levels", to=[4, 2, 2]), f"{WAS}its levels are no grid: "),
        (changed("levels", to=[4, math.nan, 1]), f"{WAS}level 1 is nan."),
        (changed("levels", to=[4, -2, 1]), f"{WAS}level 1 is -2.0, below 0."),
        (changed("levels", to=4), f"{WAS}the levels must be a list, but is 4."),
        (changed("nodes", to=[0, 2, 1]), f"{WAS}its nodes do not fit its levels and stages."),
        (changed("nodes", to=[0, 2]), f"{WAS}its nodes do not fit its levels and stages."),
        (changed("nodes", to=[0, 1, 3]), f"{WAS}its nodes do not fit its levels and stages."),
        (changed("order", to=1.5), f"{WAS}its order must be a whole number, but is 1.5."),
        (changed("solver", to=None), f"{WAS}the plan has no 'solver'."),
        (changed("start", to=None), f"{WAS}the plan has no 'start'."),
        (changed("stages", to=None), f"{WAS}the plan has no 'stages'."),
        (changed("noise_scale", to=math.inf), f"{WAS}noise_scale is inf."),
        (changed("stages", 1, "scale", to=math.nan), f"{WAS}scale of stage 1 is nan."),
        (changed("stages", 1, "scale", to="a"), "scale of stage 1 must be a number, but got 'a'."),
        (changed("stages", 1, "keep", to=None), f"{WAS}stage 1 has no 'keep'."),
        (changed("stages", 0, "asks", to="v"), f"{WAS}stage 0 asks 'v' at σ = 4.0."),
        (changed("stages", 0, "sigma", to="Infinity"), f"{WAS}stage 0 asks 'eps' at σ = inf."),
        (changed("stages", 0, "mix", to=[1]), f"{WAS}mix of stage 0 must be two numbers, but is [1]."),
        (changed("stages", 0, "weights", to=[[1]]), f"{WAS}a weight is [number, value], but one is [1]."),
        (changed("stages", 0, "weights", to=[[1, math.inf]]), f"{WAS}a weight of stage 0 is inf."),
        (changed("stages", 0, "weights", to=[[3, 1.0]]),
         f"{WAS}stage 0 uses number 3, which is not known there or was not kept."),
        (changed("stages", 1, "weights", to=[[1, 1.0]]),
         f"{WAS}stage 1 uses number 1, which is not known there or was not kept."),
        (changed("stages", 1, "number", to=2),
         f"{WAS}the numbers of answers and noises count up, but stage 1 has 2, not 3."),
        (changed("stages", 0, "draws", 0, "from", to=None), f"{WAS}stage 0 has no 'from'."),
        (changed("stages", 0, "draws", 0, "visit", to=-1),
         f"{WAS}a visit of stage 0 must be a whole number, but is -1."),
        (changed("alpha", to=[1.0]), f"{WAS}alpha must be two numbers, but is [1.0]."),
        (changed("stages", 1, "network", "t", to=math.nan), f"{WAS}t of the network of stage 1 is nan."),
        (changed("stages", 1, "network", "c_in", to=None), f"{WAS}the network of stage 1 has no 'c_in'."),
    ],
)  # fmt: skip
def test_what_is_no_plan(data: Any, said: str) -> None:
    says(TableError, said, lambda: EnginePlan.from_dict(data))


def test_files_that_are_none(tmp_path: Path) -> None:
    says(ResultsError, "cannot read", lambda: EnginePlan.load(tmp_path / "none.json"))
    (tmp_path / "text.json").write_text("text")
    says(
        TableError,
        f"{tmp_path / 'text.json'} is not JSON",
        lambda: EnginePlan.load(tmp_path / "text.json"),
    )
    plan = engine_plan(Heun(), Grid([2, 1]))
    says(ResultsError, "cannot write", lambda: plan.save(tmp_path / "no" / "plan.json"))


def test_what_has_no_plan() -> None:
    grid: Any = Grid([2, 1])
    says(
        TableError,
        "Scipy() chooses its steps from the values it sees",
        lambda: engine_plan(Scipy(), grid),
    )
    matrices = GaussianStart(Heun(), mean=torch.zeros(2), covariance=torch.eye(2))
    says(
        TableError, "the weights of GaussianStart are matrices", lambda: engine_plan(matrices, grid)
    )
    heun: Any = Heun
    says(StateError, "solver must be an instance", lambda: engine_plan(heun, grid))
    says(StateError, "precondition must be a Precondition such as EpsPrediction(clock), not Heun()",
         lambda: engine_plan(Heun(), grid, heun()))  # fmt: skip
    says(ScheduleError, "an ε-network says nothing about x₀ at σ = ∞",
         lambda: engine_plan(Heun(), Grid([math.inf, 1]), EpsPrediction(linear_beta())))  # fmt: skip
