"""What an import loads, and that the directions between the parts hold."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORK = sorted((ROOT / "flowsolve").rglob("*.py"))
SOLVERS = sorted((ROOT / "solvers" / "flowsolve_solvers").rglob("*.py"))
HEAVY = ("torch", "torchdiffeq", "matplotlib", "scipy", "rich", "argparse", "safetensors")


def fresh(code: str) -> list[str]:
    """The modules that a new interpreter holds after `code`."""
    ran = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            f"{code}\nimport json, sys\nprint(json.dumps([*sys.modules]))",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "solvers")])},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout))


def loaded(modules: list[str], names: tuple[str, ...]) -> list[str]:
    return [m for m in modules if any(m == n or m.startswith(f"{n}.") for n in names)]


# `import json` above loads nothing of these, and neither does the start of the interpreter
def test_the_probe_itself() -> None:
    assert not loaded(fresh("pass"), HEAVY)
    assert loaded(fresh("import argparse"), HEAVY) == ["argparse"]


@pytest.mark.parametrize("package", ["flowsolve", "flowsolve_solvers", "flowsolve.metrics"])
def test_import_is_light(package: str) -> None:
    modules = fresh(f"import {package}")
    assert package in modules
    assert not loaded(modules, HEAVY)


def test_every_object_of_the_top_level_is_there_without_torch() -> None:
    modules = fresh("import flowsolve\n[getattr(flowsolve, n) for n in dir(flowsolve)]")
    assert not loaded(modules, HEAVY)


def test_grids_clocks_and_solvers_need_no_torch() -> None:
    code = """
from flowsolve import *
from flowsolve.integrate.cost import cost
import flowsolve_solvers as f
grid = uniform_t(10, 10.0, 0.1, clock=VPSDE()).to_zero()
EpsPrediction(VPSDE())(grid[3])
assert [cost(s, grid) for s in (f.Euler(), f.DPMSolverPP2M(), f.Adams(3), f.Heun())]
assert "RK4" in repr(f.ALL)
"""
    assert not loaded(fresh(code), ("torch", "matplotlib", "scipy.integrate", "rich", "argparse"))


def test_the_framework_does_not_load_a_solver() -> None:
    modules = fresh("import flowsolve.integrate, flowsolve.analysis, flowsolve.study.references")
    assert not loaded(modules, ("flowsolve_solvers",))


# --- directions ----------------------------------------------------------------------------------


def for_types(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:`"""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(tree: ast.AST, types: bool = False) -> set[str]:
    """The modules that import statements name, wherever they stand; for annotations if asked."""
    found: set[str] = set()
    skip = {
        id(inner)
        for node in ast.walk(tree)
        if for_types(node) and not types
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found |= {str(node.module), *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in ("import_module", "__import__"):
                found |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
    return found


def names(path: Path, package: str) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n for n in imports(tree, types=True) if n == package or n.startswith(f"{package}.")]


@pytest.mark.parametrize("path", FRAMEWORK, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_framework_never_names_a_solver_package(path: Path) -> None:
    assert not names(path, "flowsolve_solvers")


@pytest.mark.parametrize("path", SOLVERS, ids=lambda p: p.name)
def test_solvers_see_only_the_protocol(path: Path) -> None:
    protocol = {"solver", "ode", "schedule", "errors"}
    found = names(path, "flowsolve")
    assert "flowsolve" not in found
    assert {n.split(".")[1] for n in found} <= protocol


def test_only_plot_draws() -> None:
    for path in FRAMEWORK:
        if path.parent.name != "plot":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not {n for n in imports(tree) if n.split(".")[0] == "matplotlib"}, path


def test_the_lists_above_are_not_empty() -> None:
    assert {"driver.py", "grid.py", "table.py"} <= {p.name for p in FRAMEWORK}
    assert {"euler.py", "multistep.py"} <= {p.name for p in SOLVERS}
    assert names(ROOT / "solvers" / "flowsolve_solvers" / "euler.py", "flowsolve.solver")


def test_import_linter_is_clean() -> None:
    tool = Path(sysconfig.get_path("scripts")) / "lint-imports"
    if not tool.exists():
        pytest.skip("import-linter is not installed beside this interpreter")
    ran = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout
