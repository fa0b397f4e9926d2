"""Examples are executed and assert what they claim when the docs are built. Here: that they are scripts."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
RUN = [p for p in EXAMPLES if not p.stem.startswith("train_")]
ORDER = re.compile(r"^ORDER = \(\n(.*?)\)", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_it_is_short_and_has_a_title(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title, line = text.splitlines()[1:3]
    assert text.startswith('"""\n')
    assert line == "=" * len(title)
    assert len(text.splitlines()) < 110


@pytest.mark.parametrize("path", RUN, ids=lambda p: p.name)
def test_it_writes_its_figures_under_its_own_name_and_says_so(path: Path) -> None:
    """The gallery takes them by that name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    saved = [ast.literal_eval(c.args[1]) for c in calls if ast.unparse(c.func) == "plot.save"]
    assert saved
    assert all(name.startswith(path.stem) and name.endswith(".png") for name in saved)
    assert f"drawn: {', '.join(saved)}" in path.read_text(encoding="utf-8")


def test_the_gallery_knows_an_order_for_all() -> None:
    text = (ROOT / "docs" / "_ext" / "flowsolve_docs.py").read_text(encoding="utf-8")
    listed = ORDER.search(text)
    assert listed
    assert sorted(re.findall(r'"(\w+)"', listed[1])) == [p.stem for p in EXAMPLES]


def test_one_runs_as_a_program(tmp_path: Path) -> None:
    """In a process of its own, where it leaves its figure and nothing else."""
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "ddim_is_euler.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "solvers")]),
            "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": "1",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("drawn: ddim_is_euler.png\n")
    (figure,) = tmp_path.iterdir()
    assert figure.name == "ddim_is_euler.png"
    assert figure.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert figure.stat().st_size > 10_000
