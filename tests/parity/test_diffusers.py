"""flowsolve and diffusers, on the same levels, labels and networks, state for state.

diffusers keeps its tables in float32. Here its own code runs in float64 (`in_double` makes float32
mean float64 in a scheduler's module), so that a formula cannot hide behind rounding; as shipped it
agrees to float32. Where the two differ by design a test says how, and how much.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from torch import Tensor

from benchmarks.peer_code import Double
from flowsolve import DATA, LOG_SIGMA, ClockTime, Grid, Solver, leading, linspace, trailing
from flowsolve import NOISE as NOISE_CHART
from flowsolve.schedule import DiscreteClock
from flowsolve_solvers import (
    LMS,
    PLMS,
    PNDM,
    Adams,
    DPMSolver2,
    DPMSolverM,
    Euler,
    GridSinglestep,
    Heun,
    PseudoRK4,
    PublishedDPMSolver,
    UniPC,
    WrongNeighbour,
)
from tests.parity.helpers import (
    LINEAR,
    NFES,
    NOISE,
    SINGLE,
    TIGHT,
    clock_of,
    difference,
    network,
    note,
    ours,
)

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)

pytestmark = [
    pytest.mark.parity,
    # theirs: np.array(tensor) and np.log(tensor) with numpy 2, and the noise chart
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.algorithm_types:FutureWarning"),
]

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
    title: str, peer: Peer, solver: Solver, grid: Grid, *, kind: str = "epsilon", tol: float = TIGHT
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
        nfes=(*NFES, 14, 15, 16),  # they lower the end below 15
    )


CASES = [
    Case("DDIMScheduler", {**plain, **lead}, Euler(), on(leading)),
    Case("DDIMScheduler", {**plain, **trail}, Euler(), on(trailing), nfes=(1, 2, 5, 10, 50)),
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
        Case("LMSDiscreteScheduler", trail, LMS(k, guard=None), on(trailing), step={"order": k})
        for k in (1, 2, 3, 4)
    ),
    Case("LMSDiscreteScheduler", lead, LMS(4, guard=None), on(leading), step={"order": 4}),
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
            Adams(2, chart, LOG_SIGMA, guard=None),
            on(linspace, variant="dpm", final="first"),
        )
        for algorithm, chart in (("dpmsolver++", DATA), ("dpmsolver", NOISE_CHART))
    ),
    *(
        # polynomials in log ρ: multistep DPM-Solver with exact weights
        Case(
            "DEISMultistepScheduler",
            {"solver_order": k, "lower_order_final": False},
            Adams(k, NOISE_CHART, LOG_SIGMA, guard=None),
            on(linspace, variant="dpm", final="first"),
        )
        for k in (1, 2, 3)
    ),
    *(
        Case(
            "UniPCMultistepScheduler",
            {"solver_order": k, "solver_type": "bh2"},
            UniPC(k, variant="bh2", lower_order_final=True, guard=None),
            on(linspace, variant="dpm"),
        )
        for k in (1, 2, 3)
    ),
    *(
        Case(
            "UniPCMultistepScheduler",
            {"solver_order": k, "solver_type": b, "predict_x0": x0, **to_first},
            UniPC(k, DATA if x0 else NOISE_CHART, b, lower_order_final=True, guard=None),
            on(linspace, variant="dpm", final="first"),
        )
        for k in (1, 2, 3)
        for b in ("bh1", "bh2")
        for x0 in (True, False)
    ),
    Case(
        "UniPCMultistepScheduler",
        {"solver_order": 3, "lower_order_final": False, **to_first, **trail},
        UniPC(3, variant="bh2", guard=None),
        on(trailing, final="first"),
    ),
    Case(
        "PNDMScheduler",
        {"skip_prk_steps": True, "steps_offset": 1},
        PLMS(guard=None),
        on(leading, steps_offset=1, final="first"),
        EPS,
        nfes=(2, 4, 5, 10, 50),
    ),
    Case(
        "PNDMScheduler",
        {"skip_prk_steps": True, "set_alpha_to_one": True},
        PLMS(guard=None),
        on(leading),
        EPS,
        nfes=(1, 2, 4, 5, 10, 50),
    ),
    Case(
        "PNDMScheduler",
        {"set_alpha_to_one": True},
        lambda n: PNDM(start=PseudoRK4(ClockTime(LINEAR)), guard=None),
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


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("case", CASES, ids=title)
def test_state_for_state(case: Case) -> None:
    for kind in case.kinds:
        for n in case.nfes:
            peer = run(case.name, n, kind, step=case.step, **case.config)
            solver = case.solver if isinstance(case.solver, Solver) else case.solver(n)
            compare(title(case), peer, solver, case.grid(n, peer.clock), kind=kind)


SHIPPED = [c for c in CASES if c.name not in ("LMSDiscreteScheduler",) or c.step == {"order": 4}]


@pytest.mark.parametrize("case", SHIPPED, ids=title)
def test_as_shipped_in_float32(case: Case) -> None:
    """Their float32 tables, our float64: the difference is their rounding."""
    kind, n = "epsilon", 10
    peer = run(case.name, n, kind, step=case.step, **case.config)
    solver = case.solver if isinstance(case.solver, Solver) else case.solver(n)
    levels = case.grid(n, peer.clock)
    # three points in the noise chart: differences of logarithms cancel in their float32 weights
    three = case.config.get("solver_order") == 3 and (
        "DEIS" in case.name or case.config.get("predict_x0") is False
    )
    tol = 1e-5 if three else SINGLE
    compare(f"float32 {title(case)}", peer, solver, levels, kind=kind, tol=tol)


# ------------------------------------------------------------------- deviations, by design or theirs


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    ("how", "spacing", "n", "least"),
    [(even, linspace, 10, 2e-3), (even, linspace, 50, 1e-4), (trail, trailing, 3, 1e-3),
     (trail, trailing, 7, 1e-4)],
)  # fmt: skip
def test_their_ddim_steps_to_a_level_that_is_not_the_next(
    how: dict[str, str], spacing: Callable[..., Grid], n: int, least: float
) -> None:
    """DDIM takes the next label for t - T // n: on linspace, or where n does not divide T, it is not.

    Ours walks the grid; WrongNeighbour does as theirs.
    """
    peer = run("DDIMScheduler", n, **plain, **how)
    grid = spacing(n, clock=peer.clock)
    compare("DDIM, their wrong neighbours", peer, WrongNeighbour(peer.clock), grid)
    assert least < difference(ours(Euler(), grid, peer.clock).x, peer.x) < 0.2


@pytest.mark.parametrize("n", [48, 96, 112, 240, 999])
@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_their_trailing_labels(name: str, n: int) -> None:
    """Where a half is rounded, by np.arange's own T/n: 936, not 937, for n = 48."""
    scheduler = getattr(diffusers, name)(**trail)
    scheduler.set_timesteps(n)
    mine = [round(LINEAR.t(s)) for s in trailing(n, clock=LINEAR) if s > 0]
    assert mine == [int(t) for t in scheduler.timesteps][:n]


