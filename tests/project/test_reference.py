"""docs/api.md: its directives point at what is there, and every public name has an entry."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import flowsolve

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DIRECTIVES = re.findall(r"^\.\. auto(\w+):: (\S+)\n((?: +:.*\n)*)", PAGE, re.M)
FACES = sorted(
    ".".join(file.parent.relative_to(ROOT).parts)
    for file in (ROOT / "flowsolve").rglob("__init__.py")
    if file.parent.name not in ("flowsolve", "commands")
)


def names(face: str) -> set[str]:
    """What a face re-exports as `X as X`."""
    file = inspect.getsourcefile(importlib.import_module(face))
    assert file
    return set(re.findall(r"^from \S+ import (\w+) as \1$", Path(file).read_text("utf-8"), re.M))


def members(module: str, options: str) -> set[str]:
    """What automodule shows: the members named, or all with a docstring that are defined there."""
    named = re.search(r":members:(.*)", options)
    assert named, f"automodule {module} without :members:"
    if named[1].strip():
        return {name.strip() for name in named[1].split(",")}
    return {
        name
        for name, thing in vars(importlib.import_module(module)).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", "") == module
        and (vars(thing) if inspect.isclass(thing) else {"__doc__": thing.__doc__}).get("__doc__")
    }


def entries() -> set[str]:
    """The last parts of all names that the page has an entry for."""
    found = set[str]()
    for kind, target, options in DIRECTIVES:
        found |= members(target, options) if kind == "module" else {target.rpartition(".")[2]}
    return found


@pytest.mark.parametrize(("kind", "target"), [d[:2] for d in DIRECTIVES], ids=lambda v: str(v))
def test_the_directive_points_at_what_is_there(kind: str, target: str) -> None:
    parts, found, depth = target.split("."), None, 0
    for depth in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:depth]))
            break
        except ModuleNotFoundError:
            continue
    assert found is not None
    assert found.__name__ == ".".join(parts[:depth]), "the path of an earlier version"
    thing: Any = found
    for part in parts[depth:]:
        thing = getattr(thing, part)
    is_kind = {"module": inspect.ismodule, "class": inspect.isclass, "function": inspect.isroutine}
    assert kind == "data" or is_kind[kind](inspect.unwrap(thing))


def test_every_name_of_flowsolve_has_an_entry() -> None:
    assert sorted(set(flowsolve.__all__) - entries() - {"__version__"}) == []


@pytest.mark.parametrize("face", FACES)
def test_every_name_of_a_face_has_an_entry(face: str) -> None:
    assert names(face)
    assert sorted(names(face) - entries()) == []


def test_the_faces_are_the_rooms() -> None:
    assert len(FACES) == 13  # twelve rooms, and interop.diffusers
