"""Rows by seed: where they may stand, what `for_seeds` makes of them, and what is said against them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, check, sample, tune, unit_noise
from flowsolve.errors import NetworkError, StateError
from flowsolve.ode import ODE, BySeed, Clip, Composed, Experts, Guided, Quantised, interval
from flowsolve.problems import Digits, Letters
from tests.devices import on_each_device, same
from tests.helpers import says

SEEDS = [3, 0, 7, 40]
X = unit_noise(SEEDS, (3,), torch.float64)
TABLE = torch.linspace(0, 2, 50, dtype=torch.float64)


def network(
    x: Tensor, t: Tensor, c: Tensor, more: list[Tensor] | None = None, scale: float = 1.0
) -> Tensor:
    shift = c if more is None else c + more[0]
    return 0.5 * x + scale * shift[:, None] * x / (1 + x * x)


ODE_ = DiffusionODE(network, EpsPrediction(VPSDE()))


def labels(seeds: tuple[int, ...]) -> Tensor:
    return torch.tensor([seed % 10 / 10 for seed in seeds], dtype=torch.float64)


ROWS, NULL = BySeed(labels), BySeed(lambda seeds: torch.zeros(len(seeds), dtype=torch.float64))
given = ODE_.given


@pytest.mark.parametrize(
    ("by_seed", "as_rows"),
    [
        (lambda: given(ROWS), lambda c: given(c)),
        (lambda: given(BySeed(TABLE)), lambda c: given(TABLE[SEEDS])),
        (lambda: given({"c": ROWS, "scale": 2.0}), lambda c: given({"c": c, "scale": 2.0})),
        (lambda: given({"c": ROWS, "more": [ROWS]}), lambda c: given({"c": c, "more": [c]})),
        (lambda: Guided(given(ROWS), given(NULL), 3.0), lambda c: Guided(given(c), given(0 * c), 3.0)),
        (
            lambda: Guided(given({"c": ROWS}), given({"c": NULL}), 3.0, batched=True),
            lambda c: Guided(given(c), given(0 * c), 3.0),
        ),
        (
            lambda: Guided(given(ROWS), given(NULL), ROWS, rescale=0.3),
            lambda c: Guided(given(c), given(0 * c), c, rescale=0.3),
        ),
        (
            lambda: Composed(given(NULL), [(given(ROWS), 2.0), (given(BySeed(TABLE)), ROWS)]),
            lambda c: Composed(given(0 * c), [(given(c), 2.0), (given(TABLE[SEEDS]), c)]),
        ),
        (
            lambda: Experts(Clip(given(ROWS)), given(NULL), 1.0),
            lambda c: Experts(Clip(given(c)), given(0 * c), 1.0),
        ),
        (lambda: Quantised(given(ROWS)), lambda c: Quantised(given(c))),
    ],
)  # fmt: skip
def test_for_seeds_has_the_rows_in_its_place(
    by_seed: Callable[[], ODE], as_rows: Callable[[Tensor], ODE]
) -> None:
    ode, c = by_seed(), labels(tuple(SEEDS))
    expected = as_rows(c)
    found = ode.for_seeds(SEEDS)
    assert type(found) is type(ode)
    for sigma in (5.0, 0.5):
        assert torch.equal(found.eps(X, sigma), expected.eps(X, sigma))
        assert torch.equal(found.x0(X, sigma), expected.x0(X, sigma))
    part = ode.for_seeds(SEEDS[2:]).eps(X[2:], 0.5)  # not a state that was kept
    assert torch.equal(part, expected.eps(X, 0.5)[2:])
    with pytest.raises(NetworkError, match="follows from the seeds"):
        ode.eps(X, 0.5)


def test_nothing_is_copied_that_does_not_change() -> None:
    plain = Guided(given(labels(tuple(SEEDS))), ODE_, 2.0)
    assert plain.for_seeds(SEEDS) is plain
    half = Guided(given(ROWS), plain, 2.0)
    found = half.for_seeds(range(4))
    assert found.uncond is plain
    assert isinstance(half.ode, DiffusionODE)
    assert half.ode.condition is ROWS


def test_forward_hooks_see_the_rows() -> None:
    seen: list[int] = []
    ode = Guided(given(ROWS), given(NULL), 2.0, batched=True).for_seeds(SEEDS)
    ode.with_forward_hook(seen.append).eps(X, 0.5)
    assert seen == [8]


def test_a_function_is_told_the_seeds_alone_and_rows_go_to_the_device() -> None:
    seen: list[tuple[int, ...]] = []

    def rows(seeds: tuple[int, ...]) -> Tensor:
        seen.append(seeds)
        return torch.zeros(len(seeds), 2)

    found = BySeed(rows).for_seeds(range(2, 5), "meta")
    assert seen == [(2, 3, 4)]
    assert found.device.type == "meta"
    assert found.shape == (3, 2)


@on_each_device
def test_on_each_device(device: str) -> None:
    """Functions and tables of the CPU, for states elsewhere."""
    c = labels(tuple(SEEDS))
    expected = Guided(given(c), given(TABLE[SEEDS]), c, batched=True).eps(X, 0.5)
    ode = Guided(given(ROWS), given(BySeed(TABLE)), ROWS, batched=True).for_seeds(SEEDS, device)
    same(ode.eps(X.to(device), 0.5), expected, 1e-12)
    there = given(BySeed(TABLE.to(device))).for_seeds(SEEDS)  # and the other way round
    same(there.eps(X, 0.5), given(TABLE[SEEDS]).eps(X, 0.5), 1e-12)


def test_shipped_networks_take_labels_by_seed() -> None:
    rows = BySeed(lambda seeds: torch.tensor([seed % 4 for seed in seeds]))
    digits, letters = Digits().given(rows), Letters().given({"label": rows})
    assert digits.for_seeds(SEEDS).labels.tolist() == [3, 0, 3, 0]  # type: ignore[union-attr]
    assert letters.for_seeds(SEEDS).labels.tolist() == [3, 0, 3, 0]  # type: ignore[union-attr]
    assert digits.labels is None
    assert digits.digest not in (Digits().digest, Digits().given(rows).digest)
    assert digits.for_seeds(SEEDS).digest == Digits().given(torch.tensor([3, 0, 3, 0])).digest


def test_what_cannot_be() -> None:
    says(
        StateError,
        "BySeed takes a function from the seeds to a tensor with one row for each, or a tensor whose row i is "
        "that of seed i, not [1, 2].",
        lambda: BySeed([1, 2]),  # type: ignore[arg-type]
    )
    says(StateError, "BySeed takes a function", lambda: BySeed(torch.tensor(1.0)))
    says(
        StateError,
        "BySeed(a table (50,)) has rows for the seeds 0 to 49, but seed 50 is asked for.",
        lambda: given(BySeed(TABLE)).for_seeds([1, 50, 2]),
    )
    says(
        StateError,
        "BySeed(<lambda>) must return a tensor with one row for each of 2 seeds, not (1, 4).",
        lambda: given(BySeed(lambda seeds: torch.zeros(1, 4))).for_seeds([1, 2]),
    )
    says(
        StateError,
        "BySeed(list) must return a tensor with one row for each of 2 seeds, not [1, 2].",
        lambda: given(BySeed(list)).for_seeds([1, 2]),  # type: ignore[arg-type]
    )
    says(
        StateError, "seeds[1] must be a whole number of at least 0", lambda: ODE_.for_seeds([1, -2])
    )
    says(
        NetworkError,
        "the condition['more'][0] follows from the seeds: ode.for_seeds(range(8)) has that of eight samples. "
        "Studies, which know their seeds, ask for it themselves.",
        lambda: given({"c": TABLE[:4], "more": [ROWS]}).eps(X, 1.0),
    )
    says(
        NetworkError,
        "the guidance scale follows from the seeds: ode.for_seeds(range(8))",
        lambda: Guided(given(X[:, 0]), ODE_, ROWS).eps(X, 1.0),
    )
    says(
        ValueError,
        "interval takes a number, a tensor or a function of σ, not a scale by seed.",
        lambda: interval(ROWS, 0.1, 1.0),
    )
    says(
        NetworkError,
        "batched=True evaluates both sides at once, so the condition must be alike on both, but one is (2, 1) "
        "of",
        lambda: Guided(
            given(ROWS), given(BySeed(lambda seeds: torch.zeros(len(seeds), 1))), 2.0, batched=True
        ).for_seeds([1, 2]),
    )
    says(
        NetworkError,
        "batched=True evaluates both sides at once, so the condition must be alike on both, but one is (4,) of "
        "torch.float64 on cpu and the other BySeed(labels).",
        lambda: Guided(given(ROWS), given(TABLE[:4]), 2.0, batched=True),
    )


def test_check_sample_and_tune_say_that_seeds_are_missing() -> None:
    noise = unit_noise(range(16), (3,))
    ode = given(BySeed(lambda seeds: torch.ones(len(seeds))))
    text = "the condition follows from the seeds: ode.for_seeds(range(8)) has that of eight samples"
    report = check(ode, noise)
    assert not report.ok
    assert text in str(report)
    assert check(ode.for_seeds(range(16)), noise).ok
    says(NetworkError, text, lambda: sample(ode, noise, nfe=4))
    says(NetworkError, text, lambda: tune(ode, noise, 4))
    assert tune(ode.for_seeds(range(16)), noise, 4, fitted=False).noises == 4
