r"""
5. DDPM, η, and what x_T means
==============================

One number η leads from DDIM to DDPM. It changes what x_T means, not the distribution of the samples.

DDPM came first and draws noise at every step; DDIM draws none. They are the two ends of one family with the
same marginals. In x̄ every member is a step of DDIM that goes too far down, and noise that lifts it back.
"""

# %%
# The family
# ----------
# DDIM's paper starts from a question: training only uses :math:`q(x_t \mid x_0)`, the marginals.
# Which *joint* distributions of :math:`x_1, \dots, x_T` have these marginals? DDPM's Markov chain
# is one; there is a family, with a number :math:`\sigma_t` for each step. Eq. 12 in full is
#
# .. math::
#
#    x_{t-1} = \sqrt{\bar\alpha_{t-1}}\; x_0^\text{pred} + \sqrt{1 - \bar\alpha_{t-1} - \sigma_t^2}\;
#    \varepsilon_\theta + \sigma_t z, \qquad
#    \sigma_t = \eta\, \sqrt{\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}}\,
#    \sqrt{1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}}
#
# with z new noise. η = 0 is DDIM. For η = 1, :math:`\sigma_t` is the standard deviation of DDPM's
# posterior.
#
# Divide by :math:`\sqrt{\bar\alpha_{t-1}}` as in lesson 1. We write s for the level that the step
# comes from, t for the one it goes to, both in σ. The noise becomes
# :math:`\sigma_t/\sqrt{\bar\alpha_{t-1}}`, a level we call *up*, and what multiplies ε becomes
# *down*:
#
# .. math::
#
#    \bar x_t = \underbrace{\bar x_s + (\text{down} - s)\,\varepsilon}_{\text{DDIM, to the level down}}
#    + \text{up}\cdot z,
#    \qquad \text{up} = \eta\,\frac{t}{s}\sqrt{s^2 - t^2}, \qquad \text{down}^2 + \text{up}^2 = t^2 .
#
# So a step of DDPM is a step of DDIM *past* its goal, and fresh noise that raises the level to
# the goal: variances add, :math:`\text{down}^2 + \text{up}^2 = t^2`, whatever η is. That is why
# all members share their marginals.
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems


def up_and_down(s: float, t: float, eta: float) -> tuple[float, float]:
    """The noise that is drawn, and the level to which DDIM steps."""
    up = eta * t / s * math.sqrt(s * s - t * t)
    return up, math.sqrt(t * t - up * up)


# the posterior of DDPM, from its paper: β̃ = (1 - ᾱ')/(1 - ᾱ) (1 - ᾱ/ᾱ')
s, t = 3.0, 1.0
a, b = 1 / (1 + s * s), 1 / (1 + t * t)
posterior = math.sqrt((1 - b) / (1 - a) * (1 - a / b))
print(f"DDPM's σ_t/√ᾱ' = {posterior / math.sqrt(b):.6f}, up = {up_and_down(s, t, 1)[0]:.6f}")
assert abs(posterior / math.sqrt(b) - up_and_down(s, t, 1)[0]) < 1e-12

# %%
# Six lines, and the library's
# ----------------------------
# A sample's noise is made of its seed, so the two runs draw the same numbers.
problem, seeds = problems.Mixture1D(), range(1000)
noise = fs.unit_noise(seeds, problem.event, torch.float64)
ode = fs.WithNoise(problem, fs.SeededNoise(seeds))


def ddim_eta(ode: fs.ODE, x: torch.Tensor, levels: fs.Grid, eta: float) -> torch.Tensor:
    for s, t in pairwise(levels):
        up, down = up_and_down(s, t, eta)
        x = x + (down - s) * ode.eps(x, s) + up * ode.noise(x, s, t)
    return x


grid = fs.karras(10, problem.sigma_max, problem.sigma_min)
ours = ddim_eta(ode, problem.sigma_max * noise, grid, 1.0)
theirs = fs.solve(ode, problem.sigma_max * noise, grid, S.DDIMEta(eta=1.0)).x
print(f"ours and the library's: {float((ours - theirs).abs().max()):.0e}")
assert (ours - theirs).abs().max() < 1e-9

# %%
# The same distribution, if there are steps enough
# ------------------------------------------------
# The marginals agree for exact steps. A finite step assumes that ε stays as it is, and the noisy
# members step further: down lies below t. With 10 steps η = 1 is farthest from the density; with
# 100 all agree with it to what 1000 draws can tell. This is Table 1 of the DDIM paper in one
# dimension, where we need no FID: the exact density is a curve.
x_axis = torch.linspace(-2.2, 1.8, 400, dtype=torch.float64)
density = problem.log_density(x_axis, problem.sigma_min).exp()
fig, axes = plt.subplots(2, 3, figsize=(10, 4.6), layout="constrained", sharex=True, sharey=True)
away = {}
level = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
normal = problem.sigma_max * torch.special.ndtri(level)  # quantiles, which the flow carries along
quantiles = problem.flow(normal, problem.sigma_max, problem.sigma_min)
chance = []
for k in range(8):  # exact samples, a thousand at a time
    drawn = fs.unit_noise(range(1000 * k, 1000 * k + 1000), problem.event, torch.float64)
    exact = problem.flow(problem.sigma_max * drawn, problem.sigma_max, problem.sigma_min)
    chance.append(float((exact.sort().values - quantiles).abs().mean()))
