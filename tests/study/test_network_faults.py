"""Every kind of fault of a network at every entry point: right, a warning or a clear error, in 10 seconds."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from flowsolve import DiffusionODE, EpsPrediction, karras, linear_beta, sample, solve, unit_noise
from flowsolve.cli import main
from flowsolve.errors import NetworkError
from flowsolve.problems import Mixture, NetworkProblem, exact_network
from flowsolve.study import budget_cases, convergence, work_precision
from flowsolve.study.consistency import consistency
from flowsolve.study.interpolation import interpolation
from flowsolve.study.likelihood import likelihood
from flowsolve.study.quality import quality
from flowsolve.study.round_trip import Way, round_trips
from flowsolve.study.runner import collect
from flowsolve_solvers import Euler, Heun

MIXTURE = Mixture()
KIND = EpsPrediction(linear_beta())
EXACT = exact_network(MIXTURE, KIND)
DATA = MIXTURE.data()[:200].float()
LABELS, LAYER = nn.Embedding(100, 2), nn.Linear(3, 2)
DROPOUT = nn.Sequential(nn.Linear(2, 32), nn.Dropout(0.5), nn.Linear(32, 2))


class Fault(NamedTuple):
    """A network, and what is to be seen of it: "right", or a part of the error of runs and of studies."""

    network: Callable[..., Any]
    run: str
    study: str
    condition: Any = None
    event: tuple[int, ...] = (2,)


def buffered() -> Callable[..., Tensor]:
    out = torch.zeros(64, 2)
    return lambda x, t: out[: len(x)].copy_(EXACT(x, t))


def writing(x: Tensor, t: Tensor) -> Tensor:
    return x.copy_(EXACT(x.clone(), t))


TWO = "two answers to one input differ"
FAULTS = {
    "none": Fault(EXACT, "right", "right"),
    "reused buffer": Fault(buffered(), "right", "right"),
    "input in place": Fault(writing, "right", "right"),
    "train mode": Fault(lambda x, t: DROPOUT(x), "warns", TWO),
    "random": Fault(lambda x, t: EXACT(x, t) + 0.1 * torch.randn_like(x), "random", TWO),
    "shape": Fault(lambda x, t: x[:, :1], "returned shape", "returned shape"),
    "dtype of the answer": Fault(lambda x, t: x.half(), "returned torch.float16", "returned torch.float16"),
    "device": Fault(lambda x, t: x.to("meta"), "on meta for an input on cpu", "on meta"),
    "tuple": Fault(lambda x, t: (x,), "returned a tuple of 1", "returned a tuple of 1"),
    "not finite": Fault(lambda x, t: x / 0, "not finite", "holds NaN or infinity"),
    "forgotten condition": Fault(lambda x, t, y: x, "It wants more than x and t", "It wants more"),
    "condition's length": Fault(
        lambda x, t, y: x, "the condition has shape (3,)", "the condition has shape (3,)", torch.ones(3)
    ),
    "label out of range": Fault(lambda x, t: x + LABELS(t.long()), "outside the network's table", "outside"),
    "whole labels": Fault(lambda x, t: x + LABELS(t), "It looks up whole numbers", "It looks up whole"),
    "wrong event": Fault(lambda x, t: LAYER(x), "the shape that it was trained on", "states of (B, 2)"),
}  # fmt: skip


def problem(fault: Fault) -> NetworkProblem:
    ode = DiffusionODE(fault.network, KIND, condition=fault.condition)
    return NetworkProblem(ode, fault.event, 10.0, 0.05, data=DATA, name="own")


def spacing(n: int, high: float = 10.0, low: float = 0.05) -> Any:
    return karras(n, high, low)


SMALL: dict[str, Any] = {"seeds": range(8), "cached": False}
X, NOISE = MIXTURE.start(range(8)), unit_noise(range(8), (2,))
RUNS: dict[str, Callable[[NetworkProblem], Tensor]] = {
    "sample": lambda p: sample(p, NOISE, spacing(4), Heun()).x,
    "solve": lambda p: solve(p, X.clone(), spacing(4), Heun()).x,
}


def cases(p: NetworkProblem) -> list[Any]:
    return [*budget_cases(Heun(), p, karras, [8])]


STUDIES: dict[str, Callable[[NetworkProblem], Any]] = {
    "work_precision": lambda p: work_precision([Heun()], p, [8], **SMALL).rows,
    "convergence": lambda p: convergence(Heun(), p, steps=[4], dtype="float32", **SMALL).rows,
    "quality": lambda p: collect(quality(cases(p), p, **SMALL)),
    "consistency": lambda p: collect(consistency([Euler()], p, [2, 4], spacing, seeds=range(8))),
    "interpolation": lambda p: collect(interpolation(p, Euler(), spacing(4), pairs=8, points=2)),
    "likelihood": lambda p: collect(likelihood(cases(p), p, samples=8, probes=None)),
    "round_trips": lambda p: collect(
        round_trips([Way(Euler())], p, [4], spacing, samples=8, dtypes=[torch.float32])
    ),
}


@pytest.fixture(autouse=True)
def limit() -> Any:
    begin = time.process_time()
    yield
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("entry", RUNS)
@pytest.mark.parametrize("fault", FAULTS)
def test_runs(fault: str, entry: str) -> None:
    want, run = FAULTS[fault].run, partial(RUNS[entry], problem(FAULTS[fault]))
    if want == "right":
        assert run().equal(RUNS[entry](problem(FAULTS["none"])))
    elif want == "warns":
        DROPOUT.train()
        module = nn.Sequential(*DROPOUT)  # one that was not warned of yet
        with pytest.warns(
            UserWarning, match=r"is in train mode with Dropout.*Call \.eval\(\) on it"
        ):
            RUNS[entry](problem(FAULTS[fault]._replace(network=lambda x, t: module(x))))
    elif want == "random":  # a run asks no network twice: `check` and every study do
        assert run().isfinite().all()
    else:
        with pytest.raises((NetworkError, ArithmeticError)) as error:
            run()
        assert want in str(error.value)


@pytest.mark.parametrize("entry", STUDIES)
@pytest.mark.parametrize("fault", FAULTS)
def test_studies(fault: str, entry: str) -> None:
    want = FAULTS[fault].study
    if want != "right":
        with pytest.raises(NetworkError) as error:
            STUDIES[entry](problem(FAULTS[fault]))
        assert want in str(error.value)
        assert str(error.value).startswith(
            "NetworkProblem(own) cannot be measured on states of (B, 2): "
        )
    else:
        rows = STUDIES[entry](problem(FAULTS[fault]))
        good = STUDIES[entry](problem(FAULTS["none"]))
        assert not [row.error for row in rows if row.error]
        assert [_numbers(row) for row in rows] == [_numbers(row) for row in good]


def _numbers(row: Any) -> list[str]:
    same = ("problem_digest", "seconds")
    return [f"{name} {v!r}" for name, v in vars(row).items() if name not in same]


COMMANDS = {
    "compare": "compare {} --solvers heun --nfe 8 --seeds 8 --out {}",
    "order": "order heun --problem {} --steps 4 --seeds 8 --dtype float32 --out {}",
    "sample": "sample {} --nfe 8 --samples 8 --out {}",
    "quality": "quality {} --solvers heun --nfe 8 --samples 8 --out {}",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", ["train mode", "forgotten condition", "wrong event", "shape"])
def test_commands(fault: str, command: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    module = ModuleType("faulty")
    module.made = partial(problem, FAULTS[fault])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faulty", module)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = main(COMMANDS[command].format("faulty:made", tmp_path / "out").split())
    said = capsys.readouterr().err
    assert code == 1
    assert "NetworkProblem(own) cannot be measured on states of (B, 2): " in said
    assert " ".join(FAULTS[fault].study.split()) in " ".join(said.split())
    assert "Traceback" not in said
