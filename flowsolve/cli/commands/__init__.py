"""One file a command. Its first line is what `flowsolve --help` says of it.

    add(c)     gives the parser c the options of the command
    run(args)  does it, and returns the exit code; torch is imported there

A new file here is a new command: nothing else lists them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


class PartDone(Exception):
    """The part of this process is done, and another makes tables and figures; its words are printed."""


class Command(Protocol):
    """What a file of this folder holds."""

    __doc__: str | None
    add: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def names() -> list[str]:
    """Every command, by name."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def find(name: str) -> Command:
    """The command of that name."""
    return cast(Command, import_module(f"{__name__}.{name}"))
