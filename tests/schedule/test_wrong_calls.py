"""Spacings, clocks and tables of β that are given something of a wrong kind say so, and give no levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from flowsolve import (
    VESDE,
    VPSDE,
    ClockTime,
    EDMClock,
    EDMPrediction,
    EpsPrediction,
    FlowClock,
    FlowPrediction,
    Grid,
    VPrediction,
    X0Prediction,
    arctan,
    ays,
    beta,
    beta_t,
    dmn,
    dynamic_shift,
    exponential,
    exponential_alpha_bar,
    flow_uniform,
    from_alpha_bar,
    from_alphas_cumprod,
    from_betas,
    gits_table,
    karras,
    laplace,
    leading,
    linear_beta,
    linspace,
    log_snr,
    quadratic_t,
    resample,
    round_to,
    scaled_linear_beta,
    sigmoid_beta,
    squared_cosine,
    tau_linear,
    tau_quadratic,
    trailing,
    uniform,
    uniform_t,
    zero_terminal_snr,
)
from flowsolve.errors import GridError, ScheduleError, StateError
from tests.helpers import plain_repr, refused, says

LINEAR = linear_beta()
ENDS: dict[str, Any] = {
    "karras": karras,
    "log_snr": log_snr,
    "exponential": exponential,
    "uniform": uniform,
    "beta": beta,
    "ays": ays,
    "arctan": arctan,
    "gits_table": gits_table,
    "dmn": dmn,
    "uniform_t": partial(uniform_t, clock=VPSDE()),
    "quadratic_t": partial(quadratic_t, clock=VPSDE()),
    "beta_t": partial(beta_t, clock=VPSDE()),
    "resample": partial(resample, [10, 5, 1]),
}
LABELS: dict[str, Any] = {
    f.__name__: partial(f, clock=LINEAR)
    for f in (tau_linear, tau_quadratic, leading, trailing, linspace)
}
COUNTS = [4.0, 4.5, "4", True, None, 0, -2, [4], math.nan]


@pytest.mark.parametrize("n", COUNTS, ids=plain_repr)
@pytest.mark.parametrize("name", [*ENDS, *LABELS, "flow_uniform"])
def test_counts(name: str, n: Any) -> None:
    if name in ENDS:
        refused(lambda: ENDS[name](n, 10, 0.1))
    else:
        refused(lambda: {**LABELS, "flow_uniform": flow_uniform}[name](n))


@pytest.mark.parametrize(
    "ends",
    [("10", ".1"), (math.nan, 0.1), (0.1, 10), (10, -1), ([10], 0.1), (10j, 0.1), (math.inf, 1), (1, 1)],
    ids=plain_repr,
)  # fmt: skip
@pytest.mark.parametrize("name", ENDS)
def test_ends(name: str, ends: tuple[Any, Any]) -> None:
    refused(lambda: ENDS[name](4, *ends))


def test_the_texts_of_counts_and_ends() -> None:
    text = "karras: n must be a whole number, but got 4.5."
    says(GridError, text, lambda: karras(4.5, 10, 0.1))  # type: ignore[arg-type]
    text = "uniform: sigma_max must be a number, but got '10'."
    says(GridError, text, lambda: uniform(4, "10", 0.1))  # type: ignore[arg-type]
    assert karras(np.int64(4), np.float64(10), 0.1) == karras(4, 10, 0.1)  # type: ignore[arg-type]
    assert karras(torch.tensor(4), 10, 0.1) == karras(4, 10, 0.1)  # type: ignore[arg-type]


G = Grid([4.0, 2, 1, 0.5])
Maker = Callable[[Any], object]
NUMBERS: dict[str, Maker] = {
    "rho": lambda v: karras(4, 10, 0.1, v),
    "exponential's rho": lambda v: exponential(4, 10, 0.1, v),
    "c": lambda v: arctan(4, 10, 0.1, v),
    "a": lambda v: beta(4, 10, 0.1, v),
    "power": lambda v: uniform_t(4, 10, 0.1, clock=VPSDE(), power=v),
    "shift": lambda v: flow_uniform(4, shift=v),
    "last": lambda v: flow_uniform(4, last=v),
    "image_seq_len": dynamic_shift,
    "points": lambda v: dmn(4, 10, 0.1, v),
    "error": lambda v: dmn(4, 10, 0.1, 3, v),
    "table": lambda v: ays(4, 10, 0.1, v),
    "gits": lambda v: gits_table(4, 10, 0.1, v),
    "β_0": lambda v: linear_beta(1000, v),
    "√β_0": lambda v: scaled_linear_beta(1000, v),
    "sigmoid": lambda v: sigmoid_beta(1000, v),
    "max_beta": lambda v: squared_cosine(1000, v),
    "rate": lambda v: exponential_alpha_bar(1000, v),
    "last steps": G.last,
    "below": G.below,
    "part": lambda v: G.part(0, v),
    "gain": G.gain,
    "ᾱ": from_alphas_cumprod,
    "β": from_betas,
    "f": from_alpha_bar,
    "f's answer": lambda v: from_alpha_bar(lambda u: v),
    "sigma_data": lambda v: EDMPrediction(sigma_data=v),
    **{f"T of {f.__name__}": f for f in (linear_beta, squared_cosine, laplace, sigmoid_beta)},
    **{f"t of {c}": c.t for c in (VPSDE(), EDMClock(), VESDE(), FlowClock(), LINEAR)},
    **{f"σ of {c}": c.sigma for c in (VPSDE(), EDMClock(), VESDE(), FlowClock(), LINEAR)},
}


@pytest.mark.parametrize("value", ["1", None, [1.0], 1j], ids=plain_repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str, value: Any) -> None:
    refused(lambda: NUMBERS[name](value))


@pytest.mark.parametrize("clock", [None, VPSDE, "vp", G, lambda t: t], ids=plain_repr)
@pytest.mark.parametrize(
    "call",
    [
        *(lambda c, f=f: f(4, 10, 0.1, clock=c) for f in (uniform_t, quadratic_t, beta_t)),
        *(lambda c, f=f: f(4, clock=c) for f in (tau_linear, trailing, leading, linspace)),
        lambda c: round_to(G, c),
        zero_terminal_snr,
        EpsPrediction, VPrediction, X0Prediction, FlowPrediction, EDMPrediction, ClockTime,
    ],
)  # fmt: skip
def test_clocks(call: Maker, clock: Any) -> None:
    refused(lambda: call(clock))


def test_the_texts_of_clocks_and_tables() -> None:
    named = "<class 'flowsolve.schedule.clock.VPSDE'>. Did you mean VPSDE()?"
    text = f"clock must be a Clock such as VPSDE(), not {named}"
    says(StateError, text, lambda: uniform_t(4, 10, 0.1, clock=VPSDE))  # type: ignore[arg-type]
    text = "linear_beta: T must be a whole number of at least 1, but got 1000.0."
    says(ScheduleError, text, lambda: linear_beta(1000.0))  # type: ignore[arg-type]
    text = "betas must be a sequence of numbers, but is 5."
    says(StateError, text, lambda: from_betas(5))  # type: ignore[arg-type]
    text = "betas[1] must be a number, but got 'b'."
    says(ScheduleError, text, lambda: from_betas([0.1, "b"]))  # type: ignore[list-item]
    text = "VPSDE(): t must be a number, but got '1'."
    says(ScheduleError, text, lambda: VPSDE().sigma("1"))  # type: ignore[arg-type]


def test_tables_of_numpy_and_torch_are_tables() -> None:
    betas = np.linspace(1e-4, 0.02, 50)
    assert from_betas(betas) == from_betas(betas.tolist())  # type: ignore[arg-type]
    assert from_betas(torch.from_numpy(betas)) == from_betas(betas.tolist())  # type: ignore[arg-type]
    assert type(VPSDE().sigma(torch.tensor(0.5))) is float  # type: ignore[arg-type]
