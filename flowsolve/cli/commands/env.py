"""versions, devices, folders and extras, for a report of a problem"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from flowsolve.cli import options

EXTRAS = {"digits": "sklearn", "diffusers": "diffusers", "fid": "torch_fidelity"}
LIBRARIES = ("numpy", "scipy", "matplotlib", "safetensors", "torchdiffeq", "rich")


def add(c: argparse.ArgumentParser) -> None:
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import show

    show.listing(args, [{"what": what, "value": value} for what, value in _found()])
    return 0


def _found() -> Iterator[tuple[str, str]]:
    import importlib.util
    import platform

    from flowsolve._version import __version__
    from flowsolve.solver.plugins import provided

    yield "flowsolve", f"{__version__}, {len(provided())} solvers"
    yield (
        "python",
        f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})",
    )
    yield "platform", f"{platform.platform()}, {os.cpu_count()} cores"
    yield "output", f"{sys.stdout.encoding}, file names {sys.getfilesystemencoding()}"
    yield from _torch()
    for name in LIBRARIES:
        yield name, _version(name)
    for extra, module in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        yield f"extra {extra}", _version(module) if there else f"not installed: flowsolve[{extra}]"
    yield "cache", _cache()


def _torch() -> Iterator[tuple[str, str]]:
    import torch

    built = torch.version.cuda and f"CUDA {torch.version.cuda}"
    yield "torch", f"{torch.__version__}, built for {built or torch.version.hip or 'the CPU'}"
    yield (
        "threads",
        f"{torch.get_num_threads()}, between operations {torch.get_num_interop_threads()}",
    )
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    devices = [f"cuda:{i} {name}" for i, name in enumerate(names)]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    yield "devices", ", ".join(["cpu", *devices])


def _version(module: str) -> str:
    from importlib import metadata

    known = {"sklearn": "scikit-learn", "torch_fidelity": "torch-fidelity"}
    try:
        return metadata.version(known.get(module, module))
    except metadata.PackageNotFoundError:
        return "not installed"


def _cache() -> str:
    from flowsolve.study.cache import cache_folder

    folder = cache_folder()
    sizes = [p.stat().st_size for p in folder.glob("*") if p.is_file()]
    return f"{folder}: {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB"
