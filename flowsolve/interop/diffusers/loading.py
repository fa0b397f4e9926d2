"""A saved pipeline of diffusers, a folder or a name on the hub, as an ODE with its grid."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.errors import MissingExtra, NetworkError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.model import Imported, from_diffusers
from flowsolve.interop.diffusers.reading import Reading

if TYPE_CHECKING:
    import torch

DENOISERS = ("unet", "transformer")


def load(
    pretrained: str | Path,
    *,
    subfolder: str | None = None,
    scheduler: object = None,
    torch_dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    allow_pickle: bool = False,
    **options: Any,
) -> Imported:
    """The denoiser and the scheduler of a pipeline that `save_pretrained` wrote, in eval mode.

    pretrained    its folder, or its name on the hub, which diffusers downloads
    subfolder     the denoiser's; "unet" or "transformer", which of them there is, unless given
    scheduler     another scheduler, config or Reading than the pipeline's own
    allow_pickle  also load weights that are pickled, which may run code of whoever wrote them
    options       of `from_diffusers`

    Classes are taken from diffusers alone, never from the folder. Raises MissingExtra without
    diffusers, NetworkError for a folder that is no such pipeline.
    """
    diffusers = _diffusers()
    local = Path(pretrained).is_dir()
    index = _index(diffusers, pretrained, local)
    part = subfolder or next((p for p in DENOISERS if p in index), None)
    if part is None or part not in index:
        raise NetworkError(
            f"{pretrained} has no {part or ' or '.join(DENOISERS)}: its model_index.json lists "
            f"{', '.join(k for k in index if not k.startswith('_'))}. Say subfolder=."
        )
    kind = _class(diffusers, part, index[part])
    if not (isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)):
        raise NetworkError(f"{part} is a {index[part][1]}, which is not a model of diffusers.")
    safe = any((Path(pretrained) / part).glob("*.safetensors")) if local else not allow_pickle
    if not (safe or allow_pickle):
        raise NetworkError(
            f"{Path(pretrained) / part} has no safetensors. Pickled weights may run code of whoever "
            "wrote them: convert them, or say allow_pickle=True if you trust the writer."
        )
    model = kind.from_pretrained(  # type: ignore[attr-defined]
        pretrained,
        subfolder=part,
        torch_dtype=torch_dtype,
        use_safetensors=safe or None,  # None: pickles where there is nothing else
        local_files_only=local,
    )
    if scheduler is None:
        scheduler = _scheduler(diffusers, pretrained, local, index)
    reading = scheduler if isinstance(scheduler, Reading) else read_config(scheduler)
    return from_diffusers(model.to(device or "cpu").eval(), reading, **options)


def _diffusers() -> Any:
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise MissingExtra(
            f"load() needs diffusers ({error}): pip install 'flowsolve[diffusers]'."
        ) from None


def _index(diffusers: Any, pretrained: str | Path, local: bool) -> dict[str, Any]:
    """model_index.json: the class of every part."""
    if not local:
        return dict(diffusers.DiffusionPipeline.load_config(str(pretrained)))
    path = Path(pretrained) / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NetworkError(
            f"{pretrained} is not a saved pipeline: {error}. A folder of one model has no "
            "model_index.json: load it with its class, and give it to from_diffusers()."
        ) from None
    return dict(index)


def _class(diffusers: Any, part: str, entry: Any) -> Any:
    """The class that the index names, if diffusers has it."""
    library, name = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
    if library != "diffusers" or not isinstance(name, str) or not hasattr(diffusers, name):
        raise NetworkError(
            f"model_index.json says that {part} is {entry!r}, which is not a class of this diffusers. "
            "Code that comes with a checkpoint is not run."
        )
    return getattr(diffusers, name)


def _scheduler(
    diffusers: Any, pretrained: str | Path, local: bool, index: dict[str, Any]
) -> object:
    """The folder of the config, or on the hub the scheduler itself."""
    if local:
        return Path(pretrained) / "scheduler"
    kind = _class(diffusers, "scheduler", index.get("scheduler"))
    return kind.from_pretrained(str(pretrained), subfolder="scheduler")
