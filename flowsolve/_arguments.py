"""Arguments: checked where they come in, with a sentence of what is expected; shown in a short repr."""

from __future__ import annotations

import html
import json
import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

from flowsolve.errors import ResultsError, StateError


def shown(value: object) -> str:
    """Its repr on one line, of 80 characters at most."""
    return f"{' '.join(repr(value).split()):.80}"


def html_table(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    title: str = "",
    foot: Sequence[Sequence[str]] = (),
) -> str:
    """A table for notebooks: texts as they are to be read, line breaks kept; head may be empty."""

    def line(cells: Sequence[str], tag: str) -> str:
        made = (html.escape(cell).replace("\n", "<br>") for cell in cells)
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in made) + "</tr>"

    parts = [
        f"<caption>{html.escape(title)}</caption>" if title else "",
        f"<thead>{line(head, 'th')}</thead>" if head else "",
        f"<tbody>{''.join(line(row, 'td') for row in body)}</tbody>",
        f"<tfoot>{''.join(line(row, 'td') for row in foot)}</tfoot>" if foot else "",
    ]
    return f"<table>{''.join(parts)}</table>"


def whole(
    name: str, value: Any, least: int | None = None, error: type[Exception] = ValueError
) -> int:
    """An int, also of numpy or torch. Raises `error` for anything else, True among it, and below `least`."""
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or (least is not None and found < least):
        bound = "" if least is None else f" of at least {least}"
        raise error(f"{name} must be a whole number{bound}, but got {shown(value)}.")
    return found


def real(name: str, value: Any, error: type[Exception] = ValueError) -> float:
    """A number as it is, and as a float one of numpy or torch. Raises `error` for anything else, texts and True
    among it.
    """
    if type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    try:
        if not isinstance(value, str | bytes | bool):
            return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise error(f"{name} must be a number, but got {shown(value)}.")


def text(name: str, value: object, error: type[Exception] = ValueError) -> str:
    """A str. Raises `error` for anything else."""
    if not isinstance(value, str):
        raise error(f"{name} must be a text, but got {shown(value)}.")
    return value


def several(name: str, value: Any, such: str, *, empty: bool = False) -> list[Any]:
    """A list of what an iterable holds. Raises StateError for a single thing, a text, and for none at all.

    such   what it is a sequence of, with an example: "budgets such as [10, 20]"
    empty  whether none at all will do
    """
    try:
        found = None if isinstance(value, str | bytes | Mapping) else list(value)
    except TypeError:
        found = None
    if found is None:
        raise StateError(f"{name} must be a sequence of {such}, but is {shown(value)}.")
    if not found and not empty:
        raise StateError(f"{name} must be a sequence of {such}, but is empty.")
    return found


def reals(name: str, values: Any, error: type[Exception] = ValueError) -> tuple[float, ...]:
    """Floats of a sequence. Raises StateError for what is none, `error` for what is no number in it."""
    found = several(name, values, "numbers", empty=True)
    return tuple(float(real(f"{name}[{i}]", value, error)) for i, value in enumerate(found))


def instance(name: str, value: object, kind: type, such: str = "") -> None:
    """Raise StateError unless it is an instance of `kind`, such as what `such` makes."""
    if isinstance(value, kind):
        return
    meant = isinstance(value, type) and issubclass(value, kind)
    hint = f" Did you mean {value.__name__}()?" if isinstance(value, type) and meant else ""
    example = f" such as {such}" if such else ""
    raise StateError(f"{name} must be a {kind.__name__}{example}, not {shown(value)}.{hint}")


def check_scale(thing: Any) -> None:
    """Raise ValueError unless thing.scale is above 0 and finite."""
    name = type(thing).__name__
    if not 0 < real(f"{name}: scale", thing.scale) < float("inf"):
        raise ValueError(
            f"{name} needs a scale above 0, the deviation of the data, but got {thing.scale!r}."
        )


def file_path(value: Any) -> Path:
    """The Path of a text or a Path. Raises StateError for anything else."""
    if not isinstance(value, str | os.PathLike):
        raise StateError(f"a path is a text or a Path, not {shown(value)}.")
    return Path(value)


def read_json(path: Any, wrong: type[Exception]) -> Any:
    """What a file holds. Raises ResultsError where it cannot be read, `wrong` where it is not JSON."""
    try:
        return json.loads(file_path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise wrong(f"{path} is not JSON: {error}.") from None


def write_json(path: Any, data: Any) -> None:
    """A file of JSON, every float as it will be read back. Raises ResultsError where it cannot be written."""
    text = json.dumps(data, indent=1) + "\n"
    try:
        file_path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}.") from None


class Values:
    """A frozen dataclass with a short repr, Adams(points=3, chart=DATA), whose numbers are numbers.

    Fields that are said to be float, int, bool or one of some texts are made so, of numpy or torch, or
    refused, before its __post_init__ looks at them; `wrong` is the error.
    """

    wrong: ClassVar[type[Exception]] = ValueError

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("__post_init__")
        if own is not None:

            @wraps(own)
            def checked(self: Values) -> None:
                Values.__post_init__(self)
                own(self)

            cls.__post_init__ = checked  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        if not is_dataclass(self):
            return
        for field in fields(self):
            value, name = getattr(self, field.name), f"{type(self).__name__}: {field.name}"
            if field.type in ("float", float):
                object.__setattr__(self, field.name, real(name, value, self.wrong))
            elif field.type == "int" and not isinstance(value, int | float | str | None):
                object.__setattr__(self, field.name, whole(name, value, error=self.wrong))
            elif str(field.type).startswith(("str", "Literal[")) and not isinstance(value, str):
                raise self.wrong(f"{name} must be a text, but got {shown(value)}.")
            elif field.type in ("bool", bool) and not isinstance(value, bool):
                raise self.wrong(f"{name} must be True or False, but got {shown(value)}.")

    def __repr__(self) -> str:
        if not is_dataclass(self):
            return f"{type(self).__name__}()"
        given = (
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.repr and (f.default is MISSING or getattr(self, f.name) != f.default)
        )
        return f"{type(self).__name__}({', '.join(given)})"
