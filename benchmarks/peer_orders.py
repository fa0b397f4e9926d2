"""The orders that other packages' own code measures on problems with known answers.

    python benchmarks/peer_orders.py --markdown docs/peer_orders.md        in the environment of `make parity`

They are given the levels, σ_max to σ_min > 0, and the exact ε: peer_drivers.py has how, peer_cases*.py what.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.peer_case import LABELS, SDE, Case, errors
from benchmarks.peer_cases import all_cases
from benchmarks.peer_cases_diffusers import float_cases
from benchmarks.peer_code import PACKAGES, graded, missing, source_file
from benchmarks.peer_noise import SIGMAS
from benchmarks.peer_noise import rows as noise_rows
from benchmarks.peer_reasons import REASONS
from flowsolve import Grid, karras, log_snr
from flowsolve.analysis import observed_order
from flowsolve.problems import Mixture, Mixture1D, Problem

STEPS = (48, 96, 192, 384)  # multiples of 6: the groups of single-step DPM-Solver come out even
DIVIDE, DO_NOT = (25, 50, 125, 250, 500), (48, 96, 192, 384)
FLOOR = (24, 48, 96, 192, 384, 1000)


def near(problem: type[Mixture1D] | type[Mixture]) -> Problem:
    return problem(sigma_max=1.0, sigma_min=0.2)


Column = tuple[str, Problem, Callable[..., Grid]]
COLUMNS: list[Column] = [
    ("1D graded", near(Mixture1D), graded),
    ("2D graded", near(Mixture), graded),
    ("1D karras", near(Mixture1D), karras),
    ("2D log_snr", near(Mixture), log_snr),
    ("1D karras, 10 to 0.05", Mixture1D(), karras),
    ("2D log_snr, 10 to 0.05", Mixture(), log_snr),
]


def slope(steps: tuple[int, ...], found: list[float]) -> str:
    got = observed_order(steps, found, 1e-13)
    return "-" if math.isnan(got.order) else f"{got.order:.2f}" + " *" * (not got.settled)


def agrees(declared: int | None, slopes: list[str]) -> str:
    """Whether the lowest settled slope of the graded columns, or else of all, is within 0.25 of the order."""
    settled = [float(s) for s in slopes[:2] if "*" not in s and s != "-"]
    settled = settled or [float(s) for s in slopes if "*" not in s and s != "-"]
    if declared is None or not settled:
        return "-"
    if min(settled) < declared - 0.25:
        return "no"
    return "higher" if min(settled) > declared + 0.25 else "yes"


def title(case: Case) -> list[str]:
    fixed = ", fixed" * bool(case.edits) + f", {case.kind}" * (case.kind == SDE)
    return [case.package, case.name + fixed, str(case.declared or "-")]


def where(case: Case) -> str:
    """The line at fault in the installed file, or the file."""
    place = REASONS[case.reason][0]
    if isinstance(place, str):
        return f"`{place or source_file(case.module_name).name}`"
    file = source_file(case.module_name)
    text = file.read_text(encoding="utf-8")
    last = place[0].rindex("def ind_fn") if case.reason == "float32" else 0
    return f"`{file.name}:{text[: text.index(place[0]) + last].count(chr(10)) + 1}`"


def reasons(cases: list[Case]) -> list[list[str]]:
    """A row for each line at fault, with all the methods that it is in."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for case in (c for c in cases if c.reason):
        found.setdefault((case.package, where(case), REASONS[case.reason][1]), []).append(
            title(case)[1]
        )
    return [[peer, "; ".join(names), line, why] for (peer, line, why), names in found.items()]


def licence(package: str) -> str:
    """As the package's own metadata have it: an expression, else the first classifier, else a text."""
    says = importlib.metadata.metadata(package)
    named = [c.split(" :: ")[-1] for c in says.get_all("Classifier", []) if c.startswith("License")]
    text = (says["License"] or "").splitlines()[:1]
    said = [says["License-Expression"]] if says["License-Expression"] else [*text, *named]
    return "; ".join(dict.fromkeys(part for part in said if part and "Copyright" not in part))


