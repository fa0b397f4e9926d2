"""A solver stepped from outside, as a pipeline does it, gives what `sample` gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    DiffusionODE,
    EpsPrediction,
    FlowClock,
    FlowPrediction,
    Grid,
    Replay,
    Solver,
    VPrediction,
    Wrapped,
    X0Prediction,
    leading,
    linear_beta,
    linspace,
    sample,
    solve,
    tabulate,
    unit_noise,
    vp_start,
)
from flowsolve.errors import GridError, StateError, TableError
from flowsolve.interop.diffusers import Limits
from flowsolve.interop.diffusers.stepping import Stepping
from flowsolve.ode import Precondition
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    ALL,
    BDIA,
    EDICT,
    EDM,
    IPNDM,
    PLMS,
    PNDM,
    STOCHASTIC,
    DDIMEta,
    DPMSolver2,
    DPMSolverPP2M,
    DPMSolverPPSDE,
    Euler,
    Heun,
    Scipy,
    UniPC,
)

CLOCK = linear_beta()
EPS = EpsPrediction(CLOCK)
NOISE = unit_noise(range(6), Mixture().event, torch.float64)
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
LABELS = {"rtol": 1e-5, "atol": 1e-5}  # of labels between whole numbers, which are float32


def even(n: int) -> Grid:
    return leading(n, clock=CLOCK)


def network_of(precondition: Precondition) -> Callable[[Tensor, Tensor], Tensor]:
    return exact_network(Mixture(), precondition)


def pipeline(s: Stepping, n: int = 8, noise: Tensor = NOISE, **step: Any) -> Tensor:
    """The loop of every pipeline."""
    s.set_timesteps(n)
    return walk(s, noise * s.init_noise_sigma, s.timesteps, **step)


def walk(s: Stepping, x: Tensor, timesteps: Tensor, **step: Any) -> Tensor:
    network = network_of(s.precondition)
    for t in timesteps:
        answer = network(s.scale_model_input(x, t), t.expand(len(x)))
        x = s.step(answer, t, x, **step).prev_sample
    return x


class Drawn(Wrapped):
    """Noise in the order of the calls, from one generator."""

    def __init__(self, ode: ODE, seed: int = 5) -> None:
        super().__init__(ode)
        self.generator = torch.Generator().manual_seed(seed)

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return torch.randn(x.shape, dtype=x.dtype, generator=self.generator)


# EDM draws noise before its first evaluation: see the refusals
NOISY = [solver for solver in STOCHASTIC if not isinstance(solver, EDM)]


@pytest.mark.parametrize("solver", [*ALL, *NOISY], ids=repr)
def test_a_pipeline_is_sample(solver: Solver) -> None:
    s = Stepping(solver, EPS, even)
    x = pipeline(s, generator=torch.Generator().manual_seed(5))
    ode = Drawn(DiffusionODE(network_of(EPS), EPS))
    expected = sample(ode, NOISE, even(8), solver, start=vp_start)
    assert len(s.timesteps) == expected.nfe
    torch.testing.assert_close(
        x, expected.x_t, **(TIGHT if s.timesteps.dtype == torch.int64 else LABELS)
    )


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M(), UniPC(3)], ids=repr)
@pytest.mark.parametrize("kind", [EPS, VPrediction(CLOCK), X0Prediction(CLOCK)], ids=repr)
def test_predictions(kind: Precondition, solver: Solver) -> None:
    to_first = lambda n: leading(n, clock=CLOCK, final="first", steps_offset=1)  # noqa: E731
    ode = DiffusionODE(network_of(kind), kind)
    expected = sample(ode, NOISE, to_first(8), solver, start=vp_start)
    torch.testing.assert_close(pipeline(Stepping(solver, kind, to_first)), expected.x_t, **TIGHT)


@pytest.mark.parametrize(
    "solver", [Euler(), Heun(), DPMSolverPP2M(), UniPC(3), BDIA(), EDICT()], ids=repr
)
def test_flow_from_infinity(solver: Solver) -> None:
    flow = FlowPrediction(FlowClock(scale=1000))

    def spacing(n: int) -> Grid:
        times = [i / n for i in range(n - 1, 0, -1)]
        return Grid([t / (1 - t) for t in times]).to_zero().from_infinity()

    s = Stepping(solver, flow, spacing)
    x = pipeline(s)
    assert s.timesteps[0] == 1000
    assert s.init_noise_sigma == 1
    ode = DiffusionODE(network_of(flow), flow)
    torch.testing.assert_close(x, sample(ode, NOISE, spacing(8), solver).x, **LABELS)


# ------------------------------------------------------------------------------------ timesteps


@pytest.mark.parametrize(
    ("solver", "order", "first"),
    [
        (Euler(), 1, [900, 800, 700]),
        (Heun(), 2, [900, 800, 800, 700]),
        (PLMS(), 1, [900, 800, 800, 700]),
    ],
    ids=repr,
)
def test_a_timestep_for_each_evaluation(solver: Solver, order: int, first: list[int]) -> None:
    s = Stepping(solver, EPS, even)
    s.set_timesteps(10)
    assert s.timesteps.dtype == torch.int64
    assert s.timesteps[: len(first)].tolist() == first
    assert (s.order, s.num_inference_steps) == (order, 10)
    assert len(s.timesteps) == {1: 10, 2: 19}[order] + (solver == PLMS())


def test_given_timesteps_and_sigmas() -> None:
    s = Stepping(DPMSolverPP2M(), EPS, even)
    s.set_timesteps(timesteps=[999, 500, 20])
    assert s.timesteps.tolist() == [999, 500, 20]
    one = walk(s, NOISE, s.timesteps)
    s.set_timesteps(sigmas=[*(CLOCK.sigma(t) for t in (999, 500, 20)), 0])
    assert s.timesteps.tolist() == [999, 500, 20]
    torch.testing.assert_close(walk(s, NOISE, s.timesteps), one, **TIGHT)
    with pytest.raises(StateError, match="num_inference_steps, timesteps or sigmas: one"):
        s.set_timesteps()
    with pytest.raises(StateError, match="num_inference_steps, timesteps or sigmas: one"):
        s.set_timesteps(timesteps=[1], sigmas=[1.0, 0.5])
    with pytest.raises(
        StateError, match="num_inference_steps = 3 and a list of 1: give one of them"
    ):
        s.set_timesteps(3, timesteps=[1])
    s.set_timesteps(3, timesteps=[999, 500, 20])
    assert s.timesteps.tolist() == [999, 500, 20]


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M(), UniPC(3), IPNDM()], ids=repr)
@pytest.mark.parametrize("told", [True, False])
def test_begun_in_the_middle(solver: Solver, told: bool) -> None:
    """Image-to-image: timesteps[k * order:], the method begun anew there."""
    s = Stepping(solver, EPS, even)
    s.set_timesteps(10)
    skip, grid = 4, even(10)
    rest = s.timesteps[skip * s.order :]
    if told:
        s.set_begin_index(skip * s.order)
        assert s.begin_index == skip * s.order
    level, x0 = grid[skip], NOISE / 3
    x = s.add_noise(x0, NOISE, rest[:1].repeat(len(NOISE)))
    torch.testing.assert_close(x, (x0 + level * NOISE) * EPS.alpha(level), **TIGHT)
    ode = DiffusionODE(network_of(EPS), EPS)
    expected = solve(ode, x / EPS.alpha(level), grid[skip:-1], solver).x
    done = walk(s, x, rest[: len(rest) - 1])
    torch.testing.assert_close(done, expected * EPS.alpha(grid[-2]), **TIGHT)


@pytest.mark.parametrize("solver", [PLMS(), PNDM(), Heun()], ids=repr)
def test_where_a_run_cannot_begin(solver: Solver) -> None:
    s = Stepping(solver, EPS, even)
    s.set_timesteps(10)
    s.set_begin_index(1)
    with pytest.raises(
        StateError, match=r"cannot begin at timestep number 1 of .* other evaluations"
    ):
        s.step(NOISE, s.timesteps[1], NOISE)


def test_wrong_timesteps() -> None:
    s = Stepping(Euler(), EPS, even)
    with pytest.raises(StateError, match="call set_timesteps before step"):
        s.step(NOISE, 900, NOISE)
    s.set_timesteps(10)
    with pytest.raises(StateError, match=r"901 is none of the timesteps \[900, 800"):
        s.step(NOISE, 901, NOISE)
    s.step(NOISE, 900, NOISE)
    for wrong in (700, s.timesteps[2], s.timesteps[0], torch.tensor(900)):
        with pytest.raises(
            StateError, match=r"next timestep is number 1, 800, but .* given [79]00"
        ):
            s.step(NOISE, wrong, NOISE)
    for t in (800, s.timesteps[2], torch.tensor(600), torch.tensor([500.0]), *s.timesteps[5:]):
        s.step(NOISE, t, NOISE)
    assert s.step_index == 10
    with pytest.raises(
        StateError, match=r"all 10 timesteps were stepped[.] For another run call set_"
    ):
        s.step(NOISE, s.timesteps[-1], NOISE)


@pytest.mark.parametrize("solver", [Heun(), DPMSolverPP2M(), UniPC(3)], ids=repr)
def test_nothing_is_left_of_an_earlier_run(solver: Solver) -> None:
    s = Stepping(solver, EPS, even)
    first = pipeline(s)
    s.set_timesteps(8)
    walk(s, NOISE, s.timesteps[:3])  # given up half-way
    assert torch.equal(pipeline(s), first)
    other = copy.deepcopy(s)  # and two at once
    for one in (s, other):
        one.set_timesteps(8)
    x, y, network = NOISE, NOISE.flip(0), network_of(EPS)
    for t, u in zip(s.timesteps, other.timesteps, strict=True):
        x = s.step(network(x, t.expand(6)), t, x).prev_sample
        y = other.step(network(y, u.expand(6)), u, y).prev_sample
    assert torch.equal(x, first)
    torch.testing.assert_close(y, first.flip(0), **TIGHT)


# ------------------------------------------------------------------------------------- the step


def test_what_a_step_returns() -> None:
    outs = []
    for as_tuple in (False, True):
        s = Stepping(DPMSolverPP2M(), EPS, even)
        s.set_timesteps(10)
        outs.append(s.step(NOISE / 2, 900, NOISE, return_dict=not as_tuple))
    assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
    level = CLOCK.sigma(900)
    torch.testing.assert_close(
        outs[0].pred_original_sample, NOISE / EPS.alpha(level) - level * NOISE / 2, **TIGHT
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    s = Stepping(Heun(), EPS, even)
    s.set_timesteps(10)
    x = NOISE.to(dtype)
    for t in s.timesteps:
        x = s.step(x / 2, t, x).prev_sample
        assert x.dtype == dtype
    assert bool(x.isfinite().all())


def test_noise() -> None:
    s, z = Stepping(DDIMEta(), EPS, even), torch.randn_like(NOISE)
    steps = []
    for noise in (
        {"generator": torch.Generator().manual_seed(1)},
        {"variance_noise": Drawn(Mixture(), 1).noise(NOISE, 1, 0)},
        {"generator": [torch.Generator().manual_seed(1) for _ in NOISE], "eta": 1.0},
    ):
        s.set_timesteps(10)
        steps.append(s.step(NOISE, 900, NOISE, **noise).prev_sample)
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0][0], steps[2][0])
    assert not torch.equal(steps[0][1], steps[2][1])
    s = Stepping(DPMSolverPPSDE(), EPS, even)
    s.set_timesteps(10)
    s.step(NOISE, s.timesteps[0], NOISE, variance_noise=z)
    s = Stepping(Euler(), EPS, even)
    s.set_timesteps(10)
    with pytest.raises(StateError, match=r"step of Euler\(\) draws 0 noises, not one"):
        s.step(NOISE, 900, NOISE, variance_noise=z)
    with pytest.raises(StateError, match=r"eta = 0.5 is not Euler\(\)'s: it belongs to the method"):
        s.step(NOISE, 900, NOISE, eta=0.5)
    assert s.step_index == 0
    s.step(NOISE, 900, NOISE)  # what was refused was no step


def test_a_learned_variance_is_left_out() -> None:
    s = Stepping(Euler(), EPS, even)
    x, answer = torch.randn(2, 3, 4, 4), torch.randn(2, 6, 4, 4)
    ends = []
    for given in (answer, answer[:, :3]):
        s.set_timesteps(10)
        ends.append(s.step(given, 900, x).prev_sample)
    assert torch.equal(*ends)
    s.set_timesteps(10)
    with pytest.raises(StateError, match=r"answered \(2, 4, 4, 4\) to a state \(2, 3, 4, 4\)"):
        s.step(answer[:, :4], 900, x)


def test_arguments_of_other_methods_are_refused() -> None:
    s = Stepping(Euler(), EPS, even)
    s.set_timesteps(10)
    with pytest.raises(
        StateError, match="gives tokens levels of their own, and a method steps one level"
    ):
        s.step(NOISE, 900, NOISE, per_token_timesteps=torch.ones(2, 3))
    with pytest.raises(
        StateError, match=r"s_churn, s_noise is not for a method of flowsolve: keep the"
    ):
        s.step(NOISE, 900, NOISE, s_churn=1.0, s_noise=1.0)
    s.step(NOISE, 900, NOISE, per_token_timesteps=None)


def test_adding_noise_before_set_timesteps() -> None:
    """As training does: any label, one for each sample."""
    s, t = Stepping(Euler(), EPS, even), torch.tensor([0, 10, 200, 500, 998, 999])
    a = torch.tensor([CLOCK.alphas_cumprod[i] for i in t], dtype=torch.float64)[:, None]
    expected = a.sqrt() * NOISE / 3 + (1 - a).sqrt() * NOISE
    torch.testing.assert_close(s.add_noise(NOISE / 3, NOISE, t), expected, **TIGHT)
    torch.testing.assert_close(s.scale_noise(NOISE / 3, t, NOISE), expected, **TIGHT)


@pytest.mark.parametrize(
    "limits", [Limits(clip=0.5), Limits(threshold_ratio=0.8, threshold_max=1.5)], ids=str
)
def test_wrapped(limits: Limits) -> None:
    ode = limits.around(DiffusionODE(network_of(EPS), EPS))
    expected = sample(ode, NOISE, even(8), Heun(), start=vp_start).x
    torch.testing.assert_close(
        pipeline(Stepping(Heun(), EPS, even, wrap=limits.around)), expected, **TIGHT
    )
    plain = pipeline(Stepping(Heun(), EPS, even))
    assert (plain - expected).abs().max() > 1e-3
    assert expected.abs().max() <= 1


# ------------------------------------------------------------------------- upwards, and refusals


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M()], ids=repr)
def test_inverse(solver: Solver) -> None:
    """The reversed grid above σ = 0; and back again."""
    s = Stepping(solver, EPS, even, inverse=True)
    s.set_timesteps(100)
    x = pipeline(Stepping(solver, EPS, even), 100)
    up = walk(s, x, s.timesteps)
    grid = Grid(even(100)[:-1]).reversed()
    alpha, ode = EPS.alpha, DiffusionODE(network_of(EPS), EPS)
    expected = solve(ode, x / alpha(grid[0]), grid, solver).x * alpha(grid[-1])
    torch.testing.assert_close(up, expected, **TIGHT)
    torch.testing.assert_close(up, NOISE, rtol=0, atol=0.3)  # the round trip


def test_methods_that_cannot_be_stepped() -> None:
    with pytest.raises(TableError, match="chooses its evaluations by the values it sees"):
        Stepping(Scipy(), EPS, even)
    with pytest.raises(GridError, match="draws noise, so it only goes down"):
        Stepping(DDIMEta(), EPS, even, inverse=True)
    s = Stepping(EDM(), EPS, even)
    with pytest.raises(
        StateError, match=r"noise before its first evaluation.*s_tmax below the first"
    ):
        s.set_timesteps(10)
    later = EDM(s_churn=5, s_tmax=even(10)[1])
    s = Stepping(later, EPS, lambda n: linspace(n, clock=CLOCK))
    x = pipeline(s, 10, generator=torch.Generator().manual_seed(5))
    ode = Drawn(DiffusionODE(network_of(EPS), EPS))
    expected = sample(ode, NOISE, linspace(10, clock=CLOCK), later, start=vp_start)
    torch.testing.assert_close(x, expected.x, **LABELS)


def test_a_table_on_its_grid() -> None:
    s = Stepping(Replay(tabulate(UniPC(3), even(8))), EPS, even)
    torch.testing.assert_close(pipeline(s), pipeline(Stepping(UniPC(3), EPS, even)), **TIGHT)
    with pytest.raises(TableError, match="Tabulate the method on this grid"):
        s.set_timesteps(9)


@pytest.mark.parametrize("solver", [Heun(), DPMSolverPP2M(), DDIMEta()], ids=repr)
def test_nothing_is_read_back_from_the_device(solver: Solver) -> None:
    """Tensors on "meta" have no values to read."""
    s = Stepping(solver, EPS, even)
    s.set_timesteps(10, device="meta")
    x = torch.empty(2, 3, device="meta")
    for t in s.timesteps:
        x = s.step(x / 2, t, x, variance_noise=x if solver.stochastic else None).prev_sample
    assert s.step_index == len(s.timesteps)


def test_labels_between_whole_ones() -> None:
    s = Stepping(DPMSolver2(), EPS, even)
    s.set_timesteps(10)
    assert s.timesteps.dtype == torch.float32
    assert s.timesteps[1] != s.timesteps[1].round()
