"""slerp: the sphere kept, its ends met, and what happens where there is no angle."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowsolve import unit_noise
from flowsolve.errors import StateError
from flowsolve.ode.noise_interpolation import arc, slerp, square

X, Y = unit_noise(range(8), (3, 5), torch.float64).chunk(2)
TS = (0.0, 0.1, 0.5, 0.9, 1.0)


def norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def literal(x: Tensor, y: Tensor, t: float) -> Tensor:
    """Song, Meng, Ermon 2021, Appendix D.5, one sample."""
    theta = math.acos(float((x * y).sum() / (x.norm() * y.norm())))
    return (
        math.sin((1 - t) * theta) / math.sin(theta) * x + math.sin(t * theta) / math.sin(theta) * y
    )


@pytest.mark.parametrize("t", TS)
def test_the_papers_formula(t: float) -> None:
    want = torch.stack([literal(x, y, t) for x, y in zip(X, Y, strict=True)])
    torch.testing.assert_close(slerp(X, Y, t), want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("t", TS)
@pytest.mark.parametrize("angle", [1e-12, 1e-9, 1e-7, 1e-3, 2.0, math.pi - 1e-3, math.pi - 1e-7])
def test_norms_and_angles(angle: float, t: float) -> None:
    """On the unit circle of two dimensions the answer is known at every angle."""
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    want = torch.tensor([[math.cos(t * angle), math.sin(t * angle)]], dtype=torch.float64)
    torch.testing.assert_close(slerp(x, y, t), want, rtol=0, atol=5e-9)
    z = slerp(X, Y * (norms(X) / norms(Y))[:, None, None], t)
    torch.testing.assert_close(norms(z), norms(X), rtol=1e-13, atol=0)


def test_the_line_between_would_lose_the_norm() -> None:
    """Half-way between independent noises in d dimensions: √d on the arc, √(d/2) on the line."""
    x, y = unit_noise(range(2), (100_000,), torch.float64).chunk(2)
    assert float(norms(slerp(x, y, 0.5))) == pytest.approx(math.sqrt(1e5), rel=0.01)
    assert float(norms((x + y) / 2)) == pytest.approx(math.sqrt(5e4), rel=0.01)


@pytest.mark.parametrize("event", [(1,), (2,), (3,), (2, 3, 4)])
@pytest.mark.parametrize("t", TS)
def test_equal_and_opposite_points(event: tuple[int, ...], t: float) -> None:
    x = unit_noise(range(3), event, torch.float64)
    torch.testing.assert_close(slerp(x, x, t), x)
    torch.testing.assert_close(slerp(x, 3 * x, t), x * (1 + 2 * t))
    z = slerp(x, -x, t)
    if math.prod(event) > 1:
        torch.testing.assert_close(norms(z), norms(x))
    torch.testing.assert_close(slerp(x, -x, 0.0), x)
    torch.testing.assert_close(slerp(x, -x, 1.0), -x)
    torch.testing.assert_close(slerp(x, torch.zeros_like(x), t), x * (1 - t))
    last = torch.zeros(1, 3, dtype=torch.float64)
    last[0, 2] = 2.0
    assert float(norms(slerp(last, -last, t))) == pytest.approx(2.0)


def test_each_sample_its_own() -> None:
    t = torch.tensor([0.0, 0.25, 0.5, 1.0])
    z = slerp(X, Y, t)
    for i, u in enumerate(t.tolist()):
        torch.testing.assert_close(z[i : i + 1], slerp(X[i : i + 1], Y[i : i + 1], u))
    torch.testing.assert_close(slerp(X, Y, 0.3), slerp(Y, X, 0.7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    z = slerp(X.to(dtype), Y.to(dtype), 0.3)
    assert z.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(z.double(), slerp(X, Y, 0.3), rtol=4 * eps, atol=4 * eps)


def test_arcs_and_squares() -> None:
    points = arc(X, Y, 5)
    assert points.shape == (5, 4, 3, 5)
    torch.testing.assert_close(points[0], X)
    torch.testing.assert_close(points[-1], Y)
    sheet = square(X, 4)
    assert sheet.shape == (4, 4, 3, 5)
    for place, corner in (((0, 0), 0), ((0, 3), 1), ((3, 0), 2), ((3, 3), 3)):
        torch.testing.assert_close(sheet[place], X[corner])
    torch.testing.assert_close(sheet[:, 0], arc(X[:1], X[2:3], 4)[:, 0])


def test_errors() -> None:
    with pytest.raises(StateError, match=r"slerp needs two states alike, but got \(4, 3, 5\)"):
        slerp(X, Y[:2], 0.5)
    with pytest.raises(StateError, match="slerp takes floating-point states"):
        slerp(X.long(), Y.long(), 0.5)
    with pytest.raises(StateError, match="one for each of 4 samples, but there are 3"):
        slerp(X, Y, torch.tensor([0.0, 0.5, 1.0]))
    with pytest.raises(StateError, match="n >= 2 points, but got n = 1"):
        arc(X, Y, 1)
    with pytest.raises(StateError, match="a square has 4 corners, but the state has 3"):
        square(X[:3], 3)
