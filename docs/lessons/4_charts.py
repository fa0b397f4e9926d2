r"""
4. Charts, exponential integrators, and DPM-Solver in ten lines
===============================================================

The same ODE in other coordinates gives other methods: DPM-Solver and DPM-Solver++ are two of them.

Euler's method is one method in every coordinate of this lesson. From order 2 on the coordinates
matter, and the fast samplers of the literature differ in little else.
"""

# %%
# Log σ
# -----
# A path of a diffusion model lives on many scales: σ falls from 80 to 0.002, and as much happens
# between 0.2 and 0.02 as between 20 and 2. So take :math:`\lambda = -\log\sigma` as the variable.
# With :math:`d\sigma = -\sigma\, d\lambda` the ODE :math:`d\bar x/d\sigma = \varepsilon` gives,
# exactly,
#
# .. math::
#
#    \bar x_t = \bar x_s - \int_{\lambda_s}^{\lambda_t} e^{-\lambda}\, \varepsilon(\lambda)\, d\lambda .
#
# The factor :math:`e^{-\lambda}` is known and steep, ε is unknown and gentle. An *exponential
# integrator* replaces only ε by a polynomial and integrates the product exactly. With a constant,
#
# .. math::
#
#    -\varepsilon_s \int_{\lambda_s}^{\lambda_t} e^{-\lambda}\, d\lambda
#    = (e^{-\lambda_t} - e^{-\lambda_s})\,\varepsilon_s = (t - s)\,\varepsilon_s ,
#
# which is DDIM: DPM-Solver-1. Applying a textbook method to the right-hand side
# :math:`-\sigma\varepsilon` in λ instead would have to discover the exponential from samples of
# it.
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems

problem = problems.Mixture1D(sigma_max=20.0, sigma_min=0.02)
start = problem.start(range(128), torch.float64)
truth = problem.flow(start, 20.0, 0.02)


def spacing(n: int) -> fs.Grid:
    """Even in log σ."""
    return fs.log_snr(n, 20.0, 0.02)


path = fs.solve(problem, start[:6], spacing(200), S.RK4(fs.LOG_SIGMA), keep=1).path
sigmas = [p.sigma for p in path]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
axes[0].plot(sigmas, [(-p.sigma * problem.eps(p.x, p.sigma)).tolist() for p in path])
axes[0].set(title="what a textbook method sees: -σε")
axes[1].plot(sigmas, [problem.eps(p.x, p.sigma).tolist() for p in path])
axes[1].set(title="noise chart: ε")
axes[2].plot(sigmas, [problem.x0(p.x, p.sigma).tolist() for p in path])
axes[2].set(title="data chart: x₀")
for ax in axes:
    ax.set(xscale="log", xlabel="σ")
    ax.invert_xaxis()
plt.show()

# %%
# Six paths. Left: what a textbook method in log σ must follow, an exponential over three decades.
# Middle and right: what is left for a polynomial once the exponential is integrated exactly. Both
# stay between -2 and 2, and are flat where σ is far above or far below the scales of the data.

# %%
# DPM-Solver-2 in ten lines
# -------------------------
# A constant gave order 1. For order 2, ask the network once more, in the middle of the step *in
# λ*: at :math:`m = \sqrt{st}`. Over a step of length :math:`h = \lambda_t - \lambda_s`, ε is its
# value at m, plus a term linear in :math:`\lambda - \lambda_m`, plus :math:`O(h^2)`. Lu et al.
# (2022) keep the value only,
#
# .. math::
#
#    \bar x_m = \bar x_s + (m - s)\,\varepsilon_s, \qquad
#    \bar x_t = \bar x_s + (t - s)\,\varepsilon(\bar x_m, m),
#
# because the linear term contributes
# :math:`\int e^{-\lambda}(\lambda - \lambda_m)\,d\lambda = O(h^3)`: it is odd around the middle,
# up to the slope of the exponential. And :math:`\bar x_m`, a step of DDIM, is off by
# :math:`O(h^2)`, which the length of the step turns into :math:`O(h^3)`. A local error
# :math:`O(h^3)` is order 2. That is the whole of DPM-Solver-2: the midpoint rule, with the
# *geometric* mean as its midpoint.


