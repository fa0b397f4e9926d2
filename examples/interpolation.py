"""Between digits: the square that four noises span, sampled; and the line between, which leaves the sphere.

    python examples/interpolation.py --out interpolation.png

Left: slerp between four corners in x_T, each sampled by the same deterministic method. Right: the same
corners with straight lines, on which the noise in the middle is half as strong as noise.
                                                    Song, Meng, Ermon 2021, Section 5.3 and Figure 12.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems
from flowsolve.ode import square


def lines(corners: Tensor, n: int) -> Tensor:
    """As `square`, by straight lines."""
    t = torch.linspace(0, 1, n).reshape(n, *[1] * (corners.ndim - 1))
    left, right = (corners[i].lerp(corners[i + 2], t) for i in (0, 1))
    return torch.stack([left.lerp(right, j / (n - 1)) for j in range(n)], 1)


def digits(noise: Tensor, nfe: int) -> Tensor:
    """Samples of a sheet of noises (n, n, *event)."""
    problem = problems.Digits()

    def spacing(n: int) -> fs.Grid:
        return fs.log_snr(n, problem.sigma_max, problem.sigma_min)

    flat = noise.flatten(0, 1)
    return fs.sample(problem, flat, spacing, S.DPMSolverPP2M(), nfe=nfe).x.reshape(noise.shape)


def sheet(x: Tensor) -> Tensor:
    """(n, n, 1, h, w) as one picture."""
    x = torch.nn.functional.pad(x, (1, 1, 1, 1), value=-1.0)
    n, _, _, h, w = x.shape
    return x[:, :, 0].transpose(1, 2).reshape(n * h, n * w)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("interpolation.png"))
    parser.add_argument("--seeds", type=int, nargs=4, default=[0, 1, 2, 3])
    args = parser.parse_args()
    corners = fs.unit_noise(args.seeds, problems.Digits().event, torch.float32)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    for axes, name, noise in zip(
        figure.subplots(1, 2),
        ("slerp", "lines"),
        (square(corners, 7), lines(corners, 7)),
        strict=True,
    ):
        x = digits(noise, 20)
        strength, ink = noise[3, 3].std(), x[3, 3].std()
        print(f"{name}: in the middle the noise has deviation {strength:.2f}, the digit {ink:.2f}")
        axes.imshow(sheet(x).numpy(), cmap="gray_r", vmin=-1, vmax=1)
        axes.set(title=name, xticks=[], yticks=[])
    plot.save(figure, args.out)
