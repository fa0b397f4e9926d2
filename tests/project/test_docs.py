"""The documentation runs: its Python, the outputs it shows, its links, and its table of solvers.

A block marked python is run, all blocks of a page in one namespace. A text block right after it is
what it prints. `<!-- not run -->` on the line before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from flowsolve.analysis.strong_order import STRONG_ORDER
from flowsolve.solver import provided
from flowsolve.study import certificate as certify
from flowsolve_solvers import ALL, STOCHASTIC
from tests.cli.helpers import flowsolve

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]
TABLE = DOCS / "certificate.md"
# names that a page speaks of without defining them: the reader's network, and the usual imports
GIVEN = {
    "README.md": """
from dataclasses import dataclass
from flowsolve import OneStep
network = lambda x, t: x
"""
}
FENCE = re.compile(
    r"^(?P<skip><!-- not run -->\n+)?```python\n(?P<code>.*?)^```\n(?:\n*```text\n(?P<out>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    line: int
    code: str
    out: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, m.start("code")), m["code"], m["out"])
        for m in FENCE.finditer(text)
        if not m["skip"]
    ]


def test_the_extractor(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\n<!-- not run -->\n```python\nno\n```\n\n"
        "```console\n$ ls\n```\n\n```python\nx = 2\n```\n"
    )
    assert blocks(page) == [Block(1, "print(1)\n", "1\n"), Block(18, "x = 2\n", None)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "page", module)
    space: dict[str, Any] = module.__dict__
    exec(GIVEN.get(page.name, ""), space)
    for line, code, expected in blocks(page):
        compiled = compile("\n" * line + code, str(page), "exec", dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compiled, space)
        if expected is not None:
            shown = [x.rstrip() for x in printed.getvalue().splitlines()]
            assert shown == expected.splitlines(), f"{page.name}, the block at line {line}"


CONSOLE = re.findall(
    r"^```console\n\$ flowsolve (.*)\n((?:.*\n)*?)```$",
    (DOCS / "cli.md").read_text("utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=[c.split()[0] for c, _ in CONSOLE])
def test_the_command_line_prints_what_its_page_shows(
    command: str, shown: str, undrawn: None, tmp_path: Path
) -> None:
    """Without progress, which goes to stderr; "..." stands for lines left out."""
    got = flowsolve(*shlex.split(command), cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    printed = "".join(f"{line.rstrip()}\n" for line in got.stdout.splitlines())
    at = 0
    for part in shown.split("...\n"):
        assert part in printed[at:], printed
        at = printed.index(part, at) + len(part)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_files_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = executed(path) or (page.parent / path if path else page)
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name} links to {target}"


def executed(path: str) -> Path | None:
    """The script that a page of the lessons or of the gallery is made from."""
    folder, _, name = path.rpartition("/")
    source = {"learn": DOCS / "lessons", "gallery": ROOT / "examples"}.get(folder)
    return source / (f"{name}.py" if name != "index" else "GALLERY_HEADER.rst") if source else None


def anchors(page: Path) -> set[str]:
    """Headings as GitHub and MyST turn them into anchors."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {p.stem for p in DOCS.glob("*.md")} - {"index", TABLE.stem}
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    listed = {x for tree in trees for x in tree.splitlines() if x and not x.startswith(":")}
    assert pages | {"learn/index", "gallery/index"} == {x for x in listed if "upstream" not in x}


NAMES = DOCS / "coming-from.md"


def test_every_entry_of_the_table_of_names_runs() -> None:
    """The column of this package, in the namespace of the page's own code."""
    space: dict[str, Any] = {}
    for _, code, _ in blocks(NAMES):
        exec(code, space)
    rows = [
        line for line in NAMES.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    cells = [line.removeprefix("| ").split("|")[1] for line in rows]
    codes = [c for cell in cells for c in re.findall(r"(?<!\[)`([^`]+\))`", cell)]
    assert len(codes) > 25
    for code in codes:
        eval(code, space)


def test_every_solver_has_its_words() -> None:
    text = (DOCS / "solvers.md").read_text(encoding="utf-8")
    ours = [p.name for p in provided().values() if p.provider == "flowsolve_solvers"]
    assert len(ours) > 10
    assert not [name for name in ours if not re.search(rf"\b{name}\b", text)]


def test_every_module_of_solvers_is_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    modules = [p.stem for p in (ROOT / "solvers" / "flowsolve_solvers").glob("[a-z]*.py")]
    assert len(modules) > 20
    assert not [m for m in modules if f"automodule:: flowsolve_solvers.{m}\n" not in text]


def test_the_certificate_lists_all() -> None:
    """Its measured columns are made by `flowsolve certify`, and its slopes must hold."""
    plain, noisy = TABLE.read_text(encoding="utf-8").split(f"\n{certify.STOCHASTIC}\n\n")
    again = "run: flowsolve certify --out docs/certificate.md --overwrite"
    for text, solvers, slopes, paths in ((plain, ALL, 4, False), (noisy, STOCHASTIC, 2, True)):
        lines = text.splitlines()[2:]
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
        assert [row[:2] for row in rows] == [[f"`{s!r}`", str(s.order)] for s in solvers], again
        for solver, row in zip(solvers, rows, strict=True):
            claims = [solver.order] * slopes + [STRONG_ORDER] * paths
            for measured, claim in zip(row[2:], claims, strict=False):
                assert abs(float(measured) - claim) < certify.TOLERANCE, row
