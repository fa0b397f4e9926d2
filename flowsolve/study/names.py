"""What lines of figures and columns of tables are called: as they were asked for, or after their solver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flowsolve._arguments import several, shown, text
from flowsolve.errors import StateError
from flowsolve.solver.plugins import provided
from flowsolve.solver.spec import plain_name

Labels = Mapping[str, str] | Sequence[str] | None
"""Names by what they replace, the solver's repr or the whole name; or as many names as there are lines."""


def readable(solver: str) -> str:
    """The repr of a solver as it is read: Euler() is Euler, UniPC(points=3) is UniPC (points=3)."""
    bare = solver.replace("()", "")
    whole = re.fullmatch(r"(\w+)\(((?:[^()]|\([^()]*\))+)\)", bare)
    return f"{whole[1]} ({whole[2]})" if whole else bare


def asked(name: str, method: object) -> str:
    """What a method is called that was asked for by this name: ddim is DDIM (Euler)."""
    head = re.split("[:(@]", name)[0]
    found, own = provided().get(plain_name(head)), readable(repr(method))
    called = found.name if found else head
    return own if own.split(" ")[0] == called else f"{called} ({own})"


def line_names(keys: Sequence[tuple[str, str]], labels: Labels = None) -> list[str]:
    """The names of lines of (solver, spacing); spacings are named where there are several.

    Those of adaptive methods and of rules, which have grids of their own, are not. Raises StateError and
    ValueError for labels that are none.
    """
    if labels is not None and not isinstance(labels, Mapping):
        names = several("labels", labels, "names, or a mapping name -> label", empty=True)
        names = [text(f"labels[{i}]", name, StateError) for i, name in enumerate(names)]
        if len(names) != len(keys):
            raise ValueError(
                f"labels must name {len(keys)} lines, but are {len(names)}. The lines: "
                f"{'; '.join(line_names(keys)) or 'none'}."
            )
        return names
    given = labels or {}
    if any(not isinstance(v, str) for v in given.values()):
        raise StateError(
            f"labels must be a mapping name -> label, both texts, not {shown(labels)}."
        )
    plain = {spacing for solver, spacing in keys if not _own(solver, spacing)}

    def name(solver: str, spacing: str) -> str:
        tail = f", {spacing}" if len(plain) > 1 and spacing in plain else ""
        own = readable(solver)
        return given.get(own + tail, given.get(solver, given.get(own, own)) + tail)

    return [name(*key) for key in keys]


def _own(solver: str, spacing: str) -> bool:
    """Whether the solver chooses its grids."""
    rule = plain_name(re.split("[(]", spacing)[0]) == plain_name(re.split("[(]", solver)[0])
    return rule or spacing in ("", "adaptive")
