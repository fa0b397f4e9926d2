"""Options that several commands share: what is added to a parser, and what is made of it."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Unpack

from flowsolve.cli.show import FORMATS
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    import torch

    from flowsolve.metrics.features import Features
    from flowsolve.metrics.gaussians import Moments
    from flowsolve.problems.base import Problem
    from flowsolve.schedule.grid import GridFamily
    from flowsolve.study.settings import Settings

DTYPES = ["float32", "float64", "bfloat16", "float16"]


def add_samples(c: argparse.ArgumentParser, samples: int, *more: str) -> None:
    """--samples, --block, --features, --distances (and `more` of them) and --reference, beside data."""
    c.add_argument("--samples", type=int, default=samples, metavar="N", help=f"default {samples}")
    add_block(c)
    c.add_argument("--features", default="own", metavar="FEATURES",
                   help="of the Fréchet distance: own (the problem's, else its values), values, pca:16 or a "
                        "function, as flowsolve.problems.classifier:digits_features")  # fmt: skip
    every = [*more, "frechet", "energy", "precision", "recall"]
    c.add_argument("--distances", nargs="+", default=every, choices=every, metavar="DISTANCE",
                   help=f"{' '.join(every)}, or some of them; of many samples, frechet alone takes no more "
                        "memory than of few")  # fmt: skip
    c.add_argument("--reference", metavar="FILE.npz",
                   help="mean and covariance of real features (mu, sigma), as EDM, ADM and clean-fid have "
                        "them, instead of the problem's data; with --distances frechet")  # fmt: skip


def add_block(c: argparse.ArgumentParser, block: int = 256, what: str = "samples") -> None:
    """--block."""
    c.add_argument("--block", type=int, default=block, metavar="N", help=f"{what} solved at a time")


def add_step_noise(c: argparse.ArgumentParser) -> None:
    """--step-noise."""
    c.add_argument("--step-noise", default="seeded", choices=["seeded", "counter"],
                   help="of stochastic methods: drawn on the CPU, or made on the device")  # fmt: skip


def add_steps(c: argparse.ArgumentParser, steps: Sequence[int] = (10, 20, 50, 100, 1000)) -> None:
    """--steps and --grid, of the experiments on sub-sequences of a network's labels."""
    c.add_argument("--steps", nargs="+", type=int, default=[*steps], metavar="S")
    names = "tau_linear, tau_quadratic, leading, trailing, linspace, or a spacing such as karras"
    c.add_argument("--grid", default="tau_linear", metavar="GRID", help=names)


def add_spacing(c: argparse.ArgumentParser, spacing: str) -> None:
    """--spacing."""
    names = (
        "karras (karras:rho=5), log_snr, exponential, uniform, uniform_t, quadratic_t, uniform_phi, two_power "
        "(two_power:low=0.5,high=4), beta, beta_t, ays, arctan, dmn, gits_table"
    )
    c.add_argument("--spacing", nargs="+", default=[spacing], metavar="SPACING", help=names)


def add_dtype(c: argparse.ArgumentParser, dtype: str = "float32") -> None:
    """--dtype, then the options of `add_ends`."""
    c.add_argument("--dtype", default=dtype, choices=DTYPES)
    add_ends(c)


def add_ends(c: argparse.ArgumentParser) -> None:
    """--sigma-max, --sigma-min and --device."""
    c.add_argument("--sigma-max", type=float, metavar="S", help="instead of the problem's")
    c.add_argument("--sigma-min", type=float, metavar="S", help="instead of the problem's")
    c.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")


def add_output(c: argparse.ArgumentParser, default: str | None) -> None:
    """--out and --overwrite."""
    c.add_argument("--out", default=default, metavar="FOLDER",
                   help=f"where results go (default: {default or 'nowhere'})")  # fmt: skip
    c.add_argument("--overwrite", action="store_true", help="replace what another run left there")


def add_printed(c: argparse.ArgumentParser) -> None:
    """--format and --quiet."""
    c.add_argument("--format", default="table", choices=FORMATS,
                   help="what is printed: tables, or the values behind them as CSV or JSON")  # fmt: skip
    c.add_argument("--quiet", action="store_true", help="no progress")