def dpm_solver_2(eps, x, levels):
    """The paper's, in x̄."""
    for s, t in pairwise(levels):
        m = math.sqrt(s * t)
        x_m = x + (m - s) * eps(x, s)
        x = x + (t - s) * eps(x_m, m)
    return x


grid = spacing(8)
ours = dpm_solver_2(problem.eps, start, grid)
theirs = fs.solve(problem, start, grid, S.DPMSolver2()).x
print(f"ours and the library's: {float((ours - theirs).abs().max()):.0e}")
assert (ours - theirs).abs().max() < 1e-9

# %%
# The data chart, and DPM-Solver++(2M) in ten lines
# -------------------------------------------------
# The ODE has a dual. Put :math:`z = \bar x/\sigma` and :math:`u = 1/\sigma`; the quotient rule
# gives
#
# .. math::
#
#    \frac{dz}{du} = \bar x - \sigma\varepsilon = x_0(\bar x, \sigma), \qquad
#    z_t = z_s + \int_{\lambda_s}^{\lambda_t} e^{\lambda}\, x_0(\lambda)\, d\lambda ,
#
# since :math:`u = e^{\lambda}`. With :math:`x_0` constant, times t:
# :math:`\bar x_t = \tfrac ts \bar x_s + (1 - \tfrac ts)\,x_0`, which is DDIM once more (insert
# :math:`x_0 = \bar x_s - s\varepsilon`). For order 2, extrapolate :math:`x_0` to the middle of
# the step by the line through the last two answers, D and D₋:
#
# .. math::
#
#    \bar D = D + \frac{h}{2h_-}\,(D - D_-), \qquad
#    \bar x_t = \tfrac ts\,\bar x_s + \big(1 - \tfrac ts\big)\bar D .


def dpm_solver_pp_2m(x0, x, levels):
    """One evaluation a step."""
    before = None
    for s, t in pairwise(levels):
        D, h = x0(x, s), math.log(s / t)
        D_bar = D if before is None else D + h / (2 * before[1]) * (D - before[0])
        x = t / s * x + (1 - t / s) * D_bar
        before = D, h
    return x


ours = dpm_solver_pp_2m(problem.x0, start, grid)
theirs = fs.solve(problem, start, grid, S.DPMSolverPP2M()).x
print(f"ours and the library's: {float((ours - theirs).abs().max()):.0e}")
assert (ours - theirs).abs().max() < 1e-9

# %%
# One method, two charts
# ----------------------
# Euler is the same in both charts. Two points are not: ε and
# :math:`x_0 = \bar x - \sigma\varepsilon` cannot both be straight lines in λ.
# ``Adams(points, chart, variable)`` integrates the polynomial exactly in any chart. Measured on
# one problem:
METHODS = {
    "DDIM (either chart)": ("o-", "#000000", S.Euler()),
    "2 points, ε over σ": ("s--", "#E69F00", S.Adams(2, fs.NOISE, fs.SIGMA)),
    "2 points, ε over log σ": ("^-", "#0072B2", S.Adams(2, fs.NOISE, fs.LOG_SIGMA)),
    "2 points, x₀ over log σ": ("D-", "#D55E00", S.Adams(2, fs.DATA, fs.LOG_SIGMA)),
    "DPM-Solver-2": ("v:", "#009E73", S.DPMSolver2()),
}
fig, ax = plt.subplots(figsize=(6.8, 4.6), layout="constrained")
BUDGETS = (6, 10, 16, 24, 40, 64, 100)
for name, (style, color, solver) in METHODS.items():
    errors = []
    for budget in BUDGETS:
        x = fs.sample(problem, start / 20.0, spacing, solver, nfe=budget).x
        errors.append(float((x - truth).square().mean().sqrt()))
    ax.loglog(BUDGETS, errors, style, color=color, label=name)
    print(f"{name:24}", *(f"{e:.1e}" for e in errors))
ax.set(xlabel="network evaluations (NFE)", ylabel="RMS error")
ax.set_xticks(BUDGETS, [str(n) for n in BUDGETS])
ax.minorticks_off()
ax.legend()
plt.show()

