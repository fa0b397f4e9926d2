"""What three questions to a network show: twice the same and another one between, on one or two samples.

`check` asks a fourth one, with another label.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowsolve.errors import FlowsolveError, NetworkError
from flowsolve.ode.base import ODE, leaves
from flowsolve.ode.condition import CALL_ERRORS, first_rows, rows
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.meaning import another_meaning, asked_at
from flowsolve.ode.modules import in_training

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Ends = tuple[float, float]
SLACK = 20  # units of rounding that answers may differ by: a GPU may change the order of a sum


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and how to mend it.

    fatal  whether samples would be wrong or fail; else it is handled, and costs a copy at most
    doubt  of what the network means: it runs, and somebody has to look
    cause  the error behind it, if there is one
    """

    what: str
    fatal: bool = True
    doubt: bool = False
    cause: Exception | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.what


def examine(
    ode: ODE, noise: Tensor, ends: Ends, batches: Mapping[int, ODE], *, steps: bool = False
) -> tuple[list[Finding], float]:
    """The findings on every network, and the largest spread.

    ode      as it is asked about the noise;  batches: as the run asks it, by the numbers of samples
    steps    a fourth question, whether the answers jump between whole labels
    """
    import torch

    found: list[Finding] = []
    spread = math.nan
    for leaf, *full in zip(leaves(ode), *map(leaves, batches.values()), strict=True):
        lengths = [*_lengths(dict(zip(batches, full, strict=True)))]
        found += lengths
        with torch.no_grad():
            if not lengths:
                met = _Meeting(leaf, noise, ends)
                if not any(finding.fatal for finding in met.findings):
                    if any(leaf is one for one in asked_at(ode, ends[0])):
                        met.look_at_meaning(noise, ends[0])
                    if steps:
                        met.look_between_labels(noise, ends)
                found += met.findings
                spread = met.spread if math.isnan(spread) else max(spread, met.spread)
    return [*dict.fromkeys(found)], spread


def _lengths(batches: Mapping[int, ODE]) -> Iterator[Finding]:
    """Conditions that do not have as many rows as there are samples, or that nobody has asked for."""
    sizes = " and ".join(map(str, sorted(batches)))
    for n, leaf in batches.items():
        try:
            for name, c in rows(getattr(leaf, "condition", None), "the condition"):
                if len(c) != n:
                    yield Finding(
                        f"{name} has shape {tuple(c.shape)} for batches of {sizes} samples: give one row for "
                        "each, and take blocks of as many samples as it has rows, or say by BySeed which row "
                        "is whose."
                    )
        except NetworkError as error:
            yield Finding(f"{error}", cause=error)


