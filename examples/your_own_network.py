"""
Your own network, and its samples
=================================

A small network is trained in seconds; then every solver runs on it.

The network is EDM's F(c_in x̄, ln(σ)/4). ``DiffusionODE`` needs to know what a network predicts and
which clock its labels follow; then every solver runs on it. An ε-network would be
``DiffusionODE(net, EpsPrediction(clock))``.
"""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot

SOLVERS = {
    "DDIM": S.DDIM(),
    "Heun": S.Heun(),
    "DPM-Solver-2": S.DPMSolver2(),
    "DPM-Solver++(2M)": S.DPMSolverPP2M(),
    "DPM-Solver(3M)": S.DPMSolverM(3),
    "LMS(3)": S.LMS(3),
}


def spiral(n: int) -> Tensor:
    """Draw n points on a spiral, with a little noise."""
    angle = math.pi * (0.5 + 2 * torch.rand(n))
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / 7 + 0.02 * torch.randn(n, 2)


def train(layers: nn.Module, steps: int) -> None:
    """EDM's loss, σ log-normal, σ_data = 1/2: the layers see c_in x̄ and t = ln(σ)/4."""
    adam = torch.optim.Adam(layers.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1e-2, total_steps=steps)
    for _ in range(steps):
        x0, sigma = spiral(256), (1.3 * torch.randn(256, 1) - 1).exp()
        x, norm = x0 + sigma * torch.randn(256, 2), (sigma**2 + 0.25).sqrt()
        target = (x0 - 0.25 / norm**2 * x) / (0.5 * sigma / norm)
        loss = (layers(torch.cat([x / norm, sigma.log() / 4], 1)) - target).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()


torch.manual_seed(0)
one, two, three = nn.Linear(3, 96), nn.Linear(96, 96), nn.Linear(96, 2)
layers: nn.Module = nn.Sequential(one, nn.SiLU(), two, nn.SiLU(), three)
train(layers, 1500)

# %%
# The network as an ODE
# ---------------------
# ``net(x, t)`` gets c_in x̄ and the label; what it predicts and how its labels follow σ is ``EDMPrediction``.
net = lambda x, t: layers(torch.cat([x, t[:, None]], 1))  # noqa: E731
ode = fs.DiffusionODE(net, fs.EDMPrediction(sigma_data=0.5))
noise = fs.unit_noise(range(1000), event=(2,))
grid = lambda n: fs.karras(n, 20.0, 0.01).to_zero()  # noqa: E731
truth = fs.sample(ode, noise, grid, S.RK4(fs.LOG_SIGMA), nfe=401).x
errors: dict[str, float] = {}
panels = {"data": spiral(1000), "reference: RK4, 100 steps": truth}
for name, solver in SOLVERS.items():
    done = fs.sample(ode, noise, grid, solver, nfe=10)
    rmse = float((done.x - truth).square().mean().sqrt())
    errors[name] = rmse
    print(f"{name}, {done.nfe} evaluations: RMS distance to the reference {rmse:.3f}")
    panels[f"{name}, NFE {done.nfe}: {rmse:.3f}"] = done.x
assert errors["DPM-Solver++(2M)"] < errors["DDIM"] < 0.3
figure = Figure(figsize=(12, 6.4), layout="constrained")
for axes, (title, x) in zip(figure.subplots(2, 4).flat, panels.items(), strict=True):
    axes.plot(*x.T.numpy(), ".", ms=2)
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal")
plot.save(figure, "your_own_network.png")
print("drawn: your_own_network.png")
