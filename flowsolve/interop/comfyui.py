"""Every solver as a sampler of ComfyUI. Two lines in ComfyUI/custom_nodes/flowsolve_samplers.py make it a node:

    from flowsolve.interop.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

Importing this imports no ComfyUI; the node asks for it when it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowsolve.interop.k_diffusion import as_k_sampler
from flowsolve.solver.plugins import make_solver, provided
from flowsolve.solver.reversible import TwoState

if TYPE_CHECKING:
    from torch import Tensor


def solver_names() -> list[str]:
    """The names of the solvers that need no argument and have one state, as `flowsolve solvers` has them."""
    free = ((name, one) for name, one in provided().items() if not one.needs)
    return [name for name, one in free if not isinstance(one.make(), TwoState)]


def sampler(text: str) -> Callable[..., Tensor]:
    """The function that KSAMPLER takes, of a solver such as "unipc" or "unipc:points=3".

    Flow models (SD3, Flux, Wan: ComfyUI's CONST) are recognised when it runs, and solved in x̄ and σ.
    """
    solver = make_solver(text)
    samples = {flow: as_k_sampler(solver, flow=flow) for flow in (False, True)}

    def sample(model: Any, x: Tensor, sigmas: Tensor, **given: Any) -> Tensor:
        return samples[_is_flow(model)](model, x, sigmas, **given)

    sample.__signature__ = inspect.signature(samples[False])  # type: ignore[attr-defined]
    sample.__name__ = sample.__qualname__ = samples[False].__name__
    return sample


def _is_flow(model: Any) -> bool:
    """Whether the model's sampling is CONST, by name: the classes are made of several mixins there."""
    sampling = getattr(getattr(model.inner_model, "inner_model", None), "model_sampling", None)
    return any(kind.__name__ == "CONST" for kind in type(sampling).__mro__)


class FlowsolveSampler:
    """The node: a solver by name, and options for it such as points=3."""

    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "get_sampler"
    CATEGORY = "sampling/custom_sampling/samplers"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node shows, as ComfyUI asks for it."""
        names = solver_names()
        options = ("STRING", {"default": "", "tooltip": "points=3,guard=None"})
        return {"required": {"solver": (names, {"default": "unipc"}), "options": options}}

    def get_sampler(self, solver: str, options: str) -> tuple[Any]:
        """The SAMPLER. Raises NameUnknown and ValueError as `flowsolve solvers` names them."""
        import comfy.samplers  # type: ignore[import-not-found]

        text = solver + (f":{options.strip()}" if options.strip() else "")
        return (comfy.samplers.KSAMPLER(sampler(text)),)


NODE_CLASS_MAPPINGS = {"FlowsolveSampler": FlowsolveSampler}
NODE_DISPLAY_NAME_MAPPINGS = {"FlowsolveSampler": "flowsolve sampler"}
