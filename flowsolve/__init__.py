"""flowsolve: sampling from diffusion models as solving dx̄/dσ = ε(x̄, σ), in x̄ = x/α and σ = s/α.

DDIM is Euler's method on it. Methods live in the package flowsolve_solvers; this one runs, measures
and draws them. The rooms, from the top floor down, each importing only what stands below it:

    cli         the command `flowsolve`
    plot        figures
    explorer    a page in which a browser replays the solvers
    study       measurements: errors, references, the certificate, experiments
    interop     networks and programs of other projects
    analysis    what a method is before it meets a network: its table, its order, its cost
    integrate   running a method: solve, sample, encode, invert, log p, edits
    solver      what a method is written against
    problems    ODEs whose answer is known, and a real network
    ode         networks as dx̄/dσ = ε
    schedule    noise levels: grids and clocks
    metrics     distances between sets of samples

The names of this package stand in `__init__.pyi`, and are loaded from their rooms when asked for.
Importing it loads no torch.
"""

import importlib
import re
import sys

from flowsolve._version import OldPaths
from flowsolve._version import __version__ as __version__

_STUB = __loader__.get_data(__file__ + "i").decode()  # type: ignore[name-defined]
_HOME = {name: room for room, name in re.findall(r"^from (\S+) import (\w+) as", _STUB, re.M)}

__all__ = sorted(_HOME)

sys.meta_path.append(OldPaths())


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'flowsolve' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
