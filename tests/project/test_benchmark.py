"""The benchmark of the step's cost runs, with or without its peers."""

from __future__ import annotations

import csv
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEERS = ("DDIMScheduler", "DPMSolverMultistepScheduler", "sample_dpmpp_2m")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    file = tmp_path_factory.mktemp("benchmark") / "cost.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "step_cost.py")]
    options = ["--repeat", "2", "--nfe", "6", "--shape", "1,1,8,8", "--csv", str(file)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "solvers"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command + options,
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with file.open(newline="", encoding="utf-8") as lines:
        rows = {row["method"]: row for row in csv.DictReader(lines)}
    assert all(name in done.stdout for name in rows)
    return rows


@pytest.mark.parametrize("method", ["Euler()", "DPMSolverPP2M()"])
def test_methods_have_costs(rows: dict[str, dict[str, str]], method: str) -> None:
    row = rows[method]
    assert row["nfe"] == "6"
    assert all(math.isfinite(float(row[column])) for column in ("µs/eval", "q25", "q75"))
    assert 0 < float(row["state"]) <= float(row["ops/eval"]) < 20


@pytest.mark.parametrize("peer", PEERS)
def test_peers_are_measured_or_named(rows: dict[str, dict[str, str]], peer: str) -> None:
    (name,) = (name for name in rows if peer in name)
    assert "not installed: pip install" in name or float(rows[name]["ops/eval"]) > 0


def test_the_tables_of_the_docs_have_their_scripts() -> None:
    """Each runs for minutes; what it needs is there, and every page that names one names one that is."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "solvers")])
    script = ROOT / "benchmarks" / "docs_tables.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"], env=os.environ | {"PYTHONPATH": path},
        capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = "".join(p.read_text("utf-8") for p in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"docs_tables\.py (\w+)`", pages))
    assert named | {"cost"} == set(
        re.findall(r"^def (\w+)\(\) -> None:", script.read_text("utf-8"), re.M)
    )
