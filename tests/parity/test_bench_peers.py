"""The pairs of `flowsolve bench` that have the names of other programs' methods are these methods."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks import bench_peers
from flowsolve.cli.bench_menu import PEERS

pytestmark = [
    pytest.mark.parity,
    # theirs: np.array(tensor) and np.log(tensor) with numpy 2, and the noise chart
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.algorithm_types:FutureWarning"),
]
NEEDS = {"k-diffusion": "k_diffusion torchsde", "diffusers": "diffusers", "azula": "azula einops"}


def test_every_name_is_compared_here_or_it_is_said_where() -> None:
    here = {*bench_peers.CASES, *bench_peers.AZULA}
    assert here | {*bench_peers.ELSEWHERE} == {*PEERS}
    assert not here & {*bench_peers.ELSEWHERE}


@pytest.fixture(scope="module")
def lines() -> list[bench_peers.Line]:
    return [*bench_peers.lines()]


@pytest.mark.parametrize("package", NEEDS)
def test_their_code_and_ours_end_in_one_state(package: str, lines: list[bench_peers.Line]) -> None:
    """On three problems of the benchmark at three budgets; so their errors, and their ranks, are the same."""
    if None in map(importlib.util.find_spec, NEEDS[package].split()):
        pytest.skip(f"{package} is not installed: make parity, or pip install flowsolve[parity]")
    found = [line for line in lines if line.name.startswith(package)]
    names = [name for name in (*bench_peers.CASES, *bench_peers.AZULA) if name.startswith(package)]
    assert len(found) == 9 * len(names) >= 36
    for line in found:
        assert line.apart < 1e-10, line
        assert line.theirs == pytest.approx(line.ours, rel=1e-6), line
