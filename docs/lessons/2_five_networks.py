r"""
2. One ODE, five networks
=========================

Networks predict ε, v, x₀, EDM's F or a velocity. They all know the same two things, and follow one ODE.

Papers differ in what their network answers, so each brings a sampler of its own. This lesson shows that
there is one ODE behind them, what the four scalars between it and a network are, and where the choice of a
network does matter: in what an error of its answer does to the sample.
"""

# %%
# Two unknowns, one equation
# --------------------------
# At a state :math:`\bar x` and a level :math:`\sigma` there are two things to know, the expected
# data and the expected noise, and one equation between them:
#
# .. math::
#
#    \bar x = x_0 + \sigma \varepsilon .
#
# So *any* known combination of :math:`x_0` and :math:`\varepsilon`, other than this one,
# determines both. Write what a network F answers as
#
# .. math::
#
#    x_0 = c_\text{skip}\, \bar x + c_\text{out}\, F(c_\text{in}\, \bar x,\; t) .
#
# Four scalars at each σ: how the state is scaled before the network sees it, which label t it is
# told, and the two that bring its answer back (Karras et al. 2022, Eq. 7). Take v-prediction as
# an example. On a VP path :math:`\alpha = 1/\sqrt{1+\sigma^2}`, :math:`s = \sigma\alpha`, and
# :math:`v = \alpha\varepsilon - s x_0`. Insert :math:`\varepsilon = (\bar x - x_0)/\sigma`:
#
# .. math::
#
#    v = \frac{\alpha}{\sigma}\bar x - \Big(\frac{\alpha}{\sigma} + \sigma\alpha\Big) x_0
#      = \frac{\alpha}{\sigma}\bar x - \frac{1}{\sigma\alpha} x_0
#    \quad\Longrightarrow\quad
#    x_0 = \alpha^2 \bar x - \sigma\alpha\, v .
#
# Therefore :math:`c_\text{skip} = 1/(1+\sigma^2)` and
# :math:`c_\text{out} = -\sigma/\sqrt{1+\sigma^2}`. The library has these for the five common
# kinds:
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems

clock = fs.linear_beta()
KINDS = {
    "ε": fs.EpsPrediction(clock),
    "v": fs.VPrediction(clock),
    "x₀": fs.X0Prediction(clock),
    "EDM's F": fs.EDMPrediction(sigma_data=0.5),
    "velocity": fs.FlowPrediction(),
}
print("at σ = 2:   c_in    c_skip   c_out   label t")
for name, kind in KINDS.items():
    c = kind(2.0)
    print(f"{name:9} {c.c_in:7.4f} {c.c_skip:8.4f} {c.c_out:8.4f} {c.t:8.2f}")

by_hand = (1 / (1 + 4), -2 / math.sqrt(1 + 4))
assert abs(KINDS["v"](2.0).c_skip - by_hand[0]) < 1e-12
assert abs(KINDS["v"](2.0).c_out - by_hand[1]) < 1e-12

# %%
# Five networks, one trajectory
# -----------------------------
# ``exact_network`` turns a problem whose ε is known into the network that would predict any of
# these without error. Their answers along one path look nothing alike. What the ODE makes of them
# is one curve.
mixture = problems.Mixture1D()
grid = fs.karras(20, mixture.sigma_max, mixture.sigma_min)
start = mixture.start(range(200), torch.float64)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
COLORS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7")
STYLES = {k: {"ls": ls, "color": c, "lw": 2} for k, ls, c in zip(KINDS, LINES, COLORS)}
ends = {}
for name, kind in KINDS.items():
    network = problems.exact_network(mixture, kind)
    ode = fs.DiffusionODE(network, kind)
    path = fs.solve(ode, start, grid, S.Heun(), keep=1).path
    ends[name] = path[-1].x
    sigmas, answers = list(grid), []
    for point in path:
        c = kind(point.sigma)
        label = torch.full((200,), c.t, dtype=torch.float64)
        answers.append(float(network(c.c_in * point.x, label)[3]))
    left.plot(sigmas, answers, **STYLES[name], label=name)
    right.plot(sigmas, [float(p.x[3]) for p in path], **STYLES[name])
for axes in (left, right):
    axes.set(xscale="log", xlabel="σ")
    axes.invert_xaxis()
left.set(ylabel="the network's answer", title="what five networks say on one path")
right.set(ylabel="$\\bar{x}$", title="the path that all of them give")
right.legend(*left.get_legend_handles_labels())
plt.show()

for name, x in ends.items():
    gap = float((x - ends["ε"]).abs().max())
    print(f"{name:9} differs from ε by {gap:.0e} after {grid.steps} steps of Heun")
    assert gap < 1e-10

# %%
# Flow matching is in the table
# -----------------------------
# A flow model takes the path :math:`x_t = (1-t)x_0 + t\varepsilon` and predicts the velocity
# :math:`u = dx_t/dt = \varepsilon - x_0`. Here α = 1 - t and s = t, so :math:`\sigma = t/(1-t)`.
# Euler's step on its own ODE moves :math:`x_t` to
#
# .. math::
#
#    x_t + (t'-t)(\varepsilon - x_0) = (1-t')x_0 + t'\varepsilon .
#
# It keeps :math:`x_0` and :math:`\varepsilon` and mixes them anew. That is DDIM again: divided by
# 1 - t' it is :math:`x_0 + \sigma'\varepsilon`.
velocity = problems.exact_network(mixture, KINDS["velocity"])
times = torch.linspace(10 / 11, 0.05 / 1.05, 21, dtype=torch.float64).tolist()  # σ from 10 to 0.05
x = start / (1 + 10)  # x_t = (1 - t) x̄
for t, after in zip(times, times[1:]):
    x = x + (after - t) * velocity(x, torch.full((200,), t, dtype=torch.float64))
