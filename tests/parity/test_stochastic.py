"""The stochastic methods are those of k-diffusion and diffusers, number for number, on the same noise.

Both get one Brownian path; diffusers' float32 tables are replaced by float64 ones, so that what is
compared is the method.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peer_code import k_diffusion_sampling
from flowsolve import (
    ODE,
    BrownianNoise,
    DiffusionODE,
    Grid,
    Noise,
    Solver,
    WithNoise,
    Wrapped,
    karras,
    sample,
    solve,
)
from flowsolve.integrate.endpoints import trajectory
from flowsolve.interop.diffusers import read_config
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    DDPM,
    EDM,
    SDE_ETA,
    Ancestral,
    DDIMEta,
    DPM2Ancestral,
    DPMSolver2,
    DPMSolverPP2MSDE,
    DPMSolverPP2SAncestral,
    DPMSolverPP3MSDE,
    DPMSolverPPSDE,
    Euler,
    EulerAncestral,
    Heun,
    SASolver,
)

PROBLEM = Mixture()
SEEDS = range(4)
NOISE = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max
STEPS = [1, 2, 3, 5, 10, 50]

pytestmark = pytest.mark.parity


def to_zero(n: int) -> Grid:
    """N steps, the last to 0: one step is from σ = 10 to 0."""
    return Grid([10.0, 0.0]) if n == 1 else karras(n - 1, 10.0, 0.05).to_zero()


class Asked(Wrapped):
    """Notes the levels that noise is asked for."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.levels: set[float] = set()

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.levels |= {s, t}
        return torch.zeros_like(x)


def path_of(solver: Solver, grid: Grid) -> BrownianNoise:
    """One Brownian path with every level of the grid and of the solver's stages."""
    asked = Asked(PROBLEM)
    for _ in trajectory(asked, NOISE * grid[0], grid, solver):
        pass
    return BrownianNoise(SEEDS, asked.levels | {*grid})


def same(got: Tensor, want: Tensor, tolerance: float) -> None:
    assert want.isfinite().all()
    error = float((got - want).abs().max() / want.abs().max())
    assert error <= tolerance, error


@pytest.fixture(scope="module")
def kd() -> ModuleType:
    try:
        return k_diffusion_sampling()
    except ImportError as missing:
        pytest.skip(str(missing))


class NearestNoise:
    """A noise_sampler(σ, σ_next) on a Brownian path: k-diffusion's levels went through log and exp."""

    def __init__(self, path: BrownianNoise, x: Tensor) -> None:
        self.path, self.x = path, x

    def level(self, sigma: Any) -> float:
        near = min(self.path.levels, key=lambda s: abs(s - float(sigma)))
        assert math.isclose(near, float(sigma), rel_tol=1e-9), "asked for a level we do not have"
        return near

    def __call__(self, s: Any, t: Any) -> Tensor:
        return self.path(self.x, self.level(s), self.level(t))


def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
    """k-diffusion's model: all samples at one σ."""
    return PROBLEM.x0(x, float(sigma[0]))


Case = tuple[str, Solver, dict[str, Any]]
CASES: list[Case] = [
    ("sample_euler_ancestral", EulerAncestral(), {}),
    ("sample_euler_ancestral", DDIMEta(0.5), {"eta": 0.5}),
    ("sample_euler_ancestral", Ancestral(Euler()), {}),
    ("sample_dpm_2_ancestral", DPM2Ancestral(), {}),
    ("sample_dpm_2_ancestral", DPM2Ancestral(0.3), {"eta": 0.3}),
    ("sample_dpmpp_2s_ancestral", DPMSolverPP2SAncestral(), {}),
    ("sample_dpmpp_2s_ancestral", DPMSolverPP2SAncestral(0.3), {"eta": 0.3}),
    ("sample_dpmpp_sde", DPMSolverPPSDE(), {}),
    ("sample_dpmpp_sde", DPMSolverPPSDE(0.4, r=0.7), {"eta": 0.4, "r": 0.7}),
    ("sample_dpmpp_2m_sde", DPMSolverPP2MSDE(guard=None), {}),
    ("sample_dpmpp_2m_sde", DPMSolverPP2MSDE(0.5, guard=None), {"eta": 0.5}),
    ("sample_dpmpp_2m_sde", DPMSolverPP2MSDE(heun=True, guard=None), {"solver_type": "heun"}),
    (
        "sample_dpmpp_2m_sde",
        DPMSolverPP2MSDE(1.5, True, guard=None),
        {"eta": 1.5, "solver_type": "heun"},
    ),
    ("sample_dpmpp_3m_sde", DPMSolverPP3MSDE(published=True, guard=None), {}),
    ("sample_dpmpp_3m_sde", DPMSolverPP3MSDE(0.5, published=True, guard=None), {"eta": 0.5}),
]


