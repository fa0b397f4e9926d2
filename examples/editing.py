"""Digits made into others: encoded under their class, decoded under another; or noised half-way, and down.

    python examples/editing.py --out editing.png

Each row of the figure is one way to edit. Printed: how far the edits are from their images, as an RMS over
pixels and as a correlation, and how often they are read as the new class. A fresh sample and
another real digit, which keep nothing, show what these are of no editing at all.
                                     Song, Meng, Ermon 2021, Section 4.3; Meng et al. 2022 (SDEdit)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot
from flowsolve.problems import Digits
from flowsolve.study import collect
from flowsolve.study import editing as edit

SHOWN = (
    edit.Edit(edit.encoded),
    edit.Edit(edit.inverted),
    edit.Edit(edit.noised, scale=3.0, strength=0.3),
    edit.Edit(edit.noised, scale=3.0, strength=0.4),
    edit.Edit(edit.fresh),
    edit.OtherDigit(),
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("editing.png"))
    parser.add_argument("--images", type=int, default=90)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    grid = fs.tau_linear(args.steps, clock=Digits().clock)
    digits = edit.Originals(args.images, grid, S.DDIM())
    for row in collect(edit.edits(digits, ways=SHOWN)):
        print(
            f"{row.edit:28} distance {row.distance:.3f} ± {row.distance_error:.3f}  "
            f"correlation {row.correlation:.2f} ± {row.correlation_error:.2f}  "
            f"new class {row.right:.0%} ± {row.right_error:.0%}  NFE {row.nfe}{row.error}"
        )
    few = edit.Originals(10, grid, S.DDIM())
    rows = {"original": few.images} | {str(setting): setting(few).x for setting in SHOWN}
    pairs = zip(few.classes.tolist(), few.targets.tolist(), strict=True)
    plot.save(plot.edits(rows, [f"{old} → {new}" for old, new in pairs]), args.out)
