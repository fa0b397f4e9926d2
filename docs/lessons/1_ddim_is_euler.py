r"""
1. DDIM is Euler's method
=========================

Eq. 12 of the DDIM paper, divided by one number, is a step of Euler's method on an ODE without a schedule.

Everything else in these lessons follows from that one line, so we derive it slowly, run both sides, and see
what it buys: an order, a way to compare schedules, and the question that all fast samplers answer.
"""

# %%
# The path, and what a network knows
# ----------------------------------
# Data :math:`x_0` are mixed with standard normal noise :math:`\varepsilon`,
#
# .. math::
#
#    x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \varepsilon ,
#
# where :math:`\bar\alpha_t` falls from 1 (data) to almost 0 (noise). A network
# :math:`\varepsilon_\theta(x_t, t)` is trained to say which noise is in :math:`x_t`. In this
# lesson it is exact: the data are a mixture of two Gaussians on the line, and for them
# :math:`\mathrm E[\varepsilon \mid x_t]` has a formula. So whatever goes wrong below is the
# sampler's fault, never the network's.
import matplotlib.pyplot as plt
import torch
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems

problem = problems.Mixture1D(sigma_max=5.0)
schedule = fs.linear_beta()  # DDPM's ᾱ, 1000 of them


def alpha_bar(t: int) -> float:
    """ᾱ_t = 1/(1 + σ_t²)."""
    return 1 / (1 + schedule.sigma(float(t)) ** 2)


def network(x_t: Tensor, t: int) -> Tensor:
    """ε_θ(x_t, t)."""
    return problem.eps(x_t / alpha_bar(t) ** 0.5, schedule.sigma(float(t)))


# %%
# The sampler of the paper
# ------------------------
# Song, Meng and Ermon (2021), Eq. 12, without its random term: predict :math:`x_0`, then mix it
# with the *same* noise at the next level,
#
# .. math::
#
#    x_{t-1} = \sqrt{\bar\alpha_{t-1}}\;
#    \underbrace{\frac{x_t - \sqrt{1-\bar\alpha_t}\, \varepsilon_\theta(x_t, t)}
#    {\sqrt{\bar\alpha_t}}}_{\text{predicted } x_0}
#    + \sqrt{1-\bar\alpha_{t-1}}\; \varepsilon_\theta(x_t, t) .
#
# "t - 1" is the next level of a subsequence: here six of the thousand.
times = [560, 450, 340, 230, 120, 10]
torch.manual_seed(0)
x_T = torch.randn(5, dtype=torch.float64)

x_t = x_T
for t, after in zip(times, times[1:]):
    a, b = alpha_bar(t), alpha_bar(after)
    eps = network(x_t, t)
    predicted = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    x_t = b**0.5 * predicted + (1 - b) ** 0.5 * eps
paper = x_t
print("Eq. 12:", [f"{v:.6f}" for v in paper])

# %%
# Divide by one number
# --------------------
# Divide both sides by :math:`\sqrt{\bar\alpha_{t-1}}` and collect what multiplies
# :math:`\varepsilon_\theta`:
#
# .. math::
#
#    \frac{x_{t-1}}{\sqrt{\bar\alpha_{t-1}}} = \frac{x_t}{\sqrt{\bar\alpha_t}} + \left(
#    \sqrt{\frac{1-\bar\alpha_{t-1}}{\bar\alpha_{t-1}}} - \sqrt{\frac{1-\bar\alpha_t}{\bar\alpha_t}} \right)
#    \varepsilon_\theta(x_t, t) .
#
# Only two combinations are left. Give them names,
#
# .. math::
#
#    \bar x = \frac{x_t}{\sqrt{\bar\alpha_t}}, \qquad \sigma = \sqrt{\frac{1-\bar\alpha_t}{\bar\alpha_t}},
#    \qquad\text{so that}\qquad \bar x = x_0 + \sigma \varepsilon ,
#
# and Eq. 12 reads :math:`\bar x_{t-1} = \bar x_t + (\sigma_{t-1} - \sigma_t)\, \varepsilon`. A
# step of length :math:`\sigma_{t-1} - \sigma_t` along the slope :math:`\varepsilon`: Euler's
# method for
#
# .. math::
#
#    \frac{d\bar x}{d\sigma} = \varepsilon(\bar x, \sigma) .
#
# Nothing was approximated on the way. In code the loop shrinks to two lines.
x = x_T / alpha_bar(times[0]) ** 0.5
levels = [schedule.sigma(float(t)) for t in times]
for s, t in zip(levels, levels[1:]):
    x = x + (t - s) * problem.eps(x, s)
