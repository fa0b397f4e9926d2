"""The levels, labels and start of every scheduler class of diffusers that is read here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest

from flowsolve import Grid
from flowsolve.interop.diffusers import Reading, read_config
from flowsolve.schedule import whole
from tests.parity.pipelines import SD15, diffusers, flow, shift3, v, worst

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
spacings = [{"timestep_spacing": t} for t in ("trailing", "linspace")]
spacings.append({"timestep_spacing": "leading", "steps_offset": 1})
off_table: list[dict[str, Any]] = [
    {},
    *({f"use_{k}_sigmas": True} for k in ("karras", "exponential", "beta")),
]
TABLED = ("DPMSolverMultistep", "UniPCMultistep", "DEISMultistep")
FREE = ("EulerDiscrete", "HeunDiscrete", "LMSDiscrete", "KDPM2Discrete")
EDM = ("EDMEuler", "EDMDPMSolverMultistep", "CosineDPMSolverMultistep")
LEVELS: list[tuple[str, dict[str, Any]]] = [
    *((n, {**SD15, **s}) for n in ("DDIM", "DDPM", "EulerAncestralDiscrete") for s in spacings),
    *(("PNDM", {**SD15, **s, "skip_prk_steps": True}) for s in spacings),
    *((n, {**SD15, **s, **k}) for n in (*TABLED, *FREE) for s in spacings for k in off_table),
    *(("DPMSolverSinglestep", k) for k in off_table),
    ("KDPM2AncestralDiscrete", SD15),
    ("DPMSolverMultistep", {**SD15, "use_lu_lambdas": True}),
    *(
        (n, {**SD15, **s, "final_sigmas_type": "sigma_min"})
        for n in ("DPMSolverMultistep", "EulerDiscrete")
        for s in spacings
    ),
    *(
        ("DPMSolverMultistep", {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1, **s})
        for s in spacings
    ),
    ("EulerDiscrete", {"use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
                       "timestep_type": "continuous", "prediction_type": "v_prediction"}),
    *((n, {**SD15, **spacings[0], **v}) for n in ("DDIM", "DDPM", "EulerDiscrete", "UniPCMultistep")),
    *((n, flow) for n in (*TABLED, "DPMSolverSinglestep")),
    ("UniPCMultistep", {**flow, "use_karras_sigmas": True}),
    ("UniPCMultistep", {**flow, "shift_terminal": 0.1}),
    *(("FlowMatchEulerDiscrete", {**shift3, **k}) for k in off_table),
    ("FlowMatchEulerDiscrete", {**shift3, "shift_terminal": 0.1}),
    ("FlowMatchHeunDiscrete", shift3),
    *(("DDPM", {"beta_schedule": b}) for b in ("sigmoid", "laplace", "squaredcos_cap_v2")),
    ("HeunDiscrete", {"beta_schedule": "exp"}),
    ("CogVideoXDDIM", {}),
    ("CogVideoXDDIM", {**v, "timestep_spacing": "trailing", "snr_shift_scale": 1.0}),
    ("CogVideoXDPM", {"timestep_spacing": "linspace", "snr_shift_scale": 2.0}),
    *((n, {"sigma_schedule": k}) for n in EDM for k in ("karras", "exponential")),
    ("EDMEuler", {"final_sigmas_type": "sigma_min", "rho": 5.0, "sigma_min": 0.01}),
    ("IPNDM", {}),
    *(("SASolver", {**SD15, **s, **k}) for s in spacings for k in off_table[:2]),
    ("SASolver", flow),
    *(("DPMSolverSDE", {**SD15, **s, **k}) for s in spacings for k in off_table),
]  # fmt: skip


def sigmas_of(scheduler: Any) -> list[float]:
    """Its levels as σ = s/α, without repetitions."""
    if hasattr(scheduler, "sigmas"):
        s = list(dict.fromkeys(scheduler.sigmas.double().tolist()))
        is_flow = "FlowMatch" in type(scheduler).__name__ or scheduler.config.get("use_flow_sigmas")
        return [math.inf if u == 1 else u / (1 - u) for u in s] if is_flow else s
    if not hasattr(scheduler, "alphas_cumprod"):  # IPNDM, whose betas are the noise's scale
        s, alpha = scheduler.betas.tolist(), scheduler.alphas.tolist()
        return [
            math.inf if i == 0 else b / a for i, (b, a) in enumerate(zip(s, alpha, strict=True))
        ]
    bar = scheduler.alphas_cumprod.double()
    labels = sorted(set(scheduler.timesteps.tolist()), reverse=True)
    levels = [float(((1 - bar[t]) / bar[t]).sqrt()) for t in labels]
    final = float(getattr(scheduler, "final_alpha_cumprod", 1.0))
    last = math.sqrt((1 - final) / final)
    return [*levels, last] if last < levels[-1] else levels


@pytest.mark.parametrize(
    ("name", "config"),
    LEVELS,
    ids=lambda x: x if isinstance(x, str) else "-".join(map(str, x.values())),
)
def test_levels_labels_and_start(name: str, config: dict[str, Any]) -> None:
    """σ to float32, the labels where they are not rounded, and what unit noise is multiplied by."""
    scheduler = getattr(diffusers, f"{name}Scheduler")(**config)
    for n in (2, 5, 7, 20):
        scheduler.set_timesteps(n)
        reading = read_config(scheduler, as_shipped=True)
        grid, peer = reading.spacing(n), sigmas_of(scheduler)
        assert len(grid) == len(peer)
        assert list(grid) == pytest.approx(peer, rel=1e-3 if grid[0] > 1e5 else 3e-4)
        if name != "KDPM2AncestralDiscrete":  # its second stages lie elsewhere
            _check_labels(reading, grid, [float(t) for t in scheduler.timesteps], name)
    if math.isfinite(grid[0]):
        unit = float(getattr(scheduler, "init_noise_sigma", 1.0))
        alpha = (
            1.0
            if name in (*FREE, "DPMSolverSDE") or "Euler" in name
            else reading.precondition.alpha(grid[0])
        )
        if not name.startswith("KDPM2A"):
            assert reading.start(grid[0]) == pytest.approx(unit / alpha, rel=1e-3)


def _check_labels(reading: Reading, grid: Grid, labels: list[float], name: str) -> None:
    mine = [reading.clock.t(s) for s in grid if s > 0]
    peer = list(dict.fromkeys(labels))
    if name.startswith(("KDPM2", "DPMSolverSDE")):  # with those of second stages in between
        peer = peer[::2]
    # where theirs truncates 998.9999 and 999.0001, one label's noise
    slack = 1.0 if getattr(reading.clock, "rule", None) is whole else 2e-3
    for a, b in itertools.zip_longest(mine[: len(peer)], peer):
        assert a == pytest.approx(b, abs=slack, rel=1e-5)


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")
