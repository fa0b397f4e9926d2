r"""
6. Your own network, your own sampler
=====================================

Train a network in seconds, write a sampler in ten lines, and put both on one figure of error against NFE.

The last lesson is a laboratory. Everything that the others derived is now a measurement: the order of a method,
what it costs, and how far its samples are from the solution of the ODE on *your* network.
"""

# %%
# A network
# ---------
# Data: points on a spiral in the plane. Network: three layers that see :math:`c_\text{in}\bar x`
# and :math:`t = \ln(\sigma)/4`, as EDM's do. ``Objective`` is the loss for whatever a network
# predicts: it draws a level and noise, and compares with the target that belongs to it (lesson
# 2).
import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems, study
from flowsolve.ode import Objective

torch.manual_seed(0)
kind = fs.EDMPrediction(sigma_data=0.5)
layers = torch.nn.Sequential(
    torch.nn.Linear(3, 96),
    torch.nn.SiLU(),
    torch.nn.Linear(96, 96),
    torch.nn.SiLU(),
    torch.nn.Linear(96, 2),
)


def network(x, t):
    return layers(torch.cat([x, t[:, None]], 1))


def spiral(n: int):
    angle = math.pi * (0.5 + 2 * torch.rand(n))
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / 7 + 0.02 * torch.randn(n, 2)


objective = Objective(kind, torch.exp(1.4 * torch.randn(4000) - 1.2).tolist())
adam = torch.optim.Adam(layers.parameters())
rate = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1e-2, total_steps=1500)
losses = []
for _ in range(1500):
    loss = objective.loss(network, spiral(256))
    adam.zero_grad()
    loss.backward()
    adam.step()
    rate.step()
    losses.append(float(loss.detach()))
print(f"loss: {sum(losses[:50]) / 50:.3f} at first, {sum(losses[-50:]) / 50:.3f} at last")

# %%
# An ODE, and a problem
# ---------------------
# ``DiffusionODE`` says what the network predicts. ``NetworkProblem`` adds what a measurement
# needs: the shape of a sample and the two ends. ``requires_grad_(False)`` saves memory; nothing
# is trained from here on.
layers.requires_grad_(False)
ode = fs.DiffusionODE(network, kind)
problem = problems.NetworkProblem(ode, (2,), sigma_max=20.0, sigma_min=0.02, name="spiral")
noise = fs.unit_noise(range(1000), (2,))
samples = fs.sample(ode, noise, fs.karras(40, 20.0, 0.02).to_zero(), S.Heun()).x

# %%
# A sampler
# ---------
# A solver is a frozen dataclass with an ``order`` and a ``step``. This one is Heun's method in
# log σ instead of σ: the mean of the two slopes of
# :math:`d\bar x/d\log\sigma = \sigma\varepsilon`.


@dataclass(frozen=True, repr=False)
class HeunInLog(fs.OneStep):
    """x_t = x_s + h (s ε_s + t ε(x_s + h s ε_s, t))/2, h = log(t/s).      lesson 6"""

    order = 2

    def step(self, ode, x, s: float, t: float):
        h = math.log(t / s)
        k = s * ode.eps(x, s)
        return x + h / 2 * (k + t * ode.eps(x + h * k, t))


# %%
# Does it have the order that it declares? On a problem whose flow is known:
line = problems.Mixture1D(sigma_max=1.0, sigma_min=0.2)
slope = study.convergence(HeunInLog(), line, steps=(20, 40, 80, 160)).slope()
table = fs.tabulate(HeunInLog(), fs.karras(4, 10.0, 0.1))
print(f"order {slope}, evaluations in 4 steps: {len(table.sigmas)}")
print(f"its weights sum to {table.row_sums[-1]:.3f}; a consistent method has {0.1 - 10.0:.3f}")
assert abs(slope.order - 2) < 0.1

# %%
# The order is right, and the sum of the weights is not. This method is *consistent only in the
# limit*: with a constant ε, the simplest case, it errs, because :math:`\sigma\varepsilon` is then
# an exponential in log σ which it approximates by a line. Lesson 4 said so. The figure will show
# what that costs.

