"""What each class of diffusers' models takes as its label and answers, as its pipeline uses it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers.reading import Reading
from flowsolve.ode.precondition import FlowPrediction, Precondition, negated
from flowsolve.schedule.labels import Reversed

Inputs = Literal["", "lists", "frames"]


@dataclass(frozen=True)
class Convention:
    """The label is label_scale · t', t' the scheduler's timestep t, or T - t where the data are at t' = T.

    data_at    0 where t' falls towards the data, 1 where it rises
    points_to  1 where the answer is dx/dt', as a velocity is; 0 where it is -dx/dt'
    flow       whether it predicts a flow: True, False, or None where the scheduler decides
    inputs     "lists": x and the condition go in as lists of samples, x with an axis for frames (Z-Image);
               "frames": a row of encoder_hidden_states is repeated for every frame of x (AnimateDiff)
    """

    label_scale: float = 1.0
    data_at: int = 0
    points_to: int = 1
    flow: bool | None = None
    inputs: Inputs = ""

    def precondition(self, name: str, reading: Reading) -> Precondition:
        """That of the scheduler, turned. Raises NetworkError where it is none of this model's."""
        p = reading.precondition
        is_flow = isinstance(p, FlowPrediction)
        if self.flow and not is_flow:
            raise NetworkError(
                f"{name} predicts a flow, but {reading.suggested} with this config does not. Give the "
                "FlowMatch scheduler of its own folder."
            )
        if (self.data_at, self.points_to) == (0, 1):
            return p
        if not is_flow:
            raise NetworkError(
                f"data_at and points_to are for networks that predict a flow, but {reading.suggested} with "
                "this config does not."
            )
        if self.data_at == 1:
            p = FlowPrediction(Reversed(p.clock, p.clock.t(math.inf)))
        return negated(p) if self.points_to == self.data_at else p


_ANY, _FLOW, _THOUSANDTH = Convention(), Convention(flow=True), Convention(1e-3, flow=True)
_TO_DATA = Convention(1e-3, data_at=1, points_to=1, flow=True)
CONVENTIONS = {
    **dict.fromkeys(("UNet2DModel", "UNet2DConditionModel", "UNet3DConditionModel"), _ANY),
    "UNetMotionModel": Convention(inputs="frames"),
    **dict.fromkeys(("DiTTransformer2DModel", "Transformer2DModel"), _ANY),
    **dict.fromkeys(("PixArtTransformer2DModel", "CogVideoXTransformer3DModel"), _ANY),
    **dict.fromkeys(("ConsisIDTransformer3DModel", "LatteTransformer3DModel"), _ANY),
    **dict.fromkeys(("AllegroTransformer3DModel", "StableAudioDiTModel"), _ANY),
    **dict.fromkeys(("SD3Transformer2DModel", "WanTransformer3DModel"), _FLOW),
    **dict.fromkeys(("LTXVideoTransformer3DModel", "SanaTransformer2DModel"), _FLOW),
    **dict.fromkeys(("HunyuanVideoTransformer3DModel", "CogView4Transformer2DModel"), _FLOW),
    "SkyReelsV2Transformer3DModel": _FLOW,
    **dict.fromkeys(("FluxTransformer2DModel", "Flux2Transformer2DModel"), _THOUSANDTH),
    **dict.fromkeys(("ChromaTransformer2DModel", "QwenImageTransformer2DModel"), _THOUSANDTH),
    "AuraFlowTransformer2DModel": _THOUSANDTH,
    **dict.fromkeys(("Lumina2Transformer2DModel", "LuminaNextDiT2DModel"), _TO_DATA),
    "ZImageTransformer2DModel": Convention(1e-3, 1, 1, flow=True, inputs="lists"),
}


def convention(
    name: str, config: Any, label_scale: float | None, data_at: int, points_to: int
) -> Convention:
    """That of the class, or of what the caller says. Raises NetworkError where neither says it."""
    if not all(end in (0, 1) for end in (data_at, points_to)):
        raise NetworkError(
            f"data_at and points_to are 0 or 1, but got data_at = {data_at!r}, points_to = {points_to!r}."
        )
    if label_scale is not None:
        inputs = CONVENTIONS[name].inputs if name in CONVENTIONS else ""
        return Convention(label_scale, data_at, points_to, inputs=inputs)
    if name not in CONVENTIONS:
        raise NetworkError(
            f"{name} is not known here. Say three things, as its pipeline has them: label_scale=, what "
            "multiplies the scheduler's timestep (1 if it is passed as it is, 1e-3 if it is timestep / "
            "1000); data_at=1 if the label is (1000 - timestep) times that, else 0; points_to=, for a "
            "flow: 1 if the answer points to larger labels, 0 if to smaller. For an ε- or v-network "
            "label_scale= is enough."
        )
    found = CONVENTIONS[name]
    scale = getattr(config, "timestep_scale", None)  # Sana's
    return found if scale is None else Convention(found.label_scale * scale, flow=found.flow)
