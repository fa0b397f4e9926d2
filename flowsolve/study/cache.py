"""A folder of tensors by key: safe against two processes, a kill in the middle of a write, and damage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.study.lock import Lock

if TYPE_CHECKING:
    from torch import Tensor


def cache_folder() -> Path:
    """$FLOWSOLVE_CACHE, or flowsolve's folder in the user's cache."""
    from platformdirs import user_cache_path

    named = os.environ.get("FLOWSOLVE_CACHE")
    return Path(named) if named else user_cache_path("flowsolve", appauthor=False)


def load(key: str, folder: Path | None = None) -> tuple[Tensor, dict[str, str]] | None:
    """The tensor and the notes under a key, or None. A damaged file is deleted with a warning.

    folder  where, instead of the cache folder
    """
    from safetensors import SafetensorError, safe_open

    path = (folder or cache_folder()) / f"{key}.safetensors"
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            x, notes = file.get_tensor("x"), dict(file.metadata() or {})
        if notes.pop("sha256", "") != _hash(x, notes):
            raise ValueError("its checksum does not match its content")
        return x, notes
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        warnings.warn(
            f"{path} is damaged ({error}); it is computed again.",
            RuntimeWarning,
            stacklevel=3,
        )
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def found_or_made(
    key: str,
    make: Callable[[], tuple[Tensor, dict[str, str]]],
    folder: Path | None = None,
) -> tuple[Tensor, dict[str, str]]:
    """The tensor and the notes under a key, made and stored where there are none.

    Where another process is making them, this one waits and takes those.
    """
    folder = folder or cache_folder()
    found = load(key, folder)
    if found is not None:
        return found
    with contextlib.suppress(OSError):  # a folder that cannot be written holds nothing
        folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder / f".{key}.lock", key, "", wait=True) as lock:
        found = load(key, folder) if lock.waited else None
        if found is None:
            found = make()
            store(key, *found, folder)
        return found


def store(key: str, x: Tensor, notes: dict[str, str], folder: Path | None = None) -> None:
    """Write a tensor under a key, whole or not at all. A folder that cannot be written is no error."""
    from safetensors.torch import save

    data = save({"x": x.contiguous()}, {**notes, "sha256": _hash(x, notes)})
    folder = folder or cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{key}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / f"{key}.safetensors")
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(f"could not store {key}: {error}.", RuntimeWarning, stacklevel=3)


def _hash(x: Tensor, notes: dict[str, str]) -> str:
    described = repr((str(x.dtype), tuple(x.shape), sorted(notes.items())))
    return hashlib.sha256(x.contiguous().numpy().tobytes() + described.encode()).hexdigest()
