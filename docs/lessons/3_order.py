r"""
3. Order, and why a ramp caps it at 2
=====================================

A method that remembers answers can have order 3 for the price of Euler, unless its first step is Euler's.

Many samplers start with one step of DDIM, then use two remembered answers, then three. The paper says
"third order"; the measured slope says 2. This lesson derives both numbers, and mends it with one line.
"""

# %%
# What an order is
# ----------------
# Take n steps of length about :math:`h = 1/n`. If one step, started on the exact solution, errs
# by :math:`C h^{p+1}` (its *local* error), then n of them err by about
# :math:`n \cdot C h^{p+1} = C h^p`. The exponent p is the order. It is measured as a slope: plot
# the error against n, both logarithmic.
#
# To measure it we need a problem whose answer is known. In one dimension solutions of the ODE
# cannot cross, so each keeps its quantile; ``problem.flow`` finds it by root finding, with no
# sampler involved.
from itertools import pairwise

import matplotlib.pyplot as plt
import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems

problem = problems.Mixture1D(sigma_max=1.0, sigma_min=0.2)
start = problem.start(range(64), torch.float64)
truth = problem.flow(start, 1.0, 0.2)
STEPS = (10, 20, 40, 80, 160)


def error(method, n: int) -> float:
    """RMS error of a method (eps, x, levels) -> x after n steps."""
    x = method(problem.eps, start, list(fs.karras(n, 1.0, 0.2)))
    return float((x - truth).square().mean().sqrt())


# %%
# Remembering one answer
# ----------------------
# Over a step the exact solution gains :math:`\int_s^t \varepsilon\, d\sigma`. Euler takes ε as
# constant. If the answer :math:`\varepsilon_-` at the level r before is still there, a straight
# line through both is better, and costs nothing:
#
# .. math::
#
#    \varepsilon(\sigma) \approx \varepsilon_s + \frac{\sigma - s}{s - r}\,(\varepsilon_s - \varepsilon_-)
#    \quad\Longrightarrow\quad
#    \bar x_t = \bar x_s + h\,\varepsilon_s + \frac{h^2}{2 h_-}\,(\varepsilon_s - \varepsilon_-),
#
# with :math:`h = t - s` and :math:`h_- = s - r`. This is Adams and Bashforth's method of 1883;
# k-diffusion calls it LMS. A line through two points errs by :math:`O(h^2)`, the step by
# :math:`O(h^3)`: order 2. A parabola through three points has local error :math:`O(h^4)`: order
# 3. We write the weights for any number of points by integrating Lagrange's polynomials exactly.


def weights(nodes: list[float], s: float, t: float) -> list[float]:
    """∫_s^t of the Lagrange polynomial of each node."""
    out = []
    for i, node in enumerate(nodes):
        others = nodes[:i] + nodes[i + 1 :]
        poly = torch.tensor(
            [1.0], dtype=torch.float64
        )  # coefficients, lowest power first, around s
        for other in others:
            scale, shift = 1 / (node - other), s - other
            grown = torch.zeros(len(poly) + 1, dtype=torch.float64)
            grown[:-1] += poly * shift * scale
            grown[1:] += poly * scale
            poly = grown
        powers = torch.arange(1, len(poly) + 1, dtype=torch.float64)
        out.append(float((poly * (t - s) ** powers / powers).sum()))
    return out


def adams(points: int, first_steps=None):
    """The method with this many points. `first_steps` takes the steps for which answers are missing."""

    def method(eps, x, levels):
        nodes, answers = [], []
        for k, (s, t) in enumerate(pairwise(levels)):
            nodes, answers = [s, *nodes][:points], [eps(x, s), *answers][:points]
            if first_steps is not None and k < points - 1:
                x = first_steps(eps, x, s, t)
            else:
                x = x + sum(w * a for w, a in zip(weights(nodes, s, t), answers))
        return x

    return method


assert weights([3.0], 3.0, 2.0) == [-1.0]  # Euler
a, b = weights([3.0, 4.0], 3.0, 2.0)
assert (a, b) == (-1.5, 0.5)  # the textbook's 3/2 and -1/2
grid = fs.karras(12, 1.0, 0.2)
ours = adams(3)(problem.eps, start, list(grid))
assert torch.allclose(
    ours, fs.solve(problem, start, grid, S.LMS(3, guard=None)).x, rtol=0, atol=1e-12
)
print("ours is LMS(3)")

# %%
# Three points, order 2
# ---------------------
# At the first step there is one answer, so ``adams(3)`` starts with Euler; then it has two, and
# only then three. Measure it, and beside it the same method whose first two steps are Heun's.


def heun(eps, x, s: float, t: float):
    """The mean of the slopes at both ends."""
    k = eps(x, s)
    return x + (t - s) / 2 * (k + eps(x + (t - s) * k, t))


METHODS = {
    "Euler": ("o-", "#0072B2", adams(1)),
    "3 points, Euler start": ("s-", "#D55E00", adams(3)),
    "3 points, Heun start": ("^-", "#009E73", adams(3, heun)),
}
fig, axes = plt.subplots(figsize=(6.5, 4.6), layout="constrained")
slopes = {}
for name, (style, color, method) in METHODS.items():
    errors = [error(method, n) for n in STEPS]
    slopes[name] = float(torch.tensor(errors[-2] / errors[-1]).log2())
    axes.loglog(STEPS, errors, style, color=color, label=f"{name}: slope {slopes[name]:.2f}")
    print(f"{name:22}", *(f"{e:.1e}" for e in errors), f"  order {slopes[name]:.2f}")
