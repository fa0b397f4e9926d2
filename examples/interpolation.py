"""
Between digits
==============

The square that four noises span, sampled; and straight lines between them, which leave the sphere.

Left: slerp between four corners in x_T, each sampled by the same deterministic method. Middle: straight
lines between the same corners. Right: along the diagonal, how strong the noise is. On lines it is half as
strong in the middle as noise is; these small digits hardly show it, because at σ = 157 the network
takes twice or half of that for pure noise alike. (Song, Meng, Ermon 2021, Section 5.3 and Figure 12.)
"""

import torch
from matplotlib.figure import Figure
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems
from flowsolve.ode import square

SIDE = 7
problem = problems.Digits()


def lines(corners: Tensor, n: int) -> Tensor:
    """As `square`, by straight lines."""
    t = torch.linspace(0, 1, n).reshape(n, *[1] * (corners.ndim - 1))
    left, right = (corners[i].lerp(corners[i + 2], t) for i in (0, 1))
    return torch.stack([left.lerp(right, j / (n - 1)) for j in range(n)], 1)


def digits(noise: Tensor, nfe: int) -> Tensor:
    """Samples of a sheet of noises (n, n, *event)."""
    spacing = lambda n: fs.log_snr(n, problem.sigma_max, problem.sigma_min)  # noqa: E731
    flat = noise.flatten(0, 1)
    return fs.sample(problem, flat, spacing, S.DPMSolverPP2M(), nfe=nfe).x.reshape(noise.shape)


def sheet(x: Tensor) -> Tensor:
    """(n, n, 1, h, w) as one picture."""
    x = torch.nn.functional.pad(x, (1, 1, 1, 1), value=-1.0)
    n, _, _, h, w = x.shape
    return x[:, :, 0].transpose(1, 2).reshape(n * h, n * w)


corners = fs.unit_noise([0, 1, 2, 3], problem.event, torch.float32)
figure = Figure(figsize=(11, 4), layout="constrained")
*sheets, right = figure.subplots(1, 3)
for axes, name, noise in zip(
    sheets, ("slerp", "lines"), (square(corners, SIDE), lines(corners, SIDE)), strict=True
):
    x = digits(noise, 20)
    axes.imshow(sheet(x).numpy(), cmap="gray_r", vmin=-1, vmax=1)
    axes.set(title=name, xticks=[], yticks=[])
    strength = torch.stack([noise[k, k].std() for k in range(SIDE)])
    ink = torch.stack([x[k, k].std() for k in range(SIDE)])
    color = {"slerp": "#0072B2", "lines": "#D55E00"}[name]
    right.plot(strength, "o-", color=color, label=f"noise, {name}")
    right.plot(ink, "s:", color=color, label=f"digit, {name}")
    middle = SIDE // 2
    print(
        f"{name}: in the middle the noise has deviation {strength[middle]:.2f}, the digit {ink[middle]:.2f}"
    )
    assert abs(strength[middle] - {"slerp": 1, "lines": 0.5}[name]) < 0.15
right.set(xlabel="along the diagonal", ylabel="standard deviation", title="strength", ylim=(0, 1.3))
right.legend(ncols=2, fontsize=8, loc="lower center")
plot.save(figure, "interpolation.png")
print("drawn: interpolation.png")
