"""A small classifier of 1x8x8 images: the features and the judge of the `digits` problem."""

from __future__ import annotations

from torch import Tensor, nn


class DigitsClassifier(nn.Module):
    """log p(class | x) = log softmax(W f(x) + b), f three convolutions and a layer, all SiLU.

    Smooth in x, so that small errors of a solver move its features by little.
    """

    def __init__(self, channels: int = 32, d: int = 48) -> None:
        """Take the channels at 4x4, half of which are at 8x8, and the number of features."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, channels // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(16 * channels, d),
            nn.SiLU(),
        )
        self.head = nn.Linear(d, 10)

    def features(self, x: Tensor) -> Tensor:
        """Return f(x), (B, d), of images (B, 1, 8, 8) in [-1, 1]."""
        out: Tensor = self.body(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return log p of the ten classes, (B, 10)."""
        out: Tensor = self.head(self.features(x)).log_softmax(1)
        return out