x_e, x_d = (fs.solve(problem, start, grid, S.Euler(chart)).x for chart in (fs.NOISE, fs.DATA))
a_e, a_d = (fs.solve(problem, start, grid, S.Adams(2, chart)).x for chart in (fs.NOISE, fs.DATA))
print(
    f"8 steps, noise chart against data chart: Euler differs by {float((x_e - x_d).abs().max()):.0e},"
)
print(f"two points by {float((a_e - a_d).abs().max()):.2f}")
assert (x_e - x_d).abs().max() < 1e-9 < 0.01 < (a_e - a_d).abs().max()

# %%
# A sampler, then, is three choices: a chart, a variable for the polynomial, and a classical
# method. DPM-Solver is (noise, log σ, Runge-Kutta), DPM-Solver++(2M) is (data, log σ, Adams with
# two points), k-diffusion's LMS is (noise, σ, Adams), UniPC is (data, log σ, Adams predictor and
# corrector).

# %%
# Exercise 1: exact weights
# -------------------------
# DPM-Solver++(2M) takes :math:`x_0` at the middle of the step, not the exact integral of the
# line. Write the exact one: ``line_in_lambda(h, before)`` returns the weights (w, w₋) with
# :math:`\int_0^h e^{\lambda}\,\big(D + \tfrac{\lambda}{h_-} (D - D_-)\big)\, d\lambda = w D + w_- D_-`,
# where ``before`` is :math:`h_-` and λ is counted from the start of the step.


class TwoAnswers(fs.ODE):
    """x₀ is known at two levels and nowhere else."""

    def __init__(self, answers: dict[float, torch.Tensor]) -> None:
        self.answers = answers

    def eps(self, x, sigma):
        return (x - self.answers[sigma]) / sigma


def check_line_in_lambda(line_in_lambda) -> None:
    """Against the library's exact weights in the data chart, over two steps."""
    x, D, D_before = torch.tensor([[1.7], [0.4], [-0.9]], dtype=torch.float64)
    for r, s, t in ((4.0, 2.0, 1.0), (9.0, 2.0, 0.5), (1.1, 1.0, 0.4)):
        w, w_before = line_in_lambda(math.log(s / t), math.log(r / s))
        at_s = s / r * x + (1 - s / r) * D_before
        found = t / s * (at_s + w * D + w_before * D_before)
        exact = S.Adams(2, fs.DATA, guard=None)
        want = fs.solve(TwoAnswers({r: D_before, s: D}), x, [r, s, t], exact).x
        assert torch.allclose(found, want, rtol=0, atol=1e-9), f"wrong from {s} to {t}, after {r}"
    print("right")


# %%
# Solution
# ^^^^^^^^
# :math:`\int_0^h e^\lambda d\lambda = e^h - 1`, and by parts
# :math:`\int_0^h \lambda e^\lambda d\lambda = h e^h - e^h + 1`.


def line_in_lambda(h: float, before: float) -> tuple[float, float]:
    slope = (h * math.exp(h) - math.exp(h) + 1) / before
    return math.exp(h) - 1 + slope, -slope


check_line_in_lambda(line_in_lambda)

# %%
# Exercise 2: DPM-Solver-2 with its middle elsewhere
# --------------------------------------------------
# The paper has a parameter r: the second evaluation is at :math:`\lambda_m = \lambda_s + r h`,
# and
# :math:`\bar x_t = \bar x_s + (t-s)\,\varepsilon_s + \tfrac{1}{2r}(t-s)(\varepsilon_m - \varepsilon_s)`.
# Write ``dpm_2(eps, x, s, t, r)``.


def check_dpm_2(dpm_2) -> None:
    """One step against the library's, for two r."""
    x = torch.tensor([-5.0, 0.2, 3.0], dtype=torch.float64)
    for r in (0.5, 0.8):
        want = fs.solve(problem, x, [3.0, 1.0], S.DPMSolver2(r=r)).x
        found = dpm_2(problem.eps, x, 3.0, 1.0, r)
        assert torch.allclose(found, want, rtol=0, atol=1e-9), f"wrong for r = {r}"
    print("right")


# %%
# Solution
# ^^^^^^^^
# A fraction r of a step in log σ is a power: :math:`m = s\,(t/s)^r`.


def dpm_2(eps, x, s: float, t: float, r: float):
    m = s * (t / s) ** r
    e = eps(x, s)
    e_m = eps(x + (m - s) * e, m)
    return x + (t - s) * (e + (e_m - e) / (2 * r))


check_dpm_2(dpm_2)
