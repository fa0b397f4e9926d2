"""check: what it says of a network that behaves, and of each fault, with its mend."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import flowsolve as fs
from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Guided,
    VPrediction,
    X0Prediction,
    linear_beta,
    unit_noise,
)
from flowsolve.errors import StateError
from flowsolve.interop import from_velocity
from flowsolve.ode import Experts, Report
from flowsolve.problems import (
    Digits,
    Gaussian,
    Letters,
    Mixture,
    NetworkProblem,
    Photos,
    Problem,
    Signals,
    exact_network,
)
from tests.helpers import says

KIND = EpsPrediction(VPSDE())
NOISE = unit_noise(range(5), (3,))


def report(network: Callable[..., object], **more: object) -> Report:
    return fs.check(DiffusionODE(network, KIND, **more), NOISE)  # type: ignore[arg-type]


def test_a_network_that_behaves() -> None:
    found = fs.check(Digits(), unit_noise(range(3), (1, 8, 8)))
    assert found.ok
    assert found.problems == ()
    assert found.spread == 0
    assert repr(found) == (
        "Digits asked about (2, 1, 8, 8) of float32 on cpu, σ = 157.4 and 0.01: no problem found\n"
        "  shape, dtype and device are those of the state\n"
        "  two answers to one input are the same\n"
        "  the input is left as it was, and every answer is new"
    )


def noisy(x: Tensor, t: Tensor) -> Tensor:
    return x + 0.1 * torch.randn_like(x)


def remembering() -> Callable[[Tensor, Tensor], Tensor]:
    seen: list[Tensor] = [torch.zeros(2, 3)]

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append(x)
        return x + seen[-2]

    return network


def spoils(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    c += 1
    return x * 0


FAULTS: dict[str, tuple[Callable[..., object], dict[str, object], str]] = {
    "shape": (lambda x, t: x[:, :2], {}, "the network returned shape (2, 2) for an input of (2, 3)."),
    "dtype": (lambda x, t: x.double(), {}, "the network returned torch.float64 for an input of torch.float32."),
    "device": (lambda x, t: x.to("meta"), {}, "the network returned a tensor on meta for an input on cpu."),
    "no tensor": (lambda x, t: (x, x), {}, "the network returned a tuple of 2, not one tensor. Wrap it"),
    "no condition": (lambda x, t, y: x, {}, "the network failed when it was called with x (2, 3) of"),
    "condition's length": (
        lambda x, t, y: x, {"condition": torch.zeros(4)},
        "the condition has shape (4,) for batches of 5 samples: give one row for each",
    ),
    "labels": (lambda x, t: x + nn.Embedding(9, 3)(t), {}, "the network failed when it was called with x"),
    "not finite": (lambda x, t: x / 0, {}, "the answer holds NaN or infinity: does its dtype overflow?"),
    "random": (noisy, {}, "two answers to one input differ by 0."),
    "memory": (remembering(), {}, "two answers to one input differ by "),
    "condition in place": (spoils, {"condition": torch.zeros(5, 1)}, "it changes its condition in place: use"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named(fault: str) -> None:
    network, more, text = FAULTS[fault]
    found = report(network, **more)
    assert not found.ok
    assert [p.fatal for p in found.problems] == [True]
    assert str(found.problems[0]).startswith(text)
    assert "it cannot be used as it is\n  wrong: " + text in str(found)


def test_how_much_answers_differ_and_why() -> None:
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    found = report(lambda x, t: net(x))
    assert 0.1 < found.spread < 10
    assert str(found.problems[0]) == (
        f"two answers to one input differ by {found.spread:.2g} of their RMS. It is in train mode with "
        "Dropout: call .eval() on it."
    )
    net.eval()
    assert report(lambda x, t: net(x)).ok
    draws = nn.Linear(3, 3)
    found = report(lambda x, t: nn.functional.dropout(draws(x), 0.5))
    assert "Dropout, another random draw or a state that it keeps may do that" in str(found)


def test_rounding_is_no_difference() -> None:
    turn = iter([1.0, 1.0, 1 + 2**-22])
    found = report(lambda x, t: x * next(turn))
    assert found.ok
    assert found.spread == pytest.approx(2**-22, rel=0.5)
    assert "two answers to one input are the same to 2e-07" in str(found)


def test_what_is_handled() -> None:
    out = torch.zeros(2, 3)

    def static(x: Tensor, t: Tensor) -> Tensor:
        return out.copy_(x.mul_(0.5))

    found = report(static)
    assert found.ok
    assert str(found).splitlines()[1:] == [
        "  handled: it changes its input in place: which gets a copy where it is not its own.",
        "  handled: it returns the same output buffer at every call, which is copied where it is kept.",
    ]
    norm = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    found = report(lambda x, t: norm(x))
    assert found.ok
    assert "  handled: it is in train mode with BatchNorm1d: call .eval() on it." in str(found)


def test_all_networks_of_an_ode_are_asked() -> None:
    good = DiffusionODE(lambda x, t: x * 0.5, KIND)
    found = fs.check(Guided(good, DiffusionODE(noisy, KIND), 2.0), NOISE)
    assert str(found.problems[0]).startswith("two answers to one input differ")
    c = torch.arange(5)
    given = DiffusionODE(lambda x, t, c: x * c[:, None], KIND, condition=c)
    assert fs.check(Guided(given, given.given(c * 0), 2.0, batched=True), NOISE).ok
    assert c.equal(torch.arange(5))


def test_an_ode_without_a_network() -> None:
    class Mine(ODE):
        def __init__(self, answer: Callable[[Tensor], object]) -> None:
            self.answer = answer

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return self.answer(x)  # type: ignore[return-value]

    said = {
        lambda x: x[
            :1
        ]: "its ε is (1, 3) torch.float32 on cpu for a state of (2, 3) torch.float32 on cpu.",
        lambda x: None: "its ε is no tensor.",
        lambda x: x + torch.ones(2, 7): "its ε fails: RuntimeError: The size of tensor a (3)",
        lambda x: x.mul_(2) * 1: "it changes its input in place: use .clone() of it.",
    }
    for answer, text in said.items():
        found = fs.check(Mine(answer), NOISE)
        assert not found.ok
        assert str(found.problems[0]).startswith(text)
    assert fs.check(Mixture(), unit_noise(range(2), (2,))).ok


def test_noise_that_was_multiplied() -> None:
    found = fs.check(Mixture(), 80 * unit_noise(range(64), (2,)))
    assert not found.ok
    assert str(found.problems[0]) == (
        "the noise has a deviation of 74, but `sample` takes unit noise and multiplies it by σ itself: "
        "leave the multiplication out."
    )


def test_the_ends() -> None:
    seen: list[float] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append(float(t[0]))
        return x

    table = linear_beta()
    fs.check(DiffusionODE(network, EpsPrediction(table)), NOISE)
    assert seen == pytest.approx([table.t(80.0), 0.0, table.t(80.0), table.t(80.0)], abs=0.5)
    seen.clear()
    fs.check(DiffusionODE(network, FlowPrediction()), NOISE, ends=(3.0, 1.0))
    assert seen == [0.75, 0.5, 0.75]
    seen.clear()
    fs.check(NetworkProblem(DiffusionODE(network, FlowPrediction()), (3,), 9.0, 1.0), NOISE)
    assert seen == pytest.approx([0.9, 0.5, 0.9])


def test_what_cannot_be_checked() -> None:
    says(StateError, "ode must be an ODE such as DiffusionODE", lambda: fs.check(noisy, NOISE))  # type: ignore[arg-type]
    says(
        StateError,
        "noise must be floating-point, (B, *event), not",
        lambda: fs.check(Mixture(), [1]),
    )  # type: ignore[arg-type]


MEANT = DiffusionODE(exact_network(Mixture(), KIND), KIND)
TOWARDS = exact_network(Mixture(), FlowPrediction())
LETTERS = Letters().network  # a velocity, with data at t = 0
UNTRAINED = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 2))


@pytest.mark.parametrize(
    ("ode", "held", "expected"),
    [
        (from_velocity(lambda x, t: -TOWARDS(x, t)), "-0.99", "1.00"),
        (from_velocity(LETTERS, data_at=1), "1.17", "-1.00"),
        (from_velocity(LETTERS, points_to=0), "1.00", "-1.00"),
        (DiffusionODE(MEANT.network, X0Prediction(KIND.clock)), "1.00", "-0.00"),
        (DiffusionODE(MEANT.network, VPrediction(KIND.clock)), "1.00", "0.01"),
        (DiffusionODE(exact_network(Mixture(), VPrediction(VPSDE())), KIND), "0.01", "1.00"),
        (DiffusionODE(lambda x, t: -MEANT.network(x, t), KIND), "-1.00", "1.00"),
        (DiffusionODE(lambda x, t: UNTRAINED(x) * 0, KIND), "0.00", "1.00"),
    ],
)
def test_another_meaning(ode: DiffusionODE, held: str, expected: str) -> None:
    event = (1, 16, 16) if ode.network is LETTERS else (2,)
    found = fs.check(ode, unit_noise(range(2), event))
    assert found.ok
    assert [(p.fatal, p.doubt) for p in found.problems] == [(False, True)]
    assert "it runs, but look again\n  doubtful: at σ = 80 its answers hold " in str(found)
    assert str(found.problems[0]).endswith(
        f"hold {held} times the noise, and {expected} times is expected of what it was said to predict. Has it "
        "the other sign, does it predict something else (ε, v, x₀ or a velocity), or are the data at the other "
        "end of its time? An untrained network looks like this too."
    )


def test_an_expert_is_only_doubted_at_its_own_levels() -> None:
    other = DiffusionODE(lambda x, t: -MEANT.network(x, t), KIND)
    assert fs.check(Experts(MEANT, other, 5.0), unit_noise(range(2), (2,))).problems == ()
    assert [
        p.doubt for p in fs.check(Experts(other, MEANT, 5.0), unit_noise(range(2), (2,))).problems
    ] == [True]


def test_the_right_meaning() -> None:
    kinds = [KIND, VPrediction(VPSDE()), X0Prediction(VPSDE()), EDMPrediction(), FlowPrediction()]
    odes = [DiffusionODE(exact_network(Mixture(), kind), kind) for kind in kinds]
    odes += [from_velocity(lambda x, t: -TOWARDS(x, 1 - t), data_at=1)]
    for ode in [*odes, Mixture(), Gaussian(), Letters(), Signals(), Photos()]:
        event = ode.event if isinstance(ode, Problem) else (2,)
        for n in (1, 2) if len(event) > 1 else (2,):
            assert fs.check(ode, unit_noise(range(n), event)).problems == ()


TABLE = torch.linspace(-1, 1, 1001).sin()


def looked_up(x: Tensor, t: Tensor) -> Tensor:
    """An embedding of whole labels, and smooth between them."""
    low = t.floor().long()
    return x * (1 + 0.1 * torch.lerp(TABLE[low], TABLE[low + 1], t - low))[:, None]


@pytest.mark.parametrize(
    "network",
    [
        lambda x, t: looked_up(x, t.round()),
        lambda x, t: looked_up(x, t.long().to(t)),
        lambda x, t: looked_up(x, t.ceil()),
        lambda x, t: x,
    ],
)
def test_labels_that_are_rounded(network: Callable[[Tensor, Tensor], Tensor]) -> None:
    for ends in ((80.0, 0.02), (90.3, 0.1), (85.1, 0.1)):
        found = fs.check(DiffusionODE(network, EpsPrediction(linear_beta())), NOISE, ends=ends)
        assert found.ok
        assert [p.doubt for p in found.problems] == [True]
        assert re.match(
            r"its answers to the labels \d+\.?\d* and \d+\.?\d* are the same: it rounds its labels or takes no "
            "notice of them. Where answers jump from label to label no method keeps its order, and references "
            "of studies take long: look its labels up at both whole ones and interpolate, if it allows that.$",
            str(found.problems[0]),
        )


def test_labels_that_are_not_rounded() -> None:
    table = EpsPrediction(linear_beta())
    assert fs.check(DiffusionODE(looked_up, table), NOISE).problems == ()

    top = torch.tensor(linear_beta().t(80.0))

    def two(x: Tensor, t: Tensor) -> Tensor:
        if t[0] not in (0, top):
            raise IndexError("no such label")
        return x

    assert (
        fs.check(DiffusionODE(two, table), NOISE, ends=(80.0, linear_beta().sigma(0.0))).problems
        == ()
    )
    assert fs.check(DiffusionODE(lambda x, t: x, KIND), NOISE).problems == ()  # labels up to 1
