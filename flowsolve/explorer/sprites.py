"""The digits network's images by several solvers at several budgets, from the same noise, as small PNGs.

They are shipped in sprites.json, which `python benchmarks/explorer_sprites.py` makes.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from flowsolve.integrate.driver import sample
from flowsolve.ode.base import Wrapped
from flowsolve.ode.noise import unit_noise
from flowsolve.problems.digits import Digits
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.solver.plugins import make_solver

if TYPE_CHECKING:
    from torch import Tensor

# solver and grid by the keys of `plans.methods`; nothing for the default, which chooses both
SOLVERS: dict[str, tuple[str, Callable[..., Grid]] | None] = {
    "euler": ("euler", log_snr),
    "heun": ("heun", karras),
    "dpmpp_2m": ("dpmsolverpp2m", log_snr),
    "unipc": ("unipc:points=3", log_snr),
    "default": None,
}
NFES = (4, 5, 6, 8, 10, 15, 20, 32, 64)
SEEDS = range(8)
REFERENCE = 128  # evaluations of the default
WAY = (5, 10)  # the budgets whose x₀ on the way are shown


def shipped() -> dict[str, Any]:
    """What `sprites` makes, from the package."""
    made: dict[str, Any] = json.loads((files("flowsolve.explorer") / "sprites.json").read_text())
    return made


class _Watched(Wrapped):
    """Another ODE that keeps x₀ and σ of every evaluation."""

    def __init__(self, problem: Digits) -> None:
        super().__init__(problem)
        self.seen: list[tuple[float, Tensor]] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        found = super().eps(x, sigma)
        self.seen.append((sigma, x - sigma * found))
        return found

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        found = super().x0(x, sigma)
        self.seen.append((sigma, found))
        return found


def sprites() -> dict[str, Any]:
    """Rows of images, values from -1 to 1 as grey from 0 to 255.

    png, error  by "solver|nfe": the images and their RMS difference from `exact`, the default with REFERENCE
    way         by "solver|nfe": σ of each evaluation, and a row of x₀ for each
    grids       the spacing of each solver
    """
    exact = run("default", REFERENCE)[0]
    made: dict[str, Any] = {
        "size": exact.shape[-1], "count": len(SEEDS), "solvers": [*SOLVERS], "nfes": [*NFES],
        "grids": {key: taken[1].__name__ if taken else "own" for key, taken in SOLVERS.items()},
        "reference": REFERENCE, "exact": png([exact]), "png": {}, "error": {}, "way": {},
    }  # fmt: skip
    for key in SOLVERS:
        for nfe in NFES:
            x, seen = run(key, nfe)
            made["png"][f"{key}|{nfe}"] = png([x])
            made["error"][f"{key}|{nfe}"] = float((x - exact).square().mean().sqrt())
            if nfe in WAY:
                way = {"sigmas": [s for s, _ in seen], "png": png([x0 for _, x0 in seen])}
                made["way"][f"{key}|{nfe}"] = way
    return made


def run(key: str, nfe: int) -> tuple[Tensor, list[tuple[float, Tensor]]]:
    """The images of a solver of SOLVERS, (B, 1, 8, 8), and σ and x₀ of each evaluation."""
    problem = Digits()
    ode, noise, taken = _Watched(problem), unit_noise(SEEDS, problem.event), SOLVERS[key]
    if taken is None:
        return sample(ode, noise, nfe=nfe).x, ode.seen
    solver, spacing = taken

    def grid(n: int) -> Grid:
        return spacing(n, problem.sigma_max, problem.sigma_min)

    return sample(ode, noise, grid, make_solver(solver), nfe=nfe).x, ode.seen


def png(rows: Sequence[Tensor]) -> str:
    """A data address of (B, 1, h, w) each, the samples of one beside each other, one below the other."""
    import torch
    from PIL import Image

    pictures = torch.cat([torch.cat([*x[:, 0]], 1) for x in rows])
    grey = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    file = io.BytesIO()
    Image.fromarray(grey.numpy()).save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
