"""Train the ε-network of the `digits` problem: DDPM on 8x8 handwritten digits, on a CPU.

    python examples/train_digits.py --figure            # --steps 0 draws the weights that exist

Ho, Jain, Abbeel 2020, eq. 14:  L_simple = E |ε - ε_θ(α x₀ + s ε, t)|²,  t uniform in [0, 999].
"""

from __future__ import annotations

import argparse
import math
import time
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from flowsolve.discrete import linear_beta
from flowsolve.problems.unet import NO_CLASS, DigitsUNet

ROOT = Path(__file__).parents[1]
WEIGHTS, FIGURE = ROOT / "flowsolve/problems/digits.safetensors", ROOT / "docs/figures/digits.png"
SOURCE = {
    "data": "Optical Recognition of Handwritten Digits (test part), Alpaydin and Kaynak, UCI 1998",
    "data_license": "CC BY 4.0",
}
CLOCK = linear_beta()
TIMES = torch.linspace(0, 999, 16 * 999 + 1, dtype=torch.float64)
SIGMAS = torch.tensor([CLOCK.sigma(t) for t in TIMES.tolist()], dtype=torch.float64)


def digits() -> tuple[Tensor, Tensor]:
    """Return the 1797 images, (n, 1, 8, 8) in [-1, 1], and their classes."""
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as error:
        raise SystemExit("scikit-learn is missing: pip install flowsolve[digits]") from error
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 8 - 1
    return images, torch.tensor(data.target)


def loss(net: torch.nn.Module, x0: Tensor, label: Tensor) -> Tensor:
    """L_simple on one batch, σ = s/α at a uniform t, the class dropped half of the time."""
    i = torch.randint(len(TIMES), x0.shape[:1])
    t, sigma = TIMES[i].to(x0), SIGMAS[i, None, None, None].to(x0)
    alpha = (1 + sigma**2).rsqrt()
    eps = torch.randn_like(x0)
    label = label.where(torch.rand(label.shape) < 0.5, NO_CLASS)
    error: Tensor = net(alpha * x0 + alpha * sigma * eps, t, label) - eps
    return error.square().mean()


def train(net: DigitsUNet, steps: int, batch: int = 128, warmup: int = 200) -> DigitsUNet:
    """Adam with warm-up and cosine decay; return the moving average of the weights."""
    images, labels = digits()
    decay = get_ema_multi_avg_fn(0.999)  # type: ignore[no-untyped-call]
    ema = AveragedModel(net, multi_avg_fn=decay)
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda n: min(1, (n + 1) / warmup) * (1 + math.cos(math.pi * n / steps)) / 2
    )
    start, mean = time.perf_counter(), 1.0
    for n in range(1, steps + 1):
        i = torch.randint(len(images), (batch,))
        value = loss(net, images[i], labels[i])
        adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        rate.step()
        ema.update_parameters(net)
        mean += (value.item() - mean) / min(n, 200)
        if n % 200 == 0 or n == steps:
            print(f"step {n:6d}  loss {mean:.4f}  {time.perf_counter() - start:6.0f} s", flush=True)
    assert isinstance(ema.module, DigitsUNet)
    return ema.module


@torch.no_grad()
def sample(net: DigitsUNet, x: Tensor, label: Tensor | None = None, steps: int = 50) -> Tensor:
    """Heun on dx̄/dσ = ε(x̄, σ), Karras ρ = 7, from unit noise x to images; 2 forwards a step."""

    def eps(x: Tensor, sigma: float) -> Tensor:
        out: Tensor = net(x / math.hypot(1, sigma), x.new_full(x.shape[:1], CLOCK.t(sigma)), label)
        return out

    a, b = CLOCK.sigma(999) ** (1 / 7), CLOCK.sigma(0) ** (1 / 7)
    grid = [(a + (b - a) * n / steps) ** 7 for n in range(steps + 1)]
    x = x * math.hypot(1, grid[0])
    for s, t in pairwise(grid):
        e = eps(x, s)
        x = x + (t - s) / 2 * (e + eps(x + (t - s) * e, t))
    return x


def figure(net: DigitsUNet, path: Path, rows: int = 10) -> None:
    """Draw real digits beside unconditional samples."""
    import matplotlib.pyplot as plt

    images, _ = digits()
    real = images[torch.randperm(len(images))[: rows * rows]]
    fig, axes = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
    halves = ("real", real), ("sampled", sample(net, torch.randn(real.shape)))
    for ax, (title, x) in zip(axes, halves, strict=True):
        tiles = torch.nn.functional.pad(x.reshape(rows, rows, 8, 8), (1, 1, 1, 1), value=-1.0)
        ax.imshow(tiles.transpose(1, 2).reshape(10 * rows, 10 * rows), "gray", vmin=-1, vmax=1)
        ax.set_title(title)
        ax.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=150)


def main() -> None:
    """Train, write the weights in fp16, and draw what they sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10000, help="0 keeps the weights in --out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, nargs="?", const=FIGURE, help="real beside sampled")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    net = DigitsUNet()
    if args.steps:
        net = train(net, args.steps).half().float()
        images, labels = digits()
        with torch.no_grad():
            value = sum(loss(net, images, labels).item() for _ in range(4)) / 4
        about = {"seed": f"{args.seed}", "steps": f"{args.steps}", "loss": f"{value:.4f}"}
        weights = {name: w.half().contiguous() for name, w in net.state_dict().items()}
        args.out.write_bytes(save(weights, SOURCE | about))
        print(f"{args.out}: {about}")
    if args.figure:
        net.load_state_dict(load_file(args.out))
        figure(net, args.figure)


if __name__ == "__main__":
    main()
