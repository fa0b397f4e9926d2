"""Digits made into others: encoded under their class, decoded under another; or noised half-way, and down.

    python examples/editing.py --out editing.png

Each row of the figure is one way to edit. Printed: how far the edits are from their images, as an RMS over
pixels and as a correlation, and how often the nearest real digit is one of the new class. A fresh sample and
another real digit, which keep nothing, show what these are of no editing at all.
                                     Song, Meng, Ermon 2021, Section 4.3; Meng et al. 2022 (SDEdit)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot
from flowsolve.experiments import edit
from flowsolve.problems import Digits
from flowsolve.problems.digits import digits_data

SHOWN = (
    edit.Edit(edit.encoded),
    edit.Edit(edit.inverted),
    edit.Edit(edit.noised, scale=3.0, strength=0.3),
    edit.Edit(edit.noised, scale=3.0, strength=0.4),
    edit.Edit(edit.fresh),
    edit.Another(),
)


def nearest(x: Tensor) -> Tensor:
    """The class of the nearest real digit."""
    images, classes = digits_data()
    return classes[torch.cdist(x.flatten(1), images.flatten(1)).argmin(1)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("editing.png"))
    parser.add_argument("--images", type=int, default=90)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    grid = fs.tau_linear(args.steps, clock=Digits().clock)
    task = edit.Task(args.images, grid, S.DDIM())
    for row in edit.edit_rows(task, nearest, SHOWN):
        print(
            f"{row.edit:28} distance {row.distance:.3f} ± {row.distance_err:.3f}  "
            f"correlation {row.correlation:.2f} ± {row.correlation_err:.2f}  "
            f"new class {row.right:.0%} ± {row.right_err:.0%}  NFE {row.nfe}{row.error}"
        )
    few = edit.Task(10, grid, S.DDIM())
    rows = {"original": few.images} | {str(setting): setting(few).x for setting in SHOWN}
    pairs = zip(few.classes.tolist(), few.targets.tolist(), strict=True)
    plot.save(plot.edits(rows, [f"{old} → {new}" for old, new in pairs]), args.out)
