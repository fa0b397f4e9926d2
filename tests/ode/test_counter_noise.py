"""CounterNoise: the integers of Philox, and noise that is the same in every batch, dtype, trace and device."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from flowsolve import CounterNoise, WithNoise, karras, sample, solve, unit_noise
from flowsolve.errors import StateError
from flowsolve.ode import counter_noise
from flowsolve.ode.counter_noise import WORD, box_muller, normals, philox
from flowsolve.problems import Mixture
from flowsolve_solvers import DDIMEta
from tests.devices import no_synchronisation, on_each_device, on_the_gpu, synchronize

# counter, key, and what ten rounds make of them: Random123's kat_vectors
KNOWN = [
    ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([WORD] * 4, [WORD] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
SEEDS = [0, 1, 5, 2**32, 2**32 + 1, 2**63 - 1]
X = torch.zeros(len(SEEDS), 3, 5, 5)
NOISE = CounterNoise(SEEDS)
Z = NOISE(X, 2.0, 1.0)


@on_each_device
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(device: str, counter: list[int], key: list[int], expected: str) -> None:
    want = [int(word, 16) for word in expected.split()]
    assert list(philox(counter, key)) == want
    wide = [torch.full((1,), word, device=device) for word in counter]
    assert [int(word) for word in philox(wide, key)] == want
    both = philox(wide, [torch.full((3, 1), word, device=device) for word in key])
    assert [word.tolist() for word in both] == [[[word]] * 3 for word in want]


def test_normals_at_the_ends() -> None:
    ends = torch.tensor([0, WORD])
    cos, sin = box_muller(ends, torch.tensor([0, 0]))
    torch.testing.assert_close(
        cos, torch.tensor([6.7637, 1.5e-5], dtype=torch.float64), rtol=0.02, atol=0
    )
    assert sin.tolist() == [0, 0]
    turned = torch.stack(box_muller(ends[:1], torch.tensor([2**30])))
    assert turned[1] == cos[0]
    assert abs(turned[0]) < 1e-14


@pytest.mark.parametrize("order", [[0], [5, 2], [1, 1, 4], list(range(6))[::-1]])
def test_a_samples_noise_is_its_own(order: list[int]) -> None:
    """In any batch and order; the seeds may be large."""
    source = CounterNoise([SEEDS[i] for i in order])
    assert torch.equal(source(X[order], 2.0, 1.0), Z[order])


@pytest.mark.parametrize("event", [(), (1,), (2,), (75,), (5, 15), (7, 3, 31)])
def test_an_elements_noise_is_its_own(event: tuple[int, ...]) -> None:
    """It follows from its index, whatever the shape."""
    found = NOISE(torch.zeros(6, *event), 2.0, 1.0)
    assert found.shape == (6, *event)
    assert found.is_contiguous()
    flat = found.reshape(6, -1)
    assert torch.equal(flat[:, :75], Z.flatten(1)[:, : flat.shape[1]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_noise_is_the_same_in_all_dtypes(dtype: torch.dtype) -> None:
    assert Z.dtype == torch.float32
    assert torch.equal(NOISE(X.to(dtype), 2.0, 1.0), Z.to(dtype))


def test_other_intervals_visits_and_seeds_have_other_noise() -> None:
    keys: list[Any] = [(2.0, 1.0), (1.0, 2.0), (2.0, 1.0 + 1e-15), (2.0, 1.0, 1), (2.0, 1.0, 2)]
    rows = torch.cat([NOISE(X, *key).flatten(1) for key in keys])
    assert len(rows.unique(dim=0)) == 5 * len(SEEDS)


def test_wrong_seeds_are_told_as_of_seeded_noise() -> None:
    with pytest.raises(StateError, match="there are 6 seeds for 2 samples: give one for each"):
        NOISE(X[:2], 2.0, 1.0)
    with pytest.raises(StateError, match=r"seeds must be a sequence of seeds such as range\(64\)"):
        CounterNoise(64)  # type: ignore[arg-type]
    with pytest.raises(StateError, match=r"seeds\[0\] must be below 2\*\*63"):
        CounterNoise([2**63])


def test_a_run_in_two_batches_is_the_run() -> None:
    problem, grid = Mixture(), karras(5, 10.0, 0.1)

    def done(seeds: list[int]) -> Tensor:
        start = unit_noise(seeds, problem.event)
        return sample(WithNoise(problem, CounterNoise(seeds)), start, grid, DDIMEta()).x

    parts = [done(SEEDS[:2]), done(SEEDS[2:])]
    torch.testing.assert_close(torch.cat(parts), done(SEEDS), rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------------- traced, compiled


def compiled(f: Callable[[Tensor], Tensor]) -> Any:
    return torch.compile(f, fullgraph=True, backend="eager")


def traced(f: Callable[[Tensor], Tensor]) -> Any:
    return make_fx(f)(X)


def traced_without_values(f: Callable[[Tensor], Tensor]) -> Any:
    return make_fx(f, tracing_mode="fake")(X)


@pytest.mark.parametrize("trace", [compiled, traced, traced_without_values])
def test_it_is_traced_whole(trace: Callable[..., Any]) -> None:
    """And holds nothing of the tracer afterwards."""
    source = CounterNoise(SEEDS)
    assert torch.equal(trace(lambda x: x + source(x, 2.0, 1.0))(X), Z)
    assert torch.equal(source(X, 2.0, 1.0, 1), NOISE(X, 2.0, 1.0, 1))


def test_one_that_compiles_itself_is_part_of_a_run_that_is_compiled() -> None:
    source = CounterNoise(SEEDS, compiled=True)
    assert torch.equal(compiled(lambda x: x + source(x, 2.0, 1.0))(X), Z)


def test_compiled_it_is_not_made_for_one_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    made = torch.compile(normals, fullgraph=True, backend=backend)
    monkeypatch.setattr(counter_noise, "_compiled", lambda: made)
    source = CounterNoise(SEEDS, compiled=True)
    for k in range(12):
        assert torch.equal(source(X, 2.0, 1.0, k), NOISE(X, 2.0, 1.0, k))
    assert len(graphs) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not shutil.which("gcc"), reason="Triton needs a compiler of C")
def test_compiled_it_is_one_or_two_kernels() -> None:
    x = X.to("cuda")
    source = CounterNoise(SEEDS, compiled=True)
    source(x, 2.0, 1.0)
    launched, _ = on_the_gpu(lambda: source(x, 2.0, 1.0, 1))
    assert sum("triton" in name for name in launched) <= 3
    assert len(launched) <= 7, launched
    near(source(x, 2.0, 1.0), Z)


# ----------------------------------------------------------------------------------------- devices


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=1e-6)
    assert float((found.cpu() == expected).double().mean()) > 0.999


@on_each_device
def test_integers_are_equal_and_normals_almost(device: str) -> None:
    index, seeds = torch.arange(100_000), torch.tensor([[7], [2**32 - 1]])
    here = philox((index, 5, seeds, 9), (WORD, 3))
    there = philox((index.to(device), 5, seeds.to(device), 9), (WORD, 3))
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here, there, strict=True))
    wide = torch.zeros(6, 50_000)
    near(NOISE(wide.to(device), 3.0, 2.0), NOISE(wide, 3.0, 2.0))


@on_each_device
def test_a_run_waits_for_nothing_from_its_first_draw_on(device: str) -> None:
    problem, grid = Mixture(), karras(5, 10.0, 0.1)
    x = problem.start(SEEDS, torch.float32, device)
    solve(WithNoise(problem, NOISE), x, grid, DDIMEta(), check=False)
    fresh = WithNoise(problem, CounterNoise(SEEDS))
    with no_synchronisation(device):
        done = solve(fresh, x, grid, DDIMEta(), check=False)
    synchronize(device)
    assert done.x.isfinite().all()


@pytest.mark.gpu
def test_a_step_copies_nothing_from_the_host() -> None:
    x = X.to("cuda")
    NOISE(x, 2.0, 1.0)
    names, _ = on_the_gpu(lambda: NOISE(x, 2.0, 0.5))
    assert len(names) > 50
    assert not [name for name in names if "Memcpy HtoD" in name or "Memcpy DtoH" in name]
