"""
Digits made into others
=======================

Encoded under their class and decoded under another; or noised half-way, and down under another.

Each row of the figure is one way to edit. Printed: how far the edits are from their images, as an RMS over
pixels and as a correlation, and how often they are read as the new class. A fresh sample and
another real digit, which keep nothing, show what these are of no editing at all.
(Song, Meng, Ermon 2021, Section 4.3; SDEdit: Meng et al. 2022.)
"""

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


grid = fs.tau_linear(10, clock=Digits().clock)
digits = edit.Originals(20, grid, S.DDIM())
distance = []
for row in collect(edit.edits(digits, ways=SHOWN)):
    distance.append(row.distance)
    print(
        f"{row.edit:28} distance {row.distance:.3f} ± {row.distance_error:.3f}  "
        f"correlation {row.correlation:.2f} ± {row.correlation_error:.2f}  "
        f"new class {row.right:.0%} ± {row.right_error:.0%}  NFE {row.nfe}{row.error}"
    )
few = edit.Originals(10, grid, S.DDIM())
rows = {"original": few.images} | {str(setting): setting(few).x for setting in SHOWN}
pairs = zip(few.classes.tolist(), few.targets.tolist(), strict=True)
plot.save(plot.edits(rows, [f"{old} → {new}" for old, new in pairs]), "editing.png")
print("drawn: editing.png")
encoded, _, less, half, fresh, another = distance
assert max(encoded, half) < min(fresh, another), (
    "edits are nearer to their images than fresh digits are"
)