# %%
# The figure
# ----------
# Every solver starts from the same 64 noises. The reference is the solution of the ODE itself,
# integrated until two tolerances agree. Bars are the standard error over the samples.
CHOSEN = {
    "DDIM": S.DDIM(),
    "Heun": S.Heun(),
    "Heun in log σ (ours)": HeunInLog(),
    "DPM-Solver++(2M)": S.DPMSolverPP2M(),
    "UniPC(3)": S.UniPC(3),
}
result = study.work_precision(CHOSEN.values(), problem, nfe=[6, 10, 16, 24, 40], seeds=range(64))
fig, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=(1, 1.5)
)
left.plot(*samples.T, ".", ms=2, color="#0072B2")
left.set(aspect="equal", title="1000 samples, Heun, 40 steps")
plot.error_vs_nfe(result, ax=right, labels={repr(s): name for name, s in CHOSEN.items()})
plt.show()
assert not result.failures

# %%
# Put your own network in the place of ``network`` and nothing else changes;
# ``fs.compare(network, kind, event=(2,))`` is all of it in one line. Two things to keep in mind
# when you read such a figure: an error here is a distance to the solution of the ODE *of this
# network*, not to the data; and a curve of high order that starts above the others needs budgets
# that you may not have.

# %%
# Exercise 1: a sampler of your own
# ---------------------------------
# Mend ours. Write a solver of order 2 with *two* evaluations a step whose weights do sum to
# :math:`t - s`, but whose second evaluation is not at t, as Heun's is. Give its class to the
# check.


def check_sampler(kind: type) -> None:
    """Order 2, two evaluations a step, consistent, and not Heun."""
    grid = fs.Grid([3.0, 1.0])
    table = fs.tabulate(kind(), grid)
    assert len(table.sigmas) == 2, f"{len(table.sigmas)} evaluations in one step, not 2"
    assert table.sigmas[1] != 1.0, "the second evaluation is at t: that is Heun's"
    assert abs(table.row_sums[-1] - (1.0 - 3.0)) < 1e-12, "the weights do not sum to t - s"
    line = problems.Mixture1D(sigma_max=1.0, sigma_min=0.2)
    slope = study.convergence(kind(), line, steps=(20, 40, 80, 160)).slope()
    assert abs(slope.order - 2) < 0.15, f"the order is {slope}"
    print(f"right: order {slope}")


# %%
# Solution
# ^^^^^^^^
# For example Ralston's method, with the second evaluation at two thirds of the step and weights
# 1/4 and 3/4.


@dataclass(frozen=True, repr=False)
class Ralston(fs.OneStep):
    """x_t = x_s + h (ε_s + 3 ε(x_m, m))/4, m = s + 2h/3.      Ralston 1962"""

    order = 2

    def step(self, ode, x, s: float, t: float):
        h = t - s
        k = ode.eps(x, s)
        return x + h / 4 * (k + 3 * ode.eps(x + 2 * h / 3 * k, s + 2 * h / 3))


check_sampler(Ralston)

# %%
# Exercise 2: a grid of your own
# ------------------------------
# Ten steps of DDIM on the two-dimensional mixture from σ = 10 to 0.05: on levels that are even in
# σ it errs by 0.30. Write ``levels(n)``, n + 1 falling levels with the same ends, with which it
# errs by less than 0.08.


def check_levels(levels) -> None:
    """Ends, number, and the error of ten steps of DDIM."""
    mixture = problems.Mixture()
    grid = fs.Grid(levels(10))
    assert grid.steps == 10, f"{grid.steps} steps, not 10"
    assert abs(grid[0] - 10) < 1e-9, "it must start at 10"
    assert abs(grid[-1] - 0.05) < 1e-9, "it must end at 0.05"
    x = mixture.start(range(64), torch.float64)
    exact = fs.solve(mixture, x, fs.log_snr(100, 10.0, 0.05), S.DPMSolver3()).x
    error = float((fs.solve(mixture, x, grid, S.DDIM()).x - exact).square().mean().sqrt())
    assert error < 0.08, f"ten steps of DDIM err by {error:.3f} on it"
    print(f"right: {error:.3f}")


# %%
# Solution
# ^^^^^^^^
# At high noise ε hardly changes, so long steps are safe there; the structure of these data
# appears below σ = 2. Even in log σ is a good guess whenever nothing is known. Karras' grid with
# its exponent 7 is as good here.


def levels(n: int) -> list[float]:
    return [10 * (0.05 / 10) ** (k / n) for k in range(n + 1)]


check_levels(levels)
