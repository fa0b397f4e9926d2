"""The command `flowsolve`. Here is what it accepts; `commands` does the work and imports the rest.

Exit codes: 0 done, 1 a run that failed, 2 wrong use, 130 interrupted (what was computed is on disk).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

SOLVERS = ["euler", "heun", "dpmsolver3", "dpmsolverpp2m", "lms:points=3", "dpmsolverppm:points=3"]
WAYS = ["ddim", "ddiminverse/ddim", "dpmsolverpp2m", "heun", "rk4:variable=log", "invert/ddim", "bdia",
        "obelm", "edict", "rex", "rex:method=heun"]  # fmt: skip
DTYPES = ["float32", "float64", "bfloat16", "float16"]
BUDGETS = [5, 6, 8, 10, 12, 16, 24, 40]
EPILOG = """Solvers: a name (flowsolve solvers lists them), with options as name:option=value,...
for example adams:points=3,chart=data,start=heun; or as they print: Adams(points=3, chart=DATA).
Problems: a name (flowsolve problems) or package.module:function for one of your own."""


def parser() -> argparse.ArgumentParser:
    """Everything the command accepts."""
    top = argparse.ArgumentParser(
        prog="flowsolve",
        description="Compare samplers of diffusion models as what they are: ODE solvers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=text, epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    c = command("compare", "error against evaluations: table, figure, rows and measured orders")
    c.add_argument("problem", nargs="?", default="digits", help="default: digits, a real network")
    c.add_argument("--solvers", nargs="+", default=SOLVERS, metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=BUDGETS, metavar="N", help="budgets")
    c.add_argument("--tolerances", nargs="+", type=float, metavar="TOL", help="of adaptive solvers")
    c.add_argument("--seeds", type=int, default=256, metavar="N", help="samples (default 256)")
    c.add_argument("--block", type=int, default=256, metavar="N", help="samples solved at a time")
    _common(c, "karras")
    _output(c, "results/compare-PROBLEM")

    c = command("table1", "quality of samples against S and η: Table 1 of the DDIM paper")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--etas", nargs="+", default=["0", "0.2", "0.5", "1", "hat"], metavar="ETA",
                   help="0 to 1, or hat for σ̂ (default: 0 0.2 0.5 1 hat)")  # fmt: skip
    _samples(c, 500)
    _steps(c)
    _common(c)
    _output(c, "results/table1-PROBLEM")

    c = command("quality", "distance to data beside error against the ODE's solution")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solvers", nargs="+", default=SOLVERS, metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=[5, 6, 8, 10, 16, 24], metavar="N")
    _samples(c, 500)
    _common(c, "karras")
    _output(c, "results/quality-PROBLEM")

    c = command("consistency", "one x_T at many S: Section 5.2 of the DDIM paper")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument(
        "--solvers", nargs="+", default=["ddim", "dpmsolverpp2m", "ddimeta"], metavar="SOLVER"
    )
    c.add_argument("--samples", type=int, default=64, metavar="N", help="x_T (default 64)")
    c.add_argument("--block", type=int, default=256, metavar="N", help="samples solved at a time")
    c.add_argument("--shown", type=int, default=8, metavar="N", help="x_T in the figure of images")
    _steps(c)
    _common(c)
    _output(c, "results/consistency-PROBLEM")

    c = command("table2", "what is lost when data go up to noise and down again: Table 2")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--ways", nargs="+", default=WAYS, metavar="WAY",
                   help="DOWN, a solver for both ways, UP/DOWN for two, invert/DOWN, exact")  # fmt: skip
    c.add_argument("--samples", type=int, default=16, metavar="N", help="data (default 16)")
    c.add_argument("--block", type=int, default=64, metavar="N", help="data solved at a time")
    _steps(c, [10, 20, 50, 100])
    c.add_argument("--dtype", nargs="+", default=["float64", "float32"], choices=DTYPES)
    _ends(c)
    _output(c, "results/table2-PROBLEM")

    c = command("edit", "real digits made into others, by inversion and from half-way")
    c.add_argument("--solver", default="ddim")
    c.add_argument("--steps", type=int, default=20, metavar="S")
    c.add_argument("--grid", default="tau_linear", metavar="GRID", help="as of table1")
    c.add_argument("--samples", type=int, default=360, metavar="N", help="digits (default 360)")
    c.add_argument("--shown", type=int, default=10, metavar="N", help="digits in the figure")
    c.add_argument("--dtype", default="float32", choices=DTYPES[:2])
    _output(c, "results/edit")

    c = command("interpolate", "samples between noises, on the arc and on the line: Section 5.3")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solver", default="dpmsolverpp2m")
    c.add_argument("--nfe", type=int, default=20, metavar="N")
    c.add_argument("--pairs", type=int, default=128, metavar="N", help="of noises (default 128)")
    c.add_argument("--points", type=int, default=9, metavar="N", help="on each path (default 9)")
    c.add_argument("--block", type=int, default=256, metavar="N", help="samples solved at a time")
    c.add_argument("--shown", type=int, default=6, metavar="N", help="pairs in the figure")
    _common(c, "karras")
    _output(c, "results/interpolate-PROBLEM")

    c = command(
        "likelihood", "log p of data along the ODE, in bits per dimension where data have levels"
    )
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solvers", nargs="+", default=["dpmsolverpp2m", "heun"], metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=[10, 20, 40, 80], metavar="N")
    c.add_argument("--samples", type=int, default=64, metavar="N", help="data (default 64)")
    c.add_argument("--block", type=int, default=64, metavar="N", help="data solved at a time")
    c.add_argument("--probes", type=int, default=4, metavar="N", help="default 4; 0 is exact")
    c.add_argument("--levels", type=int, metavar="L", help="of the data, such as 256; 0 for none")
    _common(c, "log_snr")
    _output(c, "results/likelihood-PROBLEM")

    c = command("order", "measure the order of convergence of solvers")
    c.add_argument("solvers", nargs="+", metavar="SOLVER")
    c.add_argument("--problem", default="mixture_1d")
    c.add_argument("--steps", nargs="+", type=int, default=[20, 40, 80, 160, 320, 640], metavar="N")
    c.add_argument("--seeds", type=int, default=16, metavar="N")
    _common(c, "karras", dtype="float64")
    _output(c, None)

    c = command("certify", "measure what solvers claim: orders, evaluations, memory, linearity")
    c.add_argument("solvers", nargs="*", metavar="SOLVER", help="default: all that packages list")
    c.add_argument("--out", metavar="FILE", help="write the table there as Markdown")
    c.add_argument("--overwrite", action="store_true", help="replace the file")

    command("solvers", "list the solvers: order, evaluations per step, paper")
    command("problems", "list the problems")

    c = command("grids", "print the levels of grids, and draw them with --out")
    c.add_argument("grids", nargs="*", metavar="SPACING", help="default: all of them")
    c.add_argument("--steps", type=int, default=10, metavar="N")
    c.add_argument("--problem", default="digits", help="whose ends and clock to use")
    c.add_argument("--sigma-max", type=float, metavar="S")
    c.add_argument("--sigma-min", type=float, metavar="S")
    _output(c, None)

    c = command("sample", "draw samples: a sheet of images or a scatter plot, and the values")
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solver", default="dpmsolverpp2m")
    c.add_argument("--nfe", type=int, default=20, metavar="N")
    c.add_argument("--samples", type=int, default=64, metavar="N")
    c.add_argument("--first-seed", type=int, default=0, metavar="SEED")
    _common(c, "karras")
    _output(c, "results/sample-PROBLEM")

    c = command("table", "the coefficient table of a solver: what it is as a linear map")
    c.add_argument("solver")
    c.add_argument("--steps", type=int, default=6, metavar="N")
    c.add_argument("--spacing", default="karras")
    c.add_argument("--sigma-max", type=float, default=10.0, metavar="S")
    c.add_argument("--sigma-min", type=float, default=0.05, metavar="S")
    _output(c, None)
    return top


def _samples(c: argparse.ArgumentParser, number: int) -> None:
    c.add_argument("--samples", type=int, default=number, metavar="N", help=f"default {number}")
    c.add_argument("--block", type=int, default=256, metavar="N", help="samples solved at a time")
    c.add_argument("--features", default="own", metavar="FEATURES",
                   help="of the Fréchet distance: own (the problem's, else its values), values, pca:16 or "
                        "package.module:function, as "
                        "flowsolve.problems.classifier:digits_features")  # fmt: skip


def _steps(
    c: argparse.ArgumentParser,
    default: Sequence[int] = (10, 20, 50, 100, 1000),
) -> None:
    c.add_argument("--steps", nargs="+", type=int, default=[*default], metavar="S")
    names = "tau_linear, tau_quadratic, leading, trailing, linspace, or a spacing such as karras"
    c.add_argument("--grid", default="tau_linear", metavar="GRID", help=names)


def _common(c: argparse.ArgumentParser, spacing: str = "", dtype: str = "float32") -> None:
    names = "karras (karras:rho=5), log_snr, exponential, uniform, uniform_t, quadratic_t"
    if spacing:
        c.add_argument("--spacing", nargs="+", default=[spacing], metavar="SPACING", help=names)
    c.add_argument("--dtype", default=dtype, choices=DTYPES)
    _ends(c)


def _ends(c: argparse.ArgumentParser) -> None:
    c.add_argument("--sigma-max", type=float, metavar="S", help="instead of the problem's")
    c.add_argument("--sigma-min", type=float, metavar="S", help="instead of the problem's")
    c.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")


def _output(c: argparse.ArgumentParser, default: str | None) -> None:
    c.add_argument("--out", default=default, metavar="FOLDER",
                   help=f"where results go (default: {default or 'nowhere'})")  # fmt: skip
    c.add_argument("--overwrite", action="store_true", help="replace what another run left there")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    top = parser()
    try:
        args = top.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.version:
        from flowsolve._version import __version__

        print(f"flowsolve {__version__}")
        return 0
    if args.command is None:
        top.print_help()
        return 2
    # torch's threads otherwise spin while they wait, which on a busy machine costs tenfold and more
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from flowsolve.cli import commands
    from flowsolve.errors import FlowsolveError, NameUnknown, StateError, WrongUse

    try:
        return commands.run(args)
    except KeyboardInterrupt:
        print("\ninterrupted; what was computed is on disk", file=sys.stderr)
        return 130
    except (NameUnknown, StateError, WrongUse) as error:
        print(f"flowsolve: {error}", file=sys.stderr)
        return 2
    except FlowsolveError as error:
        print(f"flowsolve: {error}", file=sys.stderr)
        return 1
