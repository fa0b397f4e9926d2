"""Draw figures/straight.svg, which moves: steps of DDIM in x_t become straight lines in x̄ = x_t/α.

    python docs/moving_picture.py

One trajectory is the same list of (σ, x̄) in both coordinates; the picture goes from one to the other and back.
"""

import math
from itertools import pairwise
from pathlib import Path

import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import problems

OUT = Path(__file__).parent / "figures" / "straight.svg"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 40, 64, 24, 44
TIMES = 'dur="9s" repeatCount="indefinite" keyTimes="0;0.22;0.45;0.78;1" calcMode="spline" keySplines="{}"'
EASE = TIMES.format(";".join(["0.4 0 0.2 1"] * 4))
X_T = "x<tspan dy='4' font-size='12'>t</tspan><tspan dy='-4'>"  # closed by the text after it
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9a9a9a"

problem = problems.Mixture1D(sigma_max=2.0, sigma_min=0.05)
grid = fs.Grid([2.0, 1.1, 0.6, 0.3, 0.05])
start = torch.tensor([-1.3, -0.4, 1.2], dtype=torch.float64) * math.hypot(1, grid[0])

Curve = list[tuple[float, float]]  # (σ, x̄)


def place(curve: Curve, scaled: bool) -> Curve:
    """Pixels: (t, x_t) if scaled, else (σ, x̄)."""
    clock, first, last = problem.clock, grid[0], grid[-1]
    points = []
    for sigma, x in curve:
        if scaled:
            across = (clock.t(first) - clock.t(sigma)) / (clock.t(first) - clock.t(last))
            up = (x / math.hypot(1, sigma)) / 1.4
        else:
            across, up = (first - sigma) / (first - last), x / 3.2
        points.append(
            (LEFT + across * (WIDTH - LEFT - RIGHT),
             TOP + (1 - up) / 2 * (HEIGHT - TOP - BOTTOM))
        )  # fmt: skip
    return points


def between(a: str, b: str) -> str:
    """The five values of an animation from a to b and back."""
    return f'values="{a};{a};{b};{b};{a}" {EASE}'


def line(curve: Curve, color: str, width: float) -> str:
    """A path that moves."""
    a, b = (" L".join(f"{x:.1f} {y:.1f}" for x, y in place(curve, on)) for on in (True, False))
    style = f'fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round"'
    return f'<path d="M{a}" {style}><animate attributeName="d" {between("M" + a, "M" + b)}/></path>'


def dot(point: tuple[float, float]) -> str:
    """A node that moves."""
    ((x, y),), ((u, v),) = place([point], True), place([point], False)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{ORANGE}">'
        f'<animate attributeName="cx" {between(f"{x:.1f}", f"{u:.1f}")}/>'
        f'<animate attributeName="cy" {between(f"{y:.1f}", f"{v:.1f}")}/></circle>'
    )


def words(
    text: str, y: int, first: bool, x: int = LEFT, anchor: str = "start", size: int = 18
) -> str:
    """A text that is there in the first or in the second coordinates."""
    a, b = ("1", "0") if first else ("0", "1")
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="#222" opacity="{a}">{text}'
        f'<animate attributeName="opacity" {between(a, b)}/></text>'
    )


def picture() -> str:
    """The SVG."""
    path = fs.solve(problem, start, grid, S.DDIM(), keep=1).path
    levels = list(fs.exponential(40, grid[0], grid[-1]))
    exact = torch.stack([problem.flow(start, grid[0], s) for s in levels]).T.tolist()
    parts = [line(list(zip(levels, curve, strict=True)), GREY, 5) for curve in exact]
    for here, there in pairwise(path):
        inside = [here.sigma + k / 8 * (there.sigma - here.sigma) for k in range(9)]
        for x, eps in zip(here.x.tolist(), here.eps.tolist(), strict=True):
            parts.append(line([(s, x + (s - here.sigma) * eps) for s in inside], BLUE, 2.5))
    parts += [dot((p.sigma, x)) for p in path for x in p.x.tolist()]
    middle, foot = WIDTH // 2, HEIGHT - 14
    parts += [
        words(f"DDIM in {X_T}: every step is a curve</tspan>", 30, True),
        words(f"the same steps in x̄ = {X_T}/α: straight lines, Euler’s method</tspan>", 30, False),
        words("t, from noise to data", foot, True, middle, "middle", 14),
        words("σ, from noise to data", foot, False, middle, "middle", 14),
        f'<text x="{WIDTH - RIGHT}" y="52" font-size="13" text-anchor="end" fill="#555">'
        "grey: the exact flow; orange: the nodes of Eq. 12</text>",
    ]  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" role="img">\n'
        "<title>Four steps of DDIM from three starts, in x_t and in x̄: there they are straight lines</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff" rx="8"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(picture(), encoding="utf-8")
    print(f"drawn: {OUT}")
