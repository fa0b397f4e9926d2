"""The exact problems of the benchmark: their split, that they are what their scales say, and new ones."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.rule_problems import HELD as RULE_HELD
from benchmarks.rule_problems import MADE_ON as RULE_OPEN
from flowsolve.problems import PROBLEMS, benchmark, find_problem
from flowsolve.problems.benchmark import HELD, HELD_NETWORKS, OPEN, OPEN_NETWORKS
from flowsolve.study import reference

EVERY = {**OPEN, **HELD}
# raise BENCH in flowsolve/study/benchmark.py where one of these changes
DIGESTS = {
    "line4": "22268c5c16a1", "plane5": "6eaf46f42eb4", "points24": "40d6c4ebd0b9",
    "falling32": "13a4ae9c715f", "latent64": "0ef71cde630c", "line3": "edcba53acc8b",
    "ring12": "f39d99579f6d", "large3": "9f9f022ef916", "even6": "af6435aa32fd",
    "latent16": "d2e37792385f", "points20": "b7af80f79a5e", "signals80": "36e0ad86a501",
    "falling64": "b3f6717e25b8",
}  # fmt: skip


def test_the_split_is_whole_and_alike() -> None:
    assert not {*OPEN} & {*HELD}
    assert (len(OPEN), len(HELD)) == (5, 8)
    for side in (OPEN, HELD):
        made = [make() for make in side.values()]
        sizes = [math.prod(p.event) for p in made]
        assert min(sizes) == 1
        assert max(sizes) == 64
        assert max(p.scales.top for p in made if p.scales) > 8
        assert min(p.scales.top for p in made if p.scales) < 1
        assert len({p.sigma_max for p in made}) >= 3
    networks = {**OPEN_NETWORKS, **HELD_NETWORKS}
    assert {*networks} == {name for name, kind in PROBLEMS.items() if kind.is_network}


def test_no_default_was_made_on_any() -> None:
    """What docs/default.md names: the exact problems of both its sides, and the networks that are open here."""
    before = [make() for make in (*RULE_OPEN.values(), *RULE_HELD.values())]
    assert not {p.digest for p in before} & {*DIGESTS.values()}
    assert {*OPEN_NETWORKS} == {
        p.name for name, p in zip(RULE_OPEN, before, strict=False) if p.is_network
    }
    assert not {p.digest for p in (kind() for kind in PROBLEMS.values())} & {*DIGESTS.values()}


@pytest.mark.parametrize("name", EVERY)
def test_a_problem_is_made_again_the_same(name: str) -> None:
    problem = EVERY[name]()
    assert problem.name == name
    assert problem.digest == EVERY[name]().digest == DIGESTS[name]


@pytest.mark.parametrize("name", EVERY)
def test_the_data_has_the_scales_that_the_problem_says(name: str) -> None:
    problem = EVERY[name]()
    data = problem.data().reshape(len(problem.data()), -1)
    assert problem.scales is not None
    assert float(data.var(0).mean().sqrt()) == pytest.approx(problem.scales.std, rel=0.06)
    largest = float(torch.linalg.matrix_norm(data - data.mean(0), 2)) / len(data) ** 0.5
    assert largest == pytest.approx(problem.scales.top, rel=0.1)


def test_a_problem_is_found_by_its_name() -> None:
    assert find_problem("flowsolve.problems.benchmark:ring12").digest == DIGESTS["ring12"]
    with pytest.raises(AttributeError, match="no attribute 'ring13'"):
        benchmark.ring13  # noqa: B018


def test_its_reference_is_accurate_between_other_ends_too() -> None:
    """A mixture is hashed as the object that it is, and its copies have their own parts."""
    problem = EVERY["plane5"]()
    part = problem.between(10.0, 0.1)
    assert part.digest != problem.digest
    x = part.start(range(4), torch.float64)
    assert reference(part, x, 10.0, 0.1, cached=False).agrees(1e-11)
