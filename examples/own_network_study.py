"""
A study of your own network, with error bars
============================================

An ε-network is trained on two moons in seconds; its error against NFE says which sampler it wants.

``fs.compare`` measures every solver on the same 128 noises, against a reference that two integrations agree on.
Each point has its standard error.
"""

import math

import torch
from torch import Tensor, nn

import flowsolve as fs
from flowsolve import plot
from flowsolve.ode import Objective

# %%
# A network that predicts ε
# -------------------------
# DDPM's linear β and its loss. The network gets x_t and the label t, 0 to 999.
torch.manual_seed(0)
layers = nn.Sequential(nn.Linear(6, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))
clock = fs.linear_beta()


def network(x: Tensor, t: Tensor) -> Tensor:
    """Layers on x_t and four waves of t."""
    u = t[:, None] / 1000
    waves = [f(k * math.pi * u) for k in (0.5, 2) for f in (torch.sin, torch.cos)]
    return layers(torch.cat([x, *waves], 1))


def moons(n: int) -> Tensor:
    """Two half circles, with a little noise."""
    angle, side = math.pi * torch.rand(n), torch.randint(2, (n,)) * 2.0 - 1
    points = torch.stack([angle.cos() - side / 2, angle.sin() * side + side / -4], 1)
    return points * 0.8 + 0.04 * torch.randn(n, 2)


objective = Objective(fs.EpsPrediction(clock), [clock.sigma(float(t)) for t in range(1000)])
adam = torch.optim.Adam(layers.parameters())
rate = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1e-2, total_steps=1500)
for _ in range(1500):
    adam.zero_grad()
    objective.loss(network, moons(256)).backward()
    adam.step()
    rate.step()

# %%
# Error against evaluations
# -------------------------
# ``fs.scales`` measures the data's scales with two evaluations, from which the default chooses its steps.
layers.requires_grad_(False)
ode = fs.DiffusionODE(network, fs.EpsPrediction(clock))
fs.scales(ode, fs.unit_noise(range(256), (2,)))
solvers = "default ddim@karras heun@karras dpmsolverpp2m@karras unipc:points=3@karras"
result = fs.compare(ode, event=(2,), solvers=solvers, nfe=[6, 8, 12, 20, 32], seeds=range(128))
print(result.table)
assert not result.study.failures

plot.save(result.draw("two moons, 128 samples"), "own_network_study.png")
print("drawn: own_network_study.png")
