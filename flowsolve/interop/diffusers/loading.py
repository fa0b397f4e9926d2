"""A saved pipeline of diffusers, a folder or a name on the hub, as an ODE with its grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.model import (
    DENOISERS,
    Imported,
    from_diffusers,
    join,
    refuse_beside,
)
from flowsolve.interop.diffusers.pretrained import Pretrained
from flowsolve.interop.diffusers.reading import Reading

if TYPE_CHECKING:
    import torch


def load(
    pretrained: str | Path,
    *,
    subfolder: str | None = None,
    scheduler: object = None,
    torch_dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    variant: str | None = None,
    allow_pickle: bool = False,
    **options: Any,
) -> Imported:
    """The denoiser and the scheduler of a pipeline that `save_pretrained` wrote, in eval mode.

    pretrained    its folder, or its name on the hub, which diffusers downloads
    subfolder     the denoiser's; "unet" or "transformer", which of them there is, unless given
    scheduler     another scheduler, config or Reading than the pipeline's own
    variant       of the weights, such as "fp16"; a folder with one variant alone needs no word
    allow_pickle  also load weights that are pickled, which may run code of whoever wrote them
    options       of `from_diffusers`

    Two experts by timestep (Wan 2.2) are one ODE, `Experts`, from the pipeline's boundary_ratio. Classes are
    taken from diffusers alone, never from the folder. Raises MissingExtra without diffusers, NetworkError for a
    folder that is no such pipeline, for one whose steps ask other networks too (ControlNet), and for quantised
    weights.
    """
    source = Pretrained(pretrained, torch_dtype, variant, allow_pickle)
    part = subfolder or next((p for p in DENOISERS if p in source.index), None)
    if part is None or part not in source.index:
        raise NetworkError(
            f"{pretrained} has no {part or ' or '.join(DENOISERS)}: its model_index.json lists "
            f"{', '.join(k for k in source.index if not k.startswith('_'))}. Say subfolder=."
        )
    if subfolder is None:
        refuse_beside(pretrained, part, filter(source.has, source.index))
    given = source.scheduler() if scheduler is None else scheduler
    reading = given if isinstance(given, Reading) else read_config(given)

    def read(part: str) -> Imported:
        return from_diffusers(source.model(part).to(device or "cpu").eval(), reading, **options)

    first = read(part)
    if subfolder is not None or not source.has(f"{part}_2"):
        return first
    return join(first, read(f"{part}_2"), source.index.get("boundary_ratio"), pretrained)
