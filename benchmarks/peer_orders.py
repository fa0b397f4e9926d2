"""The orders that the peers' own code measures: diffusers and k-diffusion on problems with known answers.

    python benchmarks/peer_orders.py --markdown docs/peer_orders.md

They are given the levels, σ_max to σ_min > 0, and the exact ε; how is in peer_code.py.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peer_code import LABELS, SDE, Case, Edit, errors, graded, source_file

from flowsolve import Grid, karras, log_snr
from flowsolve.analysis import observed_order
from flowsolve.problems import Mixture, Mixture1D, Problem

TWO: Edit = ("D2 = (1.0 / (r0 + r1))", "D2 = (2.0 / (r0 + r1))")
HALF: Edit = ("- 2.0 * h) / (2.0 * h) ** 2 - 0.5)", "- 2.0 * h) / (2.0 * h) ** 2 + 0.5)")
TWO_K: Edit = ("d2 = (d1_0 - d1_1) / (r0 + r1)", "d2 = 2 * (d1_0 - d1_1) / (r0 + r1)")
NEXT: Edit = (
    "        prev_timestep = timestep - self.config.num_train_timesteps // self.num_inference_steps\n"
    "\n        # 2. compute",
    "        index = (self.timesteps == timestep).nonzero()[0].item()\n"
    "        prev_timestep = self.timesteps[index + 1] if index + 1 < len(self.timesteps) else -1\n"
    "\n        # 2. compute",
)
RHO = "rho_t, rho_s0, rho_s1, rho_s2"
WIDE: Edit = (
    '        if self.config.algorithm_type == "deis":\n\n            def ind_fn(t, b, c, d):',
    f"        {RHO} = (r.to(torch.float64) for r in ({RHO}))\n\n"
    '        if self.config.algorithm_type == "deis":\n\n            def ind_fn(t, b, c, d):',
)
HALF_1: Edit = ("+ (-2.0 * h)) / (-2.0 * h) ** 2 - 0.5)", "+ (-2.0 * h)) / (-2.0 * h) ** 2 + 0.5)")
STEPS = (48, 96, 192, 384)  # multiples of 6: the groups of single-step DPM-Solver come out even
DIVIDE, DO_NOT = (25, 50, 125, 250, 500), (48, 96, 192, 384)
FLOOR = (24, 48, 96, 192, 384, 1000)
REASONS = {
    "three": "The second difference D2 is h²m″/2 but is multiplied by the weight of h²m″: a factor 2 "
    "is missing, and the third-order update is second order.",
    "half": "The weight of D2 adds -1/2 where its sign needs +1/2, so it tends to -1 instead of 0; "
    "the factor 2 of D2 is missing as well.",
    "half_1": "The same -1/2 where the sign needs +1/2; D2 has its factor 2 here.",
    "neighbour": "The next label is taken to be t - T // N; it is not for `linspace`, nor for "
    "`trailing` unless N divides T.",
    "float32": "The three weights of DEIS are differences of antiderivatives in float32 and divided "
    "by h²: they cancel, and the error rises with the number of steps.",
}  # fmt: skip
MISSING = "not installed: pip install flowsolve[parity]"


def diffusers_cases() -> list[Case]:
    """The schedulers."""
    end = {"final_sigmas_type": "sigma_min", "lower_order_final": False}
    heun = {"solver_type": "heun"}

    def dpm(k: int, algorithm: str, step: str = "multi", **more: Any) -> Case:
        options = {"cls": f"DPMSolver{step.title()}stepScheduler", "solver_order": k}
        options |= {"algorithm_type": algorithm, **end, **more.pop("options", {})}
        name = (
            f"DPMSolver{step.title()}step({k}, {algorithm}{', heun' * ('solver_type' in options)})"
        )
        return Case(name, k, f"dpmsolver_{step}step", options, **more)

    def ve(name: str, declared: int, file: str, **call: Any) -> Case:
        return Case(name, declared, file, {"cls": f"{file_class(file)}", "ve": True, "call": call})

    def file_class(file: str) -> str:
        return file.title().replace("_", "").replace("Lms", "LMS") + "Scheduler"

    def labels(name: str, cls: str, declared: int, how: str, **more: Any) -> Case:
        options = {"cls": f"{cls}Scheduler", "timestep_spacing": how}
        options |= {"clip_sample": False} if cls == "DDIM" else {}
        options |= {"skip_prk_steps": "PLMS" in name} if cls == "PNDM" else {}
        return Case(name, declared, cls.lower(), options, LABELS, **more)

    both = ("dpmsolver", "dpmsolver++")
    cases = [dpm(2, a) for a in both]
    for a in both:
        cases += [dpm(3, a, reason="three"), dpm(3, a, edits=(TWO,))]
    cases += [
        dpm(2, "sde-dpmsolver++", kind=SDE),
        dpm(3, "sde-dpmsolver++", kind=SDE, reason="half"),
        dpm(3, "sde-dpmsolver++", kind=SDE, edits=(TWO, HALF)),
        *(dpm(k, a, "single") for k in (2, 3) for a in both),
        dpm(2, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, reason="half_1"),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, edits=(HALF_1,)),
        *(
            Case(
                f"DEISMultistep({k})", k, "deis_multistep",
                {"cls": "DEISMultistepScheduler", "solver_order": k, "lower_order_final": False},
            )
            for k in (1, 2, 3)
        ),
        *(
            Case(
                f"UniPCMultistep({k}, bh2)", k, "unipc_multistep",
                {"cls": "UniPCMultistepScheduler", "solver_order": k, **end},
            )
            for k in (1, 2, 3)
        ),
        ve("EulerDiscrete", 1, "euler_discrete"),
        ve("HeunDiscrete", 2, "heun_discrete"),
        *(ve(f"LMSDiscrete({k})", k, "lms_discrete", order=k) for k in (2, 3, 4)),
        labels("DDIM, leading", "DDIM", 1, "leading"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", reason="neighbour"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", edits=(NEXT,)),
        labels("DDIM, linspace", "DDIM", 1, "linspace", reason="neighbour"),
        labels("DDIM, linspace", "DDIM", 1, "linspace", edits=(NEXT,)),
        labels("PNDM, PLMS, leading", "PNDM", 4, "leading"),
    ]  # fmt: skip
    return cases


def k_cases() -> list[Case]:
    """The samplers."""

    def sampler(name: str, declared: int, **more: Any) -> Case:
        options = {"sampler": f"sample_{name.split('(')[0]}", **more.pop("options", {})}
        return Case(name, declared, "k_diffusion.sampling", options, **more)

    quiet = {"eta": 0.0, "noise_sampler": lambda s, t: 0.0}
    return [
        sampler("euler", 1),
        sampler("heun", 2),
        sampler("dpm_2", 2),
        *(sampler(f"lms({k})", k, options={"order": k}) for k in (2, 3, 4)),
        sampler("dpmpp_2m", 2),
        sampler("dpmpp_2m_sde(eta=0)", 2, options=quiet),
        sampler("dpmpp_3m_sde(eta=0)", 3, options=quiet, reason="three"),
        sampler("dpmpp_3m_sde(eta=0)", 3, options=quiet, edits=(TWO_K,)),
    ]


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
    return f"{got.order:.2f}" + " *" * (not got.settled)


def title(case: Case) -> list[str]:
    fixed = ", fixed" * bool(case.edits) + f", {case.kind}" * (case.kind == SDE)
    return [case.package, case.name + fixed, str(case.declared)]


def where(case: Case) -> str:
    """The line at fault in the installed file."""
    edit = {"three": TWO, "half": HALF, "half_1": HALF_1, "neighbour": NEXT, "float32": WIDE}[
        case.reason
    ]
    edit = TWO_K if case.package == "k-diffusion" else edit
    file = source_file(case.module_name)
    text = file.read_text(encoding="utf-8")
    last = edit[0].rindex("def ind_fn") if case.reason == "float32" else 0
    return f"`{file.name}:{text[: text.index(edit[0]) + last].count(chr(10)) + 1}`"


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

    versions = [f"torch {torch.__version__.split('+')[0]}"]
    cases, missing, steps = [], [], tuple(args.steps)
    for package, make in (("diffusers", diffusers_cases), ("k-diffusion", k_cases)):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
            cases += [c for c in make() if any(part in " ".join(title(c)) for part in args.only)]
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{package}: {MISSING}")
    rows, labels, floors = [], [], []
    for case in (c for c in cases if c.kind != LABELS):
        seeds = min(args.seeds, 4) if case.kind == SDE else args.seeds  # the page says why
        found = [errors(case, p, g, steps, seeds) for _, p, g in COLUMNS[: args.columns]]
        rows.append([*title(case), *(slope(steps, e) for e in found), f"{found[-1][1]:.1e}"])
    for case in (c for c in cases if c.kind == LABELS):
        for p in (Mixture1D(), Mixture()):
            good, bad = (errors(case, p, karras, n, args.seeds) for n in (DIVIDE, DO_NOT))
            labels.append([*title(case), p.name, slope(DIVIDE, good), *(f"{e:.1e}" for e in bad)])
    for case in float_cases() if any("DEIS" in c.name for c in cases) else []:
        found = errors(case, Mixture1D(), log_snr, FLOOR, args.seeds)
        name = f"{case.name}, {'float64' if case.double else 'float32'}" + ", fixed" * bool(
            case.edits
        )
        floors.append([case.package, name, *(f"{e:.1e}" for e in found)])
    reasons = [[*title(c)[:2], where(c), REASONS[c.reason]] for c in (*cases, *float_cases()[:1])
               if c.reason and c.package in " ".join(versions)]  # fmt: skip
    parts = {
        "ORDERS": table(
            ["peer", "method", "declared", *(c[0] for c in COLUMNS[: args.columns]),
             f"error at N = {steps[1]}"], rows, bool(args.markdown)),
        "LABELS": table(
            ["peer", "method", "declared", "problem", "slope, N divides T", *(f"N = {n}" for n in DO_NOT)],
            labels, bool(args.markdown)),
        "FLOORS": table(["peer", "method", *(f"N = {n}" for n in FLOOR)], floors, bool(args.markdown)),
        "REASONS": table(["peer", "method", "line", "reason"], reasons, bool(args.markdown)),
    }  # fmt: skip
    tables = [t for t in parts.values() if "\n" in t]
    print("\n\n".join([", ".join(versions), *tables, *missing]))
    if args.markdown and not missing:
        page = Path(__file__).with_name("peer_orders.template.md").read_text(encoding="utf-8")
        for name, text in {**parts, "VERSIONS": ", ".join(versions)}.items():
            page = page.replace(f"{{{name}}}", text)
        args.markdown.write_text(page, encoding="utf-8")


def float_cases() -> list[Case]:
    """DEIS as shipped, its fix, and in float64; and another scheduler in float32."""
    options = {"cls": "DEISMultistepScheduler", "lower_order_final": False}
    three = {**options, "solver_order": 3}
    dpm = {
        "cls": "DPMSolverMultistepScheduler",
        "solver_order": 2,
        "final_sigmas_type": "sigma_min",
    }
    return [
        Case("DEISMultistep(3)", 3, "deis_multistep", three, double=False, reason="float32"),
        Case("DEISMultistep(3)", 3, "deis_multistep", three, double=False, edits=(WIDE,)),
        Case("DEISMultistep(3)", 3, "deis_multistep", three),
        *(
            Case(
                f"DEISMultistep({k})",
                k,
                "deis_multistep",
                {**options, "solver_order": k},
                double=False,
            )
            for k in (2, 1)
        ),
        Case("DPMSolverMultistep(2, dpmsolver++)", 2, "dpmsolver_multistep", dpm, double=False),
    ]


if __name__ == "__main__":
    main()
