"""
Brightness, and four fixes
==========================

What "Common Diffusion Noise Schedules and Sample Steps are Flawed" (Lin et al. 2023) mends, one by one.

Pictures of 64 x 64 values: brightness 0.5 ± 0.25, a wave, texture. The network is exact and its schedule is
Stable Diffusion's, so all that is wrong is what the paper says: the ends, the labels, the guidance.
Each row of points are the brightnesses of 128 samples; the grey band is the data's mean ± deviation.
"""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot
from flowsolve.ode import Guided
from flowsolve.problems import exact_network

SIDE, BRIGHT, TEXTURE = 64, 0.25, 0.15
WAVE = torch.cos(torch.linspace(0, 3 * math.pi, SIDE, dtype=torch.float64)).expand(SIDE, SIDE)


class Pictures(fs.ODE):
    """0.5 + wave + brightness + texture: Gaussian, the mean of a picture apart from all else."""

    def __init__(self, wave: float) -> None:
        self.mean = 0.5 + wave * WAVE

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean."""
        if math.isinf(sigma):
            return self.mean.expand_as(x)
        y, all_of_it = x - self.mean, math.hypot(SIDE * BRIGHT, TEXTURE)
        level = y.mean((1, 2), keepdim=True)
        a, b = (v * v / (v * v + sigma * sigma) for v in (all_of_it, TEXTURE))
        return self.mean + a * level + b * (y - level)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """(x̄ - x₀)/σ."""
        return (x - self.x0(x, sigma)) / sigma


def samples(noise: Tensor, n: int) -> dict[str, Tensor]:
    """DDIM, n steps, with one fix more in each."""
    ddim, new = S.DDIM(), fs.zero_terminal_snr(old := fs.scaled_linear_beta())
    picture, kind = fs.EpsPrediction(old), fs.VPrediction(new)
    eps = fs.DiffusionODE(exact_network(Pictures(0.2), picture), picture)
    v, weak = (fs.DiffusionODE(exact_network(Pictures(w), kind), kind) for w in (0.2, 0.1))
    runs = {
        "ε, leading": (eps, fs.leading(n, clock=old, steps_offset=1), ddim),
        "ε, trailing": (eps, fs.trailing(n, clock=old), ddim),
        "v, zero SNR, leading": (v, fs.leading(n, clock=new, steps_offset=1), ddim),
        "v, zero SNR, trailing": (v, fs.trailing(n, clock=new), ddim),
        "guided, w = 3": (Guided(v, weak, 3), fs.trailing(n, clock=new), ddim),
        "rescaled, φ = 0.7": (Guided(v, weak, 3, rescale=0.7), fs.trailing(n, clock=new), ddim),
    }
    return {k: fs.sample(ode, noise, *how, start=fs.vp_start).x for k, (ode, *how) in runs.items()}


found = samples(fs.unit_noise(range(128), (SIDE, SIDE), torch.float64), 25)
figure = Figure(figsize=(10, 5.4), layout="constrained")
for k, (name, x) in enumerate(found.items()):
    bright, over = x.mean((1, 2)), float((x > 1).double().mean())
    print(f"{name:22s} brightness {bright.mean():.2f} ± {bright.std():.2f}, over 1: {over:.1%}")
    picture = figure.add_subplot(2, 6, k + 1)
    picture.imshow(x[4].numpy(), cmap="gray", vmin=-1, vmax=1)
    picture.set(xticks=[], yticks=[])
    picture.set_title(name.replace(", ", "\n", 1), fontsize=9)
below = figure.add_subplot(2, 1, 2)
below.axvspan(0.25, 0.75, color="0.9", lw=0)
below.axvline(0.5, color="0.5", lw=1)
for k, x in enumerate(found.values()):
    bright = x.mean((1, 2))
    below.plot(bright, torch.full_like(bright, k), "|", color="#0072B2", alpha=0.4, ms=12)
    below.plot(bright.mean(), k, "o", color="#D55E00")
below.set_yticks(range(len(found)), list(found))
below.set(xlabel="brightness of a sample (orange: the mean)", ylim=(len(found) - 0.5, -0.5))
plot.save(figure, "brightness.png")
print("drawn: brightness.png")

means = [float(x.mean()) for x in found.values()]
assert means[:4] == sorted(means[:4]), "each fix brings the mean nearer to the data's"
assert means[0] < 0.12 < 0.45 < means[3]