flow = x * (1 + 0.05)
levels = fs.Grid([t / (1 - t) for t in times])
ddim = fs.solve(mixture, start, levels, S.DDIM()).x
print(
    f"Euler in t on the velocity, and DDIM: largest difference {float((flow - ddim).abs().max()):.0e}"
)
assert (flow - ddim).abs().max() < 1e-10

# %%
# Where the choice does matter
# ----------------------------
# Real networks are wrong by something. If F is off by δ, then :math:`x_0` is off by
# :math:`|c_\text{out}|\,\delta` and ε by :math:`|c_\text{out}|\,\delta/\sigma`. The curves say
# who suffers where. An ε-network knows little about the data at high noise; an x₀-network knows
# little about the noise at low noise; v, EDM's F and the velocity stay bounded on both sides.
sigmas = torch.logspace(-2, 2, 60, dtype=torch.float64).tolist()
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for name, kind in KINDS.items():
    if isinstance(kind.clock, type(clock)):
        inside = [s for s in sigmas if clock.sigma(0.0) < s < clock.sigma(999.0)]
    else:
        inside = sigmas
    out = [abs(kind(s).c_out) for s in inside]
    left.loglog(inside, out, **STYLES[name], label=name)
    right.loglog(inside, [c / s for c, s in zip(out, inside)], **STYLES[name])
left.set(xlabel="σ", ylabel="factor", title="error of x₀ for an error 1 of the network")
right.set(xlabel="σ", title="error of ε for an error 1 of the network")
left.legend()
plt.show()

# %%
# Does it show in samples? Add the same small error to every network's answer, a fixed wave of
# amplitude 0.05 in its input, and measure how far the samples move.
moves = {}
for name, kind in KINDS.items():
    exact = problems.exact_network(mixture, kind)
    wrong = fs.DiffusionODE(lambda x, t, f=exact: f(x, t) + 0.05 * torch.cos(5 * x), kind)
    moved = (fs.solve(wrong, start, grid, S.Heun()).x - ends[name]).square().mean().sqrt()
    moves[name] = float(moved)
    print(f"{name:9} samples move by {moves[name]:.3f}")
assert max(moves["v"], moves["EDM's F"], moves["velocity"]) < min(moves["ε"], moves["x₀"])

# %%
# The three that are bounded on both sides move least. This wave is only one error; real networks do
# not err alike at all levels.
#
# So the kind of network is a choice for *training*. For sampling it is four scalars, and every
# method in these lessons runs on all five.

# %%
# Exercise 1: back from v
# -----------------------
# Write ``eps_from_v(v, x_t, alpha, s)``: the noise, from the answer of a v-network, in the state
# :math:`x_t` that it saw (not x̄). The path is VP: :math:`\alpha^2 + s^2 = 1`.


def check_eps_from_v(eps_from_v) -> None:
    """On a state made of known data and noise."""
    data, noise = torch.tensor([0.3, -1.2]).double(), torch.tensor([1.0, 0.4]).double()
    for alpha in (0.9, 0.5, 0.1):
        s = math.sqrt(1 - alpha**2)
        x_t, v = alpha * data + s * noise, alpha * noise - s * data
        found = eps_from_v(v, x_t, alpha, s)
        assert torch.allclose(found, noise, rtol=0, atol=1e-9), f"at α = {alpha}: not the noise"
    print("right")


# %%
# Solution
# ^^^^^^^^
# :math:`(x_t, v)` is :math:`(x_0, \varepsilon)` turned by the angle whose cosine is α. Turn it
# back:
# :math:`s\,x_t + \alpha v = s\alpha x_0 + s^2\varepsilon + \alpha^2\varepsilon - \alpha s x_0 = \varepsilon`.


def eps_from_v(v: Tensor, x_t: Tensor, alpha: float, s: float) -> Tensor:
    return s * x_t + alpha * v


check_eps_from_v(eps_from_v)

# %%
# Exercise 2: a network of your own kind
# --------------------------------------
# Somebody trains a network to predict the *score* :math:`\nabla\log p_t(x_t) = -\varepsilon/s` on
# a VP path. Write ``x0_from_score(score, x_bar, sigma)``, in x̄ and σ alone.


def check_x0_from_score(x0_from_score) -> None:
    """Against the exact posterior mean of the mixture."""
    line = problems.Mixture1D()
    x = torch.tensor([-2.0, 0.1, 3.0], dtype=torch.float64)
    for sigma in (0.1, 1.0, 4.0):
        s = sigma / math.sqrt(1 + sigma**2)
        found = x0_from_score(-line.eps(x, sigma) / s, x, sigma)
        assert torch.allclose(found, line.x0(x, sigma), rtol=0, atol=1e-9), f"wrong at σ = {sigma}"
    print("right")


# %%
# Solution
# ^^^^^^^^
# ε = -s · score with :math:`s = \sigma/\sqrt{1+\sigma^2}`, and
# :math:`x_0 = \bar x - \sigma\varepsilon`.


def x0_from_score(score: Tensor, x_bar: Tensor, sigma: float) -> Tensor:
    return x_bar + sigma**2 / math.sqrt(1 + sigma**2) * score


check_x0_from_score(x0_from_score)