euler = x * alpha_bar(times[-1]) ** 0.5
print("Euler: ", [f"{v:.6f}" for v in euler])
print(f"largest difference {float((paper - euler).abs().max()):.1e}")
assert (paper - euler).abs().max() < 1e-12

# %%
# Two pictures of the same steps
# ------------------------------
# The straight steps of the right picture are the curves of the left one. The background is the
# slope :math:`\varepsilon(\bar x, \sigma)`, and each blue line follows it from where it starts.
# The grey lines are the exact flow, which in one dimension is known: solutions cannot cross, so
# each keeps its quantile.
grid = fs.Grid(levels)
path = fs.solve(problem, x_T / alpha_bar(times[0]) ** 0.5, grid, S.Euler(), keep=1).path
fine = fs.exponential(60, levels[0], levels[-1])
exact = torch.stack([problem.flow(path[0].x, levels[0], s) for s in fine])


def draw(axes, across, scale) -> None:
    """The flow, the steps and the nodes: `across` and `scale` say where σ and x̄ are drawn."""
    shrunk = exact * torch.tensor([[scale(s)] for s in fine])
    flow = axes.plot([across(s) for s in fine], shrunk, "0.65", lw=3)
    for here, there in zip(path, path[1:]):
        inside = torch.linspace(here.sigma, there.sigma, 30).tolist()
        step = torch.stack([(here.x + (s - here.sigma) * here.eps) * scale(s) for s in inside])
        steps = axes.plot([across(s) for s in inside], step, color="#0072B2")
        node = [across(here.sigma)] * 5, here.x * scale(here.sigma)
        nodes = axes.plot(*node, "o", color="#D55E00", ms=4)
    axes.legend([flow[0], steps[0], nodes[0]], ["exact flow", "a step of DDIM", "its nodes"])
    axes.invert_xaxis()


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
draw(left, schedule.t, lambda sigma: 1 / (1 + sigma**2) ** 0.5)
draw(right, lambda sigma: sigma, lambda sigma: 1.0)
sigma, height = torch.meshgrid(torch.linspace(0.1, 5, 22), torch.linspace(-9, 9, 19), indexing="ij")
slope = torch.stack([problem.eps(h.double(), float(s[0])) for s, h in zip(sigma, height)])
right.quiver(
    sigma, height, -torch.ones_like(slope), -slope, angles="xy", color="0.8", width=0.003, zorder=0
)
right.set(
    xlabel="σ", ylabel="$\\bar{x}$", title="$\\bar{x} = x_t/\\sqrt{\\bar{α}}$: straight steps"
)
left.set(xlabel="t", ylabel="$x_t$", title="$x_t$: the same steps are curves")
plt.show()

# %%
# What it buys: an order
# ----------------------
# Euler's method is 250 years old, and its theory is now DDIM's. One step of length h makes an
# error of :math:`\tfrac12 h^2\, d\varepsilon/d\sigma`; a path has about 1/h steps; so the errors
# add up to something proportional to h. Twice the steps, half the error:
noise = fs.unit_noise(range(256), problem.event, torch.float64)
start = problem.sigma_max * noise
truth = problem.flow(start, problem.sigma_max, problem.sigma_min)
errors = []
for n in (20, 40, 80, 160, 320):
    done = fs.solve(problem, start, fs.karras(n, problem.sigma_max, problem.sigma_min), S.DDIM())
    errors.append(float((done.x - truth).square().mean().sqrt()))
    ratio = f"   {errors[-2] / errors[-1]:.2f} times smaller" if len(errors) > 1 else ""
    print(f"{n:4} steps: error {errors[-1]:.4f}{ratio}")
assert 1.8 < errors[-2] / errors[-1] < 2.2

