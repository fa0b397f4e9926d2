"""NetworkProblem: the data, the features, the clock and the name that the user gives with a network."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from flowsolve import ODE, VPSDE, DiffusionODE, FlowClock, FlowPrediction, Guided
from flowsolve.errors import StateError
from flowsolve.problems import Digits, Gaussian, NetworkProblem, find_problem
from tests.helpers import says


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
    assert (plain.clock, flow.clock) == (Digits().clock, FlowClock())
    assert NetworkProblem(Own(), (1,), 10.0, 0.1).clock == VPSDE()  # which has no labels
    assert flow.ode is plain.ode
    assert (flow.digest, flow.name, flow.event) == ("weights", "digits", (1, 8, 8))
    assert (flow.sigma_max, flow.sigma_min) == (10.0, 0.1)


class Small(nn.Module):
    def forward(self, x: Any, t: Any) -> Any:
        return x


def answers(x: Any, t: Any) -> Any:
    return x


class Own(ODE):
    def eps(self, x: Any, sigma: float) -> Any:
        return x


@pytest.mark.parametrize(
    ("ode", "name"),
    [
        (DiffusionODE(Small(), FlowPrediction()), "Small"),
        (DiffusionODE(Small().forward, FlowPrediction()), "Small"),
        (Guided(*[DiffusionODE(Small(), FlowPrediction())] * 2, 2.0), "Small"),
        (DiffusionODE(answers, FlowPrediction()), "answers"),
        (DiffusionODE(lambda x, t: x, FlowPrediction()), "network"),
        (Own(), "Own"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_network_gives_the_problem_its_name(ode: ODE, name: str) -> None:
    problem = NetworkProblem(ode, (2,), 10.0, 0.1, digest="weights")
    assert (problem.name, problem.digest) == (name, "weights")
    assert NetworkProblem(ode, (2,), 10.0, 0.1, name="mine").name == "mine"


def test_a_problem_of_a_file_is_called_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mynets")
    module.small = lambda: NetworkProblem(Own(), (2,), 10.0, 0.1)  # type: ignore[attr-defined]
    module.named = lambda: NetworkProblem(Own(), (2,), 10.0, 0.1, name="mine")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mynets", module)
    assert [find_problem(f"mynets:{n}").name for n in ("small", "named")] == [
        "mynets:small",
        "mine",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"event": "ab"}, "event must be a sequence of sizes such as (3, 32, 32), but is 'ab'."),
        ({"event": (2.5,)}, "event[0] must be a whole number of at least 1, but got 2.5."),
        ({"event": (0,)}, "event[0] must be a whole number of at least 1, but got 0."),
        ({"event": 2}, "event must be a sequence of sizes such as (3, 32, 32), but is 2."),
        ({"name": 3}, "name must be a text, but got 3."),
        ({"digest": None}, "digest must be a text, but got None."),
    ],
    ids=str,
)
def test_what_cannot_be(options: dict[str, Any], said: str) -> None:
    given = {"event": (2,), "sigma_max": 10.0, "sigma_min": 0.1, **options}
    says(StateError, said, lambda: NetworkProblem(Own(), **given))