@pytest.mark.parametrize("n", [61, 103])
def test_their_trailing_labels_may_end_at_minus_one(n: int) -> None:
    """arange(T, 0, -T / n) has one number too many for 62 of the first thousand n; label -1 is T - 1."""
    scheduler = diffusers.DDIMScheduler(**trail)
    scheduler.set_timesteps(n)
    assert len(scheduler.timesteps) == n + 1
    assert int(scheduler.timesteps[-1]) == -1
    assert trailing(n, clock=LINEAR).steps == n


@pytest.mark.usefixtures("in_double")
def test_their_pndm_extrapolates_v() -> None:
    """PNDM combines the raw v of several levels and converts the sum at the last; ours combines ε."""
    options = {"skip_prk_steps": True, "set_alpha_to_one": True}
    peer = run("PNDMScheduler", 10, "v_prediction", **options)
    mine = ours(PLMS(guard=None), leading(10, clock=peer.clock), peer.clock, "v_prediction")
    assert 1e-3 < difference(mine.x, peer.x) < 0.5


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("n", [8, 40])
def test_their_runge_kutta_half_levels_are_rounded(n: int) -> None:
    """T // n // 2 is not half a step where T // n is odd; ours halves the step in the clock's time (T-15).

    No solver can be theirs: from label τ to τ - 125 the state goes to τ - 62, the network is told τ - 63.
    """
    peer = run("PNDMScheduler", n, set_alpha_to_one=True)
    grid = leading(n, clock=peer.clock)
    mine = ours(PNDM(start=PseudoRK4(ClockTime(LINEAR)), guard=None), grid, peer.clock)
    assert mine.nfe == len(peer.labels) == n + 9
    assert 1e-9 < difference(mine.x, peer.x) < 1e-2


