"""The scales of the data: measured, known, guessed; and the levels that an ODE knows."""

from __future__ import annotations

import math

import pytest
import torch

import flowsolve as fs
from flowsolve import (
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Scales,
    VPrediction,
    scales,
    squared_cosine,
    unit_noise,
)
from flowsolve.errors import StateError
from flowsolve.ode import ODE, VP, Clip, X0Prediction
from flowsolve.ode.data_scales import known_scales, sigma_range
from flowsolve.problems import Dataset, Digits, Gaussian, Mixture, Mixture1D, NetworkProblem
from flowsolve.schedule import Labels, Reversed, SigmaClock, zero_terminal_snr
from tests.helpers import says

BIG = Mixture(
    (0.4, 0.6),
    ((3.0, 0.0, 1.0), (-2.0, 0.0, 0.0)),
    (((9.0, 1, 0), (1, 2.0, 0), (0, 0, 1.0)),) * 2,
    80.0,
    0.01,
)


def net(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return x


@pytest.mark.parametrize(
    "problem",
    [Mixture(), BIG, Gaussian((1.0, 0.0), ((4.0, 0.0), (0.0, 0.25)), 80.0, 0.01)],
    ids=lambda p: p.name,
)
def test_two_evaluations_find_both(problem: ODE) -> None:
    calls = []

    class Counted(fs.Wrapped):
        def eps(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            calls.append(sigma)
            return self.ode.eps(x, sigma)

        x0 = ODE.x0

    ode = Counted(problem)
    ode.sigma_range = problem.sigma_range
    data = problem.data().double()
    std = float(torch.cov(data.T).diagonal().mean().sqrt())
    top = math.sqrt(float(torch.linalg.eigvalsh(torch.cov(data.T))[-1]))
    found = scales(ode, unit_noise(range(16), (data.shape[1],), torch.float64))
    assert len(calls) == 2
    assert 0.6 < found.std / std < 1.5
    assert 0.6 < found.top / top < 1.5
    assert ode.scales == found
    assert known_scales(Clip(ode, -1, 1), (2,)) == found


def test_closed_forms_know_theirs() -> None:
    for problem in (
        Mixture(),
        BIG,
        Mixture1D(),
        Dataset(),
        Gaussian((1.0, 0.0), ((4.0, 0.3), (0.3, 0.25))),
    ):
        data = problem.data().double()
        covariance = torch.cov(data.reshape(len(data), -1).T).reshape(-1, math.prod(problem.event))
        values = torch.linalg.eigvalsh(covariance)
        assert problem.scales is not None
        assert problem.scales.std == pytest.approx(float(values.mean().sqrt()), rel=0.03)
        assert problem.scales.top == pytest.approx(float(values[-1].sqrt()), rel=0.03)
    found = scales(mine := Mixture(), unit_noise(range(16), (2,), torch.float64))
    assert mine.scales == found
    assert Dataset(torch.zeros(1, 2)).scales is None


def test_digits() -> None:
    problem = Digits()
    found = scales(problem, unit_noise(range(16), problem.event))
    assert found.std == pytest.approx(0.5628, abs=0.002)
    assert found.top == pytest.approx(1.968, abs=0.005)


def test_from_infinity() -> None:
    class Endless(fs.Wrapped):
        sigma_range = (math.inf, 0.0)

    noise = unit_noise(range(64), (3,), torch.float64)
    finite, endless = scales(BIG, noise), scales(Endless(BIG), noise)
    assert endless.top == pytest.approx(finite.top, rel=0.1)
    assert endless.std == pytest.approx(finite.std, rel=0.1)


def test_a_guess_from_the_shape() -> None:
    ode = DiffusionODE(net, EpsPrediction(fs.linear_beta()))
    assert known_scales(ode, (1, 8, 8)) == Scales(0.5, 0.5 * math.sqrt(19.2))
    assert known_scales(ode, (2,)) == Scales(0.5, 2.0)
    edm = DiffusionODE(net, EDMPrediction(sigma_data=1.5))
    assert known_scales(edm, (3, 32, 32)) == Scales(1.5, 1.5 * math.sqrt(0.3 * 3072))
    edm.scales = Scales(1.0, 3.0)
    assert known_scales(NetworkProblem(edm, (2,), 80, 0.002), (2,)) == Scales(1.0, 3.0)


def test_levels_from_the_clock() -> None:
    def known(p: fs.ode.Precondition) -> tuple[float, float]:  # type: ignore[name-defined]
        return sigma_range(DiffusionODE(net, p))

    beta = fs.linear_beta()
    assert known(EpsPrediction(beta)) == (beta.sigma(999), beta.sigma(0))
    assert known(EDMPrediction()) == (80.0, 0.002)
    assert known(FlowPrediction()) == (math.inf, 0.0)
    assert known(VPrediction(zero_terminal_snr(squared_cosine())))[0] == math.inf
    assert known(EpsPrediction(fs.VESDE())) == (50.0, 0.01)
    assert known(EpsPrediction(fs.VPSDE()))[0] == fs.VPSDE().sigma(1.0)
    assert known(EpsPrediction(Reversed(beta, 999))) == (beta.sigma(999), beta.sigma(0))
    assert known(EpsPrediction(Labels(beta, ends=(0.1, 20.0)))) == (20.0, 0.1)
    assert sigma_range(Digits().between(100.0, 0.02)) == (100.0, 0.02)


def test_levels_that_are_not_known() -> None:
    ode = DiffusionODE(net, X0Prediction(SigmaClock(), VP))
    found = says(
        StateError, "<flowsolve.ode.diffusion.DiffusionODE object", lambda: sigma_range(ode)
    )
    assert "does not know the levels that it was trained on" in str(found)
    ode.sigma_range = (30.0, 0.01)
    assert sigma_range(Clip(ode, -1, 1)) == (30.0, 0.01)


def test_wrong_scales_and_noises() -> None:
    says(ValueError, "Scales: std must be above 0 and finite, but is 0", lambda: Scales(0, 1.0))
    says(ValueError, "Scales: top must be a number", lambda: Scales(1.0, "a"))  # type: ignore[arg-type]
    few = "scales needs 8 unit noises or more, such as 16, (B, *event), not (3, 2)."
    says(StateError, few, lambda: scales(Mixture(), unit_noise(range(3), (2,))))
