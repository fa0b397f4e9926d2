"""The tables of docs/problems.md and one of docs/default.md: python benchmarks/networks.py WHAT NAME ...

distances   energy and Fréchet distance of 1024 samples to the data, their floors, principal deviations
smoothness  references to 1e-8 or to the noise of float32: their error relative to their RMS, CPU seconds
figures     docs/figures/NAME.png, data above samples
default     energy distance of 512 samples by the default and by others at 5, 8 and 12 evaluations
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from time import process_time

import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import metrics as m
from flowsolve import plot
from flowsolve.problems import PROBLEMS, Problem
from flowsolve.study import reference
from flowsolve_solvers import DPMSolverPP2M, Heun, PublishedDPMSolver, UniPC

FIGURES = Path(__file__).parents[1] / "docs" / "figures"


def made(p: Problem, n: int, block: int = 256) -> Tensor:
    """Heun, 50 steps (100 evaluations less one), Karras ρ = 7, float32."""
    grid, found = fs.karras(50, p.sigma_max, p.sigma_min), []
    for i in range(0, n, block):
        seeds = range(i, min(i + block, n))
        noise = fs.unit_noise(seeds, p.event)
        found.append(fs.sample(p.for_seeds(seeds), noise, grid, Heun()).x)
    return torch.cat(found)


def deviations(x: Tensor) -> str:
    """The four largest principal ones."""
    centred = (x - x.mean(0)).flatten(1).double()
    return ", ".join(f"{v:.3g}" for v in torch.linalg.svdvals(centred)[:4] / len(x) ** 0.5)


def distances(p: Problem) -> None:
    n, data = 1024, p.data()
    x, held = made(p, n), data[n:] if len(data) >= 2 * n else data
    features = m.pca(held, 40)
    for name, distance, f in (("energy", m.energy, None), ("Fréchet", m.frechet, features)):
        alone = distance if name == "energy" else partial(m.frechet, groups=0)
        bottom = m.floor(alone, data, f, samples=n if len(data) >= 2 * n else None)
        print(p.name, name, distance(x, held, f), "floor", bottom, sep=" | ", flush=True)
    print(p.name, "deviations", deviations(data), "of samples", deviations(x), sep=" | ")
    print(p.name, "per value", f"{data.std():.3f}", f"{x.std():.3f}", sep=" | ", flush=True)


def smoothness(p: Problem) -> None:
    for dtype, n in ((torch.float32, 64), (torch.float64, 8)):
        x, ode, begin = p.start(range(n), dtype), p.for_seeds(range(n)), process_time()
        ends = p.sigma_max, p.sigma_min
        found = reference(ode, x, *ends, tolerance=1e-8, cached=False)
        seconds, size = process_time() - begin, float(found.x.square().mean().sqrt())
        row = (p.name, dtype, n, f"{found.err / size:.1e}", found.how, f"{seconds:.0f} s")
        print(*row, sep=" | ", flush=True)


def default(p: Problem) -> None:
    """To the first 1024 of the data, unbiased; "diffusers" are its methods on its levels."""
    data, seeds, ends = p.data()[:1024].float(), range(512), (p.sigma_max, p.sigma_min)
    ode, noise = p.for_seeds(seeds), fs.unit_noise(seeds, p.event)
    scales = fs.scales(type(p)(), fs.unit_noise(range(16), p.event))
    start = fs.vp_start if p.name in ("digits", "signals") else fs.ve_start
    for n in (5, 8, 12):
        if p.name == "photos":
            grid = fs.karras(n - 1, *ends).to_zero()
        elif p.name == "letters":
            grid = fs.flow_uniform(n)
        else:
            grid = fs.linspace(n, clock=p.clock)
        guessed = fs.sample(ode, noise, nfe=n)
        ode.scales = scales
        found = {
            "default": guessed,
            "scales measured": fs.sample(ode, noise, nfe=n),
            "2M, karras": fs.sample(ode, noise, fs.karras(n, *ends), DPMSolverPP2M()),
            "2M, diffusers": fs.sample(
                ode, noise, grid, PublishedDPMSolver(2, lower_order_final=True), start=start
            ),
            "UniPC, diffusers": fs.sample(
                ode,
                noise,
                grid,
                UniPC(2, variant="bh2", lower_order_final=True, guard=None),
                start=start,
            ),
        }
        ode._scales = None
        for name, done in found.items():
            e = m.energy(done.x, data)
            print(p.name, n, name, f"{e.corrected:.4f} ± {e.error:.4f}", sep=" | ", flush=True)


def figures(p: Problem) -> None:
    n = 20 if len(p.event) == 2 else 48
    data = p.data()
    chosen = data[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:n]]
    both = torch.cat((chosen, made(p, n)))
    sheet = plot.signals(both, 10) if both.ndim == 3 else plot.images(both, 16)
    plot.save(sheet, FIGURES / f"{p.name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["distances", "smoothness", "figures", "default"])
    parser.add_argument("name", nargs="*", default=["digits", "photos", "signals", "letters"])
    args = parser.parse_args()
    tables = {
        "distances": distances,
        "smoothness": smoothness,
        "figures": figures,
        "default": default,
    }
    for name in args.name:
        tables[args.what](PROBLEMS[name]())