@pytest.mark.usefixtures("in_double")
def test_their_fractional_labels_are_linear_in_sigma() -> None:
    """Euler on linspace: σ between labels is linear in σ, and a clock linear in log σ has another."""
    peer = run("EulerDiscreteScheduler", 8, **even)
    grid = linspace(8, clock=peer.clock, variant="euler")
    assert 1e-9 < max(abs(a / b - 1) for a, b in zip(grid[:-1], peer.sigmas, strict=False)) < 1e-2
    same = Grid(peer.sigmas)  # the levels agree, the labels do not
    assert 1e-9 < difference(ours(Euler(), same, peer.clock).x, peer.x) < 1e-2


@pytest.mark.usefixtures("in_double")
def test_their_deis_lowers_its_order_below_15_steps() -> None:
    """`lower_order_final` of DEIS by a count of steps; ours lowers it when told."""
    for n in (1, 2, 3, 5, 10, 14, 15):
        for points in (2, 3):
            peer = run("DEISMultistepScheduler", n, solver_order=points)
            grid = linspace(n, clock=peer.clock, variant="dpm", final="first")
            solver = DPMSolverM(points, lower_order_final=few(n), guard=None)
            compare("DEIS, lowered at the end", peer, solver, grid)
    full = ours(
        DPMSolverM(3, guard=None),
        linspace(14, clock=peer.clock, variant="dpm", final="first"),
        peer.clock,
    )
    assert difference(full.x, run("DEISMultistepScheduler", 14, solver_order=3).x) > 0.1


def test_their_deis_wastes_its_last_evaluation_on_karras_levels() -> None:
    """It appends the last σ again: a step of length zero, which a Grid refuses."""
    scheduler = diffusers.DEISMultistepScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(10)
    assert scheduler.sigmas[-1] == scheduler.sigmas[-2]


@pytest.mark.parametrize("n", [1, 10])
def test_their_unipc_bh1_has_no_step_to_zero(n: int) -> None:
    """B(h) = h is infinite there, times 0: NaN. Ours takes the DDIM step, which bh2 comes to."""
    peer = run("UniPCMultistepScheduler", n, solver_type="bh1")
    assert bool(peer.x.isnan().all())
    grid = linspace(n, clock=peer.clock, variant="dpm")
    assert (
        ours(UniPC(2, variant="bh1", lower_order_final=True), grid, peer.clock).x.isfinite().all()
    )


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("algorithm", ["dpmsolver++", "dpmsolver"])
def test_their_singlestep(algorithm: str, order: int) -> None:
    """Another method than DPM-Solver-2 and -3: there the stages are chosen, here the grid has them (T-45)."""
    final = "zero" if algorithm == "dpmsolver++" else "sigma_min"
    config = {"algorithm_type": algorithm, "solver_order": order, "final_sigmas_type": final}
    for n in (*NFES, 9, 11):
        chart = DATA if algorithm == "dpmsolver++" else NOISE_CHART
        solver = GridSinglestep(order, chart, lower_order_final=final == "zero")
        for kind in ("epsilon", "v_prediction", "sample"):
            peer = run("DPMSolverSinglestepScheduler", n, kind, **config)
            grid = linspace(
                n, clock=peer.clock, variant="dpm", final="zero" if final == "zero" else "first"
            )
            compare(f"DPMSolverSinglestep({order}, {algorithm})", peer, solver, grid, kind=kind)


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    from tests.parity.helpers import worst

    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")
