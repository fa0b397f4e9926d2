"""
Train the ε-network of digits
=============================

Train the ε-network of the ``digits`` problem: DDPM on 8x8 handwritten digits, on a CPU::

    python examples/train_digits.py --figure digits.png     # --steps 0 draws the weights that exist

L_simple of Ho, Jain, Abbeel 2020, eq. 14, t uniform over 0, 1/16, ..., 999. Needs scikit-learn's data.
"""

# sphinx_gallery_thumbnail_path = 'figures/digits.png'
import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

import flowsolve as fs
from flowsolve import plot
from flowsolve.ode import Objective, moving_average
from flowsolve.problems import digits_data
from flowsolve.problems.unet import NO_CLASS, DigitsUNet
from flowsolve_solvers import Heun

WEIGHTS = Path(__file__).parents[1] / "flowsolve/problems/digits.safetensors"
DATA = "Optical Recognition of Handwritten Digits (test part), Alpaydin and Kaynak, UCI 1998"
CLOCK = fs.linear_beta()
L_SIMPLE = Objective(fs.EpsPrediction(CLOCK), [CLOCK.sigma(n / 16) for n in range(16 * 999 + 1)])


def loss(net: nn.Module, x0: Tensor, label: Tensor) -> Tensor:
    label_or_none = lambda: label.where(torch.rand(len(x0)) < 0.5, NO_CLASS)  # noqa: E731
    return L_SIMPLE.loss(lambda x, t: net(x, t, label_or_none()), x0)


def train(net: nn.Module, steps: int, batch: int = 128) -> nn.Module:
    (images, labels), average, mean = digits_data(), moving_average(net, 0.999), 1.0
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    decay = lambda n: min(1, (n + 1) / 200) * (1 + math.cos(math.pi * n / steps)) / 2  # noqa: E731
    rate = torch.optim.lr_scheduler.LambdaLR(adam, decay)
    for n in range(1, steps + 1):
        value = loss(net, images[i := torch.randint(len(images), (batch,))], labels[i])
        adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        rate.step()
        average.update_parameters(net)
        mean += (value.item() - mean) / min(n, 200)
        if n % 200 == 0 or n == steps:
            print(f"step {n:6d}  loss {mean:.4f}", flush=True)
    return average.module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--steps", type=int, default=10000, help="0 keeps the weights in --out")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the weights")
    parser.add_argument("--figure", type=Path, help="real digits beside sampled ones")
    args = parser.parse_args()
    torch.manual_seed(0)
    net, about = DigitsUNet(), {"data": DATA, "data_license": "CC BY 4.0", "seed": "0"}
    if args.steps:
        net.load_state_dict(train(net, args.steps).half().state_dict())
        about |= {"steps": f"{args.steps}", "loss": f"{loss(net, *digits_data()).item():.4f}"}
        args.out.write_bytes(save({k: w.half() for k, w in net.state_dict().items()}, about))
    net.load_state_dict(load_file(args.out))
    if args.figure:
        grid, noise = fs.karras(50, CLOCK.sigma(999), CLOCK.sigma(0)), torch.randn(100, 1, 8, 8)
        ode = fs.DiffusionODE(net, L_SIMPLE.precondition)
        made = fs.sample(ode, noise, grid, Heun(), start=fs.vp_start).x.chunk(10)
        real = digits_data()[0][torch.randperm(1797)[:100]].chunk(10)
        rows = torch.cat([x for pair in zip(real, made, strict=True) for x in pair])
        plot.save(plot.images(rows, 20, "real beside sampled"), args.figure)
