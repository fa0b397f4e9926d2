"""
Train the networks of photos, signals and letters
=================================================

Train the network of ``photos``, ``signals`` or ``letters``, on one core of a CPU::

    python examples/train_networks.py photos

The loss is E (F - F*)², F* as the problem's precondition says; each batch is new data.
"""

# sphinx_gallery_thumbnail_path = 'figures/letters.png'
import argparse
import math
from pathlib import Path
from statistics import NormalDist
from time import process_time

import torch
from safetensors.torch import save
from torch import Tensor, nn

from flowsolve import problems
from flowsolve.ode import Objective, moving_average
from flowsolve.problems.shipped import Shipped, weights
from flowsolve.problems.unet import NETWORKS

RECIPES = {"photos": (10000, 64), "signals": (4000, 128), "letters": (6000, 64)}  # steps, batch


def levels(p: Shipped) -> list[float]:
    """σ at t uniform for `signals`; for the others at 4000 quantiles of ln σ, normal with deviation 1.8."""
    if p.name == "signals":
        return [p.clock.sigma(n / 4) for n in range(4 * 995 + 1)]
    law = NormalDist(-0.5 if p.name == "photos" else 0.0, 1.8)
    a, b = law.cdf(math.log(p.sigma_min)), law.cdf(math.log(p.sigma_max))
    return [math.exp(law.inv_cdf(a + (b - a) * (i + 0.5) / 4000)) for i in range(4000)]


def data(name: str, n: int, seed: int) -> tuple[Tensor, ...]:
    """The samples, and for `letters` their labels, of which every fifth says "no class"."""
    if name != "letters":
        return ((problems.photos_data if name == "photos" else problems.signals_data)(n, seed),)
    x, label = problems.letters_data(n, seed)
    return x, label.where(torch.rand(n) < 0.8, 26)


def train(net: nn.Module, objective: Objective, name: str, steps: int) -> nn.Module:
    average, mean, begin = moving_average(net, 0.999), 1.0, process_time()
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    decay = lambda n: min(1, (n + 1) / 200) * (1 + math.cos(math.pi * n / steps)) / 2  # noqa: E731
    rate = torch.optim.lr_scheduler.LambdaLR(adam, decay)
    for n in range(1, steps + 1):
        x0, *label = data(name, RECIPES[name][1], n)
        value = objective.loss(lambda x, t, label=label: net(x, t, *label), x0)  # type: ignore[misc]
        adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        rate.step()
        average.update_parameters(net)
        mean += (value.item() - mean) / min(n, 500)
        if n % 500 == 0 or n == steps:
            print(f"step {n:6d}  loss {mean:.4f}  {process_time() - begin:.0f} s", flush=True)
    return average.module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("problem", choices=[*RECIPES])
    parser.add_argument("--steps", type=int, help="fewer than its weights were made with")
    parser.add_argument("--out", type=Path, help="the weights; those of the package unless given")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    p, net = problems.PROBLEMS[args.problem](), NETWORKS[args.problem]()
    steps = args.steps or RECIPES[p.name][0]
    net = train(net, Objective(p.precondition, levels(p)), p.name, steps)
    values = {k: w.half() for k, w in net.state_dict().items()}
    about = {"problem": p.name, "seed": "0", "steps": f"{steps}"}
    (args.out or weights(p.name)).write_bytes(save(values, about))
