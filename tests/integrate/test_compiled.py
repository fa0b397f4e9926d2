"""torch.compile(fullgraph=True), torch.export and make_fx of whole runs: one graph, the numbers of eager.

The backend "eager" runs the traced graph as it is: what is tested is that there is one, and what is in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from flowsolve import (
    ODE,
    VPSDE,
    CounterNoise,
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    Experts,
    FlowPrediction,
    Solution,
    Solver,
    VPrediction,
    WithNoise,
    X0Prediction,
    karras,
    linear_beta,
    log_snr,
    sample,
    solve,
)
from flowsolve.ode import VE
from flowsolve.ode.precondition import Precondition
from flowsolve.solver import VELOCITY, Chart
from flowsolve_solvers import (
    ALL,
    DEIS,
    STOCHASTIC,
    TWO_STATE,
    Adams,
    CorrectedStart,
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
    SASolver,
    UniPC,
)
from flowsolve_solvers.tableau import Stages
from tests.devices import network, noise
from tests.project.test_gpu_use import MAKERS

SHAPE = (2, 3, 4, 4)
GRID = log_snr(4, 10.0, 0.1)
EPS = EpsPrediction(VPSDE())


def start(shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def answer(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(x)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(run: Callable[[Tensor], Solution], x: Tensor, backend: str = "eager") -> list[Any]:
    """What a Solution says, from a run that was compiled as one graph; the same as without is asserted."""

    def all_of_it(x: Tensor) -> list[Any]:
        done = run(x)
        return [done.x, done.nfe, done.forwards, done.per_sample, done.second]

    want = all_of_it(x)
    got = torch.compile(all_of_it, backend=backend, fullgraph=True, dynamic=False)(x)
    assert got[1:4] == want[1:4]
    for a, b in zip(got, want, strict=True):
        if isinstance(b, Tensor):
            # a trace may write x + w f in two roundings where eager has one
            torch.testing.assert_close(a, b, rtol=0, atol=2e-6 * float(b.abs().max()))
    assert (got[4] is None) == (want[4] is None)
    return got


def one_of_each(solvers: Iterable[Solver]) -> list[Solver]:
    """One of those that differ in numbers and variables alone, which are constants of a trace."""

    def code(solver: Solver) -> tuple[object, ...]:
        kinds = (Chart, Stages, bool, str)
        options = {k: v for k, v in vars(solver).items() if isinstance(v, kinds)}
        within = {k: type(v) for k, v in vars(solver).items() if isinstance(v, Solver)}
        return (type(solver), repr(options), repr(within))

    return [*{code(solver): solver for solver in solvers}.values()]


@pytest.mark.parametrize("solver", one_of_each([*ALL, *TWO_STATE]), ids=repr)
def test_every_method_is_one_graph(solver: Solver) -> None:
    ode = DiffusionODE(answer, EPS)
    compiled(lambda x: solve(ode, x, GRID, solver), start())


class Drawn:
    """Noise that is drawn when it is asked for the first time: before a trace."""

    def __init__(self) -> None:
        self.table: dict[tuple[float, float, int], Tensor] = {}

    def __call__(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        if (s, t, again) not in self.table:
            self.table[s, t, again] = torch.randn_like(x)
        return self.table[s, t, again]


@pytest.mark.parametrize("solver", {type(s): s for s in STOCHASTIC}.values(), ids=repr)
def test_methods_with_noise_that_was_drawn_before(solver: Solver) -> None:
    ode = WithNoise(DiffusionODE(answer, EPS), Drawn())
    compiled(lambda x: solve(ode, x, GRID, solver), start())


@pytest.mark.parametrize("solver", [DDIMEta(), SASolver()], ids=repr)
def test_methods_with_noise_that_is_made_in_the_trace(solver: Solver) -> None:
    ode = WithNoise(DiffusionODE(answer, EPS), CounterNoise(range(2)))
    compiled(lambda x: solve(ode, x, GRID, solver), start())


def test_up_the_grid() -> None:
    ode, grid, solver = DiffusionODE(answer, EPS), GRID.reversed(), DPMSolverPP2M()
    compiled(lambda x: solve(ode, x, grid, solver), start())


FORMS: dict[str, Callable[[], ODE]] = {
    name: lambda make=make: make("cpu", torch.float32)  # type: ignore[misc]
    for name, make in MAKERS.items()
    if name != "disturbed"  # its noise is seeded on the host
}


def mine() -> ODE:
    class Mine(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.sin(x)

    return Mine()


def asked(precondition: Precondition, **options: Any) -> Callable[[], ODE]:
    return lambda: DiffusionODE(network("cpu"), precondition, **options)


FORMS |= {
    "eps, a discrete clock": asked(EpsPrediction(linear_beta())),
    "v": asked(VPrediction(VPSDE())),
    "x0": asked(X0Prediction(VPSDE())),
    "x0 on VE": asked(X0Prediction(VPSDE(), VE)),
    "EDM": asked(EDMPrediction()),
    "flow": asked(FlowPrediction()),
    "autocast": asked(EPS, autocast=torch.bfloat16),
    "a function of x and sigma": mine,
    "a network that writes into its input": lambda: DiffusionODE(lambda x, t: x.sin_(), EPS),
    "two experts": lambda: Experts(asked(EPS)(), mine(), 2.0),
    "a condition in a dictionary": lambda: asked(EPS)().given({"c": torch.arange(4) / 4}),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_network(make: Callable[[], ODE]) -> None:
    # this method asks for x₀ above σ = 1 and for ε below
    ode, grid, solver = make(), karras(4, 20.0, 0.1).to_zero(), Euler(VELOCITY)
    compiled(lambda x: sample(ode, x, grid, solver), noise("cpu"))


@pytest.mark.parametrize(
    "solver", [Euler(), CorrectedStart(Adams(3)), DEIS(2, linear_beta())], ids=repr
)
def test_sample_from_infinity_and_to_zero(solver: Solver) -> None:
    ode = DiffusionODE(answer, FlowPrediction())
    grid = karras(4, 20.0, 0.1).from_infinity().to_zero()
    compiled(lambda x: sample(ode, x, grid, solver), start())


def test_another_solver_another_trace() -> None:
    """One compiled function, whose solver, grid and precondition are exchanged under it: no stale constants."""
    x, ode, grid = start(), DiffusionODE(answer, EPS), GRID
    solver: Solver = Adams(3)
    run = torch.compile(lambda x: solve(ode, x, grid, solver).x, backend="eager", dynamic=False)

    def same() -> None:
        torch.testing.assert_close(run(x), solve(ode, x, grid, solver).x, rtol=0, atol=1e-4)

    same()
    solver = DEIS(3)  # differs from it in the variable alone, which only its weights see
    same()
    grid = log_snr(4, 9.0, 0.2)
    same()
    ode = DiffusionODE(answer, VPrediction(VPSDE()))
    same()
    ode.precondition = EDMPrediction()
    same()


def test_a_path_is_kept() -> None:
    ode, solver = DiffusionODE(answer, EPS), Heun()

    def run(x: Tensor) -> list[Tensor]:
        return [p.x for p in solve(ode, x, GRID, solver, keep=2).path]

    got = torch.compile(run, backend="eager", fullgraph=True, dynamic=False)(start())
    torch.testing.assert_close(got, run(start()), rtol=0, atol=1e-5)


def test_gradients() -> None:
    ode, solver = DiffusionODE(answer, EPS), DPMSolverPP2M()

    def end(x: Tensor) -> Tensor:
        return solve(ode, x, GRID, solver, grad=True).x.square().sum()

    x, y = start().requires_grad_(), start().requires_grad_()
    end(x).backward()
    torch.compile(end, backend="aot_eager", fullgraph=True, dynamic=False)(y).backward()
    torch.testing.assert_close(y.grad, x.grad, rtol=1e-5, atol=1e-5)


SOME = [Euler(), DPMSolverPP2M(), UniPC(3), CorrectedStart(Adams(3)), TWO_STATE[0]]


@pytest.mark.parametrize("solver", SOME, ids=repr)
def test_make_fx(solver: Solver) -> None:
    ode, x, other = DiffusionODE(answer, EPS), start(), start() + 1
    graph = make_fx(lambda x: solve(ode, x, GRID, solver, check=False).x)(x)
    torch.testing.assert_close(graph(other), solve(ode, other, GRID, solver).x, rtol=0, atol=0)


@pytest.mark.parametrize("solver", SOME, ids=repr)
@pytest.mark.parametrize("strict", [False, True])
def test_export(solver: Solver, strict: bool) -> None:
    ode, grid = DiffusionODE(answer, EPS), GRID.to_zero()

    class Sampler(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return sample(ode, x, grid, solver).x

    with torch.no_grad():
        program = torch.export.export(Sampler(), (start(),), strict=strict)
    want = Sampler()(start() + 1)
    got = program.module()(start() + 1)
    torch.testing.assert_close(got, want, rtol=0, atol=2e-6 * float(want.abs().max()))


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of PyTorch by itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor on the CPU needs a C++ compiler")
@pytest.mark.parametrize("solver", [Euler(), DPMSolverPP2M(), UniPC(2)], ids=repr)
def test_inductor(solver: Solver) -> None:
    ode = DiffusionODE(answer, EPS)
    compiled(lambda x: solve(ode, x, GRID, solver), start(), "inductor")
