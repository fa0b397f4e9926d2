from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAP = "raise RuntimeError('the user’s own file was imported')\n"
# A short solve by names that the user's own files have too.
SOLVE = """
import flowsolve, flowsolve_solvers
from flowsolve.problems import Mixture1D
from flowsolve.study import convergence
from flowsolve_solvers import Heun
print(flowsolve.__file__)
print(flowsolve_solvers.__file__)
print(round(convergence(Heun(), Mixture1D(), steps=(80, 160, 320), seeds=range(2)).order()))
"""
COMMAND = "import sys; from flowsolve.cli import main; sys.exit(main())"


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=300
    )


def checked(*command: str, cwd: Path, **env: str) -> str:
    done = run(*command, cwd=cwd, **env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def build(source: Path, out: Path, *kinds: str) -> None:
    checked(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out), ".",
            cwd=source)  # fmt: skip


def pip_install(wheel: Path, target: Path) -> None:
    checked(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps",
            "--no-index", "--quiet", "--target", str(target), str(wheel), cwd=target.parent)  # fmt: skip


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out)  # without a kind: the wheel is built from the unpacked sdist
    assert len([*out.glob("*.tar.gz")]) == len([*out.glob("*.whl")]) == 1
    return out


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    target = tmp_path_factory.mktemp("site") / "lib"
    pip_install(next(built.glob("*.whl")), target)
    return target


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder as sampler repositories have it: with a solvers.py and more of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("solvers", "solver", "grid", "table", "problems", "sampler", "plot"):
        (folder / f"{name}.py").write_text(TRAP)
    return folder


# --- what is in the archives ----------------------------------------------------------------------


def test_the_wheel_holds_both_packages_and_all_their_data(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = {*archive.namelist()}
        info = next(n.split("/")[0] for n in names if ".dist-info/" in n)
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
    tops = {n.split("/")[0] for n in names}
    assert tops == {"flowsolve", "flowsolve_solvers", info}  # no `solvers`, no tests
    assert {"flowsolve/py.typed", "flowsolve_solvers/py.typed"} <= names
    networks = ("digits", "photos", "signals", "letters")
    assert {f"flowsolve/problems/{n}.safetensors" for n in (*networks, "classifier")} <= names
    licences = {"LICENSE", "APACHE-2.0.txt", *(f"{n.upper()}.md" for n in networks)}
    assert licences <= {n.rpartition("/")[2] for n in names if n.startswith(f"{info}/licenses/")}
    assert "[console_scripts]\nflowsolve = flowsolve.cli:main" in entry_points
    assert "[flowsolve.solvers]\nflowsolve = flowsolve_solvers" in entry_points
    assert "License-Expression: MIT" in metadata
    assert "Requires-Dist: torch" in metadata
    folders = {"flowsolve": "flowsolve", "flowsolve_solvers": "solvers/flowsolve_solvers"}
    for package, folder in folders.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".js", ".mjs", ".css", ".html", ".json"):
                assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc")]


