"""Noise by seed: whatever torch's default device is, and by the number of the visit to an interval."""

from __future__ import annotations

import subprocess
import sys

import torch

from flowsolve import unit_noise

EVERYTHING = """
import sys, torch
torch.set_default_device(sys.argv[1])
import flowsolve as fs
from flowsolve import metrics, problems
from flowsolve.ode.training import Objective
from flowsolve_solvers import DDIMEta, Heun, UniPC

seeds, grid = range(3), fs.karras(6, 10.0, 0.05)
x = fs.unit_noise(seeds, (2,), torch.float64, "cpu")
many = fs.unit_noise(range(16), (2,), torch.float64, "cpu")
mixture, line, bell = problems.Mixture(), problems.Mixture1D(), problems.Gaussian()
eps = fs.EpsPrediction(fs.VPSDE())

def noisy(noise):
    return fs.sample(fs.WithNoise(mixture, noise), x, grid.to_zero(), DDIMEta()).x

print(noisy(fs.SeededNoise(seeds)).tolist())
print(noisy(fs.BrownianNoise(seeds, grid.to_zero())).tolist())
print(fs.sample(line, x[:, :1], lambda n: fs.karras(n, 10, 0.05), Heun(), nfe=8).x.tolist())
print(fs.tabulate(UniPC(3), grid).answer)
print([float(p.data().mean()) for p in (mixture, line, bell)], problems.Dataset().eps(x, 1.0).tolist())
print(bell.start(seeds).tolist(), bell.eps(x[:, :1].expand(-1, *bell.event), 1.0).tolist())
print(Objective(eps, grid).draw(x, torch.Generator("cpu").manual_seed(0)).target.tolist())
print(metrics.energy(many, many + 1), metrics.mmd(many, many + 1))
print(metrics.sliced_wasserstein(many, many + 1), metrics.floor(metrics.energy, many))
digits = problems.Digits()
z = fs.unit_noise(seeds, digits.event, torch.float64, "cpu")
print(fs.sample(digits, z, fs.karras(2, 10, 0.05), Heun()).x.sum().tolist())
"""


def test_the_default_device_is_followed_as_the_default_dtype_is() -> None:
    x = unit_noise(range(3), (2,), torch.float64)
    assert x.device.type == "cpu"
    with torch.device("meta"):
        assert unit_noise(range(3), (2,)).device.type == "meta"
        assert torch.equal(unit_noise(range(3), (2,), torch.float64, "cpu"), x)


def test_a_default_device_changes_nothing_else() -> None:
    """On "meta", which holds no values, whatever were made there by oversight would raise."""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", EVERYTHING, device], capture_output=True, text=True, check=False
        )
        for device in ("meta", "cpu")
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
