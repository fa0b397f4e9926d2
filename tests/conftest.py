"""One thread, a cache folder of the session's own, and GPU tests only where there is a GPU."""

from __future__ import annotations

import os

import pytest
import torch

os.environ["COLUMNS"] = "160"  # of the tables of subprocesses; pytest-xdist sets 80
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU, saying so."""
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs CUDA: torch.cuda.is_available() is false")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)
