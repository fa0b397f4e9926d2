"""`make gpu` rehearsed on the CPU: tests that need the device are skipped with a reason, a table is last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
ABSENT = ("diffusers", "hypothesis", "k_diffusion", "platformdirs", "sklearn", "torchsde")


def gpu_check(*options: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu_check.py"), *options],
        env=os.environ | {"PYTHONPATH": str(path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip


def test_a_rehearsal_without_a_device_and_without_what_may_be_missing(tmp_path: Path) -> None:
    for name in ABSENT:
        text = f"raise ModuleNotFoundError('no {name}', name='{name}')\n"
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    (tmp_path / "wheels").mkdir()
    options = ["--device", "cpu", "--repeat", "2", "--wheels", str(tmp_path / "wheels")]
    done = gpu_check(*options, path=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "needs CUDA: torch.cuda.is_available() is false" in done.stdout
    rows = [re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines()]
    table = {row[0]: row[1] for row in rows[-9:] if len(row) == 2}
    assert list(table) == [
        "device", "torch", "tests", "Euler()", "Heun()", "DPMSolverPP2M()", "DPMSolverPPM(3)", "step_cost.py",
        "step_sizes.py",
    ]  # fmt: skip
    found = re.match(r"0 passed, 0 failed, (\d+) skipped, \d+ s$", table["tests"])
    assert found, table["tests"]
    assert int(found[1]) > 300
    assert table["torch"].startswith(torch.__version__)
    assert re.match(r"\d+\.\d+ µs and 3\.\d+ operations an evaluation$", table["Euler()"])
    assert table["step_cost.py"].startswith("exit 0, ")
    assert table["step_sizes.py"].startswith("exit 0, ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_device_it_says_so(tmp_path: Path) -> None:
    done = gpu_check(path=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("no CUDA device: torch.cuda.is_available() is false")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = gpu_check("--device", "cpu", "--wheels", str(tmp_path / "none"), path=tmp_path)
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_solvers_are_found_by_name_without_an_installation(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; sys.path.insert(0, 'benchmarks'); import gpu_check; "
        f"gpu_check.entry_points(pathlib.Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    (info,) = tmp_path.glob("flowsolve-*.dist-info")
    assert "[flowsolve.solvers]\nflowsolve = flowsolve_solvers\n" in (
        info / "entry_points.txt"
    ).read_text("utf-8")


def test_a_program_that_does_not_end_is_stopped_and_may_still_report(tmp_path: Path) -> None:
    file = tmp_path / "report"
    program = (
        "import pathlib, time\n"
        "try:\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(file)!r}).write_text('so far')\n"
    )
    code = (
        "import os, sys; sys.path.insert(0, 'benchmarks'); import gpu_check; "
        f"code, seconds = gpu_check.start(['-c', {program!r}], dict(os.environ), 2.0); "
        "assert code == 0 and 2 <= seconds < 20, (code, seconds)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "stopped after 2 s" in done.stdout
    assert file.read_text() == "so far"