def both(kd: ModuleType, name: str, solver: Solver, options: dict[str, Any], grid: Grid) -> Any:
    """Ours and k-diffusion's."""
    noisy = replace(solver, eta=1.0) if isinstance(solver, DPMSolverPPSDE) else solver  # all stages
    x, path = NOISE * grid[0], path_of(noisy, grid)
    sampler = getattr(kd, name)
    sigmas = torch.tensor(grid.levels, dtype=torch.float64)
    noise = NearestNoise(path, x)
    want = sampler(denoiser, x, sigmas, disable=True, noise_sampler=noise, **options)
    return sample(WithNoise(PROBLEM, path), NOISE, grid, solver).x, want


@pytest.mark.parametrize("n", STEPS)
@pytest.mark.parametrize(("name", "solver", "options"), CASES, ids=lambda v: repr(v)[:60])
def test_k_diffusion(
    kd: ModuleType, name: str, solver: Solver, options: dict[str, Any], n: int
) -> None:
    if n == 1 and name in ("sample_dpmpp_2m_sde", "sample_dpmpp_3m_sde"):
        pytest.skip("k-diffusion raises UnboundLocalError (h) for one step to 0")
    got, want = both(kd, name, solver, options, to_zero(n))
    same(got, want, 1e-10)


@pytest.mark.parametrize(("name", "solver", "options"), CASES, ids=lambda v: repr(v)[:60])
def test_k_diffusion_to_a_finite_level(
    kd: ModuleType, name: str, solver: Solver, options: dict[str, Any]
) -> None:
    got, want = both(kd, name, solver, options, karras(7, 10.0, 0.05))
    same(got, want, 1e-10)


@pytest.mark.parametrize("n", STEPS)
def test_k_diffusion_3m_is_not_the_exact_one(kd: ModuleType, n: int) -> None:
    """Its second difference lacks a factor of 2, which shows from the third step above 0 on."""
    if n == 1:
        pytest.skip("k-diffusion raises UnboundLocalError (h) for one step to 0")
    got, want = both(kd, "sample_dpmpp_3m_sde", DPMSolverPP3MSDE(guard=None), {}, to_zero(n))
    error = float((got - want).abs().max())
    assert error > 1e-6 if n > 3 else error < 1e-10


def test_the_two_meanings_of_eta(kd: ModuleType) -> None:
    """T-32: the same at 0 and 1, and at no other η. k-diffusion's SDE and ancestral samplers differ."""
    for eta, equal in ((0.0, True), (1.0, True), (0.5, False)):
        solver = DPMSolverPPSDE(eta, family=SDE_ETA)
        got, want = both(kd, "sample_dpmpp_sde", solver, {"eta": eta}, to_zero(5))
        assert (float((got - want).abs().max()) < 1e-9) is equal


CHURN: list[tuple[str, EDM, dict[str, float]]] = [
    (name, EDM(*values, method), dict(zip(("s_churn", "s_tmin", "s_tmax", "s_noise"), values, strict=True)))
    for name, method in (
        ("sample_heun", Heun()), ("sample_euler", Euler()), ("sample_dpm_2", DPMSolver2()),
    )
    for values in ((0.0, 0.0, math.inf, 1.0), (3.0, 0.0, math.inf, 1.0), (40.0, 0.05, 5.0, 1.003))
]  # fmt: skip


