"""The command `flowsolve`: what it accepts, and its exit codes.

Exit codes: 0 done, 1 a run that failed, 2 wrong use, 130 interrupted (what was computed is on disk).
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from flowsolve.cli import commands, show

EPILOG = """Solvers: a name (flowsolve solvers lists them), with options as name:option=value,...
for example adams:points=3,chart=data,start=heun; or as they print: Adams(points=3, chart=DATA).
Problems: a name (flowsolve problems) or package.module:function for one of your own."""


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """What the commands of these names accept."""
    top = argparse.ArgumentParser(
        prog="flowsolve",
        description="Compare samplers of diffusion models as what they are: ODE solvers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    parsers = top.add_subparsers(dest="command", metavar="COMMAND")
    for name in names:
        command = commands.find(name)
        text = (command.__doc__ or "").partition("\n")[0]
        command.add(
            parsers.add_parser(
                name, help=text, description=text, epilog=EPILOG,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )  # fmt: skip
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    with warnings.catch_warnings():  # their filters and how they are shown are put back
        show.prepare()
        try:
            code = _run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
        except (
            BrokenPipeError
        ):  # who read the output has enough; the flush at exit must not fail again
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            return 1
    return code


def _given(top: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """The options that stand in argv, whatever their values; afterwards the parser has no defaults."""
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            action.default = argparse.SUPPRESS
    return [*vars(top.parse_args(argv))]


def _check_alone(command: str) -> None:
    from flowsolve.errors import WrongUse
    from flowsolve.study import shards

    if shards.several():
        raise WrongUse(f"{command} runs in one process: start it without torchrun.")


def _run(argv: Sequence[str]) -> int:
    every = commands.names()
    top = parser([argv[0]] if argv and argv[0] in every else every)
    try:
        args = top.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    args.given = _given(top, argv)
    if args.version:
        from flowsolve._version import __version__

        print(f"flowsolve {__version__}")
        return 0
    if args.command is None:
        top.print_help()
        return 2
    # torch's threads otherwise spin while they wait, which on a busy machine costs tenfold and more
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from flowsolve.errors import FlowsolveError, NameUnknown, StateError, WrongUse

    try:
        if "shard" not in args and "WORLD_SIZE" in os.environ:
            _check_alone(args.command)
        return commands.find(args.command).run(args)
    except commands.PartDone as part:
        if str(part):
            print(part)
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted; what was computed is on disk", file=sys.stderr)
        return 130
    except (NameUnknown, StateError, WrongUse) as error:
        print(f"flowsolve: {error}", file=sys.stderr)
        return 2
    except FlowsolveError as error:
        print(f"flowsolve: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"flowsolve: {error.filename or 'the system'}: {error.strerror}", file=sys.stderr)
        return 1
