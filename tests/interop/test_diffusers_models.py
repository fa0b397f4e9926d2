"""Models that look like diffusers', and saved pipelines, without diffusers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import MissingExtra, NetworkError
from flowsolve.interop.diffusers import from_diffusers, load
from flowsolve_solvers import Euler
from tests.interop.diffusers_helpers import SD15, EulerDiscreteScheduler, config

ROOT = Path(__file__).parents[2]


class UNet2DModel:
    """ε = x/2 beside as many channels of a variance, if asked; it notes its labels."""

    dtype = torch.float32

    def __init__(self, out: int = 3, **config: Any) -> None:
        self.config = SimpleNamespace(in_channels=3, out_channels=out, **config)
        self.labels: list[float] = []

    def __call__(
        self, x: Tensor, timestep: Tensor, return_dict: bool, **given: Any
    ) -> tuple[Tensor]:
        assert not return_dict
        self.labels.append(float(timestep[0]))
        answer = x / 2 + given.get("shift", 0)
        return (torch.cat([answer] * (self.config.out_channels // 3), dim=1),)


class FluxTransformer2DModel(UNet2DModel):
    pass


class SomethingNew(UNet2DModel):
    pass


def test_a_model_in_five_lines() -> None:
    model = UNet2DModel()
    m = from_diffusers(
        model, config("DDIM", clip_sample=False), condition={"shift": torch.zeros(2, 1, 1, 1)}
    )
    result = fs.sample(m.ode, torch.ones(2, 3, 4, 4), m.spacing, Euler(), nfe=10, start=m.start)
    assert result.nfe == 10
    assert model.labels == pytest.approx([900.0 - 100 * i for i in range(10)])


def test_fluxs_labels_go_from_0_to_1() -> None:
    model = FluxTransformer2DModel()
    m = from_diffusers(model, config("FlowMatchEulerDiscrete"))
    fs.sample(m.ode, torch.ones(1, 3, 4, 4), m.spacing(2), Euler())
    assert model.labels == pytest.approx([1.0, 0.001])


def test_a_learned_variance_is_dropped_when_said() -> None:
    m = from_diffusers(UNet2DModel(6), SD15, learned_variance=True)
    x = torch.ones(1, 3, 4, 4)
    torch.testing.assert_close(m.ode.eps(x, 1.0), x * math.sqrt(0.5) / 2)


MODELS: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "no model": (3, SD15, {}, "3 is not a diffusers model: it is not callable with a config."),
    "unsaid variance": (UNet2DModel(6), SD15, {}, "this UNet2DModel answers 6 channels to 3"),
    "no variance": (UNet2DModel(), SD15, {"learned_variance": True},
                    "takes 3 channels and answers 3 with learned_variance=True"),
    "inpainting": (UNet2DModel(9), SD15, {}, "takes 3 channels and answers 9: not a state and its"),
    "new": (SomethingNew(), SD15, {}, "SomethingNew is not known here. Say three things"),
    "flow with betas": (FluxTransformer2DModel(), SD15, {}, "predicts a flow, but PNDMScheduler"),
    "no guidance": (UNet2DModel(guidance_embeds=True), SD15, {}, "(guidance_embeds): give condition="),
}  # fmt: skip


@pytest.mark.parametrize("what", MODELS)
def test_models_refused(what: str) -> None:
    model, scheduler, options, text = MODELS[what]
    with pytest.raises(NetworkError) as error:
        from_diffusers(model, scheduler, **options)
    assert text in str(error.value)


def test_a_compiled_model_is_known_by_what_was_compiled() -> None:
    class Compiled(UNet2DModel):
        _orig_mod = FluxTransformer2DModel()

    model = Compiled()
    from_diffusers(model, config("FlowMatchEulerDiscrete")).ode.eps(torch.ones(1, 3, 4, 4), 1.0)
    assert model.labels == pytest.approx([0.5])


def test_a_new_class_with_its_label_scale() -> None:
    model = SomethingNew()
    m = from_diffusers(model, SD15, label_scale=0.5)
    m.ode.eps(torch.ones(1, 3, 4, 4), 1.0)
    assert model.labels[0] == pytest.approx(m.reading.clock.t(1.0) / 2)


def test_no_diffusers_before_it_is_needed() -> None:
    code = (
        "import flowsolve, flowsolve.interop.diffusers, sys; "
        "print([m for m in ('diffusers', 'torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "solvers")])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path}, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"


class Stub:
    """As much of diffusers as `load` asks for; it notes what it was asked."""

    class ModelMixin:
        pass

    class UNet2DModel(UNet2DModel, ModelMixin):
        asked: ClassVar[list[object]] = []

        @classmethod
        def from_pretrained(cls, path: object, **options: object) -> Stub.UNet2DModel:
            cls.asked = [path, options]
            return cls()

        def to(self, device: object) -> Stub.UNet2DModel:
            return self

        def eval(self) -> Stub.UNet2DModel:
            return self

    class DiffusionPipeline:
        @staticmethod
        def load_config(name: str) -> dict[str, object]:
            assert name == "someone/something"
            return {"unet": ["diffusers", "UNet2DModel"],
                    "scheduler": ["diffusers", "EulerDiscreteScheduler"]}  # fmt: skip

    class EulerDiscreteScheduler(EulerDiscreteScheduler):
        @classmethod
        def from_pretrained(cls, name: str, subfolder: str) -> Stub.EulerDiscreteScheduler:
            assert (name, subfolder) == ("someone/something", "scheduler")
            return cls()


def test_a_name_on_the_hub_goes_through_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", Stub)  # type: ignore[arg-type]
    m = load("someone/something")
    assert m.reading.suggested == "EulerDiscreteScheduler"
    options = {
        "subfolder": "unet", "torch_dtype": None, "use_safetensors": True, "variant": None,
        "local_files_only": False,
    }  # fmt: skip
    assert Stub.UNet2DModel.asked == ["someone/something", options]
    load("someone/something", allow_pickle=True)
    assert Stub.UNet2DModel.asked == ["someone/something", {**options, "use_safetensors": None}]


def test_load_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'flowsolve\[diffusers\]'") as error:
        load(tmp_path)
    assert isinstance(error.value, ImportError)
