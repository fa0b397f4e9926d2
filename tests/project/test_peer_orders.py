"""The published orders of the peers: the benchmark runs, and its defective rows measure what docs say."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.peer_code import PACKAGES, missing

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "peer_orders.md"
UPSTREAM = ROOT / "docs" / "upstream"
pytestmark = pytest.mark.parity

HOW = "not installed: make parity, or pip install flowsolve[parity]"
PEERS = {package.name: root for root, package in PACKAGES.items() if root != "benchmarks"}


def needs(*peers: str) -> pytest.MarkDecorator:
    lost = [name for name in peers if missing(PEERS[name])]
    return pytest.mark.skipif(bool(lost), reason=f"{', '.join(lost)}: {HOW}")


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
    printed = python([script, "--only", *ONLY, "--columns", "1", "--steps", *STEPS, "--seeds", "4"])
    for name, root in PEERS.items():
        assert (f"{name}: not installed: make parity" in printed) == missing(root)
    rows = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    found: dict[str, list[str]] = {}
    for row in rows:
        if row[0] in {*PEERS, "STORK", "RES4LYF"} and len(row) > 3:
            found.setdefault(row[1], row[2:])
    return found


STEPS = ("48", "96", "192")
ONLY = (
    "PMSolverMultistep(3", "DEIS", "DDIM, linspace", "dpmpp_3m", "dpmpp_2m_sde(eta=0)", "REAB", "zEAB(3",
    "skrample DPM(3)", "UniP(3)", "UniPC(2", "Adams(2, vel", "RK4.Kutta", "rk4", "EDMStochasticHeun",
    "gam=1.5", "STORK-2(s=10", "res_3s(c2=1/2, c3=0.8)",
)  # fmt: skip


def slope(row: list[str]) -> float:
    return float(row[1].removesuffix(" *"))


def test_the_script_runs_with_or_without_peers(table: dict[str, list[str]]) -> None:
    assert {"STORK-2(s=10, derivative_order=1)", "res_3s(c2=1/2, c3=0.8)"} <= {*table}


def test_the_page_has_the_orders_of_a_run(table: dict[str, list[str]]) -> None:
    """Over 48 to 192 steps of 4 samples the slopes are near the page's, and the verdicts are the same."""
    page = {
        cells[1]: cells[2:]
        for line in reversed(PAGE.read_text(encoding="utf-8").splitlines())
        if line.startswith("| ")
        and len(cells := [c.strip() for c in line.strip("| ").split(" |")]) > 9
    }
    orders = {name: row for name, row in table.items() if row[-1] in ("yes", "no", "higher", "-")}
    assert len(orders) >= 4
    assert {*orders} <= {*page}
    for name, row in orders.items():
        assert (row[0], row[-1]) == (page[name][0], page[name][-1]), name
        if not page[name][1].endswith("*"):
            assert slope(row) == pytest.approx(slope(page[name]), abs=0.45), name


@needs("azula")
@pytest.mark.parametrize("order", [2, 3])
def test_reab_has_the_level_of_another_step(table: dict[str, list[str]], order: int) -> None:
    assert slope(table[f"REAB({order})"]) < 1.3
    assert slope(table[f"REAB({order}), fixed"]) > order - 0.2


@needs("skrample")
def test_skrample_has_order_where_its_variable_is_the_right_one(
    table: dict[str, list[str]],
) -> None:
    low, high = ["RKUltra(RK4.Kutta)", "DPM(3)", "UniPC(2, noise)"], ["UniP(3)", "UniPC(2)"]
    assert all(slope(table[name]) < 2.3 for name in low)
    assert all(slope(table[name]) > 2.8 for name in [*high, *(f"{name}, fixed" for name in low)])
    assert slope(table["Adams(2, velocity)"]) < 1.2


def test_formulas_of_what_is_no_package(table: dict[str, list[str]]) -> None:
    for name, found, mended in (
        ("STORK-2(s=10, derivative_order=1)", 1, 2),
        ("res_3s(c2=1/2, c3=0.8)", 2, 3),
    ):
        assert slope(table[name]) < found + 0.4
        assert slope(table[f"{name}, fixed"]) > mended - 0.2


