"""What costs seconds and is the same in many tests: each command's rows, and certificates."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from flowsolve.study import certificate
from tests.cli.helpers import EVERY, PRINTS, Measured, flowsolve

_certificate = cache(certificate._certificate)


@pytest.fixture
def certified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver is certified once, for tests of how a certificate is written."""
    monkeypatch.setattr(certificate, "_certificate", _certificate)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """By command, the folder in which it has been run, --quiet where it has that, and what it said."""

    @cache
    def run(command: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
        folder = tmp_path_factory.mktemp(command)
        quiet = ["--quiet"] if command in PRINTS else []
        return folder, flowsolve(command, *EVERY[command], *quiet, cwd=folder)

    return run
