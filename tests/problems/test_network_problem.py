"""NetworkProblem: the data, the features, the clock and the name that the user gives with a network."""

from __future__ import annotations

import pytest
import torch

from flowsolve import VPSDE, FlowClock
from flowsolve.errors import StateError
from flowsolve.problems import Digits, Gaussian, NetworkProblem


def test_the_data_are_those_given() -> None:
    data = torch.zeros(5, 2)
    ends = {"sigma_max": 10.0, "sigma_min": 0.1}
    for given in (data, lambda: data):
        assert NetworkProblem(Digits(), (2,), **ends, data=given).data() is data
    with pytest.raises(StateError, match=r"must be a tensor \(N, 3\), not \(5, 2\)"):
        NetworkProblem(Digits(), (3,), **ends, data=data).data()
    with pytest.raises(StateError, match=r"no data .* NetworkProblem\(\.\.\., data=tensor\)"):
        NetworkProblem(Digits(), (2,), **ends).data()


def test_features_of_problems() -> None:
    ends = {"sigma_max": 10.0, "sigma_min": 0.1}
    assert Digits().features is Gaussian().features is None
    assert NetworkProblem(Digits(), (1, 8, 8), **ends).features is None
    given = NetworkProblem(Digits(), (1, 8, 8), **ends, features=torch.sin)
    assert given.features is torch.sin


def test_another_clock_changes_nothing_else() -> None:
    plain = NetworkProblem(Digits(), (1, 8, 8), 10.0, 0.1, name="digits", digest="weights")
    flow = plain.with_clock(FlowClock())
    assert (plain.clock, flow.clock) == (VPSDE(), FlowClock())
    assert flow.ode is plain.ode
    assert (flow.digest, flow.name, flow.event) == ("weights", "digits", (1, 8, 8))
    assert (flow.sigma_max, flow.sigma_min) == (10.0, 0.1)
