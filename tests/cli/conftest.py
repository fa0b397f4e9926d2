"""Figures that are not drawn: three files of one take a second, the rest of a small command hundredths."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure is made, and its files hold no picture, in this process. For tests of something else."""
    monkeypatch.setattr(
        Figure, "savefig", lambda self, path, **_: Path(path).write_bytes(b"a figure")
    )
