"""Labels by seed: every study gives the same rows whatever the block, and guidance is no exception."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, compare, log_snr
from flowsolve.errors import NetworkError, StateError
from flowsolve.ode import BySeed, Guided
from flowsolve.problems import Digits, NetworkProblem, PerturbedProblem
from flowsolve.problems.perturbed import gaussian
from flowsolve.study import Case, Row, Way, collect, work_precision
from flowsolve.study.cases import budget_cases
from flowsolve.study.consistency import consistency
from flowsolve.study.interpolation import interpolation
from flowsolve.study.likelihood import likelihood
from flowsolve.study.quality import quality
from flowsolve.study.round_trip import round_trips
from flowsolve.study.samples import draw
from flowsolve.study.settings import Setup
from flowsolve.study.tuning_rows import tunings
from flowsolve_solvers import DDIM, DDPM, Euler, Heun
from tests.helpers import says

EVERY = ("error", "frechet", "energy", "precision", "recall")
N = 20
GRID = partial(log_snr, 5, 10.0, 0.05)


def network(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    """Products alone, so that the bits of a sample do not depend on the batch."""
    return 0.5 * x + c.to(x)[:, None] * x / (1 + x * x)


ODE = DiffusionODE(network, EpsPrediction(VPSDE()))
CLASSES = BySeed(lambda seeds: torch.tensor([seed % 5 / 5 for seed in seeds]))
NONE = BySeed(torch.zeros(100))
DATA = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
PROBLEM = NetworkProblem(
    Guided(ODE.given(CLASSES), ODE.given(NONE), BySeed(torch.linspace(1, 3, 100)), batched=True),
    (2,), 10.0, 0.05, name="classes", data=DATA,
)  # fmt: skip


def cases(*solvers: Any) -> list[Case]:
    return [Case(s, repr(s), "log_snr", "S=5", GRID) for s in solvers]


def values(rows: Any) -> list[dict[str, Any]]:
    """The rows without what they say of time."""
    assert not any(row.error for row in rows), [row.error for row in rows]
    return [{k: v for k, v in vars(row).items() if k not in ("seconds", "when")} for row in rows]


def of(tasks: Callable[..., Any]) -> Callable[[int], list[dict[str, Any]]]:
    return lambda block: values(collect(tasks(block=block)))


STUDIES: dict[str, Callable[..., Any]] = {
    "quality": lambda **s: quality(
        cases(Heun()), PROBLEM, distances=EVERY, seeds=range(N), cached=False, **s
    ),
    "table1": lambda **s: quality(cases(DDIM(), DDPM()), PROBLEM, seeds=range(N), **s),
    "consistency": lambda **s: consistency(
        [Euler(), Heun()], PROBLEM, [2, 5], lambda n: log_snr(n, 10.0, 0.05), seeds=range(N), **s
    ),
    "interpolation": lambda **s: interpolation(PROBLEM, Heun(), GRID(), pairs=N, points=3, **s),
    "likelihood": lambda **s: likelihood(
        list(budget_cases(Euler(), PROBLEM, log_snr, [4])), PROBLEM, samples=N, probes=None, **s
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:the start has a deviation")  # between two noises
@pytest.mark.parametrize("study", STUDIES)
def test_rows_do_not_depend_on_the_block(study: str) -> None:
    """To a few roundings: `quality` has an RMS error against references, which steps choose by block."""
    whole, parts = (of(STUDIES[study])(block) for block in (N, 7))
    for a, b in zip(whole, parts, strict=True):
        for name, value in a.items():
            if isinstance(value, float):
                loose = name in ("rmse", "stderr", "scale") or study == "likelihood"
                value = pytest.approx(value, rel=1e-3 if loose else 0, abs=0, nan_ok=True)
            assert name == "ref_err" or b[name] == value, name


def test_samples_are_equal_and_each_is_of_its_class() -> None:
    whole, *parts = (
        draw(PROBLEM, DDPM(), GRID(), Setup.of({"seeds": range(N), "block": b})).x
        for b in (N, 7, 1)
    )
    assert all(torch.equal(part, whole) for part in parts)
    backwards = draw(PROBLEM, DDPM(), GRID(), Setup.of({"seeds": range(N - 1, -1, -1), "block": 6}))
    assert torch.equal(backwards.x.flip(0), whole)
    none = NetworkProblem(ODE.given(torch.zeros(N)), (2,), 10.0, 0.05)
    free = draw(none, DDPM(), GRID(), Setup.of({"seeds": range(N)})).x
    same = (free == whole).all(1)
    assert same.tolist() == [seed % 5 == 0 for seed in range(N)]  # class 0 is that of `NONE`


def test_errors_of_work_and_precision_are_those_of_one_block() -> None:
    def rows(block: int) -> Any:
        study = work_precision(
            [Euler()], PROBLEM, [6], seeds=range(N), block=block, dtype="float64", cached=False
        )
        assert not study.failures
        return study.rows

    (whole,), parts = rows(N), rows(7)
    assert [row.samples for row in parts] == [7, 7, 6]
    together = sum(row.samples * row.rmse**2 for row in parts) / N
    assert together**0.5 == pytest.approx(whole.rmse, rel=1e-4)
    assert max(row.max for row in parts) == pytest.approx(whole.max, rel=1e-4)
    assert {row.problem_digest for row in parts} == {PROBLEM.digest}


def test_a_network_with_errors_keeps_its_labels() -> None:
    disturbed = PerturbedProblem(PROBLEM, gaussian(0.1))
    whole, parts = (
        draw(disturbed, Heun(), GRID(), Setup.of({"seeds": range(N), "block": b})).x for b in (N, 7)
    )
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-5)
    plain = draw(PROBLEM, Heun(), GRID(), Setup.of({"seeds": range(N)})).x
    assert 0.01 < float((whole - plain).square().mean().sqrt()) < 10


def test_a_real_network_by_class() -> None:
    """Convolutions round by batch: the same images to 1e-4."""
    labels = BySeed(lambda seeds: torch.tensor([seed % 10 for seed in seeds]))
    digits = Digits()
    grid = log_snr(3, digits.sigma_max, digits.sigma_min)
    whole, parts = (
        draw(digits.given(labels), Heun(), grid, Setup.of({"seeds": range(10), "block": b})).x
        for b in (10, 4)
    )
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)
    asked = digits.given(torch.arange(10))
    assert torch.equal(draw(asked, Heun(), grid, Setup.of({"seeds": range(10)})).x, whole)


def test_the_data_of_a_round_trip_have_the_labels_of_their_numbers() -> None:
    def lost(problem: NetworkProblem, block: int) -> Row:
        tasks = round_trips(
            [Way(Euler())], problem, [5], lambda n: log_snr(n, 10.0, 0.05), samples=12, block=block
        )
        (row,) = collect(tasks)
        assert not row.error
        return row

    own = NetworkProblem(ODE.given(CLASSES), (2,), 10.0, 0.05, data=DATA)
    known = NetworkProblem(ODE.given(torch.arange(12) % 5 / 5), (2,), 10.0, 0.05, data=DATA)
    whole: Any = lost(known, 12)
    for block in (12, 5):
        found: Any = lost(own, block)
        assert found.mse == pytest.approx(whole.mse, rel=1e-9)
        assert found.sampler == pytest.approx(whole.sampler, rel=1e-3)


def test_tune_and_compare_take_them() -> None:
    (row,) = collect(tunings(PROBLEM, [4], seeds=range(16), block=5))
    assert not row.error
    found = compare(
        ODE.given(CLASSES),
        None,
        (2,),
        [Euler(), Heun()],
        [6],
        seeds=range(N),
        block=7,
        cached=False,
    )
    assert not found.study.failures
    assert len(found.study.rows) == 6


def test_a_condition_of_one_block_is_told_of_by_seed() -> None:
    fixed = NetworkProblem(ODE.given(torch.zeros(N)), (2,), 10.0, 0.05, data=DATA)
    text = (
        "NetworkProblem(network) cannot be measured on states of (B, 2): the condition has shape (20,) for "
        "batches of 6 and 7 samples: give one row for each, and take blocks of as many samples as it has rows, "
        "or say by BySeed which row is whose."
    )
    says(NetworkError, text, lambda: work_precision([Euler()], fixed, [6], seeds=range(N), block=7))


def test_a_table_that_is_too_short_is_told_of() -> None:
    wrong = NetworkProblem(ODE.given(BySeed(torch.zeros(5))), (2,), 10.0, 0.05, data=DATA)
    text = "BySeed(a table (5,)) has rows for the seeds 0 to 4, but seed 19 is asked for."
    says(StateError, text, lambda: work_precision([Euler()], wrong, [6], seeds=range(N)))