def add_results(c: argparse.ArgumentParser, default: str | None) -> None:
    """--out, --overwrite, --format and --quiet."""
    add_output(c, default)
    add_printed(c)


def add_shared(c: argparse.ArgumentParser, default: str | None) -> None:
    """The options of `add_results` and --shard, of commands whose work several processes can share."""
    add_results(c, default)
    c.add_argument("--shard", default="", metavar="I/N",
                   help="do part I of N, 0/N to N-1/N, as in a job array; the command without it takes all "
                        "parts together. torchrun needs no option")  # fmt: skip
    why = "of torch on the CPU; last bits may depend on it, so a folder keeps its number"
    c.add_argument("--threads", type=int, metavar="N", help=why)


def positive(args: argparse.Namespace, *names: str) -> None:
    """Raise WrongUse unless these options, where given, are at least 1."""
    for name in (*names, *(["threads"] if "threads" in args else [])):
        value = getattr(args, name)
        for v in value if isinstance(value, list) else [] if value is None else [value]:
            if v < 1:
                raise WrongUse(f"--{name} must be at least 1, but got {v}.")


def find_problem(args: argparse.Namespace) -> Problem:
    """The problem with the ends asked for."""
    from flowsolve.problems.catalogue import find_problem

    if ":" in args.problem:
        here()
    problem = find_problem(args.problem)
    given = (args.sigma_max, args.sigma_min)
    own = (problem.sigma_max, problem.sigma_min)
    ends = tuple(o if g is None else g for g, o in zip(given, own, strict=True))
    if ends == own:
        return problem
    if not 0 < ends[1] < ends[0] < math.inf:
        raise WrongUse(
            f"need 0 < sigma-min < sigma-max < inf, but got {ends[1]:g} and {ends[0]:g}."
        )
    return problem.between(*ends)


def find_settings(args: argparse.Namespace, **more: Unpack[Settings]) -> Settings:
    """--dtype, --device, --block where the command has it, and what else is known. Raises WrongUse."""
    found: Settings = {"dtype": args.dtype, "device": find_device(args), **more}
    if "block" in args:
        found["block"] = args.block
    if "step_noise" in args:
        found["step_noise"] = args.step_noise
    return found


def find_device(args: argparse.Namespace) -> torch.device:
    """--device if it is there. Raises WrongUse."""
    import torch

    try:
        device = torch.device(args.device)
        if device == torch.device("cuda") and "LOCAL_RANK" in os.environ:  # a GPU for each rank
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.zeros(1, device=device).item()  # a device that holds no values fails here too
    except (RuntimeError, AssertionError) as error:
        raise WrongUse(f"cannot use --device {args.device}: {str(error).splitlines()[0]}") from None
    return device


def find_features(args: argparse.Namespace, problem: Problem) -> tuple[Features | None, str]:
    """--features as (callable, name): own, values, pca:16 or package.module:function. Raises WrongUse."""
    name = args.features
    if name == "own" and problem.features is not None:
        return problem.features, getattr(
            problem.features, "__name__", f"the features of {problem.name}"
        )
    if name in ("own", "values"):
        return None, "values"
    if name.startswith("pca:") and name[4:].isdecimal():
        from flowsolve.metrics.features import pca

        return pca(problem.data(), int(name[4:])), name
    here()
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise WrongUse(
            f"--features is own, values, pca:16 or package.module:function, but got {name!r}: {error}."
        ) from None
    if not callable(found):
        raise WrongUse(f"--features {name} is a {type(found).__name__}, which cannot be called.")
    return found, name


def find_reference(args: argparse.Namespace) -> Moments | None:
    """--reference. Raises SamplesError for a file that holds none."""
    from flowsolve.metrics.gaussians import Moments

    return None if args.reference is None else Moments.load(args.reference)


def find_grids(args: argparse.Namespace, problem: Problem) -> GridFamily:
    """--grid. Each of --steps is tried, so that what cannot be is an error before anything is measured."""
    from flowsolve.cli.spacings import find_family

    made = find_family(args.grid, problem.clock, problem.sigma_max, problem.sigma_min)
    for n in args.steps:
        made(n)
    return made


def here() -> None:
    """Let modules be found in the current folder; last, so that nothing installed is shadowed from there."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