axes.set(xlabel="steps", ylabel="RMS error")
axes.set_xticks(STEPS, [str(n) for n in STEPS])
axes.minorticks_off()
axes.legend()
plt.show()
assert (
    abs(slopes["3 points, Euler start"] - 2) < 0.15 < 0.3 > abs(slopes["3 points, Heun start"] - 3)
)

# %%
# Why
# ---
# Count the errors of the ramp:
#
# .. math::
#
#    \underbrace{O(h^2)}_{\text{1 step of Euler}} + \underbrace{O(h^3)}_{\text{1 step, two points}} +
#    \underbrace{(n-2)\, O(h^4)}_{\text{three points}} = O(h^2) + O(h^3) + O(h^3) = O(h^2) .
#
# Euler's step is made once, so its local error is not multiplied by n; but it is never undone
# either. A path that starts :math:`O(h^2)` beside the exact one stays :math:`O(h^2)` beside it.
# More points cannot help: **with an Euler start every multistep method has order 2 at most.**
# When the first steps are of order 2, with a local error :math:`O(h^3)`, three points keep their
# order 3; four points need first steps of order 3, and so on.
#
# The claim can be checked directly: run the three-point method from the *exact* states at the
# first two levels, and the error that remains is its own; the difference is the start's.


def exact_first_steps(eps, x, s: float, t: float):
    """The exact flow, which only a test problem has."""
    return problem.flow(x, s, t)


print("steps   Euler start   exact start   the part of the start")
for n in STEPS[:4]:
    both, own = error(adams(3), n), error(adams(3, exact_first_steps), n)
    print(f"{n:5}   {both:.2e}      {own:.2e}      {(both - own) / both:.0%}")
assert own < 0.1 * both

# %%
# Does it matter?
# ---------------
# In practice the first step is often the least harmful one: at high noise ε hardly changes. On a
# grid from σ = 10, where the start lies in that calm region, the two evaluations that Heun's
# start costs are better spent on two more steps until the budget is large.
wide = problems.Mixture1D()
begin = wide.start(range(64), torch.float64)
goal = wide.flow(begin, wide.sigma_max, wide.sigma_min)


def spacing(n: int) -> fs.Grid:
    """Karras' levels from 10 to 0.05."""
    return fs.karras(n, wide.sigma_max, wide.sigma_min)


print("NFE     ramp     Heun start")
for budget in (8, 12, 20, 40, 80, 160, 320):
    found = []
    for solver in (S.LMS(3), S.LMS(3, start=S.Heun())):
        x = fs.sample(wide, begin / wide.sigma_max, spacing, solver, nfe=budget).x
        found.append(float((x - goal).square().mean().sqrt()))
    print(f"{budget:3}   {found[0]:.2e}   {found[1]:.2e}")
assert found[1] < found[0]

# %%
# An order is a promise about many steps. At ten steps it decides little: constants, grids and
# charts do. That is the next lesson.

# %%
# Exercise 1: two points on unequal steps
# ---------------------------------------
# Write ``two_points(r, s, t)``, the weights (w_s, w_r) on the answers at s and at the level r
# before it, for the step from s to t. For equal steps they are 3/2 and -1/2 times the step.


def check_two_points(two_points) -> None:
    """Against the exact integral of straight lines, on steps of three lengths."""
    for r, s, t in ((3.0, 2.0, 1.0), (5.0, 2.0, 1.5), (2.0, 1.9, 0.1)):
        w_s, w_r = two_points(r, s, t)
        assert abs(w_s + w_r - (t - s)) < 1e-9, (
            f"a constant is not integrated exactly from {s} to {t}"
        )
        line = w_s * s + w_r * r
        assert abs(line - (t * t - s * s) / 2) < 1e-9, (
            f"a line is not integrated exactly from {s} to {t}"
        )
    print("right")


# %%
# Solution
# ^^^^^^^^
# Read them off the formula above: the answer at r has :math:`-h^2/(2h_-)`, the answer at s the
# rest of h.


def two_points(r: float, s: float, t: float) -> tuple[float, float]:
    h, before = t - s, s - r
    w_r = -h * h / (2 * before)
    return h - w_r, w_r


check_two_points(two_points)

# %%
# Exercise 2: a start of your own
# -------------------------------
# Write a first step ``start(eps, x, s, t)``, other than Heun's, with which three points reach
# order 3.


def check_start(start_step) -> None:
    """The slope of three points between 40 and 160 steps, started by it."""
    errors = [error(adams(3, start_step), n) for n in (40, 160)]
    order = float(torch.tensor(errors[0] / errors[1]).log2() / 2)
    assert order > 2.7, f"with this start the order is {order:.2f}, not 3"
    print(f"right: order {order:.2f}")


# %%
# Solution
# ^^^^^^^^
# Any one-step method of order 2 will do; the midpoint rule, for example.


def midpoint(eps, x, s: float, t: float):
    m = (s + t) / 2
    return x + (t - s) * eps(x + (m - s) * eps(x, s), m)


check_start(midpoint)
