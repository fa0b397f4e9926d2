"""Many samples in one file or in a folder of images, in memory that does not grow with their number."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.errors import ResultsError, SamplesError
from flowsolve.study.results import write_whole
from flowsolve.study.samples import Blocks
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

Notes = dict[str, str]


class TensorFile:
    """One safetensors file: `x`, (N, *event), row i the sample of the i-th seed. Blocks go before it.

    A block is a file in the folder of `blocks` until all are there; then `finish` makes the one file of them.
    """

    def __init__(self, blocks: Blocks, path: Path) -> None:
        self.blocks, self.path = blocks, path
        self.key = hashlib.sha256(" ".join(map(blocks.key, blocks.each)).encode()).hexdigest()

    def done(self) -> Notes | None:
        """The notes of the file, where it is there and of the same samples."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                notes = dict(file.metadata() or {})
        except (OSError, SafetensorError):
            return None
        return notes if notes.pop("key", "") == self.key else None

    def draw(self, block: Setup) -> None:
        """One block, unless it is there."""
        if not self.blocks.has(block):
            self.blocks.draw(block)

    def finish(self) -> Notes:
        """Write the file, block by block, and remove the blocks. Returns the notes of the first."""
        first, notes = self.blocks.drawn(self.blocks.each[0])
        count = len(self.blocks.run.seeds)
        described = {**notes, "seeds": self.blocks.run.seeds_text, "key": self.key}
        parts = (self.blocks.drawn(block)[0] for block in self.blocks.each)
        write = partial(_write_tensor, like=first, count=count, notes=described, parts=parts)
        write_whole(self.path, lambda path: write(path))
        assert self.blocks.folder is not None
        shutil.rmtree(self.blocks.folder, ignore_errors=True)
        return notes

    def first(self, n: int) -> Tensor:
        """The first n samples."""
        from safetensors import safe_open

        with safe_open(self.path, "pt") as file:
            x: Tensor = file.get_slice("x")[:n]
        return x


class ImageFolder:
    """000000.png, 000001.png, ...: an image for each seed, (1 + x) 127.5 in 8 bits; of 1 or 3 channels.

    The layout that `fid.py` of EDM, torch-fidelity and clean-fid read. What the images were drawn by is noted
    in the folder of `blocks`. Raises SamplesError for samples that are no images.
    """

    def __init__(self, blocks: Blocks, path: Path) -> None:
        event = blocks.problem.event
        if len(event) != 3 or event[0] not in (1, 3):
            raise SamplesError(
                f"PNG files are images of shape (1, H, W) or (3, H, W), but samples of {blocks.problem.name} "
                f"are {event}: take --as safetensors."
            )
        self.blocks, self.path = blocks, path

    def done(self) -> Notes | None:
        """Nothing: `draw` finds what is there."""
        return None

    def draw(self, block: Setup) -> None:
        """One block, unless all of its images are there."""
        if not self.blocks.has(block, "png") or self._missing(block):
            self.blocks.forget(block, "png")
            self._notes(block)

    def finish(self) -> Notes:
        """Draw what was removed meanwhile; returns the notes of the first block."""
        for block in self.blocks.each:
            self.draw(block)
        return self._notes(self.blocks.each[0])

    def first(self, n: int) -> Tensor:
        """The first n images, as they were rounded."""
        import numpy as np
        import torch
        from PIL import Image

        names = [self._name(seed) for seed in self.blocks.run.seeds[:n]]
        made = torch.stack([torch.from_numpy(np.array(Image.open(name))) for name in names])
        made = made[:, None] if made.ndim == 3 else made.permute(0, 3, 1, 2)
        return (made.float() / 127.5) - 1

    def _notes(self, block: Setup) -> Notes:
        def make() -> tuple[Tensor, Notes]:
            x, notes = self.blocks.fresh(block)
            self.path.mkdir(parents=True, exist_ok=True)
            for image, seed in zip(eight_bits(x), block.seeds, strict=True):
                _write_image(image, self._name(seed))
            return x.new_zeros(0), notes

        return self.blocks.kept(block, "png", make)[1]

    def _missing(self, block: Setup) -> bool:
        return not all(self._name(seed).exists() for seed in block.seeds)

    def _name(self, seed: int) -> Path:
        return self.path / f"{seed:06d}.png"


def eight_bits(x: Tensor) -> Tensor:
    """(N, H, W) or (N, H, W, 3), uint8: 127.5 x + 128, cut to 0..255, rounded down.      EDM, generate.py."""
    import torch

    made = (x.double() * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return made[..., 0] if made.shape[-1] == 1 else made


def _write_image(image: Tensor, path: Path) -> None:
    from PIL import Image

    made = Image.fromarray(image.numpy())
    temporary = path.with_name(f".{path.name}.part")
    try:
        made.save(temporary, format="png")
        temporary.replace(path)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}.") from None


def _write_tensor(
    path: Path, *, like: Tensor, count: int, notes: Notes, parts: Iterable[Tensor]
) -> None:
    """The safetensors format: the length of a header in JSON, the header, and the values one after another."""
    shape: Sequence[int] = (count, *like.shape[1:])
    size = count * like[0].numel() * like.dtype.itemsize
    kind = {4: "F32", 8: "F64"}[like.dtype.itemsize]
    header = json.dumps(
        {
            "__metadata__": dict(sorted(notes.items())),
            "x": {"dtype": kind, "shape": shape, "data_offsets": [0, size]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for part in parts:
            file.write(part.contiguous().numpy().tobytes())
