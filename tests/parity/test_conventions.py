"""Tiny models of diffusers' classes, called as their pipelines call them, against from_diffusers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve.interop.diffusers.conventions import CONVENTIONS
from flowsolve_solvers import Euler
from tests.parity.models import MODELS, NOISE, TEXT, Model, made, ours, their_loop
from tests.parity.pipelines import difference, diffusers

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.mark.parametrize("m", MODELS, ids=lambda m: m.name)
def test_eight_steps(m: Model) -> None:
    model, noise = made(m), NOISE[m.event]
    x, known = their_loop(m, model, 8), ours(m, model)
    mine = fs.sample(known.ode, noise, known.spacing(8), Euler(), start=known.start)
    assert difference(mine.x_t, x, m.name) < 1e-5
    assert float((x - noise).abs().max()) > 1e-2  # the model did something
    other = ours(m, model, label_scale=0.5)
    moved = fs.sample(other.ode, noise, known.spacing(8), Euler(), start=known.start)
    assert difference(moved.x_t, x, "") > 1e-4  # and listens to its label


def test_z_image_takes_lists() -> None:
    torch.manual_seed(0)
    model = diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=8,
        axes_dims=[4, 6, 6], axes_lens=[64, 32, 32],
    ).eval()  # fmt: skip
    noise = fs.unit_noise(range(2), (4, 4, 4))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(8)
    x = noise
    with torch.no_grad():
        for t in scheduler.timesteps:
            inside = list(x.unsqueeze(2).unbind(0))
            out = model(inside, (1000 - t.expand(2)) / 1000, list(TEXT), return_dict=False)[0]
            x = scheduler.step(-torch.stack(out).squeeze(2), t, x, return_dict=False)[0]
    m = from_diffusers(
        model, read_config(scheduler, as_shipped=True), condition={"cap_feats": TEXT}
    )
    assert difference(fs.sample(m.ode, noise, m.spacing(8), Euler()).x, x, "Z-Image") < 1e-5


def test_stable_audio() -> None:
    torch.manual_seed(0)
    model = diffusers.StableAudioDiTModel(
        sample_size=8, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        num_key_value_attention_heads=1, out_channels=4, cross_attention_dim=8, time_proj_dim=8,
        global_states_input_dim=8, cross_attention_input_dim=8,
    ).eval()  # fmt: skip
    given = {"encoder_hidden_states": TEXT, "global_hidden_states": TEXT[:, :1]}
    noise = fs.unit_noise(range(2), (4, 8))
    m = from_diffusers(model, diffusers.CosineDPMSolverMultistepScheduler(), condition=given)
    grid = m.spacing(8)
    x = noise * m.start(grid[0])
    with torch.no_grad():  # Euler by hand on its label 2/π atan σ, and D = x/(1+σ²) - σ F/√(1+σ²)
        for s, t in pairwise(grid):
            label = torch.tensor(s).atan().mul(2 / torch.pi).expand(2)
            f = model(x / (1 + s * s) ** 0.5, label, return_dict=False, **given)[0]
            d = x / (1 + s * s) - s * f / (1 + s * s) ** 0.5
            x = d + (x - d) * (t / s)
    mine = fs.sample(m.ode, noise, grid, Euler(), start=m.start)
    assert difference(mine.x, x, "Stable Audio") < 1e-5


def test_every_name_is_a_class_of_diffusers() -> None:
    assert not [name for name in CONVENTIONS if not hasattr(diffusers, name)]


class Unknown(torch.nn.Module):
    """Predicts x₀ - ε at a label that rises to 1 at the data."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config, self.dtype = inner, inner.config, inner.dtype

    def forward(
        self, x: Tensor, timestep: Tensor, return_dict: bool, **given: Any
    ) -> tuple[Tensor]:
        return (-self.inner(x, timestep=1000 * (1 - timestep), return_dict=False, **given)[0],)


def test_an_unknown_class_says_three_things() -> None:
    m = MODELS[0]
    model, scheduler = made(m), diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    with pytest.raises(
        NetworkError, match=r"Unknown is not known here. Say three things"
    ) as raised:
        from_diffusers(Unknown(model), scheduler)
    assert all(name in str(raised.value) for name in ("label_scale=", "data_at=1", "points_to="))
    known = from_diffusers(model, scheduler, condition=m.given)
    other = from_diffusers(
        Unknown(model), scheduler, condition=m.given, label_scale=1e-3, data_at=1, points_to=1
    )
    noise = NOISE[m.event]
    a, b = (fs.sample(o.ode, noise, o.spacing(4), Euler()).x for o in (known, other))
    assert difference(a, b, "unknown") < 1e-5
    with pytest.raises(
        NetworkError, match="data_at and points_to are for networks that predict a flow"
    ):
        from_diffusers(model, diffusers.DDIMScheduler(), label_scale=1.0, data_at=1)
    with pytest.raises(NetworkError, match="data_at and points_to are 0 or 1, but got data_at = 2"):
        from_diffusers(model, scheduler, label_scale=1.0, data_at=2)
