"""Every row of the table of docs/diffusers.md: `sample` against the loop of diffusers' own scheduler."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve.interop.diffusers.families import FAMILIES
from flowsolve_solvers import Euler
from tests.parity.models import MODELS, Model, made, ours, their_loop
from tests.parity.models import NOISE as MODEL_NOISE
from tests.parity.pipelines import NOISE, diffusers, theirs, unet
from tests.parity.rows import DIFFERENCES, ROWS, Row
from tests.parity.unmodified import CASES

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
PAGE = Path(__file__).parents[2] / "docs" / "diffusers.md"
MARKED = re.compile(r"(<!-- table of what agrees -->\n)(.*?)(<!-- end -->)", re.DOTALL)
HEAD = [
    "| class or model | network, levels | solver here | 8 steps | 20 steps | pipelines | differs |",
    "|---|---|---|---:|---:|---|---|",
]


def of_a_row(row: Row, n: int) -> float:
    name = row.config["_class_name"]
    scheduler = getattr(diffusers, name)(**{k: v for k, v in row.config.items() if k[0] != "_"})
    solver = row.solver(n)
    if solver.stochastic:  # the same generator, in the same order
        ends = [
            theirs(s, n, unet(), generator=torch.Generator().manual_seed(7))
            for s in (fs.as_scheduler(solver, scheduler, as_shipped=row.as_shipped), scheduler)
        ]
        mine, peer = ends
    else:
        m = from_diffusers(unet(), read_config(row.config, as_shipped=row.as_shipped))
        mine = fs.sample(m.ode, NOISE, m.spacing(n), solver, start=m.start).x_t
        peer = theirs(scheduler, n, unet())
    return float((mine - peer).abs().max() / peer.abs().max())


def of_a_model(m: Model, n: int) -> float:
    model = made(m)
    known, peer = ours(m, model), their_loop(m, model, n)
    mine = fs.sample(known.ode, MODEL_NOISE[m.event], known.spacing(n), Euler(), start=known.start)
    return float((mine.x_t - peer).abs().max() / peer.abs().max())


def pipelines() -> dict[str, list[str]]:
    """The unmodified pipelines that a scheduler or a model stands in."""
    found = defaultdict(list)
    for name, case in CASES.items():
        parts = case.make(case.scheduler()).components
        for part in ("scheduler", "transformer"):
            found[type(parts.get(part)).__name__].append(name)
    return found


def line(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def test_the_table_of_the_page() -> None:
    where, lines, errors = pipelines(), list(HEAD), []
    for row in ROWS:
        name = row.config["_class_name"]
        found = [] if row.elsewhere else [of_a_row(row, n) for n in (8, 20)]
        errors += found
        cells = [f"{e:.0e}" for e in found] or [row.elsewhere, ""]
        what = f"{row.what}, as shipped" if row.as_shipped else row.what
        differs = ", ".join(map(str, DIFFERENCES.get(name.removesuffix("Scheduler"), ())))
        runs = "; ".join(where.pop(name, []))  # beside the first row of a class
        lines.append(line(f"`{name}`", what, f"`{row.solver(20)!r}`", *cells, runs, differs))
    for m in MODELS:
        found = [of_a_model(m, n) for n in (8, 20)]
        errors += found
        what = "flow, shift 3, as shipped" if m.flow else "v, Stable Diffusion 2.1's table"
        runs = "; ".join(where.get(m.name, []))
        cells = [f"{e:.0e}" for e in found]
        lines.append(line(f"`{m.name}`", what, "`Euler()`", *cells, runs, "1" if m.flow else ""))
    assert max(errors) < 1e-5
    table = "\n".join(lines) + "\n"
    page = PAGE.read_text("utf-8")
    if os.environ.get("WRITE_PAGES"):
        page = MARKED.sub(lambda match: match[1] + table + match[3], page)
        PAGE.write_text(page, "utf-8")
    found_on_page = MARKED.search(page)
    assert found_on_page is not None
    digits = re.compile(r"\b\de-\d\d\b")  # errors of another machine have other digits
    assert digits.sub("", found_on_page[2]) == digits.sub("", table)


def test_every_class_has_a_row() -> None:
    assert {row.config["_class_name"] for row in ROWS} == {*FAMILIES}


def test_the_numbers_of_differences_are_on_the_page() -> None:
    listed = {int(k) for k in re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)}
    assert listed == set(range(1, 18))
    assert {k for numbers in DIFFERENCES.values() for k in numbers} == listed - {17}
