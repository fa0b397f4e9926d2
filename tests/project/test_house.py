"""The house: rooms on floors, faces that say what is in them, names that stay, and no circle anywhere."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flowsolve
import flowsolve_solvers

ROOT = Path(__file__).parents[2]
HOMES = {"flowsolve": ROOT, "flowsolve_solvers": ROOT / "solvers"}
FILES = {
    ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__"): path
    for package, home in HOMES.items()
    for path in sorted((home / package).rglob("*.py"))
}
FACES = [name for name, path in FILES.items() if path.name == "__init__.py"]
ROOMS = [name for name in FACES if name.count(".") == 1]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


# the public names of the version before the rooms
NAMES = {
    "flowsolve": """
    BrownianNoise Clip ClockTime Continued DATA DiffusionODE EDMClock EDMPrediction
    EpsPrediction FlowClock FlowPrediction GITS Grid Guided Inversion Known LOG_SIGMA NOISE
    Noise ODE OneStep Point Repaint Replay RoundTrip SIGMA SeededNoise Solution Solver Table
    Threshold TwoState VESDE VPSDE VPrediction WithNoise Wrapped X0Prediction arctan ays beta
    beta_t cfgpp decode dmn dynamic_shift encode exponential exponential_alpha_bar flow_uniform
    from_alpha_bar from_alphas_cumprod from_betas gits gits_table inpaint interval invert karras
    laplace leading linear_beta linspace log_snr partial_start quadratic_t resample round_to
    round_trip_error sample scaled_linear_beta sigmoid_beta solve squared_cosine tabulate
    tau_linear tau_quadratic trailing uniform uniform_t unit_noise ve_start vp_start
    zero_terminal_snr __version__
    """,
    "flowsolve_solvers": """
    ALL Adams Ancestral BDIA DDIM DDIMEta DDIMInverse DDIM_ETA DDPM DEIS
    DPM2Ancestral DPMSolver2 DPMSolver3 DPMSolverAdaptive DPMSolverFast DPMSolverM DPMSolverPP2M
    DPMSolverPP2MSDE DPMSolverPP2S DPMSolverPP2SAncestral DPMSolverPP3MSDE DPMSolverPPM
    DPMSolverPPSDE EDICT EDM ERSDE ER_SDE Euler EulerAncestral EulerInT EulerInVariance FlowHeun
    GridSinglestep Heun IPNDM IPNDMV LMS Midpoint OBELM PLMS PNDM Plan PseudoRK4
    PublishedDPMSolver RES2S RES3S RK4 Rex RhoAB SASolver SDE_ETA STOCHASTIC Scipy TWO_STATE
    Torchdiffeq UniPC WrongNeighbour
    """,
}
# every import line that its README, docs, examples and benchmarks showed
LINES = """
from flowsolve import Grid, Solver
from flowsolve import Grid, karras, log_snr
from flowsolve import Grid, log_snr
from flowsolve import ODE, OneStep
from flowsolve import ODE, VPSDE, DiffusionODE, EpsPrediction, Grid, Solver, log_snr, solve
from flowsolve import karras, sample, unit_noise, vp_start
from flowsolve import metrics as m
from flowsolve import plot
from flowsolve import plot, problems
from flowsolve import plot, problems, study
from flowsolve import problems
from flowsolve import problems, study
from flowsolve import study
from flowsolve.bits import bits_per_dim, dequantise
from flowsolve.budget import fit
from flowsolve.dense import hermite
from flowsolve.experiments import edit
from flowsolve.experiments.quality import quality
from flowsolve.experiments.run import collect
from flowsolve.fixed_point import invert
from flowsolve.guidance import Guided
from flowsolve.interop.diffusers import from_diffusers
from flowsolve.interop.diffusers import load
from flowsolve.interop.diffusers import read_config
from flowsolve.interop.edm import from_edm
from flowsolve.interop.fid import inception_features
from flowsolve.interop.flow import from_velocity
from flowsolve.interop.k_diffusion import as_k_sampler, from_denoiser
from flowsolve.interop.scheduler import as_scheduler
from flowsolve.interop.score_sde import from_score
from flowsolve.interop.stepping import Stepping
from flowsolve.interpolate import square
from flowsolve.inversion import Encoder, encode, round_trip_error
from flowsolve.labels import Labels, dpm_solver_labels, k_diffusion_labels, whole
from flowsolve.labels import SigmaClock
from flowsolve.law import law_error
from flowsolve.likelihood import log_prob, vp_prior
from flowsolve.measure import Case
from flowsolve.metrics import energy, floor, frechet, pca, recall
from flowsolve.precondition import VE
from flowsolve.problems import Dataset, Digits, Mixture, Mixture1D, Problem
from flowsolve.problems import Digits
from flowsolve.problems import Mixture, Mixture1D, Problem
from flowsolve.problems import Mixture, exact_network
from flowsolve.problems import NetworkProblem
from flowsolve.problems import Problem
from flowsolve.problems import exact_network
from flowsolve.problems.classifier import DigitsClassifier
from flowsolve.problems.digits import digits_data
from flowsolve.problems.judge import digits_classes, digits_features
from flowsolve.problems.unet import NO_CLASS, DigitsUNet
from flowsolve.recurrence import recurrence
from flowsolve.reference import reference
from flowsolve.slope import observed_order
from flowsolve.study import work_precision
from flowsolve.training import Objective
from flowsolve.training import Objective, moving_average
from flowsolve_solvers import ALL, DEIS, LMS, Adams, DPMSolverM, DPMSolverPP2M, DPMSolverPPM, Euler
from flowsolve_solvers import DPMSolverPP2M
from flowsolve_solvers import DPMSolverPP2M, Heun
from flowsolve_solvers import Euler, Heun, UniPC
from flowsolve_solvers import Heun
from flowsolve_solvers import UniPC
from flowsolve_solvers.ddim import DDIMEta
import flowsolve as fs
import flowsolve_solvers as S
"""


# --- size -----------------------------------------------------------------------------------------


def test_few_nouns_at_the_top_and_short_files() -> None:
    top = [*(ROOT / "flowsolve").iterdir()]
    assert len([p for p in top if p.is_dir() and p.name != "__pycache__"]) <= 12
    assert len([p for p in top if p.suffix == ".py"]) <= 5
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()
    }
    assert not {name: n for name, n in lengths.items() if n > 250}
    assert statistics.median(lengths.values()) < 115


def functions(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, list[str], int]]:
    """Every function, its positional parameters without self and cls, and how many it has in all."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            a = node.args
            positional = [p.arg for p in (*a.posonlyargs, *a.args) if p.arg not in ("self", "cls")]
            rest = (a.vararg is not None) + (a.kwarg is not None)
            yield node, positional, len(positional) + len(a.kwonlyargs) + rest


