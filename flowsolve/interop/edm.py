"""EDM: networks that are called as net(x, sigma, class_labels) and return D.           Karras et al. 2022."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from flowsolve.errors import GridError, NetworkError
from flowsolve.interop.k_diffusion import from_denoiser
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import karras

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class EDMNetwork(NamedTuple):
    """A network as an ODE; `grid`, a function n -> Grid of n steps to 0, for sample(nfe=); its event shape."""

    ode: DiffusionODE
    grid: Callable[[int], Grid]
    event: tuple[int, ...]


def from_edm(
    net: Any,
    class_labels: Tensor | None = None,
    *,
    sigma_max: float = 80.0,
    sigma_min: float = 0.002,
    rho: float = 7.0,
    dtype: torch.dtype | None = None,
    **extra: Any,
) -> EDMNetwork:
    """D(x̄, σ) = net(x̄, σ, class_labels), on the levels of their generate.py.   Karras et al. 2022, Alg. 1.

    net           as NVlabs/edm's: sigma_min, sigma_max, round_sigma, img_channels, img_resolution
    class_labels  (B, label_dim), one row a sample, or None
    dtype         what net computes in: float32, as theirs, unless told otherwise; the state may differ

    `grid(n)` has n steps, the last to 0: karras(n - 1, σ_max, σ_min) within the net's own range, then
    net.round_sigma, equal levels taken once. Raises NetworkError if net lacks one of the names above.
    """
    import torch

    names = ("sigma_min", "sigma_max", "round_sigma", "img_channels", "img_resolution")
    missing = [name for name in names if not hasattr(net, name)]
    if missing or not callable(net):
        raise NetworkError(
            f"an EDM network has {', '.join(names)}, but {type(net).__name__} lacks "
            f"{', '.join(missing) or 'a call'}. For another denoiser: from_denoiser."
        )
    high, low = min(sigma_max, float(net.sigma_max)), max(sigma_min, float(net.sigma_min))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        answer: Tensor = net(x, sigma, class_labels, **extra)
        return answer

    def grid(n: int) -> Grid:
        if n < 1:
            raise GridError(f"an EDM grid has at least one step, the one to 0, but got n = {n}.")
        levels = (high,) if n == 1 else karras(n - 1, high, low, rho).levels
        rounded = net.round_sigma(torch.tensor(levels, dtype=torch.float64)).tolist()
        return Grid((*dict.fromkeys(rounded), 0.0), "edm")

    shape = (int(net.img_channels), int(net.img_resolution), int(net.img_resolution))
    ode = from_denoiser(denoise, dtype=dtype or torch.float32)
    ode.sigma_range = (high, low)
    return EDMNetwork(ode, grid, shape)


def load_edm_pickle(
    path: str | PathLike[str], allow_code_execution: bool = False, key: str = "ema"
) -> Any:
    """The network in an EDM snapshot, network-snapshot-*.pkl. Runs code from the file: see below.

    A pickle is a program, and EDM's carry the source of their networks and execute it. So this
    refuses unless allow_code_execution=True, for a file whose origin you trust. EDM's repository must
    be importable (its torch_utils and dnnlib). Raises NetworkError.
    """
    if not allow_code_execution:
        raise NetworkError(
            f"{path} is a pickle, and to read a pickle is to run the code in it, with your rights. "
            "If you trust where it comes from: load_edm_pickle(path, allow_code_execution=True)."
        )
    with open(path, "rb") as file:
        try:
            found = pickle.load(file)
        except ModuleNotFoundError as error:
            raise NetworkError(
                f"{path} needs the module {error.name!r}. EDM's snapshots need EDM's own code: put a "
                "checkout of NVlabs/edm on PYTHONPATH."
            ) from error
        except (pickle.UnpicklingError, EOFError) as error:
            raise NetworkError(f"{path} is not a pickle that can be read: {error}") from error
    if not isinstance(found, dict) or key not in found:
        has = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise NetworkError(f"{path} holds no {key!r}, but {has}. Name the entry with key=.")
    return found[key]
