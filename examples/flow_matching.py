"""
A flow-matching model, from σ = ∞
=================================

A velocity field is trained on five blobs; sampling starts from pure noise, where x̄ has no value.

Flow matching's path is x_t = (1-t) x₀ + t ε, so σ = t/(1-t), and t = 1 is σ = ∞. There the first step is
Euler's in the data chart: it asks the network once, for the mean of the data. Euler's method in t, which
is what most flow-matching code runs, is DDIM: both give the same samples, to rounding.
"""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot
from flowsolve.interop import from_velocity
from flowsolve.metrics import energy

# %%
# A velocity field, trained
# -------------------------
# The loss of flow matching: v(x_t, t) is to be ε - x₀.
torch.manual_seed(0)
layers = nn.Sequential(nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))


def velocity(x: Tensor, t: Tensor) -> Tensor:
    """dx_t/dt, towards noise."""
    return layers(torch.cat([x, t[:, None]], 1))


def blobs(n: int) -> Tensor:
    """Five of them on a circle."""
    angle = torch.randint(5, (n,)) * 2 * math.pi / 5
    return 1.4 * torch.stack([angle.sin(), angle.cos()], 1) + 0.1 * torch.randn(n, 2)


adam = torch.optim.Adam(layers.parameters())
rate = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1e-2, total_steps=2000)
for _ in range(2000):
    x0, eps, t = blobs(256), torch.randn(256, 2), torch.rand(256)
    x_t = (1 - t[:, None]) * x0 + t[:, None] * eps
    loss = (velocity(x_t, t) - (eps - x0)).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    rate.step()

# %%
# The loop of every flow-matching repository, and DDIM
# ----------------------------------------------------
ode = from_velocity(velocity)
noise = fs.unit_noise(range(1000), (2,))
steps = 10
with torch.no_grad():
    x = noise
    for k in range(steps, 0, -1):
        x = x - velocity(x, torch.full((1000,), k / steps)) / steps
    ddim = fs.sample(ode, noise, fs.flow_uniform(steps, last=1 / steps), S.DDIM())  # t = 1, ..., 0
gap = float((x - ddim.x).abs().max())
print(f"Euler in t against DDIM from σ = ∞, {ddim.nfe} evaluations: largest difference {gap:.0e}")
assert gap < 1e-4

# %%
# Other methods for the same ten evaluations
# ------------------------------------------
# The energy distance to 2000 fresh points. What it is for points of the data themselves, "data", is chance.
panels = {"noise": noise, "data": blobs(1000), "Euler in t": x}
with torch.no_grad():
    panels["the default"] = fs.sample(ode, noise, nfe=10).x
    panels["Heun"] = fs.sample(ode, noise, fs.flow_uniform, S.Heun(), nfe=10).x
real = blobs(2000)
figure = Figure(figsize=(12, 2.9), layout="constrained")
for axes, (name, points) in zip(figure.subplots(1, 5), panels.items(), strict=True):
    axes.plot(*points.T.numpy(), ".", ms=2, color="#0072B2")
    away = energy(points, real).value
    print(f"{name:12} energy distance {away:.4f}")
    axes.set(
        title=f"{name}\n{away:.3f} from data", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), aspect="equal"
    )
plot.save(figure, "flow_matching.png")
print("drawn: flow_matching.png")