@needs("nvidia-physicsnemo")
def test_heun_of_physicsnemo_adds_noise_of_another_size() -> None:
    from benchmarks.peer_noise import added

    heun = "EDMStochasticHeunSolver"
    for sigma in (10.0, 0.1):
        assert added(heun, sigma, samples=4000) == pytest.approx(0.5**0.5 / sigma, rel=0.05)
        assert added(heun, sigma, mended=True, samples=4000) == pytest.approx(1, rel=0.05)


@needs("diffusers")
@pytest.mark.parametrize("algorithm", ["dpmsolver", "dpmsolver++"])
def test_third_order_multistep_lacks_a_factor(table: dict[str, list[str]], algorithm: str) -> None:
    name = f"DPMSolverMultistep(3, {algorithm})"
    assert slope(table[name]) < 2.6
    assert slope(table[f"{name}, fixed"]) > 2.8


@needs("diffusers")
def test_third_order_sde_has_a_sign_wrong(table: dict[str, list[str]]) -> None:
    name = "DPMSolverMultistep(3, sde-dpmsolver++)"
    assert slope(table[f"{name}, noise-free SDE"]) < 1.4
    assert slope(table[f"{name}, fixed, noise-free SDE"]) > 2.8


@needs("diffusers")
def test_ddim_on_linspace_steps_to_another_level(table: dict[str, list[str]]) -> None:
    """Errors at 48 and 384 steps, which do not divide 1000."""
    shipped, fixed = table["DDIM, linspace"], table["DDIM, linspace, fixed"]
    assert float(shipped[-1]) > 2 * float(shipped[-4])
    assert float(fixed[-1]) < float(fixed[-4]) / 4


@needs("diffusers")
def test_deis_cancels_in_float32(table: dict[str, list[str]]) -> None:
    """Errors at 48 and 1000 steps."""
    shipped, fixed = table["DEISMultistep(3), float32"], table["DEISMultistep(3), float32, fixed"]
    assert float(shipped[-1]) > 100 * float(shipped[-5])
    assert float(fixed[-1]) < float(fixed[-5])


@needs("k-diffusion")
def test_3m_sde_lacks_a_factor(table: dict[str, list[str]]) -> None:
    assert slope(table["dpmpp_3m_sde(eta=0)"]) < 2.6
    assert slope(table["dpmpp_3m_sde(eta=0), fixed"]) > 2.8
    assert abs(slope(table["dpmpp_2m_sde(eta=0)"]) - 2) < 0.2


def test_the_page_has_the_defects() -> None:
    text = PAGE.read_text(encoding="utf-8")
    template = (ROOT / "benchmarks" / "peer_orders.template.md").read_text(encoding="utf-8")
    assert all(part in text for part in re.split(r"\{[A-Z]+\}", template))
    for report in UPSTREAM.glob("*.md"):
        assert f"(upstream/{report.name})" in text
        assert f"upstream/{report.stem}\n" in (ROOT / "docs" / "index.md").read_text("utf-8")


READS_SKRAMPLE = (
    "import sys; from benchmarks.peer_code import Ported; sys.meta_path.insert(0, Ported)\n"
)


@pytest.mark.parametrize("report", sorted(UPSTREAM.glob("*.md")), ids=lambda p: p.stem)
def test_the_reports_reproduce(report: Path) -> None:
    """With the versions that a report names its program prints what it shows; at most 40 lines."""
    text = report.read_text(encoding="utf-8")
    package, version = re.findall(r"\*\*Versions\.\*\* (\S+) (\S+),", text)[0]
    if package in PEERS and missing(PEERS[package]):
        pytest.skip(f"{package} is {HOW}")
    if package in PEERS and importlib.metadata.version(package) != version:
        pytest.skip(f"the report is of {package} {version}")
    code, shown = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)[0]
    assert len(code.splitlines()) <= 40
    code = READS_SKRAMPLE * (package == "skrample") + code
    for a, b in zip(python(["-c", code]).split(), shown.split(), strict=True):
        try:
            assert float(a) == pytest.approx(float(b), rel=0.3)
        except ValueError:
            assert a == b
