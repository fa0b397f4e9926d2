"""References of networks that are noisy, rounded, broken or slow: they end, and say how good they are."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import VPSDE, DiffusionODE, EpsPrediction
from flowsolve.errors import BudgetError, NetworkError, NonFiniteError
from flowsolve.problems import Digits, Mixture, NetworkProblem, Problem
from flowsolve.study import convergence, reference, true_float32, watched, work_precision
from flowsolve.study.error import Truth
from flowsolve_solvers import DPMSolver3, DPMSolverPPM, Euler, Heun
from tests.helpers import says

MIXTURE = Mixture()
HIGH, LOW = MIXTURE.sigma_max, MIXTURE.sigma_min
X = MIXTURE.start(range(16), torch.float64)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.fixture(scope="module")
def truth() -> Tensor:
    return reference(MIXTURE, X, HIGH, LOW, tolerance=1e-10, cached=False).x


class Asked(Problem):
    """The mixture as a network would give it: with noise at every call, or rounded; it counts."""

    name, is_network, tolerance = "asked", True, 1e-8
    sigma_max, sigma_min = HIGH, LOW

    def __init__(self, noise: float = 0.0, dtype: torch.dtype = torch.float64) -> None:
        self.noisy, self.dtype, self.calls = noise, dtype, 0
        self.generator = torch.Generator().manual_seed(0)

    @property
    def event(self) -> tuple[int, ...]:
        return (2,)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        eps = MIXTURE.eps(x.to(self.dtype), sigma).to(x.dtype)
        return eps + self.noisy * torch.randn(x.shape, dtype=x.dtype, generator=self.generator)


class Net(nn.Module):
    """A small smooth ε-network for samples of two values, with dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.last = nn.Linear(2, 16), nn.Linear(16, 2)
        self.drop = nn.Dropout(dropout)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x)) * (0.5 + t[:, None].to(x.dtype))
        return 0.9 * x + self.last(self.drop(hidden))


def problem_of(net: nn.Module) -> NetworkProblem:
    return NetworkProblem(DiffusionODE(net.eval(), EpsPrediction(VPSDE())), (2,), HIGH, LOW)


# --- noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [5e-4, 1e-8])
@pytest.mark.parametrize("noise", [1e-6, 1e-3])
def test_a_noisy_network_has_a_reference_that_says_so(
    noise: float, tolerance: float, truth: Tensor
) -> None:
    problem = Asked(noise)
    found = reference(problem, X, HIGH, LOW, tolerance=tolerance, cached=False)
    assert problem.calls < 2000
    assert noise / 2 < found.err < 0.1
    assert rms(found.x - truth) <= 3 * found.err


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_a_network_that_answers_at_random_has_none(noise: float) -> None:
    problem = Asked(noise)
    text = r"its answers to one input differ by \d+% .* call network.eval\(\); if it draws noise"
    with pytest.raises(BudgetError, match=text):
        reference(problem, X, HIGH, LOW, cached=False)
    assert problem.calls <= 20


@pytest.mark.parametrize("dropout", [0.5, 0.01])
def test_a_network_in_train_with_dropout_ends(dropout: float) -> None:
    net = Net(dropout)
    problem = problem_of(net)
    net.train()
    torch.manual_seed(0)
    calls, begin = [0], time.monotonic()
    with (
        warnings.catch_warnings(action="ignore"),
        watched(lambda n, agreement: calls.__setitem__(0, n)),
        suppress(BudgetError, NetworkError),
    ):
        study = convergence(Heun(), problem, steps=(4, 8), seeds=range(4), cached=False)
        assert all(row.ref_err > 1e-3 for row in study.rows)
    assert calls[0] < 5000
    assert time.monotonic() - begin < 60


def test_noise_at_the_lower_end_is_seen_too() -> None:
    """Of a network that predicts x₀, ε = (x̄ - x₀)/σ is quiet at high σ."""

    class OfX0(Asked):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            self.calls += 1
            return MIXTURE.eps(x, sigma) + 0.1 / sigma * torch.randn_like(x)

    with pytest.raises(BudgetError, match="differ by"):
        reference(OfX0(), X, HIGH, LOW, cached=False)


# --- dtypes ----------------------------------------------------------------------------------

