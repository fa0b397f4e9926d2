"""Labels that are rounded to whole numbers. The labels of each family: tests/interop/test_other_networks.py."""

from __future__ import annotations

import flowsolve as fs
from flowsolve.schedule.labels import Labels, nearest, whole


def test_whole_labels() -> None:
    clock = fs.linear_beta(between="log_sigma")
    rounded, cut = Labels(clock, nearest), Labels(clock, whole)
    sigma = clock.sigma(409.97)
    assert (rounded.t(sigma), cut.t(sigma)) == (410.0, 409.0)
    assert cut.t(clock.sigma(500.0)) == rounded.t(clock.sigma(500.0)) == 500.0
    assert rounded.sigma(409.97) == sigma
