"""flowsolve and diffusers, on the same levels, labels and networks, state for state.

diffusers keeps its tables in float32. Here its own code runs in float64 (`in_double` makes float32
mean float64 in a scheduler's module), so that a formula cannot hide behind rounding; as shipped it
agrees to float32. Where the two differ by design a test says how, and how much.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE as NOISE_CHART,
    ODE,
    ClockTime,
    Grid,
    Solver,
    leading,
    linspace,
    trailing,
)
from flowsolve.discrete import DiscreteClock
from flowsolve_solvers import (
    LMS,
    PLMS,
    PNDM,
    Adams,
    DPMSolver2,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    Heun,
    PseudoRK4,
    PublishedDPMSolver,
    UniPC,
)
from tests.parity import (
    LINEAR,
    NFES,
    NOISE,
    SINGLE,
    TIGHT,
    Double,
    clock_of,
    difference,
    network,
    note,
    ours,
)

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)

MODULES = {
    "DDIMScheduler": "ddim",
    "PNDMScheduler": "pndm",
    "HeunDiscreteScheduler": "heun_discrete",
    "EulerDiscreteScheduler": "euler_discrete",
    "LMSDiscreteScheduler": "lms_discrete",
    "KDPM2DiscreteScheduler": "k_dpm_2_discrete",
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "DPMSolverSinglestepScheduler": "dpmsolver_singlestep",
    "DEISMultistepScheduler": "deis_multistep",
    "UniPCMultistepScheduler": "unipc_multistep",
}


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES.values():
        module = importlib.import_module(f"diffusers.schedulers.scheduling_{name}")
        for library in ("torch", "np"):
            monkeypatch.setattr(module, library, Double(getattr(module, library)))


class Peer(NamedTuple):
    """What a scheduler did: x̄ at the end, its levels, its labels, and its calls."""

    x: Tensor
    sigmas: list[float]
    labels: list[float]
    clock: DiscreteClock


def run(name: str, n: int, kind: str = "epsilon", step: Any = None, **config: Any) -> Peer:
    """The loop of a diffusers pipeline, from x_T = noise."""
    scheduler = getattr(diffusers, name)(prediction_type=kind, **config)
    clock = clock_of(tuple(scheduler.alphas_cumprod.double().tolist()))
    f = network(kind, clock)
    scheduler.set_timesteps(n)
    first = clock.sigma(float(scheduler.timesteps[0]))
    ve = name.split("D")[0] in ("Heun", "Euler", "LMS", "K") and "PNDM" not in name
    x = NOISE * math.hypot(1, first) if ve else NOISE
    labels = []
    for t in scheduler.timesteps:
        labels.append(float(t))
        inside = scheduler.scale_model_input(x, t)
        answer = f(inside, t.expand(len(x)))
        x = scheduler.step(answer, t, x, return_dict=False, **(step or {}))[0]
    sigmas = [float(s) for s in scheduler.sigmas] if hasattr(scheduler, "sigmas") else []
    last = sigmas[-1] if sigmas else 0.0
    if name in ("DDIMScheduler", "PNDMScheduler"):
        a = float(scheduler.final_alpha_cumprod)
        last = math.sqrt((1 - a) / a)
    return Peer(x if ve else x * math.hypot(1, last), sigmas, labels, clock)


def compare(
    title: str, peer: Peer, solver: Solver, grid: Grid, kind: str = "epsilon", tol: float = TIGHT
) -> None:
    """The same evaluations and the same end."""
    if peer.sigmas:  # theirs is the level list with repetitions for second stages
        theirs = list(dict.fromkeys(peer.sigmas))
        assert list(grid) == pytest.approx(theirs, rel=1e-12 if tol == TIGHT else 1e-6)
    mine = ours(solver, grid, peer.clock, kind)
    assert mine.nfe == len(peer.labels)
    assert note(title, difference(mine.x, peer.x)) <= tol


Make = Callable[[int], Solver]


class Case(NamedTuple):
    name: str
    config: Mapping[str, Any]
    solver: Make | Solver
    grid: Callable[[int, DiscreteClock], Grid]
    kinds: tuple[str, ...] = ("epsilon", "v_prediction", "sample")
    nfes: tuple[int, ...] = NFES
    step: Mapping[str, Any] | None = None


EPS = ("epsilon",)
NO_X0 = ("epsilon", "v_prediction")
lead = {"timestep_spacing": "leading"}
trail = {"timestep_spacing": "trailing"}
even = {"timestep_spacing": "linspace"}
to_first = {"final_sigmas_type": "sigma_min"}
plain = {"clip_sample": False}


def few(n: int) -> bool:
    return n < 15


def on(spacing: Callable[..., Grid], **options: Any) -> Callable[[int, DiscreteClock], Grid]:
    return lambda n, clock: spacing(n, clock=clock, **options)


def dpm_published(points: int, algorithm: str) -> Make:
    """They lower the order at the end below 15 steps, we when told."""
    chart = DATA if algorithm == "dpmsolver++" else NOISE_CHART
    if points == 1:
        return lambda n: Euler(chart)
    return lambda n: PublishedDPMSolver(points, chart, lower_order_final=few(n))


def dpm_case(points: int, algorithm: str, final: str, **spacing: Any) -> Case:
    config = {"algorithm_type": algorithm, "solver_order": points, "final_sigmas_type": final}
    how = spacing.get("timestep_spacing", "linspace")
    make = {"linspace": linspace, "leading": leading, "trailing": trailing}[how]
    options = {} if how == "trailing" else {"variant": "dpm"}
    options["final"] = "zero" if final == "zero" else "first"
    return Case(
        "DPMSolverMultistepScheduler",
        {**config, **spacing},
        dpm_published(points, algorithm),
        on(make, **options),
    )


CASES = [
    Case("DDIMScheduler", {**plain, **lead}, Euler(), on(leading)),
    Case("DDIMScheduler", {**plain, **trail}, Euler(), on(trailing)),
    Case(
        "DDIMScheduler",
        {**plain, **lead, "steps_offset": 1, "set_alpha_to_one": False},
        Euler(),
        on(leading, steps_offset=1, final="first"),
    ),
    Case("EulerDiscreteScheduler", lead, Euler(), on(leading)),
    Case("EulerDiscreteScheduler", trail, Euler(), on(trailing)),
    Case("HeunDiscreteScheduler", lead, Heun(), on(leading)),
    Case("HeunDiscreteScheduler", trail, Heun(), on(trailing)),
    Case("KDPM2DiscreteScheduler", lead, DPMSolver2(), on(leading), NO_X0),
    Case("KDPM2DiscreteScheduler", trail, DPMSolver2(), on(trailing), NO_X0),
    *(
        Case("LMSDiscreteScheduler", trail, LMS(k), on(trailing), step={"order": k})
        for k in (1, 2, 3, 4)
    ),
    Case("LMSDiscreteScheduler", lead, LMS(4), on(leading), step={"order": 4}),
    *(dpm_case(k, "dpmsolver++", "zero") for k in (1, 2, 3)),
    dpm_case(3, "dpmsolver++", "zero", **lead),
    dpm_case(3, "dpmsolver++", "zero", **trail),
    *(dpm_case(k, "dpmsolver++", "sigma_min") for k in (2, 3)),
    *(dpm_case(k, "dpmsolver", "sigma_min") for k in (1, 2, 3)),
    *(
        # their "heun" is exact for two points; it has no lowered end here
        Case(
            "DPMSolverMultistepScheduler",
            {
                "algorithm_type": algorithm,
                "solver_type": "heun",
                "lower_order_final": False,
                **to_first,
            },
            Adams(2, chart, LOG_SIGMA),
            on(linspace, variant="dpm", final="first"),
        )
        for algorithm, chart in (("dpmsolver++", DATA), ("dpmsolver", NOISE_CHART))
    ),
    *(
        # polynomials in log ρ: multistep DPM-Solver with exact weights
        Case(
            "DEISMultistepScheduler",
            {"solver_order": k, "lower_order_final": False},
            Adams(k, NOISE_CHART, LOG_SIGMA),
            on(linspace, variant="dpm", final="first"),
        )
        for k in (1, 2, 3)
    ),
    *(
        Case(
            "UniPCMultistepScheduler",
            {"solver_order": k, "solver_type": "bh2"},
            UniPC(k, variant="bh2", lower_order_final=True),
            on(linspace, variant="dpm"),
        )
        for k in (1, 2, 3)
    ),
    *(
        Case(
            "UniPCMultistepScheduler",
            {"solver_order": k, "solver_type": b, "predict_x0": x0, **to_first},
            UniPC(k, DATA if x0 else NOISE_CHART, b, lower_order_final=True),
            on(linspace, variant="dpm", final="first"),
        )
        for k in (1, 2, 3)
        for b in ("bh1", "bh2")
        for x0 in (True, False)
    ),
    Case(
        "UniPCMultistepScheduler",
        {"solver_order": 3, "lower_order_final": False, **to_first, **trail},
        UniPC(3, variant="bh2"),
        on(trailing, final="first"),
    ),
    Case(
        "PNDMScheduler",
        {"skip_prk_steps": True, "steps_offset": 1},
        PLMS(),
        on(leading, steps_offset=1, final="first"),
        EPS,
        nfes=(2, 4, 5, 10, 50),
    ),
    Case(
        "PNDMScheduler",
        {"skip_prk_steps": True, "set_alpha_to_one": True},
        PLMS(),
        on(leading),
        EPS,
        nfes=(1, 2, 4, 5, 10, 50),
    ),
    Case(
        "PNDMScheduler",
        {"set_alpha_to_one": True},
        lambda n: PNDM(start=PseudoRK4(ClockTime(LINEAR64))),
        on(leading),
        EPS,
        nfes=(4, 5, 10, 50),
    ),
]


def title(case: Case) -> str:
    words = ", ".join(
        f"{k}={v}" for k, v in {**case.config, **(case.step or {})}.items() if k != "clip_sample"
    )
    return f"{case.name.removesuffix('Scheduler')}({words})"


LINEAR64 = LINEAR


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("case", CASES, ids=title)
def test_state_for_state(case: Case) -> None:
    for kind in case.kinds:
        for n in case.nfes:
            peer = run(case.name, n, kind, step=case.step, **case.config)
            solver = case.solver if isinstance(case.solver, Solver) else case.solver(n)
            compare(title(case), peer, solver, case.grid(n, peer.clock), kind)


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    from tests.parity import worst

    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")
