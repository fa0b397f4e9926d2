"""The published orders of the peers: the benchmark runs, and its defective rows measure what docs say."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "peer_orders.md"
UPSTREAM = ROOT / "docs" / "upstream"
pytestmark = pytest.mark.parity

DIFFUSERS = importlib.util.find_spec("diffusers") is not None
KDIFFUSION = None not in map(importlib.util.find_spec, ("k_diffusion", "torchsde"))
HOW = "not installed: make parity, or pip install flowsolve[parity]"
needs_diffusers = pytest.mark.skipif(not DIFFUSERS, reason=f"diffusers is {HOW}")
needs_k_diffusion = pytest.mark.skipif(not KDIFFUSION, reason=f"k-diffusion is {HOW}")


def python(arguments: Sequence[str]) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "solvers"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def table() -> dict[str, list[str]]:
    """The cells of each row after the peer, of a small run."""
    script = str(ROOT / "benchmarks" / "peer_orders.py")
    only = ["PMSolverMultistep(3", "DEIS", "DDIM, linspace", "dpmpp_3m", "dpmpp_2m_sde"]
    small = ["--columns", "1", "--steps", "48", "96", "192", "--seeds", "4"]
    printed = python([script, "--only", *only, *small])
    for name, there in (("diffusers", DIFFUSERS), ("k-diffusion", KDIFFUSION)):
        assert there or f"{name}: not installed: pip install" in printed
    rows = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    found: dict[str, list[str]] = {}
    for row in rows:
        if row[0] in ("diffusers", "k-diffusion") and len(row) > 2:
            found.setdefault(row[1], row[2:])
    return found


def slope(row: list[str]) -> float:
    return float(row[1].removesuffix(" *"))


def test_the_script_runs_with_or_without_peers(table: dict[str, list[str]]) -> None:
    assert bool(table) == (DIFFUSERS or KDIFFUSION)


@needs_diffusers
@pytest.mark.parametrize("algorithm", ["dpmsolver", "dpmsolver++"])
def test_third_order_multistep_lacks_a_factor(table: dict[str, list[str]], algorithm: str) -> None:
    name = f"DPMSolverMultistep(3, {algorithm})"
    assert slope(table[name]) < 2.6
    assert slope(table[f"{name}, fixed"]) > 2.8


@needs_diffusers
def test_third_order_sde_has_a_sign_wrong(table: dict[str, list[str]]) -> None:
    name = "DPMSolverMultistep(3, sde-dpmsolver++)"
    assert slope(table[f"{name}, noise-free SDE"]) < 1.4
    assert slope(table[f"{name}, fixed, noise-free SDE"]) > 2.8


@needs_diffusers
def test_ddim_on_linspace_steps_to_another_level(table: dict[str, list[str]]) -> None:
    """Errors at 48 and 384 steps, which do not divide 1000."""
    shipped, fixed = table["DDIM, linspace"], table["DDIM, linspace, fixed"]
    assert float(shipped[-1]) > 2 * float(shipped[-4])
    assert float(fixed[-1]) < float(fixed[-4]) / 4


@needs_diffusers
def test_deis_cancels_in_float32(table: dict[str, list[str]]) -> None:
    """Errors at 48 and 1000 steps."""
    shipped, fixed = table["DEISMultistep(3), float32"], table["DEISMultistep(3), float32, fixed"]
    assert float(shipped[-1]) > 100 * float(shipped[-5])
    assert float(fixed[-1]) < float(fixed[-5])


@needs_k_diffusion
def test_3m_sde_lacks_a_factor(table: dict[str, list[str]]) -> None:
    assert slope(table["dpmpp_3m_sde(eta=0)"]) < 2.6
    assert slope(table["dpmpp_3m_sde(eta=0), fixed"]) > 2.8
    assert abs(slope(table["dpmpp_2m_sde(eta=0)"]) - 2) < 0.2


def test_the_page_has_the_defects() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not re.findall(r"\{[A-Z]+\}", text)
    for report in UPSTREAM.glob("*.md"):
        assert f"(upstream/{report.name})" in text
        assert f"upstream/{report.stem}\n" in (ROOT / "docs" / "index.md").read_text("utf-8")


@pytest.mark.parametrize("report", sorted(UPSTREAM.glob("*.md")), ids=lambda p: p.stem)
def test_the_reports_reproduce(report: Path) -> None:
    """With the versions that a report names its program prints what it shows; at most 40 lines."""
    text = report.read_text(encoding="utf-8")
    package, version = re.findall(r"\*\*Versions\.\*\* (\S+) (\S+),", text)[0]
    if not (DIFFUSERS if package == "diffusers" else KDIFFUSION):
        pytest.skip(f"{package} is {HOW}")
    if importlib.metadata.version(package) != version:
        pytest.skip(f"the report is of {package} {version}")
    code, shown = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)[0]
    assert len(code.splitlines()) <= 40
    for a, b in zip(python(["-c", code]).split(), shown.split(), strict=True):
        try:
            assert float(a) == pytest.approx(float(b), rel=0.3)
        except ValueError:
            assert a == b