print(f"W₁ of 1000 exact samples, by chance: {min(chance):.3f} to {max(chance):.3f}")
for row, steps in zip(axes, (10, 100)):
    levels = fs.karras(steps, problem.sigma_max, problem.sigma_min)
    for panel, eta in zip(row, (0.0, 0.5, 1.0)):
        x = fs.solve(ode, problem.sigma_max * noise, levels, S.DDIMEta(eta=eta)).x
        away[steps, eta] = float((x.sort().values - quantiles).abs().mean())
        panel.hist(x.numpy(), bins=80, range=(-2.2, 1.8), density=True, color="#56B4E9")
        panel.plot(x_axis, density, "k", lw=1)
        panel.set_title(f"{steps} steps, η = {eta:g}: W₁ = {away[steps, eta]:.3f}", fontsize=10)
plt.show()
assert away[10, 0.0] < away[10, 0.5] < away[10, 1.0]
assert max(away[100, eta] for eta in (0.0, 0.5, 1.0)) < max(chance)

# %%
# What x_T means
# --------------
# DDIM is an ODE: :math:`x_T` determines the sample. Change the number of steps and the sample
# moves by the error of the method, no more. Under η = 1 :math:`x_T` is forgotten. Here are eight
# :math:`x_T` of the digits network, each sampled in 5 to 40 steps.
digits = problems.Digits()
chosen = range(8)
x_T = fs.unit_noise(chosen, digits.event)
with_noise = fs.WithNoise(digits, fs.SeededNoise(chosen))
COUNTS = (5, 10, 20, 40)
fig, panels = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
alike = {}
for panel, eta in zip(panels, (0.0, 1.0)):
    rows = []
    for steps in COUNTS:
        levels = fs.log_snr(steps - 1, digits.sigma_max, digits.sigma_min).to_zero()
        x = fs.sample(with_noise, x_T, levels, S.DDIMEta(eta=eta)).x
        rows.append(torch.nn.functional.pad(x, (1, 1, 1, 1), value=-1.0))
    panel.imshow(
        torch.cat([torch.cat([*row[:, 0]], 1) for row in rows]), cmap="gray_r", vmin=-1, vmax=1
    )
    panel.set_yticks([10 * k + 5 for k in range(len(COUNTS))], [f"{n} steps" for n in COUNTS])
    panel.set_xticks([])
    panel.set_title(f"η = {eta:g}")
    pair = torch.stack([rows[2].flatten(), rows[-1].flatten()])
    alike[eta] = float(torch.corrcoef(pair)[0, 1])
plt.show()
for eta, value in alike.items():
    print(f"η = {eta:g}: samples in 20 steps and in 40 have correlation {value:.2f}")
assert alike[0.0] > 0.9 > alike[1.0] + 0.2

# %%
# Because :math:`x_T` is a code for the sample, one can interpolate between two of them, encode
# real data by running the ODE upwards (lesson 1, exercise 1), and edit. None of that works with η
# = 1.

# %%
# Exercise 1: a level to start from
# ---------------------------------
# k-diffusion's "ancestral" samplers are the same family. Write ``ancestral(s, t, eta)``, which
# returns (down, up) for a step from s to t, such that the marginal is right for *every* η from 0
# to 1 and η = 1 is DDPM's posterior. Take care of a step to t = 0.


def check_ancestral(ancestral) -> None:
    """Variances add up, the ends are DDIM and DDPM, and 0 can be reached."""
    for s, t in ((3.0, 1.0), (1.0, 0.9), (0.5, 0.0)):
        for eta in (0.0, 0.3, 1.0):
            down, up = ancestral(s, t, eta)
            assert abs(down**2 + up**2 - t**2) < 1e-12, f"the level after the step is not {t}"
        assert ancestral(s, t, 0.0)[1] == 0, "η = 0 draws no noise"
        a, b = 1 / (1 + s * s), 1 / (1 + t * t)
        posterior = math.sqrt((1 - b) / (1 - a) * (1 - a / b) / b)
        assert abs(ancestral(s, t, 1.0)[1] - posterior) < 1e-12, "η = 1 is not DDPM's posterior"
    print("right")


# %%
# Solution
# ^^^^^^^^
# It is ``up_and_down`` with its answers in the other order; at t = 0 both are 0, without a
# special case.


def ancestral(s: float, t: float, eta: float) -> tuple[float, float]:
    up = eta * t / s * math.sqrt(s * s - t * t)
    return math.sqrt(t * t - up * up), up


check_ancestral(ancestral)

# %%
# Exercise 2: between two x_T
# ---------------------------
# Normal noise in d dimensions lies near the sphere of radius √d. Write ``between(a, b, w)``, from
# a (w = 0) to b (w = 1), so that on the way there is always noise of the strength of noise. A
# straight line has half its variance in the middle.


def check_between(between) -> None:
    """Ends, strength, and the middle of two noises of 10,000 values."""
    a, b = torch.randn(2, 10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(between(a, b, 0.0), a, atol=1e-6)
    assert torch.allclose(between(a, b, 1.0), b, atol=1e-6), "w = 1 must be b"
    for w in (0.25, 0.5, 0.75):
        std = float(between(a, b, w).std())
        assert abs(std - 1) < 0.03, f"at w = {w} the noise has standard deviation {std:.2f}"
    middle = between(a, b, 0.5)
    assert abs(float(middle @ a - middle @ b)) / 10_000 < 0.03, "the middle is as near to a as to b"
    print("right")


# %%
# Solution
# ^^^^^^^^
# Walk on the arc: :math:`\cos^2 + \sin^2 = 1` keeps the variance of two independent noises. (The
# paper's slerp takes the actual angle between a and b, in many dimensions a right angle or nearly
# so.)


def between(a, b, w: float):
    angle = w * math.pi / 2
    return math.cos(angle) * a + math.sin(angle) * b


check_between(between)
