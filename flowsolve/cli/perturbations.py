"""Perturbations by name: `gaussian:0.01`, `int8`, `reuse:2`."""

from __future__ import annotations

from collections.abc import Iterable

from flowsolve._arguments import several, shown
from flowsolve.errors import NameUnknown, StateError
from flowsolve.problems.perturbed import PERTURBATIONS, Perturbation
from flowsolve.solver.spec import evaluate, plain_name

EXAMPLE = "gaussian:0.01, constant:0.01, bfloat16, float16, int8, reuse:2"


def split(texts: Iterable[str]) -> list[str]:
    """The names in texts, between which commas may stand too; each once."""
    return [*dict.fromkeys(name for text in texts for name in text.split(",") if name)]


def find_perturbations(given: str | Iterable[str | Perturbation]) -> list[Perturbation]:
    """Each once. Raises NameUnknown and StateError for what is none."""
    example = f"perturbations: {EXAMPLE}"
    listed = [given] if isinstance(given, str) else several("perturb", given, example, empty=True)
    found: dict[str, Perturbation] = {}
    for one in listed:
        for made in map(_made, split([one])) if isinstance(one, str) else [one]:
            if not isinstance(made, Perturbation):
                raise StateError(f"perturb holds {example}, or a Perturbation, not {shown(made)}.")
            found.setdefault(made.name, made)
    return [*found.values()]


def _made(text: str) -> Perturbation:
    made = evaluate(text, {plain_name(f.__name__): f for f in PERTURBATIONS}, "perturbation")
    if not isinstance(made, Perturbation):  # a chart, or another name that options know
        raise NameUnknown(f"there is no perturbation {text!r}. There are {EXAMPLE}.")
    return made
