"""Short reprs of dataclasses: only the fields that differ from their defaults."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass


class ShortRepr:
    """Adds a repr without the fields that have their default value: Adams(points=3, chart=DATA), VPSDE()."""

    def __repr__(self) -> str:
        if not is_dataclass(self):
            return f"{type(self).__name__}()"
        shown = (
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.repr and (f.default is MISSING or getattr(self, f.name) != f.default)
        )
        return f"{type(self).__name__}({', '.join(shown)})"