def test_the_sdist_holds_the_sources_and_no_rubbish(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    assert {
        "pyproject.toml", "README.md", "LICENSE", "flowsolve/py.typed", "tests/conftest.py",
        "flowsolve/problems/digits.safetensors", "flowsolve/problems/classifier.safetensors",
        "flowsolve/problems/photos.safetensors", "examples/train_networks.py",
        "solvers/flowsolve_solvers/__init__.py", "examples/train_digits.py",
        "examples/train_classifier.py", "flowsolve/explorer/page/engine.js", "tests/explorer/jobs.js",
    } <= names  # fmt: skip
    rubbish = (".venv", "results", ".git/", "__pycache__", ".mypy_cache", "shared")
    assert not [n for n in names if n.startswith(rubbish) or "__pycache__" in n]


# --- installed, and run beside the user's own files -----------------------------------------------


def environments(installed: Path) -> Mapping[str, dict[str, str]]:
    return {"wheel": {"PYTHONPATH": str(installed)}, "editable": {}}


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installed_flowsolve_is_not_shadowed_by_the_users_files(
    kind: str, installed: Path, work: Path
) -> None:
    env = environments(installed)[kind]
    home = (installed if kind == "wheel" else ROOT).as_posix()
    framework, solvers, order = checked(sys.executable, "-c", SOLVE, cwd=work, **env).split()
    assert framework == f"{home}/flowsolve/__init__.py"
    prefix = home if kind == "wheel" else f"{home}/solvers"
    assert solvers == f"{prefix}/flowsolve_solvers/__init__.py"
    assert order == "2"
    # with the working folder first on the path, as `python -m` and notebooks have it
    text = checked(sys.executable, "-c", COMMAND, "solvers", cwd=work, **env)
    assert "Heun" in text
    assert "DPMSolverPP2M" in text


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_the_script_itself_runs_there(kind: str, installed: Path, work: Path) -> None:
    bin_folder = installed / "bin" if kind == "wheel" else Path(sys.executable).parent
    env = environments(installed)[kind]
    script = str(bin_folder / "flowsolve")
    text = checked(script, "order", "heun", "--steps", "40", "80", "160", "--seeds", "2",
                   cwd=work, **env)  # fmt: skip
    assert "2.0" in text.splitlines()[-1]
    assert "DPMSolver3" in checked(script, "solvers", cwd=work, **env)
    assert not (work / "results").exists()


def test_the_networks_of_the_wheel_load(installed: Path, work: Path) -> None:
    code = (
        "from flowsolve.problems import Digits, Letters, Photos, Signals\n"
        "from flowsolve.problems.judge import digits_features\n"
        "for problem in (Letters(), Photos(), Signals(), Digits()):\n"
        "    print(problem.eps(problem.start([0]), 1.0).shape)\n"
        "print(digits_features(problem.start([0])).shape)"
    )
    text = checked(sys.executable, "-c", code, cwd=work, PYTHONPATH=str(installed))
    assert all(shape in text for shape in ("1, 8, 8", "3, 16, 16", "1, 40", "1, 48"))


# --- solvers of other packages --------------------------------------------------------------------

MODULE = '''
from dataclasses import dataclass
from flowsolve.solver import OneStep

__all__ = ["{name}"]

@dataclass(frozen=True, repr=False)
class {name}(OneStep):
    """x_t = x_s + (t - s) ε(x_s, s), by others.   A tiny package."""
    order = 1

    def step(self, ode, x, s, t):
        return x + (t - s) * ode.eps(x, s)
'''
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{package}"
version = "1.0"
[project.entry-points."flowsolve.solvers"]
{package} = "{value}"
"""


def provider(folder: Path, package: str, name: str, value: str = "", module: str = "") -> Path:
    """A distribution that provides a solver, as it is when installed; the folder to be on the path."""
    site = folder / f"{package}-site"
    info = site / f"{package}-1.0.dist-info"
    (site / package).mkdir(parents=True)
    info.mkdir()
    (site / package / "__init__.py").write_text(module or MODULE.format(name=name))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flowsolve.solvers]\n{package} = {value or package}\n")
    return site


def built_provider(folder: Path, package: str, name: str, value: str) -> Path:
    """The same, built and installed."""
    source, site = folder / f"{package}-source", folder / f"{package}-site"
    (source / package).mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT.format(package=package, value=value or package))
    (source / package / "__init__.py").write_text(MODULE.format(name=name))
    build(source, folder / f"{package}-dist", "--wheel")
    pip_install(next((folder / f"{package}-dist").glob("*.whl")), site)
    return site


def solvers_with(
    work: Path, *sites: Path, command: tuple[str, ...] = ("solvers",)
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*map(str, sites), os.environ.get("PYTHONPATH", "")])
    return run(sys.executable, "-c", COMMAND, *command, cwd=work, PYTHONPATH=path)


@pytest.mark.parametrize("form", ["package", "class"])
def test_anothers_solver_is_found_by_its_name(form: str, work: Path, tmp_path: Path) -> None:
    value = "tiny_ones:TinyStep" if form == "class" else ""
    site = built_provider(tmp_path, "tiny_ones", "TinyStep", value)
    listed = solvers_with(work, site)
    assert listed.returncode == 0, listed.stderr
    line = next(x for x in listed.stdout.splitlines() if "TinyStep" in x)
    assert "by others." in line
    assert "A tiny package." in line
    assert "Heun" in listed.stdout
    used = solvers_with(work, site, command=(
        "order", "tiny-step", "--steps", "40", "80", "160", "--seeds", "2"))  # fmt: skip
    assert used.returncode == 0, used.stderr
    assert "TinyStep() on mixture_1d" in used.stdout
    assert "not settled" not in used.stdout.splitlines()[-2]
    assert "TinyStep" not in solvers_with(work).stdout


def test_a_new_file_in_a_package_appears_without_installing_again(
    work: Path, tmp_path: Path
) -> None:
    site = provider(tmp_path, "tiny_ones", "TinyStep")
    assert "AnotherOne" not in solvers_with(work, site).stdout
    (site / "tiny_ones" / "more.py").write_text(MODULE.format(name="AnotherOne"))
    text = solvers_with(work, site).stdout
    assert "AnotherOne" in text
    assert "TinyStep" in text


def test_two_providers_of_one_name_are_an_error_that_names_both(work: Path, tmp_path: Path) -> None:
    sites = [provider(tmp_path, package, "Heun" if package == "aa_ones" else "Same", "")
             for package in ("aa_ones", "bb_ones", "cc_ones")]  # fmt: skip
    done = solvers_with(work, *sites[1:])
    assert done.returncode in (1, 2)
    assert "two packages provide a solver 'Same': bb_ones and cc_ones" in done.stderr
    assert "Traceback" not in done.stderr
    done = solvers_with(work, sites[0], command=("table", "euler"))  # ours against theirs
    assert done.returncode in (1, 2)
    assert "'Heun': aa_ones and flowsolve_solvers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "value", "reason"),
    [
        ("import not_installed_anywhere", "", "No module named 'not_installed_anywhere'"),
        ("raise ValueError('half written')", "", "half written"),
        ("def (:", "", "SyntaxError"),
        ("x = 1", "bad_ones:Missing", "Missing"),
        ("__all__ = ['Gone']", "", "Gone"),
    ],
)
def test_a_provider_that_cannot_be_imported_is_left_out_with_a_warning(
    module: str, value: str, reason: str, work: Path, tmp_path: Path
) -> None:
    done = solvers_with(work, provider(tmp_path, "bad_ones", "", value, module))
    assert done.returncode == 0
    assert "Heun" in done.stdout
    assert "bad_ones" in done.stderr
    assert "are left out" in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