DTYPES = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 0.1}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_error_of_a_rounded_network_is_honest_against_its_float64_twin(
    dtype: torch.dtype,
) -> None:
    rounded = Net().to(dtype)
    twin = Net().to(dtype).double()
    x = problem_of(twin).start(range(32), torch.float64)
    exact = reference(problem_of(twin), x, HIGH, LOW, tolerance=1e-9, cached=False)
    for tolerance in (5e-4, 1e-8):
        found = reference(problem_of(rounded), x, HIGH, LOW, tolerance=tolerance, cached=False)
        assert rms(found.x - exact.x) <= 3 * found.err
        assert found.err < max(tolerance, DTYPES[dtype]) * rms(exact.x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_default_reference_of_a_rounded_network_ends_soon(dtype: torch.dtype) -> None:
    problem = Asked(dtype=dtype)
    reference(problem, X, HIGH, LOW, cached=False)
    assert problem.calls < 2500


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("study_dtype", ["float64", "float32", "bfloat16"])
def test_a_network_of_another_dtype_just_runs(study_dtype: str, dtype: torch.dtype) -> None:
    study = convergence(
        Euler(), problem_of(Net().to(dtype)), steps=(4, 8, 16), seeds=range(8), dtype=study_dtype
    )
    assert all(row.certified for row in study.rows[:2])
    if study_dtype != "bfloat16":
        assert study.order() == pytest.approx(1, abs=0.25)


def test_slopes_leave_out_what_a_float32_network_cannot_resolve() -> None:
    study = convergence(DPMSolver3(), problem_of(Net()), steps=(20, 40, 80, 640), seeds=range(8))
    assert study.rows[0].dtype == "float64"
    assert study.order() == pytest.approx(3, abs=0.25)
    last = study.rows[-1]
    assert not last.certified
    assert last.rmse < 10 * last.ref_err < 1e-5
    assert 640 not in study.slope().steps
    assert "reference reached" in str(study)


# --- ends ------------------------------------------------------------------------------------


def test_the_limit_is_an_error_that_says_what_was_reached() -> None:
    problem = Asked()
    error = says(
        BudgetError,
        f"no reference of {problem!r} from σ = 10 to 0.05: integrating it to 1e-08 does not end",
        lambda: reference(problem, X, HIGH, LOW, limit=100, cached=False),
    )
    assert "(100 evaluations so far)" in str(error)
    assert problem.calls == 100


def test_an_answer_that_was_reached_is_better_than_an_error() -> None:
    loose = reference(Asked(), X, HIGH, LOW, tolerance=5e-4, cached=False)
    same = reference(Asked(), X, HIGH, LOW, after=loose, limit=50, cached=False)
    assert same.err == loose.err
    assert not same.agrees(1e-8)


@pytest.mark.parametrize("below", [11.0, 1.0], ids=["everywhere", "from σ = 1"])
def test_a_network_that_is_not_finite_ends_at_once(below: float) -> None:
    class Broken(Asked):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return super().eps(x, sigma) * (math.nan if sigma < below else 1)

    problem = Broken()
    with pytest.raises(NonFiniteError, match="is not finite at σ = "):
        reference(problem, X, HIGH, LOW, cached=False)
    assert problem.calls < 500


def test_threads_do_not_disturb_each_other() -> None:
    """SciPy's Adams method keeps its state in global variables."""

    class Waiting(Asked):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            time.sleep(1e-4)  # lets the others run
            return super().eps(x, sigma)

    def made(i: int) -> Tensor:
        return reference(Waiting(), X[i:], HIGH, LOW, tolerance=1e-4, cached=False).x

    with ThreadPoolExecutor(4) as pool:
        together = [*pool.map(made, range(4))]
    for i, x in enumerate(together):
        assert torch.equal(x, made(i))


def test_a_network_that_answers_in_one_buffer() -> None:
    class Reusing(Asked):
        buffer = torch.empty_like(X)

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return self.buffer.copy_(super().eps(x, sigma))

    found, fresh = (
        reference(p, X, HIGH, LOW, tolerance=1e-6, cached=False) for p in (Reusing(), Asked())
    )
    assert torch.equal(found.x, fresh.x)
    with pytest.raises(BudgetError, match="differ by"):
        reference(Reusing(0.1), X, HIGH, LOW, cached=False)


# --- what it costs ---------------------------------------------------------------------------


def test_a_more_accurate_one_goes_on_from_a_less_accurate_one() -> None:
    whole, going_on = Asked(), Asked()
    loose = reference(going_on, X, HIGH, LOW, tolerance=1e-5, cached=False)
    spent = going_on.calls
    found = reference(going_on, X, HIGH, LOW, tolerance=1e-6, after=loose, cached=False)
    fresh = reference(whole, X, HIGH, LOW, tolerance=1e-6, cached=False)
    assert torch.equal(found.x, fresh.x)
    assert (found.err, found.how, found.rtol) == (fresh.err, fresh.how, fresh.rtol)
    assert going_on.calls - spent < whole.calls / 2
    again = reference(going_on, X, HIGH, LOW, tolerance=1e-4, after=found, cached=False)
    assert again is found


def test_step_by_step_it_comes_as_far_as_at_once() -> None:
    problem = problem_of(Net())
    x = problem.start(range(8), torch.float64)
    at_once = reference(problem, x, HIGH, LOW, tolerance=1e-8, cached=False)
    found = None
    for tolerance in (5e-4, 5e-5, 5e-6, 5e-7, 5e-8, 1e-8):
        found = reference(problem, x, HIGH, LOW, tolerance=tolerance, after=found, cached=False)
    assert found is not None
    assert (found.err, found.how) == (at_once.err, at_once.how)
    assert found.err < 1e-6


def test_a_row_has_the_reference_that_it_needs_whatever_came_before() -> None:
    """Of a network; of a closed form there is one, at once."""
    near, far = (reference(Asked(), X, HIGH, LOW, cached=False).x + d for d in (1e-5, 0.1))
    up, down = Truth(Asked(), X, HIGH, LOW, False), Truth(Asked(), X, HIGH, LOW, False)
    found = [up.of(far)[0], up.of(near)[0]], [down.of(near)[0], down.of(far)[0]][::-1]
    for one, other in zip(*found, strict=True):
        assert (one.err, one.how) == (other.err, other.how)
        assert torch.equal(one.x, other.x)
    assert found[0][0].err > 10 * found[0][1].err
    assert rms(up.of(near)[1]) == pytest.approx(1e-5, rel=0.1)
    assert 10 * found[0][1].err < 1e-5
    assert Truth(MIXTURE, X, HIGH, LOW, False).of(far)[0].err < 1e-10


def test_the_default_comparison_takes_at_most_60_percent_of_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1134 evaluations for the reference and 718 for the solves, of other solvers. Of fewer samples one or two
    errors may be very small by chance, and their reference expensive.
    """
    from flowsolve.cli.comparison import SOLVERS
    from flowsolve.cli.methods import find_methods

    calls = [0]

    class Counted(Digits):
        def _combine(self, *args: Any) -> Tensor:
            calls[0] += 1
            return super()._combine(*args)

    problem = Counted()
    methods = find_methods(SOLVERS.split(), ["own"], problem)
    study = work_precision(
        methods, problem, [5, 6, 8, 10, 12, 16, 24, 40], seeds=range(16), cached=False
    )
    assert sum(row.nfe for row in study.rows) == 604
    assert calls[0] <= 0.6 * (1134 + 718)
    assert all(row.certified for row in study.rows)
    x, ends = Digits().start(range(16), torch.float32), (Digits().sigma_max, Digits().sigma_min)
    exact = reference(Digits(), x, *ends, tolerance=1e-5)  # in float32, whose rounding is 1e-6
    loose = reference(Digits(), x, *ends, tolerance=5e-4)
    assert rms(loose.x - exact.x) <= loose.err == study.rows[0].ref_err


# --- progress and TF32 -----------------------------------------------------------------------


def test_it_tells_how_far_it_is_to_who_asks() -> None:
    problem, told = Asked(), list[tuple[int, float]]()
    with watched(lambda calls, agreement: told.append((calls, agreement))):
        found = reference(problem, X, HIGH, LOW, tolerance=1e-6, cached=False)
    assert [calls for calls, _ in told] == [*range(1, problem.calls + 1)]
    assert math.isnan(told[0][1])
    known = [agreement for _, agreement in told if not math.isnan(agreement)]
    assert known == sorted(known, reverse=True)
    reference(problem, X, HIGH, LOW, tolerance=1e-4, cached=False)
    assert problem.calls > len(told)
    assert found.agrees(1e-6)


@pytest.fixture
def tf32() -> Iterator[list[tuple[Any, str]]]:
    convolution, product = torch.backends.cudnn, torch.backends.cuda.matmul
    new = hasattr(convolution, "conv")
    places: list[tuple[Any, str]] = (
        [(convolution.conv, "fp32_precision"), (product, "fp32_precision")]
        if new
        else [(convolution, "allow_tf32"), (product, "allow_tf32")]
    )
    before = [getattr(*place) for place in places]
    for place in places:
        setattr(*place, "tf32" if new else True)
    yield places
    for place, old in zip(places, before, strict=True):
        setattr(*place, old)


def test_tf32_is_off_inside_and_as_it_was_outside(
    tf32: list[tuple[Any, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    on = [getattr(*place) for place in tf32]
    with true_float32():
        with true_float32():
            pass
        assert all(getattr(*place) in ("ieee", False) for place in tf32)
    assert [getattr(*place) for place in tf32] == on
    seen = set[object]()

    class Looking(Asked):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            seen.update(getattr(*place) for place in tf32)
            if sigma < 1:
                raise ZeroDivisionError
            return super().eps(x, sigma)

    reference(Looking(), X, HIGH, 2.0, cached=False)
    with pytest.raises(ZeroDivisionError):
        reference(Looking(), X, HIGH, LOW, cached=False)
    with pytest.raises(ZeroDivisionError):
        work_precision([Euler()], Looking(), [4], seeds=range(2), cached=False)
    assert seen <= {"ieee", False}
    assert [getattr(*place) for place in tf32] == on


@pytest.mark.gpu
def test_a_reference_of_the_digits_on_a_gpu_ends_with_tf32_left_on(
    tf32: list[tuple[Any, str]],
) -> None:
    problem = Digits()
    x = problem.start(range(4), torch.float32, "cuda")
    calls, ends = [0], (problem.sigma_max, problem.sigma_min)
    with watched(lambda n, agreement: calls.__setitem__(0, n)):
        found = reference(problem, x, *ends, cached=False)
    assert calls[0] < 2500
    exact = reference(problem, x.cpu().double(), *ends, tolerance=1e-7)
    assert rms(found.x - exact.x) <= 3 * found.err
    study = work_precision(
        [DPMSolverPPM(3)], problem, [40], seeds=range(4), device="cuda", cached=False
    )
    assert study.rows[0].certified