@pytest.mark.parametrize("n", STEPS)
@pytest.mark.parametrize(("name", "solver", "options"), CHURN, ids=lambda v: repr(v)[:60])
def test_k_diffusion_churn(
    kd: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    solver: EDM,
    options: dict[str, float],
    n: int,
) -> None:
    """k-diffusion draws in every step, wanted or not; here only where γ > 0."""
    grid = to_zero(n)
    x, path = NOISE * grid[0], BrownianNoise(SEEDS, grid)
    steps = iter(pairwise(grid))
    with monkeypatch.context() as patch:
        patch.setattr(kd.torch, "randn_like", lambda x: path(x, *next(steps)))
        sigmas = torch.tensor(grid.levels, dtype=torch.float64)
        want = getattr(kd, name)(denoiser, x, sigmas, disable=True, **options)
    got = sample(WithNoise(PROBLEM, path), NOISE, grid, solver)
    same(got.x, want, 1e-10)
    assert got.nfe == (n if solver.method == Euler() else 2 * n - 1)


class InTurn(Noise):
    """The noise of every interval from one path, and what diffusers is to draw, in its order."""

    def __init__(self, path: BrownianNoise, x: Tensor, grid: Grid) -> None:
        super().__init__(path.seeds)
        self.path = path
        self.draws = iter([path(x, s, t) for s, t in pairwise(grid)])

    def __call__(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self.path(x, s, t)

    def draw(self, *args: Any, **kwargs: Any) -> Tensor:
        return next(self.draws)


def scheduler_of(name: str, n: int, **config: Any) -> Any:
    """A diffusers scheduler, its tables in float64."""
    if importlib.util.find_spec("diffusers") is None:
        pytest.skip("diffusers is not installed: pip install flowsolve[parity]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(importlib.import_module("diffusers"), name)(**config)
        if hasattr(made, "alphas_cumprod"):
            made.alphas_cumprod = made.alphas_cumprod.double()
        made.set_timesteps(n)
    for table in ("one", "final_alpha_cumprod", "sigmas"):
        if hasattr(made, table):
            setattr(made, table, getattr(made, table).double())
    return made


def alpha(sigma: float) -> float:
    return 1 / math.hypot(1, sigma)


def loop(
    scheduler: Any, levels: tuple[float, ...], options: Callable[[], dict[str, Any]]
) -> Tensor:
    """The loop of a pipeline with x₀ as the network's answer."""
    x = NOISE
    for t, sigma in zip(scheduler.timesteps, levels, strict=False):
        x0 = PROBLEM.x0(x / alpha(sigma), sigma)
        x = scheduler.step(x0, int(t), x, return_dict=False, **options())[0]
    return x / alpha(levels[-1])


def discrete(scheduler: Any) -> Grid:
    """Σ of its time steps, and 0."""
    abar = scheduler.alphas_cumprod[scheduler.timesteps]
    return Grid([*((1 - abar) / abar).sqrt().tolist(), 0.0])


@pytest.mark.parametrize("n", [1, 2, 10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_diffusers_ddim(eta: float, n: int) -> None:
    scheduler = scheduler_of(
        "DDIMScheduler", n, clip_sample=False, prediction_type="sample", steps_offset=1
    )
    grid = discrete(scheduler)
    path = BrownianNoise(SEEDS, grid)
    turn = InTurn(path, NOISE, grid)
    want = loop(scheduler, grid[:], lambda: {"eta": eta, "variance_noise": turn.draw()})
    x = NOISE / alpha(grid[0])
    got = sample(WithNoise(PROBLEM, turn), x / grid[0], grid, DDIMEta(eta)).x
    same(got, want, 1e-10)


@pytest.mark.parametrize("n", [1, 2, 10, 50])
@pytest.mark.parametrize("large", [False, True])
def test_diffusers_ddpm(monkeypatch: pytest.MonkeyPatch, large: bool, n: int) -> None:
    """Leading spacing ends at t = 0. With "trailing" diffusers adds noise in the last step (T-35)."""
    scheduler = scheduler_of(
        "DDPMScheduler", n, clip_sample=False, prediction_type="sample",
        variance_type="fixed_large" if large else "fixed_small",
    )  # fmt: skip
    grid = discrete(scheduler)
    turn = InTurn(BrownianNoise(SEEDS, grid), NOISE, grid)
    module = importlib.import_module("diffusers.schedulers.scheduling_ddpm")
    monkeypatch.setattr(module, "randn_tensor", turn.draw)
    want = loop(scheduler, grid[:], dict)
    x = NOISE / alpha(grid[0])
    got = sample(WithNoise(PROBLEM, turn), x / grid[0], grid, DDPM(large)).x
    same(got, want, 1e-10)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10, 50])
@pytest.mark.parametrize(
    "solver",
    [
        SASolver(published=True, guard=None),
        SASolver(0.5, published=True, guard=None),
        SASolver(0.0, published=True, guard=None),
        SASolver(1.0, 1, 1, guard=None),
        SASolver(1.0, 2, 1, published=True, guard=None),
        SASolver(1.0, 1, 2, published=True, guard=None),
        SASolver(1.0, 3, 1, published=True, guard=None),
        SASolver(0.5, 3, 3, published=True, guard=None),
    ],
    ids=repr,
)
def test_diffusers_sa_solver(
    monkeypatch: pytest.MonkeyPatch, solver: SASolver, n: int, *, lower: bool
) -> None:
    """Order 3 too is "published": it ramps through 2, where diffusers has a weight of its own."""
    solver = replace(solver, lower_order_final=lower)
    scheduler = scheduler_of(
        "SASolverScheduler", n, prediction_type="sample", predictor_order=solver.predictor,
        corrector_order=solver.corrector, tau_func=lambda t: solver.tau, lower_order_final=lower,
    )  # fmt: skip
    grid = Grid(scheduler.sigmas.tolist())
    turn = InTurn(BrownianNoise(SEEDS, grid), NOISE, grid)
    module = importlib.import_module("diffusers.schedulers.scheduling_sasolver")
    monkeypatch.setattr(module, "randn_tensor", turn.draw)
    want = loop(scheduler, grid[:], dict)
    got = solve(WithNoise(PROBLEM, turn), NOISE / alpha(grid[0]), grid, solver).x
    same(got, want, 1e-10)


@pytest.mark.parametrize("n", [2, 3, 10, 50])
@pytest.mark.parametrize("heun", [False, True])
def test_diffusers_stable_audio(heun: bool, n: int) -> None:
    """CosineDPMSolverMultistep, on its own network: -F of EDM at the label 2/π atan σ."""
    scheduler = scheduler_of(
        "CosineDPMSolverMultistepScheduler", n, solver_type="heun" if heun else "midpoint"
    )
    reading = read_config(scheduler)
    f, grid = exact_network(PROBLEM, reading.precondition), Grid(scheduler.sigmas.tolist())
    turn = InTurn(BrownianNoise(SEEDS, grid), NOISE, grid)
    scheduler.noise_sampler = turn.draw
    unit = NOISE / NOISE.std()
    x = unit * scheduler.init_noise_sigma
    for t, s in zip(scheduler.timesteps, grid, strict=False):
        label = torch.full((len(x),), reading.clock.t(s), dtype=torch.float64)
        inside = scheduler.scale_model_input(x, t)
        x = scheduler.step(f(inside, label), t, x, return_dict=False)[0]
    ode = WithNoise(DiffusionODE(f, reading.precondition), turn)
    got = sample(ode, unit, grid, DPMSolverPP2MSDE(heun=heun, guard=None), start=reading.start)
    same(got.x, x, 1e-5)  # their labels are float32


@pytest.mark.parametrize("n", [1, 2, 10, 50])
def test_diffusers_cogvideox_dpm(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """It draws twice in a step of two points, and uses the second."""
    scheduler = scheduler_of("CogVideoXDPMScheduler", n, prediction_type="sample")
    grid = discrete(scheduler)
    turn = InTurn(BrownianNoise(SEEDS, grid), NOISE, grid)
    module = importlib.import_module("diffusers.schedulers.scheduling_dpm_cogvideox")
    x, old, back = NOISE, None, None
    for t, (s, next_s) in zip(scheduler.timesteps, pairwise(grid), strict=True):
        z = turn(x, s, next_s)
        monkeypatch.setattr(module, "randn_tensor", lambda *a, z=z, **k: z)
        x0 = PROBLEM.x0(x / alpha(s), s)
        x, old = scheduler.step(x0, old, int(t), back, x)
        back = int(t)
    unit = NOISE / alpha(grid[0]) / grid[0]
    got = sample(WithNoise(PROBLEM, turn), unit, grid, DPMSolverPP2MSDE(guard=None)).x
    same(got, x, 1e-10)
