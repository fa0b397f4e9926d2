"""What tests on several devices share: a network, a start, TF32 switched off, a guard against waiting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from flowsolve import unit_noise
from flowsolve.study.float32 import true_float32

EVENT = (1, 8, 8)

on_each_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
)


class Small(nn.Module):
    """A smooth convolutional network like the digits network, in 2 layers; its weights by seed."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.time = nn.Linear(1, 8)
        self.last = nn.Conv2d(8, 1, 3, padding=1)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))

    def forward(self, x: Tensor, t: Tensor, c: Tensor | None = None) -> Tensor:
        hidden = self.first(x) + self.time(t[:, None].to(x.dtype))[:, :, None, None]
        if c is not None:
            hidden = hidden + c.to(x.dtype)[:, None, None, None]
        return 0.5 * x + self.last(torch.tanh(hidden))


def network(device: str, dtype: torch.dtype = torch.float32) -> Small:
    return Small().to(device, dtype).eval().requires_grad_(False)


def noise(device: str, n: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    return unit_noise(range(n), EVENT, dtype, device)


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def strict(device: str) -> AbstractContextManager[None]:
    """Float32 in float32, not TF32, so that results can be compared."""
    return nullcontext() if device == "cpu" else true_float32()


@contextmanager
def no_synchronisation(device: str) -> Iterator[None]:
    """Anything that waits for the GPU raises RuntimeError."""
    if device == "cpu":
        yield
        return
    synchronize(device)
    with warnings.catch_warnings():  # the mode says once that it is a prototype
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def same(got: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    """`got`, float32 on any device, is `expected`, float64 on the CPU, relative to its largest value."""
    largest = float(expected.abs().max())
    torch.testing.assert_close(got.double().cpu(), expected, rtol=0, atol=tolerance * largest)


def on_the_gpu(run: Callable[[], object]) -> tuple[list[str], list[str]]:
    """What the GPU was given to do, and what was called of its runtime, by name."""
    torch.cuda.synchronize()
    kinds = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=kinds, acc_events=True) as seen:  # without, it warns once
        run()
        torch.cuda.synchronize()
    events = seen.events() or []
    there = [e.name for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
    here = [e.name for e in events if e.device_type != torch.autograd.DeviceType.CUDA]
    return there, [name for name in here if name.startswith("cu")]
