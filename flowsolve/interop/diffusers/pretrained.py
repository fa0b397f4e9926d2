"""The parts of a saved pipeline: its index, its models, its scheduler."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.errors import MissingExtra, NetworkError

if TYPE_CHECKING:
    import torch

WEIGHTS = "diffusion_pytorch_model"


@dataclass(frozen=True)
class Pretrained:
    """A pipeline that `save_pretrained` wrote, in a folder or under a name on the hub.

    variant       of the weights, such as "fp16"; None: the plain ones, or the only variant in the folder
    allow_pickle  take pickled weights too

    Classes are taken from diffusers alone. Raises MissingExtra without it.
    """

    where: str | Path
    torch_dtype: torch.dtype | None = None
    variant: str | None = None
    allow_pickle: bool = False
    diffusers: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "diffusers", importlib.import_module("diffusers"))
        except ImportError as error:
            raise MissingExtra(
                f"load() needs diffusers ({error}): pip install 'flowsolve[diffusers]'."
            ) from None

    @cached_property
    def local(self) -> bool:
        """Whether it is a folder."""
        return Path(self.where).is_dir()

    @cached_property
    def index(self) -> dict[str, Any]:
        """model_index.json: the class of every part."""
        if not self.local:
            return dict(self.diffusers.DiffusionPipeline.load_config(str(self.where)))
        path = Path(self.where) / "model_index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise NetworkError(
                f"{self.where} is not a saved pipeline: {error}. A folder of one model has no "
                "model_index.json: load it with its class, and give it to from_diffusers()."
            ) from None
        return dict(index)

    def has(self, part: str) -> bool:
        """Whether the pipeline has this part, and not only a place for it."""
        entry = self.index.get(part)
        return isinstance(entry, list) and entry[:1] != [None]

    def model(self, part: str) -> Any:
        """The model of this part. Raises NetworkError where its weights cannot be taken."""
        kind = self._class(part)
        if not (isinstance(kind, type) and issubclass(kind, self.diffusers.ModelMixin)):
            name = self.index[part][1]
            raise NetworkError(f"{part} is a {name}, which is not a model of diffusers.")
        folder = Path(self.where) / part
        safe = any(folder.glob("*.safetensors")) if self.local else not self.allow_pickle
        if not (safe or self.allow_pickle):
            raise NetworkError(
                f"{folder} has no safetensors. Pickled weights may run code of whoever wrote them: "
                "convert them, or say allow_pickle=True if you trust the writer."
            )
        if self.local:
            _refuse_quantised(folder)
        return kind.from_pretrained(  # type: ignore[attr-defined]
            self.where,
            subfolder=part,
            torch_dtype=self.torch_dtype,
            use_safetensors=safe or None,  # None: pickles where there is nothing else
            variant=self.variant or (_only_variant(folder) if self.local else None),
            local_files_only=self.local,
        )

    def scheduler(self) -> object:
        """The folder of the config, or on the hub the scheduler itself."""
        if self.local:
            return Path(self.where) / "scheduler"
        return self._class("scheduler").from_pretrained(str(self.where), subfolder="scheduler")

    def _class(self, part: str) -> Any:
        """The class that the index names, if diffusers has it."""
        entry = self.index.get(part)
        library, name = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if library != "diffusers" or not isinstance(name, str) or not hasattr(self.diffusers, name):
            raise NetworkError(
                f"model_index.json says that {part} is {entry!r}, which is not a class of this diffusers. "
                "Code that comes with a checkpoint is not run."
            )
        return getattr(self.diffusers, name)


def _only_variant(folder: Path) -> str | None:
    """None where there are plain weights, else the one variant. Raises NetworkError for several.

    Weights are diffusion_pytorch_model[.fp16][-00001-of-00002].safetensors, or .bin.
    """
    names = [p.name for p in folder.iterdir() if p.name.startswith(WEIGHTS)]
    middle = {
        n.removeprefix(WEIGHTS).rsplit(".", 1)[0].split("-0", 1)[0]
        for n in names
        if "index" not in n
    }
    if "" in middle or not middle:
        return None
    found = sorted(m.removeprefix(".") for m in middle)
    if len(found) > 1:
        raise NetworkError(
            f"{folder} has weights of several variants, {', '.join(found)}: say variant=."
        )
    return found[0]


def _refuse_quantised(folder: Path) -> None:
    """Raise NetworkError for weights that only another package can read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # diffusers says it better
    how = config.get("quantization_config") if isinstance(config, dict) else None
    if how:
        kind = how.get("quant_method", "an unknown method") if isinstance(how, dict) else how
        raise NetworkError(
            f"the weights in {folder} are quantised by {kind}, whose package and device load() does not "
            "choose. Load the model with its class, and give it to from_diffusers(model, scheduler)."
        )