@pytest.mark.parametrize("name", FILES)
def test_no_function_has_many_parameters(name: str) -> None:
    for node, positional, every in functions(tree(name)):
        assert len(positional) <= 5, node.name
        assert every <= 8 or node.name.startswith("_"), node.name


# --- imports --------------------------------------------------------------------------------------


def imported(name: str) -> set[str]:
    """The files of both packages that a file imports, wherever it does, for annotations too."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & {*FILES} - {name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names along a circle of the graph, or nothing."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def test_the_search_for_circles() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_no_circle_of_files() -> None:
    """A face imports all files of its room, so that what imports a face imports them."""
    graph = {name: imported(name) for name in FILES}
    assert sum(map(len, graph.values())) > 300
    assert circle(graph) == []


def test_no_circle_of_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for name in FILES:
        room = ".".join(name.split(".")[:2])
        others = {".".join(other.split(".")[:2]) for other in imported(name)}
        graph.setdefault(room, set()).update(others - {room, "flowsolve"})
    assert circle(graph) == []


# --- faces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", [f for f in FACES if f != "flowsolve.cli.commands"])
def test_a_face_says_what_each_file_holds(face: str) -> None:
    text = ast.get_docstring(tree(face)) or ""
    inside = [
        n.removeprefix(f"{face}.") for n in FILES if n.rpartition(".")[0] == face and "._" not in n
    ]
    if face == "flowsolve":
        inside = [n for n in inside if f"flowsolve.{n}" in ROOMS]
    assert len(inside) > 2
    assert not [n for n in inside if n not in text.replace(",", " ").replace(":", " ").split()]


@pytest.mark.parametrize("name", [n for n in FILES if not n.endswith("__main__")])
def test_an_import_of_a_file_gives_a_module(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"import {name} as module", space)
    assert isinstance(space["module"], ModuleType)
    assert space["module"].__name__ == name


@pytest.mark.parametrize("room", ROOMS)
def test_a_face_re_exports_in_the_form_that_checkers_read(room: str) -> None:
    for node in tree(room).body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module != "__future__"
            and room != "flowsolve.cli"
        ):
            assert all(a.asname == a.name for a in node.names), ast.unparse(node)


# --- an experiment is three files -----------------------------------------------------------------

EXPERIMENTS = {
    # its file in study and plot: its commands
    "quality": ["quality", "table1"],
    "consistency": ["consistency"],
    "interpolation": ["interpolate"],
    "likelihood": ["likelihood"],
    "round_trip": ["table2"],
    "editing": ["edit"],
}
TAKEN_OUT = """
import flowsolve.plot, flowsolve.study
from flowsolve.cli import commands, main
print(flowsolve.__file__)
print(*commands.names())
raise SystemExit(main(["--help"]))
"""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_house_does_not_notice_that_an_experiment_is_gone(name: str, tmp_path: Path) -> None:
    gone = [f"study/{name}.py", f"plot/{name}.py"]
    gone += [f"cli/commands/{command}.py" for command in EXPERIMENTS[name]]
    house = tmp_path / "flowsolve"
    shutil.copytree(ROOT / "flowsolve", house, ignore=shutil.ignore_patterns("__pycache__"))
    for file in gone:
        (house / file).unlink()
    for face in (house / "study" / "__init__.py", house / "plot" / "__init__.py"):
        lines = face.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not re.search(rf"\b{name}\b", line)]
        assert 2 <= len(lines) - len(kept) <= 6
        face.write_text("".join(kept), encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "solvers")])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", TAKEN_OUT], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    at, commands = ran.stdout.splitlines()[:2]
    assert at == str(house / "__init__.py")
    assert "compare" in commands.split()
    assert not {*EXPERIMENTS[name]} & {*commands.split()}


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", [flowsolve, flowsolve_solvers], ids=lambda p: p.__name__)
def test_every_public_name_is_still_there(package: ModuleType) -> None:
    names = NAMES[package.__name__].split()
    assert len(names) > 50
    assert not {*names} - {*dir(package)}
    assert all(getattr(package, name) is not None for name in names)


def test_the_names_of_the_top_are_those_of_its_stub() -> None:
    stub = ast.parse((ROOT / "flowsolve" / "__init__.pyi").read_text(encoding="utf-8"))
    named = {a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert named == {*flowsolve.__all__}
    assert named <= {*dir(flowsolve)}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            room = importlib.import_module(str(node.module))
            for alias in node.names:
                assert getattr(flowsolve, alias.name) is getattr(room, alias.name)
    with pytest.raises(AttributeError, match="module 'flowsolve' has no attribute 'karas'"):
        flowsolve.karas  # noqa: B018
    assert flowsolve.__version__.count(".") == 2


@pytest.mark.parametrize("line", [line for line in LINES.split("\n") if line])
def test_import_lines_of_before_still_work(line: str) -> None:
    exec(line, {})


def test_an_old_path_is_the_module_itself() -> None:
    import flowsolve.experiments.quality
    import flowsolve.labels

    assert flowsolve.labels is importlib.import_module("flowsolve.schedule.labels")
    assert flowsolve.experiments.quality is importlib.import_module("flowsolve.study.quality")
    with pytest.raises(ModuleNotFoundError, match=r"flowsolve\.nowhere"):
        importlib.import_module("flowsolve.nowhere")
