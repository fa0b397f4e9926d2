"""Letters: a trained network that ships with the package, for 1x16x16 capital letters of 26 classes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from flowsolve.errors import MissingExtra
from flowsolve.ode.noise import check_seeds
from flowsolve.ode.precondition import FlowPrediction
from flowsolve.problems.shipped import Shipped

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CLASSES = 26
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
)  # fmt: skip
"""Faces that matplotlib ships: DejaVu (Bitstream Vera terms) and STIX (SIL Open Font License 1.1)."""


class Letters(Shipped):
    """A flow's velocity ε - x₀ on 1x16x16 capital letters in [-1, 1], t = σ/(1+σ) from 0.999 to 0.001.

    Class-conditional: the letter of a seed is A + seed mod 26. `for_seeds(seeds)` is the problem with these
    labels, and studies ask for it; `given(labels)`, (B,) in 0..25, has others. Label 26, like no condition,
    means no class. Trained by examples/train_networks.py; data, licences and quality are in LETTERS.md beside
    this file.
    """

    name = "letters"
    summary = "a real flow network: U-Net on 1x16x16 capital letters, each of the class of its seed"
    event = (1, 16, 16)
    components = 40
    sigma_max, sigma_min = 999.0, 1 / 999

    def __init__(self) -> None:
        super().__init__(FlowPrediction())

    def for_seeds(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> Self:
        """The same with the label seed mod 26 for each sample, unless it was given labels."""
        import torch

        given = super().for_seeds(seeds, device)
        if given.labels is not None:
            return given
        return self.given(torch.tensor([s % CLASSES for s in check_seeds(seeds)], device=device))

    def data(self) -> Tensor:
        """2048 letters, of the classes that it was given, or of all. See `letters_data`."""
        return self.of_classes(*letters_data(), CLASSES)


def letters_data(n: int = 2048, seed: int = 0) -> tuple[Tensor, Tensor]:
    """n letters (n, 1, 16, 16) in [-1, 1], float32, and their classes (n,), a function of n and the seed.

    Each is a capital of one of FONTS, ink 1 on -1, turned and sheared by up to 0.15, stretched by 0.85 to 1.1
    in both directions, moved by up to half a pixel. Raises MissingExtra without matplotlib's fonts or Pillow.
    """
    import torch
    from torch.nn import functional as F

    g = torch.Generator("cpu").manual_seed(seed)
    glyphs = _glyphs()
    label, face = (torch.randint(k, (n,), generator=g, device="cpu") for k in (CLASSES, len(FONTS)))
    turn, shear, wide, high, right, down = torch.rand(6, n, generator=g, device="cpu") * 2 - 1
    turn, shear = 0.15 * turn, 0.15 * shear
    wide, high = 1 / (0.975 + 0.125 * wide), 1 / (0.975 + 0.125 * high)
    rows = (
        torch.stack((wide * turn.cos(), wide * (shear - turn.sin()), right / 16), 1),
        torch.stack((high * turn.sin(), high * turn.cos(), down / 16), 1),
    )
    where = F.affine_grid(torch.stack(rows, 1), [n, 1, 48, 48], align_corners=False)
    drawn = F.grid_sample(glyphs[face, label][:, None], where, align_corners=False)
    return F.avg_pool2d(drawn, 3) * 2 - 1, label


@cache
def _glyphs() -> Tensor:
    """The capitals of FONTS, (16, 26, 96, 96), ink 1 on 0, each in the middle."""
    import torch

    try:
        from PIL import Image, ImageDraw, ImageFont

        home = Path(getattr(find_spec("matplotlib"), "origin", None) or "").parent
        folder = home / "mpl-data" / "fonts" / "ttf"
        faces = [ImageFont.truetype(folder / f"{name}.ttf", 80) for name in FONTS]
    except (ImportError, OSError) as error:
        raise MissingExtra(
            "the letters are drawn by Pillow with matplotlib's fonts: pip install matplotlib."
        ) from error
    pages = []
    for face in faces:
        for i in range(CLASSES):
            page = Image.new("L", (96, 96))
            ImageDraw.Draw(page).text((48, 48), chr(65 + i), 255, face, anchor="mm")
            pages.append(torch.frombuffer(bytearray(page.tobytes()), dtype=torch.uint8))
    return torch.stack(pages).float().div(255).reshape(len(FONTS), CLASSES, 96, 96)
