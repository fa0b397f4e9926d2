"""What the commands do, each a function of its name in one of these modules. torch is imported inside them."""

from __future__ import annotations

import argparse
from importlib import import_module

MODULES = {
    "studies": ("compare", "order", "certify"),
    "experiments": ("table1", "quality", "consistency"),
    "inversion": ("table2", "edit"),
    "noises": ("interpolate", "likelihood"),
    "samples": ("sample",),
    "listings": ("solvers", "problems", "grids", "table"),
}


def run(args: argparse.Namespace) -> int:
    """Run the command that was parsed; the modules of the others are not loaded."""
    name = next(module for module, commands in MODULES.items() if args.command in commands)
    code: int = getattr(import_module(f"flowsolve.cli.commands.{name}"), args.command)(args)
    return code