class _Meeting:
    """Three questions to one network, and what they show."""

    def __init__(self, leaf: ODE, noise: Tensor, ends: Ends) -> None:
        self.leaf, self.findings, self.spread = leaf, list[Finding](), math.nan
        self.answers: list[tuple[Tensor, Tensor]] = []  # as it was returned, and a copy from then
        self.wrote = set[str]()  # the names of what it wrote into
        try:
            ask = self._watched(len(noise))
            for sigma in (ends[0], ends[1], ends[0]):
                ask(noise * sigma, sigma)
        except (FlowsolveError, *CALL_ERRORS) as error:
            known = isinstance(error, FlowsolveError)
            text = f"{error}" if known else f"its ε fails: {type(error).__name__}: {error}"
            self.findings.append(Finding(text, cause=error))
            return
        if len(self.answers) < 3:
            self.findings.append(Finding("its ε is no tensor."))
            return
        self._compare(noise)

    def look_at_meaning(self, noise: Tensor, sigma: float) -> None:
        said = another_meaning(self.leaf, self.answers[0][1], noise, sigma)
        if said:
            self.findings.append(Finding(said, fatal=False, doubt=True))

    def look_between_labels(self, noise: Tensor, ends: Ends) -> None:
        """Whether the answer at the top is the same for a label beside it, which rounding makes the same."""
        import torch

        if not isinstance(self.leaf, DiffusionODE):
            return
        t, low = (self.leaf.precondition(sigma).t for sigma in ends)
        if abs(t - low) < 10:  # labels that nobody would round
            return
        shift = 0.2 if t % 0.5 < 0.25 else -0.2
        try:
            self._watched(len(noise), shift)(noise * ends[0], ends[0])
        except (FlowsolveError, *CALL_ERRORS):  # it takes no such label
            return
        if torch.equal(self.answers[0][1], self.answers[-1][1]):
            self.findings.append(
                Finding(
                    f"its answers to the labels {t:.5g} and {t + shift:.5g} are the same: it rounds its labels "
                    "or takes no notice of them. Where answers jump from label to label no method keeps its "
                    "order, and references of studies take long: look its labels up at both whole ones and "
                    "interpolate, if it allows that.",
                    fatal=False,
                    doubt=True,
                )
            )

    def _watched(self, n: int, shift: float = 0.0) -> Callable[[Tensor, float], object]:
        """The ODE on n samples, with its network, or where it has none its ε, watched."""
        if not isinstance(self.leaf, DiffusionODE):
            return self._watch(self.leaf.eps)
        other = copy.copy(self.leaf.given(first_rows(self.leaf.condition, n)))
        network = self._watch(other.network)
        other.network = lambda x, t, *c, **named: network(x, t + shift, *c, **named)
        return other.eps

    def _watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        def watched(x: Tensor, *rest: Any, **condition: Any) -> Any:
            given = {"its input": x}
            for c in (*rest[1:], condition):
                given |= rows(c, "its condition")
            before = {name: v.clone() for name, v in given.items()}
            out = function(x, *rest, **condition)
            self.wrote |= {name for name, v in given.items() if not torch.equal(v, before[name])}
            if isinstance(out, torch.Tensor):
                self.answers.append((out, out.clone()))
            return out

        return watched

    def _compare(self, noise: Tensor) -> None:
        (first, was), (_, other), (last, again) = self.answers
        shown = [*dict.fromkeys(in_training(getattr(self.leaf, "network", self.leaf.eps)))]
        self._look_like(noise, was)
        if was.shape != again.shape:
            return
        size = float(was.double().square().mean().sqrt())
        gap = float((again.double() - was.double()).square().mean().sqrt())
        self.spread = gap / size if size else gap
        if not all(bool(v.isfinite().all()) for v in (was, other)):
            self.findings.append(
                Finding("the answer holds NaN or infinity: does its dtype overflow?")
            )
        elif self.spread > SLACK * self._unit(noise):
            why = f"It is in train mode with {', '.join(shown)}: call .eval() on it" if shown else (
                "Dropout, another random draw or a state that it keeps may do that: call .eval() on it, or "
                "take the draw out"
            )  # fmt: skip
            self.findings.append(
                Finding(
                    f"two answers to one input differ by {self.spread:.2g} of their RMS. {why}."
                )
            )
        elif shown:
            self.findings.append(
                Finding(f"it is in train mode with {', '.join(shown)}: call .eval() on it.", False)
            )
        own = isinstance(self.leaf, DiffusionODE)
        for name in sorted(self.wrote):
            handled = own and name == "its input"
            mend = "which gets a copy where it is not its own" if handled else "use .clone() of it"
            self.findings.append(Finding(f"it changes {name} in place: {mend}.", not handled))
        if first.untyped_storage().data_ptr() == last.untyped_storage().data_ptr():
            text = (
                "it returns the same output buffer at every call, which is copied where it is kept"
            )
            self.findings.append(Finding(f"{text}.", fatal=False))

    def _look_like(self, noise: Tensor, out: Tensor) -> None:
        """What DiffusionODE looks at itself, for an ODE without one."""
        if isinstance(self.leaf, DiffusionODE):
            return
        seen, want = ((tuple(v.shape), v.dtype, v.device) for v in (out, noise))
        if seen != want:
            self.findings.append(
                Finding("its ε is {} {} on {} for a state of {} {} on {}.".format(*seen, *want))
            )

    def _unit(self, noise: Tensor) -> float:
        import torch

        kinds: list[torch.dtype | None] = [noise.dtype]
        if isinstance(self.leaf, DiffusionODE):
            kinds += [self.leaf.dtype, self.leaf.autocast]
        return max(torch.finfo(kind).eps for kind in kinds if kind is not None)
