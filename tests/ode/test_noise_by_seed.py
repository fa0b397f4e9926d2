"""Noise by seed: whatever torch's default device is, and by the number of the visit to an interval."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stdout
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from flowsolve import (
    BrownianNoise,
    CounterNoise,
    Grid,
    Guided,
    Noise,
    Repaint,
    SeededNoise,
    WithNoise,
    Wrapped,
    karras,
    solve,
    unit_noise,
)
from flowsolve.analysis.stages import drive, recurrence
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.problems import Mixture
from flowsolve_solvers import DDIMEta, Heun

SEEDS, LEVELS = range(2), (3.0, 2.0, 1.0, 0.5)
LONG = torch.zeros(2, 5000, dtype=torch.float64)
NOISES = [SeededNoise(SEEDS), BrownianNoise(SEEDS, LEVELS), CounterNoise(SEEDS)]

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
print(noisy(fs.CounterNoise(seeds)).tolist())
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
    """On "meta", which holds no values, whatever were made there by oversight would raise.

    In a process of its own: nothing is cached there, and nothing is left of it here.
    """
    first = subprocess.run(
        [sys.executable, "-c", EVERYTHING, "meta"], capture_output=True, text=True, check=False
    )
    assert (first.returncode, first.stderr) == (0, "")
    second = io.StringIO()
    with redirect_stdout(second), patch.object(sys, "argv", ["-c", "cpu"]):
        try:
            exec(EVERYTHING, {})
        finally:
            torch.set_default_device(None)
    assert first.stdout == second.getvalue()


# ------------------------------------------------------------------------------------------ again


def correlation(a: Tensor, b: Tensor) -> float:
    return float((a * b).mean())


@pytest.mark.parametrize("source", NOISES, ids=lambda n: type(n).__name__)
def test_every_visit_has_noise_of_its_own(source: Noise) -> None:
    """Up and down too; the same visit has the same noise; a first visit is what it was without a number."""
    bound = 5 / 10_000**0.5
    draws = [source(LONG, s, t, k) for s, t in ((3.0, 1.0), (1.0, 3.0)) for k in range(3)]
    for i, a in enumerate(draws):
        assert abs(correlation(a, a) - 1) < 2 * bound
        assert all(abs(correlation(a, b)) < bound for b in draws[:i])
    assert torch.equal(source(LONG, 3.0, 1.0), draws[0])
    assert torch.equal(source(LONG, 3.0, 1.0, again=2), draws[2])


def test_each_visits_brownian_path_is_shared_by_all_grids() -> None:
    source = BrownianNoise(SEEDS, LEVELS)
    for s, t in ((3.0, 1.0), (1.0, 3.0)):
        for k in (0, 1):
            parts = source(LONG, *sorted((s, 2.0), reverse=s > t), again=k)
            rest = source(LONG, *sorted((2.0, t), reverse=s > t), again=k)
            torch.testing.assert_close((parts + rest) / 2**0.5, source(LONG, s, t, again=k))


def test_again_goes_through_what_stands_around_the_noise() -> None:
    mixture = Mixture()
    ode = WithNoise(mixture, SeededNoise(SEEDS))
    x = mixture.start(SEEDS, torch.float64)
    expected = ode.noise(x, 2.0, 1.0, again=3)
    for outer in (Wrapped(ode), Guided(ode, mixture, 2.0), Counter(ode, Tally())):
        assert torch.equal(outer.noise(x, 2.0, 1.0, again=3), expected)
        assert not torch.equal(outer.noise(x, 2.0, 1.0), expected)


def test_repaint_asks_for_its_noise_by_visit() -> None:
    """By seeds or from the ODE, in a recurrence too, and inside another one no visit is like another."""
    mixture, grid = Mixture(), karras(4, 10.0, 0.5)
    x = mixture.start(SEEDS, torch.float64)
    ode = WithNoise(mixture, SeededNoise(SEEDS))
    for inner in (Heun(), DDIMEta()):
        own = solve(ode, x, grid, Repaint(inner, 3)).x
        assert torch.equal(solve(mixture, x, grid, Repaint(inner, 3, SEEDS)).x, own)
        found = recurrence(Repaint(inner, 3), grid)
        torch.testing.assert_close(drive(ode, x, found), own, rtol=1e-9, atol=1e-9)

    class Asked(Wrapped):
        keys: list[tuple[float, float, int]]

        def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
            self.keys.append((s, t, again))
            return self.ode.noise(x, s, t, again)

    asked = Asked(ode)
    asked.keys = []
    solve(asked, x, Grid([10, 5, 1]), Repaint(Repaint(DDIMEta(), 3), 2, jump=2))
    assert len(asked.keys) == len(set(asked.keys)) > 10


# ------------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize("source", NOISES[:2], ids=lambda n: type(n).__name__)
def test_noise_is_drawn_in_float32(source: Noise) -> None:
    """And then cast; a Brownian path is summed in the dtype of the state."""
    drawn = source(LONG.float(), 3.0, 2.0)
    for dtype in (torch.float64, torch.bfloat16):
        cast = source(LONG.to(dtype), 3.0, 2.0)
        torch.testing.assert_close(cast, drawn.to(dtype), rtol=1e-7, atol=0)


def test_the_start_is_drawn_in_float64() -> None:
    """Row by row what torch draws, of 53 bits."""
    found = unit_noise([3, 5], (4, 5), torch.float64)
    for seed, row in zip([3, 5], found, strict=True):
        generator = torch.Generator().manual_seed(seed)
        assert torch.equal(row, torch.randn(4, 5, dtype=torch.float64, generator=generator))
    assert not torch.equal(found, found.float().double())
    assert torch.equal(unit_noise([3, 5], (4, 5), torch.float32), found.float())
