"""Your own network as an ODE: train a small ε-network in seconds, then choose its sampler.

    python examples/your_own_network.py --out your_own_network.png

The network sees x_t = α x₀ + s ε and a label t, as any DDPM does. `DiffusionODE` needs to know what
it predicts and which clock its labels follow; then every solver runs on it.
"""

from __future__ import annotations

import argparse
import math
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot

CLOCK = fs.VPSDE()
SOLVERS = {
    "DDIM": S.DDIM(),
    "Heun": S.Heun(),
    "DPM-Solver-2": S.DPMSolver2(),
    "DPM-Solver++(2M)": S.DPMSolverPP2M(),
    "DPM-Solver, 3 points": S.DPMSolverM(3),
    "LMS, 3 points": S.LMS(3),
}


def spiral(n: int) -> Tensor:
    """Draw n points on a spiral, with a little noise."""
    angle = math.pi * (0.5 + 2 * torch.rand(n))
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / 7 + 0.02 * torch.randn(n, 2)


class Net(nn.Module):
    """A perceptron on x_t and waves of t."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        sizes = [12, width, width, width]
        hidden = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """F(x_t, t)."""
        waves = t[:, None] * torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).to(t)
        out: Tensor = self.layers(torch.cat([x, waves.sin(), waves.cos()], 1))
        return out


def train(net: Net, steps: int) -> None:
    """DDPM's loss, t uniform."""
    times = torch.linspace(0.001, 1, 1000)
    sigmas = torch.tensor([CLOCK.sigma(t) for t in times.tolist()])
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        i = torch.randint(len(times), (512,))
        sigma, x0, eps = sigmas[i, None], spiral(512), torch.randn(512, 2)
        loss = (net((x0 + sigma * eps) / (1 + sigma**2).sqrt(), times[i]) - eps).square().mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        decay.step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("your_own_network.png"))
    parser.add_argument("--steps", type=int, default=3000, help="of training")
    args = parser.parse_args()
    torch.manual_seed(0)
    net = Net()
    train(net, args.steps)

    ode = fs.DiffusionODE(net, fs.EpsPrediction(CLOCK))  # what it predicts, what its labels mean
    noise = fs.unit_noise(range(1000), event=(2,))
    grid = lambda n: fs.karras(n, CLOCK.sigma(1.0), CLOCK.sigma(0.001)).to_zero()  # noqa: E731
    truth = fs.sample(ode, noise, grid(300), S.RK4(fs.LOG_SIGMA), start=fs.vp_start).x

    panels = {"data": spiral(1000), "reference: RK4, 300 steps": truth}
    for name, solver in SOLVERS.items():
        done = fs.sample(ode, noise, grid, solver, nfe=10, start=fs.vp_start)
        rmse = float((done.x - truth).square().mean().sqrt())
        print(f"{name}, {done.nfe} evaluations: RMS distance to the reference {rmse:.3f}")
        panels[f"{name}, NFE {done.nfe}: {rmse:.3f}"] = done.x
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    for axes, (title, x) in zip(figure.subplots(2, 4).flat, panels.items(), strict=True):
        axes.plot(*x.T.numpy(), ".", ms=2)
        axes.set(title=title, xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal")
        axes.title.set_fontsize(9)
    plot.save(figure, args.out)