# %%
# What it buys: the schedule is gone
# ----------------------------------
# The ODE has no :math:`\bar\alpha` in it. A schedule decides two things only: which label t a
# network is told at :math:`\sigma`, and where the steps lie if somebody spaces them evenly in t.
# Two networks for the same data, one trained with DDPM's linear β and one with the cosine
# schedule, give the *same* samples on the same levels of σ, and different ones when each takes
# its own ten even steps in t.
ends = []
for clock in (fs.linear_beta(), fs.squared_cosine()):
    kind = fs.EpsPrediction(clock)
    ode = fs.DiffusionODE(problems.exact_network(problem, kind), kind)
    same = fs.karras(10, 5.0, 0.05)
    own = fs.uniform_t(10, 5.0, 0.05, clock=clock)
    ends.append([fs.solve(ode, start, levels, S.DDIM()).x for levels in (same, own)])
(same_1, own_1), (same_2, own_2) = ends
print(f"the same levels of σ: largest difference {float((same_1 - same_2).abs().max()):.0e}")
print(f"even in their own t:  largest difference {float((own_1 - own_2).abs().max()):.2f}")
assert (same_1 - same_2).abs().max() < 1e-9 < (own_1 - own_2).abs().max()

# %%
# And it asks the question that all fast samplers answer: Euler is the *first* method for an ODE,
# of order 1. Why stop there? Lesson 3 goes on. First, lesson 2 asks what the networks of other
# papers have to do with ε.

# %%
# Exercise 1: upwards
# -------------------
# An ODE can be followed in both directions. Write ``encode(eps, x, levels)``, which takes data x̄
# at the first of *rising* levels and returns x̄ at the last: DDIM inversion. ``eps(x, sigma)`` is
# the network.


def check_encode(encode) -> None:
    """Compare with the library on three points."""
    line = problems.Mixture1D()
    data = torch.tensor([-1.0, 0.3, 0.9], dtype=torch.float64)
    rising = fs.Grid([6.0, 2.0, 0.7, 0.2, 0.05]).reversed()
    found = encode(line.eps, data, list(rising))
    assert isinstance(found, Tensor), "encode must return x̄ at the last level"
    assert found.shape == data.shape, "one state for each sample"
    want = fs.solve(line, data, rising, S.Euler()).x
    assert torch.allclose(found, want, rtol=0, atol=1e-9), (
        f"{found.tolist()} is not {want.tolist()}"
    )
    print("right")


# %%
# Solution
# ^^^^^^^^
# The step does not care about its sign: (t - s) is positive on the way up.


def encode(eps, x: Tensor, levels: list[float]) -> Tensor:
    for s, t in zip(levels, levels[1:]):
        x = x + (t - s) * eps(x, s)
    return x


check_encode(encode)

# %%
# Exercise 2: a cousin that is not DDIM
# -------------------------------------
# Eq. 15 of the paper discretises the probability-flow ODE of the VE-SDE,
# :math:`d\bar x = \tfrac12\, \varepsilon/\sigma\; d(\sigma^2)`, by Euler's method *in*
# :math:`\sigma^2`. Write its step ``euler_in_variance(eps, x, s, t)`` from the level s to t. Then
# find the factor between it and DDIM's step: what is it in the last step, to σ = 0?


def check_euler_in_variance(step) -> None:
    """Compare one step with the library's, and with DDIM's."""
    line = problems.Mixture1D()
    x = torch.tensor([-6.0, 0.5, 4.0], dtype=torch.float64)
    found = step(line.eps, x, 3.0, 1.0)
    assert not torch.allclose(found, fs.solve(line, x, [3.0, 1.0], S.DDIM()).x), "this is DDIM"
    want = fs.solve(line, x, [3.0, 1.0], S.EulerInVariance()).x
    assert torch.allclose(found, want, rtol=0, atol=1e-9), (
        f"{found.tolist()} is not {want.tolist()}"
    )
    print("right")


# %%
# Solution
# ^^^^^^^^
# The slope in :math:`\sigma^2` is :math:`\varepsilon/(2\sigma)` and the step has length
# :math:`t^2 - s^2`. Since :math:`t^2 - s^2 = (t-s)(t+s)`, it is DDIM's step times
# :math:`(s+t)/(2s)`: almost 1 for short steps, one half for a step to 0, which therefore leaves
# half of the noise in the sample.


def euler_in_variance(eps, x: Tensor, s: float, t: float) -> Tensor:
    return x + (t**2 - s**2) / (2 * s) * eps(x, s)


check_euler_in_variance(euler_in_variance)
