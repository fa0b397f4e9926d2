"""
Train the classifier of digits
==============================

Train the classifier of the ``digits`` problem, whose features and classes measure samples, on a CPU::

    python examples/train_classifier.py     # --in-order holds out the last images instead of random ones

Cross-entropy on 1437 of the images; it prints how many of the other 360 it reads right.
"""

# sphinx_gallery_thumbnail_path = 'figures/digits.png'
import argparse
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from flowsolve.problems import digits_data
from flowsolve.problems.classifier import DigitsClassifier

WEIGHTS = Path(__file__).parents[1] / "flowsolve/problems/classifier.safetensors"
DATA = "Optical Recognition of Handwritten Digits (test part), Alpaydin and Kaynak, UCI 1998"


def split(in_order: bool = False) -> tuple[Tensor, Tensor]:
    """The numbers of the images to train on and of those held out, 1437 and 360."""
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    order = torch.arange(1797) if in_order else order
    return order[:1437], order[1437:]


def varied(x: Tensor) -> Tensor:
    """Moved by a pixel or none in each direction, over a dark edge, and with noise of 0.3."""
    wide, (i, j) = F.pad(x, (1, 1, 1, 1), value=-1.0), torch.randint(3, (2, len(x), 1, 1))
    rows, columns = i + torch.arange(8)[:, None], j + torch.arange(8)
    moved = wide[torch.arange(len(x))[:, None, None], 0, rows, columns][:, None]
    return moved + 0.3 * torch.randn_like(x)


def train(
    net: DigitsClassifier, images: Tensor, classes: Tensor, epochs: int, batch: int = 64
) -> None:
    adam = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    for _ in range(epochs):
        for i in torch.randperm(len(images)).split(batch):
            loss = F.cross_entropy(net(varied(images[i])), classes[i], label_smoothing=0.1)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        rate.step()


def accuracy(net: DigitsClassifier, images: Tensor, classes: Tensor) -> float:
    with torch.no_grad():
        return (net(images).argmax(1) == classes).double().mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the weights")
    parser.add_argument("--in-order", action="store_true", help="hold out the last 360 images")
    args = parser.parse_args()
    torch.manual_seed(0)
    (images, classes), (seen, held) = digits_data(), split(args.in_order)
    net = DigitsClassifier()
    train(net, images[seen], classes[seen], args.epochs)
    net = net.half().float()  # as they are kept
    right = f"{accuracy(net, images[held], classes[held]):.4f}"
    print(
        f"right: {accuracy(net, images[seen], classes[seen]):.4f} of its own, {right} of the others"
    )
    about = {"data": DATA, "data_license": "CC BY 4.0", "seed": "0", "held_out_accuracy": right}
    args.out.write_bytes(save({k: w.half() for k, w in net.state_dict().items()}, about))
