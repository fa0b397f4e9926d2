"""Everything that needs a CUDA device: the tests marked `gpu`, the step's cost there, and a short table.

`make gpu` runs it. It installs nothing and asks no network: flowsolve is read from this tree, and a folder of
pure-Python wheels may be put on the path by --wheels. Its last lines are the table; it exits with 0 if every
test passed and the step's cost was measured. `--device cpu` rehearses it where there is no such device.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
SHOWN = ("Euler()", "Heun()", "DPMSolverPP2M()", "DPMSolverPPM(3)")
TEST_SECONDS, COST_SECONDS, SIZES_SECONDS = 240, 80, 120


def marked() -> list[str]:
    """The files that hold tests marked `gpu`: no other one is imported."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    words = ("mark.gpu", "on_each_device")
    return [str(f) for f in files if any(word in f.read_text("utf-8") for word in words)]


def entry_points(folder: Path) -> None:
    """What an installation would say of flowsolve, so that solvers are found by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, "utf-8")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")


def environment(folder: Path, wheels: Path | None, device: str) -> dict[str, str]:
    """For the two programs: this tree and the wheels on the path, and a cache folder of their own."""
    path = [ROOT, ROOT / "solvers", folder, *sorted(wheels.glob("*.whl") if wheels else ())]
    paths = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    made = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
        "FLOWSOLVE_CACHE": str(folder / "cache"),
    }
    return made | ({} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""})


def start(command: list[str], env: dict[str, str], seconds: float) -> tuple[int, float]:
    """Its exit code and how long it took; interrupted after so many seconds, so that it still reports."""
    begin = time.perf_counter()
    program = subprocess.Popen([sys.executable, *command], env=env, cwd=ROOT)
    for patience, sign in ((seconds, signal.SIGINT), (15, signal.SIGTERM)):
        try:
            program.wait(patience)
            break
        except subprocess.TimeoutExpired:
            print(f"stopped after {time.perf_counter() - begin:.0f} s: {' '.join(command[:2])}")
            program.send_signal(sign)
    return program.wait(), time.perf_counter() - begin


def outcomes(report: Path) -> dict[str, int]:
    """How many tests passed, failed and were skipped, from pytest's report."""
    if not report.exists():
        return {}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        failed, skipped = bool(kinds & {"failure", "error"}), "skipped" in kinds
        counts["failed" if failed else "skipped" if skipped else "passed"] += 1
    return counts


def costs(file: Path) -> list[tuple[str, str]]:
    """What the shown methods cost beside the network, by step_cost.py."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        rows = {row["method"]: row for row in csv.DictReader(lines)}
    return [
        (name, f"{rows[name]['µs/eval']} µs and {rows[name]['ops/eval']} operations an evaluation")
        for name in SHOWN
        if name in rows
    ]


def main() -> int:
    """Run both, print the table, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--wheels", type=Path, help="a folder of pure-Python wheels to import from")
    parser.add_argument("--repeat", type=int, default=30, help="timed runs of each method")
    parser.add_argument("--test-seconds", type=float, default=TEST_SECONDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.wheels and not args.wheels.is_dir():
        parser.error(f"--wheels: there is no folder {args.wheels}")

    import torch

    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    cuda = args.device == "cuda"
    if cuda and not torch.cuda.is_available():
        print("no CUDA device: torch.cuda.is_available() is false. `--device cpu` rehearses this.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entry_points(folder)
        env = environment(folder, args.wheels, args.device)
        report, cost = folder / "tests.xml", folder / "cost.csv"
        pytest = ["-m", "pytest", "-m", "gpu", "-q", "-rs", "-p", "no:cacheprovider"]
        pytest += ["-o", "faulthandler_timeout=100"]  # where a test stands that does not end
        tests, tested = start(
            [*pytest, "--durations=5", f"--junitxml={report}", *marked()], env, args.test_seconds
        )
        script = [str(ROOT / "benchmarks" / "step_cost.py"), "--device", args.device]
        measured, timed = start(
            [*script, "--repeat", str(args.repeat), "--csv", str(cost)], env, COST_SECONDS
        )
        script = [str(ROOT / "benchmarks" / "step_sizes.py"), "--device", args.device]
        if not cuda:  # a rehearsal compiles nothing
            script += ["--backend", "eager", "--nfe", "3", "--shapes", "1,1,8,8"]
        compared, sized = start([*script, "--repeat", str(args.repeat)], env, SIZES_SECONDS)
        found, table = outcomes(report), costs(cost)

    card = torch.cuda.get_device_name() if cuda else f"{platform.machine()} CPU (a rehearsal)"
    counted = ", ".join(f"{n} {what}" for what, n in found.items()) or f"no report, exit {tests}"
    rows = [
        ("device", card),
        (
            "torch",
            f"{torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}",
        ),
        ("tests", f"{counted}, {tested:.0f} s"),
        *table,
        ("step_cost.py", f"exit {measured}, {timed:.0f} s"),
        ("step_sizes.py", f"exit {compared}, {sized:.0f} s"),
    ]
    print()
    for left, right in rows:
        print(f"{left:<16} {right}")
    enough = found.get("passed", 0) > 0 if cuda else found.get("skipped", 0) > 0
    return 0 if tests == measured == compared == 0 and enough and table else 1


if __name__ == "__main__":
    sys.exit(main())
