"""A run as one CUDA graph, and as a compiled program on a GPU: the same numbers, few launches, no waiting."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    VPSDE,
    CounterNoise,
    DiffusionODE,
    EpsPrediction,
    SeededNoise,
    Solver,
    WithNoise,
    log_snr,
    sample,
    solve,
)
from flowsolve.errors import NonFiniteError, StateError
from flowsolve.integrate import graphed
from flowsolve_solvers import (
    ALL,
    STOCHASTIC,
    TWO_STATE,
    DDIMEta,
    DPMSolverAdaptive,
    DPMSolverPP2M,
    Euler,
    UniPC,
)
from tests.devices import network, no_synchronisation, noise, on_the_gpu, strict
from tests.helpers import says
from tests.integrate.test_compiled import Drawn

GRID = log_snr(4, 10.0, 0.1)
EPS = EpsPrediction(VPSDE())


def answer(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(x)


def start(device: str, seed: int = 0) -> Tensor:
    made = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return made.to(device)


def test_what_no_graph_can_be_made_of() -> None:
    ode, x = DiffusionODE(answer, EPS), start("cpu")
    text = (
        "a CUDA graph is recorded on a CUDA device, but the state is on cpu. Elsewhere call sample"
    )
    says(StateError, text, lambda: graphed(ode, x, GRID, Euler()))
    text = "DPMSolverAdaptive() looks at values to choose its steps, which a graph cannot."
    says(StateError, text, lambda: graphed(ode, x, GRID, DPMSolverAdaptive()))
    seeded = WithNoise(ode, SeededNoise(range(2)))
    text = "the noise of this ODE is drawn on the host, at every call. Draw it before"
    says(StateError, text, lambda: graphed(seeded, x, GRID, DDIMEta()))
    says(StateError, "solver must be an instance", lambda: graphed(ode, x, GRID, Euler))  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.parametrize("solver", [*ALL, *TWO_STATE], ids=repr)
def test_a_graph_gives_what_the_run_gives(solver: Solver) -> None:
    ode = DiffusionODE(answer, EPS)
    replay = graphed(ode, start("cuda"), GRID, solver, run=solve, check=False)
    for seed in (1, 2):  # other states than that of the recording
        x = start("cuda", seed)
        want, got = solve(ode, x, GRID, solver), replay(x)
        assert (got.nfe, got.forwards) == (want.nfe, want.forwards)
        torch.testing.assert_close(got.x, want.x, rtol=1e-6, atol=1e-6)
        if want.second is not None:
            torch.testing.assert_close(got.second, want.second, rtol=1e-6, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("solver", {type(s): s for s in STOCHASTIC}.values(), ids=repr)
def test_a_graph_with_noise_that_was_drawn_before(solver: Solver) -> None:
    drawn, x = Drawn(), start("cuda")
    ode = WithNoise(DiffusionODE(answer, EPS), drawn)
    solve(ode, x, GRID, solver)
    replay = graphed(ode, x, GRID, solver, run=solve, check=False)
    first = replay(x).x
    torch.testing.assert_close(first, solve(ode, x, GRID, solver).x, rtol=1e-6, atol=1e-6)
    for z in drawn.table.values():
        z.normal_()  # in place: the graph reads it where it is
    torch.testing.assert_close(replay(x).x, solve(ode, x, GRID, solver).x, rtol=1e-6, atol=1e-6)
    assert drawn.table == {} or not torch.equal(first, replay(x).x)


@pytest.mark.gpu
def test_noise_that_is_made_on_the_device_is_part_of_the_graph() -> None:
    ode = WithNoise(DiffusionODE(answer, EPS), CounterNoise(range(2)))
    replay = graphed(ode, start("cuda"), GRID, DDIMEta(), run=solve, check=False)
    for seed in (1, 2):
        x = start("cuda", seed)
        want = solve(ode, x, GRID, DDIMEta()).x
        torch.testing.assert_close(replay(x).x, want, rtol=1e-6, atol=1e-6)
    with no_synchronisation("cuda"):
        replay(x)


@pytest.mark.gpu
def test_a_real_network_and_the_ends() -> None:
    ode, grid = DiffusionODE(network("cuda"), EPS), GRID.to_zero()
    with strict("cuda"):
        replay = graphed(ode, noise("cuda"), grid, DPMSolverPP2M())
        want, got = sample(ode, noise("cuda"), grid, DPMSolverPP2M()), replay(noise("cuda"))
    torch.testing.assert_close(got.x, want.x, rtol=1e-4, atol=1e-4)
    says(StateError, "this graph is for (4, 1, 8, 8)", lambda: replay(noise("cuda", 2)))
    broken = noise("cuda")
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="evaluation 1"):
        replay(broken)


@pytest.mark.gpu
def test_answers_are_the_callers_own() -> None:
    replay = graphed(DiffusionODE(answer, EPS), start("cuda"), GRID, Euler(), check=False)
    first = replay(start("cuda", 1)).x
    kept = first.clone()
    replay(start("cuda", 2))
    assert torch.equal(first, kept)


def kernels(run: Callable[[], Any]) -> list[str]:
    """What was computed on the device, by name."""
    aside = ("Memcpy", "Memset", "##", "Torch-Compiled")
    return [name for name in on_the_gpu(run)[0] if not name.startswith(aside)]


@pytest.mark.gpu
@pytest.mark.parametrize("solver", [Euler(), DPMSolverPP2M(), UniPC(3)], ids=repr)
def test_one_launch_a_trajectory_and_no_waiting(solver: Solver) -> None:
    ode, x, grid = DiffusionODE(answer, EPS), start("cuda"), log_snr(20, 10.0, 0.1)
    replay = graphed(ode, x, grid, solver, check=False)
    replay(x)
    with no_synchronisation("cuda"):
        replay(x)
    _, calls = on_the_gpu(lambda: replay(x))
    assert sum("GraphLaunch" in name for name in calls) == 1, calls
    # the state is copied in, and the answer out
    assert sum("LaunchKernel" in name for name in calls) <= 2, calls


def has_compiler() -> bool:
    from torch.utils._triton import has_triton

    return has_triton() and any(map(shutil.which, ("cc", "gcc", "clang")))


def closed(x: Tensor, t: Tensor) -> Tensor:
    return torch.ops.flowsolve_test.answer(x, t)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def closed_network() -> Callable[[Tensor, Tensor], Tensor]:
    """A network of one kernel that a compiler cannot look into, as it cannot into a matrix product's."""
    if not hasattr(torch.ops.flowsolve_test, "answer"):
        name = "flowsolve_test::answer"
        torch.library.define(name, "(Tensor x, Tensor t) -> Tensor")
        torch.library.impl(name, ("cpu", "cuda"), lambda x, t: x * 0.1)
        torch.library.register_fake(name, lambda x, t: torch.empty_like(x))
    return closed


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of PyTorch by itself
@pytest.mark.filterwarnings("ignore:.*TensorFloat32:UserWarning")
@pytest.mark.parametrize("solver", [Euler(), DPMSolverPP2M()], ids=repr)
def test_at_most_three_launches_an_evaluation_compiled(
    solver: Solver, closed_network: Callable[[Tensor, Tensor], Tensor]
) -> None:
    if not has_compiler():
        pytest.skip("Inductor on a GPU needs triton and a C compiler")
    torch._dynamo.reset()
    ode, x, grid = DiffusionODE(closed_network, EPS), start("cuda"), log_snr(10, 10.0, 0.1)
    run = torch.compile(lambda x: solve(ode, x, grid, solver).x, fullgraph=True, dynamic=False)
    want = solve(ode, x, grid, solver).x
    torch.testing.assert_close(run(x), want, rtol=1e-5, atol=1e-5)
    with no_synchronisation("cuda"):
        run(x)
    made = kernels(lambda: run(x))
    plain = kernels(lambda: solve(ode, x, grid, solver, check=False))
    print(f"{solver!r}: {len(made) / 10:g} kernels an evaluation, {len(plain) / 10:g} eager")
    assert 10 <= len(made) <= 3 * 10 + 4, made  # the network's among them
    assert len(made) < len(plain)
