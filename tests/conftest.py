"""One thread, a cache folder of the session's own, and GPU tests only where there is a GPU."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks.peer_code import k_diffusion_sampling

os.environ["COLUMNS"] = "160"  # of the tables of subprocesses; pytest-xdist sets 80
os.environ["OMP_NUM_THREADS"] = "1"  # of subprocesses
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One folder for all tests, so that a reference is computed once."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _own_cache(cache_home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test, and what it starts, out of the user's cache."""
    monkeypatch.setenv("FLOWSOLVE_CACHE", cache_home)
    assert os.environ["FLOWSOLVE_CACHE"] == cache_home


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of figures hold no picture, for tests of something else: three of them take a second."""
    from matplotlib.figure import Figure

    monkeypatch.setattr(
        Figure, "savefig", lambda self, path, **_: Path(path).write_bytes(b"a figure")
    )


@pytest.fixture
def png_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn once, not once for each format. tests/plot draws all of all figures."""
    from matplotlib.figure import Figure

    save = Figure.savefig

    def once(self: Figure, path: Path, **options: object) -> None:
        if Path(path).suffix == ".png":
            save(self, path, **options)
        else:
            Path(path).write_bytes(b"a figure")

    monkeypatch.setattr(Figure, "savefig", once)


@pytest.fixture
def k_sampling() -> Iterator[ModuleType]:
    """k-diffusion's sampling.py in float64: its levels are torch.tensor(σ)."""
    try:
        module = k_diffusion_sampling()
    except ImportError as missing:
        pytest.skip(str(missing))
    torch.set_default_dtype(torch.float64)
    yield module
    torch.set_default_dtype(torch.float32)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU, saying so; what asks for k-diffusion is a test of parity."""
    for item in items:
        if "k_sampling" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parity)
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs CUDA: torch.cuda.is_available() is false")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    """What was collected stays to the end, so no collection of garbage looks through it."""
    gc.freeze()
