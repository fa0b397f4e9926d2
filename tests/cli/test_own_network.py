"""A network of one's own at the command line: one in float32, noisy ones, and how far its reference is."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from flowsolve.cli import row_progress
from flowsolve.cli.reference_progress import reference_progress
from flowsolve.problems import Mixture
from flowsolve.study import reference
from tests.cli.helpers import done, flowsolve

pytestmark = pytest.mark.usefixtures("undrawn")
MINE = """
import torch
from flowsolve import VPSDE, DiffusionODE, EpsPrediction
from flowsolve.problems import NetworkProblem

class Net(torch.nn.Module):
    def __init__(self, noise):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.noise = torch.nn.Linear(2, 2), noise

    def forward(self, x, t):
        return 0.9 * x + torch.tanh(self.layer(x)) / 4 + self.noise * torch.randn_like(x)

def problem(noise=0.0, dtype=torch.float32):
    ode = DiffusionODE(Net(noise).to(dtype).eval(), EpsPrediction(VPSDE()))
    return NetworkProblem(ode, (2,), 10.0, 0.05)

def half():
    return problem(dtype=torch.float16)

def noisy():
    return problem(1e-3)

def wild():
    return problem(0.3)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "mymodule.py").write_text(MINE)
    return tmp_path


@pytest.mark.parametrize("name", ["problem", "half"])
def test_order_of_a_network_in_float32_and_half(name: str, home: Path) -> None:
    steps = ["10", "20", "40"] if name == "problem" else ["4", "6", "8"]
    text = done(
        "order", "heun", "--problem", f"mymodule:{name}", "--seeds", "4", "--steps", *steps,
        "--out", "o", cwd=home,
    )  # fmt: skip
    found = re.search(r"Heun\(\) +karras +2 +([\d.]+)", text)
    assert found, text
    assert float(found[1]) == pytest.approx(2, abs=0.15 if name == "problem" else 0.8)
    assert (home / "o" / "convergence.png").exists()


def test_noisy_networks_end(home: Path) -> None:
    args = ["--seeds", "4", "--nfe", "4", "8", "--solvers", "heun"]
    for name in ("noisy", "wild"):
        made = flowsolve("compare", f"mymodule:{name}", *args, cwd=home)
        assert made.returncode != 0
        assert "Traceback" not in made.stderr
        assert "cannot be measured" in made.stderr
        assert ".eval()" in made.stderr


class AsNetwork(Mixture):
    is_network = True
    tolerance = 1e-8


def test_a_reference_tells_how_far_it_is() -> None:
    problem, shown = AsNetwork(), list[str]()
    x = problem.start(range(2), torch.float64)
    with reference_progress(shown.append, 0.0):
        reference(problem, x, 10.0, 0.05, cached=False)
    assert shown[0] == "reference: 2 evaluations"
    assert re.fullmatch(r"reference: \d+ evaluations, two answers agree to \de-\d\d", shown[-1])
    shown.clear()
    with pytest.MonkeyPatch.context() as patch, reference_progress(shown.append, 0.0):
        patch.setattr("flowsolve.cli.reference_progress.MANY", 5)
        reference(problem, x, 10.0, 0.05, cached=False)
    assert [
        line.endswith("; does the network round its labels? fs.check says so") for line in shown
    ] == [int(line.split()[1]) > 5 for line in shown]
    shown.clear()
    with reference_progress(shown.append, 60.0):
        reference(problem, x, 10.0, 0.05, tolerance=1e-6, cached=False)
    assert shown == []


class Slow(Mixture):
    """Some seconds for a reference, on any machine."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        time.sleep(0.005)
        return super().eps(x, sigma)


def test_a_terminal_shows_it_in_the_bar() -> None:
    problem, out = Slow(), io.StringIO()
    x = problem.start(range(2), torch.float64)
    with row_progress.progress(Console(file=out, force_terminal=True, width=120), "Mixture()"):
        reference(problem, x, 10.0, 0.05, cached=False)
    assert re.search(r"reference: \d+ evaluations", out.getvalue())
