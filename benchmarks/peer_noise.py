"""The noise that physicsnemo's stochastic solvers add: its deviation beside the one that churn asks for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.peer_code import Edit, module

SOLVERS = {
    "EDMStochasticEulerSolver": "edm_stochastic_euler",
    "EDMStochasticHeunSolver": "edm_stochastic_heun",
}
SIGMAS = (10.0, 1.0, 0.1)
TIMES: Edit = ("(sigma_hat_bc**2 - sigma_cur_bc**2)", "(t_hat_bc**2 - t_cur_bc**2)")


def added(
    cls: str, sigma: float, mended: bool = False, churn: float = 0.01, samples: int = 100_000
) -> float:
    """The deviation of the noise of a step, over √(σ̂² - σ²), σ̂ = (1 + churn) σ, on the schedule t = σ²."""
    edits = (TIMES,) if mended else ()
    code = module(f"physicsnemo.diffusion.samplers.{SOLVERS[cls]}", edits, double=False)

    def nothing(x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    solver = getattr(code, cls)(
        nothing, S_churn=churn, num_steps=1, sigma_fn=torch.sqrt, sigma_inv_fn=torch.square,
        diffusion_fn=lambda x, t: torch.ones_like(x),
    )  # fmt: skip
    torch.manual_seed(0)
    t = torch.full((samples,), sigma**2, dtype=torch.float64)
    moved = solver.step(torch.zeros(samples, 1, dtype=torch.float64), t, 0.9 * t)
    return float(moved.std()) / (sigma * math.sqrt((1 + churn) ** 2 - 1))


def rows() -> list[list[str]]:
    """A row for each solver, and one for Heun's mended."""
    which = [(cls, False) for cls in SOLVERS] + [("EDMStochasticHeunSolver", True)]
    return [
        [
            "nvidia-physicsnemo",
            cls + ", fixed" * mended,
            *(f"{added(cls, s, mended):.2g}" for s in SIGMAS),
        ]
        for cls, mended in which
    ]