def table(header: list[str], rows: list[list[str]], markdown: bool) -> str:
    """Aligned, or with the bars of Markdown as well."""
    rows = [header, *rows]
    width = [max(len(r[i]) for r in rows) for i in range(len(header))]
    ends, between = (("| ", " |"), " | ") if markdown else (("", ""), "  ")
    lines = [ends[0] + between.join(c.ljust(w) for c, w in zip(r, width, strict=True)) + ends[1]
             for r in rows]  # fmt: skip
    lines[1:1] = ["|" + "|".join("-" * (w + 2) for w in width) + "|"] * markdown
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", default=[""], help="rows whose title contains one of these"
    )
    parser.add_argument("--columns", type=int, default=len(COLUMNS), help="how many, from the left")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="multiples of 6")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--markdown", type=Path, help="write the page here")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # theirs, of deprecations
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)

    peers = {root: package.name for root, package in PACKAGES.items() if root != "benchmarks"}
    lost = {root for root in peers if missing(root)}
    steps, bars = tuple(args.steps), bool(args.markdown)
    cases = [
        c
        for c in all_cases()
        if c.root not in lost and any(part in " ".join(title(c)) for part in args.only)
    ]
    deis = [c for c in float_cases() if c.root not in lost and any("DEIS" in k.name for k in cases)]
    torch_version = torch.__version__.partition("+")[0]
    packages = [[name, importlib.metadata.version(name), licence(name)]
                for root, name in peers.items() if root not in lost]  # fmt: skip
    rows, labels, floors = [], [], []
    for case in (c for c in cases if c.kind != LABELS):
        seeds = min(args.seeds, 4) if case.kind == SDE else args.seeds  # the page says why
        found = [errors(case, p, g, steps, seeds) for _, p, g in COLUMNS[: args.columns]]
        slopes = [slope(steps, e) for e in found]
        rows.append([*title(case), *slopes, f"{found[-1][1]:.1e}", agrees(case.declared, slopes)])
    for case in (c for c in cases if c.kind == LABELS):
        for p in (Mixture1D(), Mixture()):
            good, bad = (errors(case, p, karras, n, args.seeds) for n in (DIVIDE, DO_NOT))
            labels.append([*title(case), p.name, slope(DIVIDE, good), *(f"{e:.1e}" for e in bad)])
    for case in deis:
        e = errors(case, Mixture1D(), log_snr, FLOOR, args.seeds)
        name = f"{case.name}, {'float64' if case.double else 'float32'}" + ", fixed" * bool(
            case.edits
        )
        floors.append([case.package, name, *(f"{v:.1e}" for v in e)])
    churned = noise_rows() if any("EDMStochastic" in c.name for c in cases) else []
    parts = {
        "PACKAGES": table(["package", "version", "licence"], packages, bars),
        "ORDERS": table(
            ["peer", "method", "declared", *(c[0] for c in COLUMNS[: args.columns]),
             f"error at N = {steps[1]}", "as declared"], rows, bars),
        "LABELS": table(
            ["peer", "method", "declared", "problem", "slope, N divides T", *(f"N = {n}" for n in DO_NOT)],
            labels, bars),
        "FLOORS": table(["peer", "method", *(f"N = {n}" for n in FLOOR)], floors, bars),
        "NOISE": table(["peer", "method", *(f"σ = {s:g}" for s in SIGMAS)], churned, bars),
        "REASONS": table(["peer", "method", "line", "reason"], reasons([*cases, *deis]), bars),
    }  # fmt: skip
    absent = [f"{peers[root]}: not installed: make parity" for root in peers if root in lost]
    print(
        "\n\n".join([f"torch {torch_version}", *(t for t in parts.values() if "\n" in t), *absent])
    )
    if args.markdown and not absent:
        page = Path(__file__).with_name("peer_orders.template.md").read_text(encoding="utf-8")
        for name, text in {**parts, "TORCH": torch_version}.items():
            page = page.replace(f"{{{name}}}", text)
        args.markdown.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
