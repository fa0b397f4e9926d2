"""The code of other packages: copies of their installed modules, from source.

Edits go into a copy where a fix is to be measured, and float32 is read as float64; nothing installed is
changed. Noise is zero. What a module imports and an order does not need is replaced by a stand-in.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from flowsolve import Grid, log_snr

Edit = tuple[str, str]


class Double:
    """A module in which float32 is float64."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, "float64" if name == "float32" else name)


class Still(Double):
    """And in which noise is zero."""

    randn_like = staticmethod(torch.zeros_like)


@dataclass(frozen=True)
class Package:
    """A package, by its name on PyPI, and how its samplers are imported without the rest of it.

    needs   other packages that must be installed
    bare    packages whose own __init__ does not run: only their folder is known
    stands  modules that are not there, and what the samplers take from them
    """

    name: str
    needs: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    stands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


NEMO = "physicsnemo.diffusion"
PACKAGES = {
    "diffusers": Package("diffusers"),
    "k_diffusion": Package(  # wants wandb, clip, kornia, ...
        "k-diffusion", ("torchsde",), ("k_diffusion",),
        {"k_diffusion.utils": {"append_dims": lambda v, n: v[(...,) + (None,) * (n - v.ndim)]}},
    ),
    "azula": Package("azula", ("einops", "tqdm")),
    "skrample": Package("skrample"),
    "flow_matching": Package("flow_matching", ("torchdiffeq",)),
    "physicsnemo": Package(  # wants warp, tensordict, zarr, ...
        "nvidia-physicsnemo", (), ("physicsnemo", NEMO, f"{NEMO}.samplers"),
        {
            "jaxtyping": {"Float": dict},  # in annotations alone
            "nvtx": {"annotate": lambda **_: lambda f: f},
            f"{NEMO}.base": {"Denoiser": object},
            f"{NEMO}.multi_diffusion": {"GridPatching2D": type("GridPatching2D", (), {})},
            f"{NEMO}.preconditioners": {"EDMPrecond": type("EDMPrecond", (), {})},
            "physicsnemo.core": {},
            "physicsnemo.core.warnings": {"LegacyFeatureWarning": UserWarning},
        },
    ),
    "smalldiffusion": Package("smalldiffusion", ("accelerate", "tqdm"), ("smalldiffusion",)),
    "benchmarks": Package("formulas"),
}  # fmt: skip
"""By the name that they are imported by."""


def missing(root: str) -> bool:
    """Whether a package, or one that its samplers need, is not installed. A file is no package."""
    spec = importlib.util.find_spec(root)
    if spec is None or spec.submodule_search_locations is None:
        return True
    return None in map(importlib.util.find_spec, PACKAGES[root].needs)


@contextmanager
def alone(root: str) -> Iterator[None]:
    """Here the samplers of a package can be imported; afterwards nothing of it is left in sys.modules.

    So nobody takes a stand-in for the package. Raises ImportError if it is not installed.
    """
    package = PACKAGES[root]
    if missing(root):
        raise ImportError(
            f"{package.name} is not installed: make parity, or pip install flowsolve[parity]"
        )
    if not package.bare and root != "skrample":
        yield  # it is imported as it is
        return
    made: dict[str, ModuleType] = {}
    home = Path(next(iter(importlib.util.find_spec(root).submodule_search_locations)))  # type: ignore
    for name in package.bare:
        made[name] = ModuleType(name)
        made[name].__path__ = [str(home.joinpath(*name.split(".")[1:]))]
    for name, members in package.stands.items():
        made[name] = ModuleType(name)
        vars(made[name]).update(members)
        parent, _, last = name.rpartition(".")
        if parent in made:
            setattr(made[parent], last, made[name])

    def ours(name: str) -> bool:
        return name.partition(".")[0] == root or name in made

    before = {k: m for k, m in sys.modules.items() if ours(k)}
    for k in before:
        del sys.modules[k]
    sys.modules |= made
    sys.meta_path[:0] = [Ported] * (root == "skrample")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not Ported]
        for k in [k for k in sys.modules if ours(k)]:
            del sys.modules[k]
        sys.modules |= before


def ported(source: str) -> str:
    """Source for Python 3.12 as 3.11 reads it: without type parameters, and with what 3.12 has new.

    That is math.sumprod and a hash of MappingProxyType. From 3.12 on it is left as it is.
    """
    if sys.version_info >= (3, 12):
        return source
    source = re.sub(r"^( *)type (\w+)(\[.*?\])? = .*", r"\1\2 = object", source, flags=re.M)
    source = re.sub(r"^( *(?:def|class) \w+)\[(?:[^][]|\[[^][]*\])*\]", r"\1", source, flags=re.M)
    source = re.sub(
        r"^(class \w+\(.*)", lambda m: re.sub(r"\[[\w\[\]]*\]", "", m[0]), source, flags=re.M
    )
    source = re.sub(r"\bmath\.sumprod\b", "(lambda p, q: sum(a * b for a, b in zip(p, q)))", source)
    source = source.replace(
        "from types import MappingProxyType",
        "MappingProxyType = type('Hashed', (dict,), {'__hash__': object.__hash__})",
    )
    return f"from __future__ import annotations\n{source}"


class Ported(SourceFileLoader):
    """Skrample's modules, ported; nothing is written."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        """As a finder has it."""
        spec = PathFinder.find_spec(name, path, target) if name.startswith("skrample") else None
        if spec is not None and spec.origin is not None:
            spec.loader = cls(name, spec.origin)
        return spec

    def get_code(self, fullname: str) -> Any:
        """As a loader has it; no cache is read."""
        path = self.get_filename(fullname)
        return compile(ported(Path(path).read_text(encoding="utf-8")), path, "exec")


@cache
def source_file(name: str) -> Path:
    """Where an installed module's code is. Raises ImportError."""
    with alone(name.partition(".")[0]):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ImportError(f"there is no module {name}")
        return Path(spec.origin)


@cache
def module(name: str, edits: tuple[Edit, ...] = (), double: bool = True) -> ModuleType:
    """A copy of an installed module, made from its source after the edits."""
    file, root = source_file(name), name.partition(".")[0]
    source = file.read_text(encoding="utf-8")
    for old, new in edits:
        if source.count(old) != 1:
            raise LookupError(f"{file.name} does not have exactly one {old!r}")
        source = source.replace(old, new)
    made = ModuleType(name)
    made.__package__ = name.rpartition(".")[0]
    with alone(root):
        before = sys.modules.get(name)
        sys.modules[name] = made  # where its dataclasses look for it
        try:
            exec(
                compile(ported(source) if root == "skrample" else source, str(file), "exec"),
                vars(made),
            )
        finally:
            sys.modules.pop(name)
            sys.modules |= {name: before} if before else {}
    for library in ("torch", "np") if double else ():
        if hasattr(made, library):
            setattr(made, library, Still(getattr(made, library)))
    vars(made)["randn_tensor"] = lambda shape, dtype, **_: torch.zeros(shape, dtype=dtype)
    return made


def k_diffusion_sampling() -> ModuleType:
    """k_diffusion/sampling.py. Raises ImportError."""
    with alone("k_diffusion"):
        return importlib.import_module("k_diffusion.sampling")


def graded(n: int, high: float, low: float) -> Grid:
    """log_snr, two levels more in its first step, at 1/n and 1/n^(1/3) of it: a start of order 4."""
    even = log_snr(n - 2, high, low)
    extra = [high * (even[1] / high) ** (1 / n**p) for p in (1, 1 / 3)]
    return Grid([high, *extra, *even[1:]], "graded")


Spacing = Callable[..., Grid]
