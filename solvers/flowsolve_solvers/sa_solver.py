"""SA-Solver: Adams methods with noise, whose weights are those of the ODE in σ^(1+η).   Xue et al. 2023."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA
from flowsolve.solver import DATA, GUARD, Solver, adams_weights, guarded, outside_the_trace
from flowsolve_solvers._multistep import check_guard, check_points
from flowsolve_solvers.eta import SDE_ETA
from flowsolve_solvers.unipc import half_weights

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["SASolver"]


@dataclass(frozen=True, repr=False)
class SASolver(Solver):
    """x_t = (d/s) x_s + t^k ∫ P d(σ^-k) + v z, k = 1 + τ², d = s (t/s)^k.     Xue et al. 2023, Algorithm 1.

    1 evaluation a step: predict x_t with P through the last `predictor` values of x₀ in log σ,
    evaluate x₀ there, correct with P through it and `corrector` - 1 more and with the same z. The
    last step is predicted only; corrector = 0 never corrects. v² = t² (1 - (t/s)^2τ²).
    Weak order 2 with two points or more, strong order 1.

    published          takes the slope of a two-point P as H/2 (bh1), as the authors and diffusers do
    lower_order_final  at most as many values in P as steps are left above σ = 0, in the corrector one more
    final_noise        False: the last of these steps has τ = 0. The law stays of order 2, paths are of 1/2
    guard              a step that is long against those before it has fewer values in P
                       (`flowsolve.solver.guarded`); None as published

    The authors' code is SASolver(tau, p, c, published=True, final_noise=False, guard=None). There τ is a
    function of the time, 1 inside an interval and 0 outside; here it is constant.
    """

    tau: float = 1.0
    predictor: int = 2
    corrector: int = 2
    published: bool = False
    lower_order_final: bool = True
    final_noise: bool = True
    guard: float | None = field(default=GUARD, kw_only=True)

    def __post_init__(self) -> None:
        check_guard(self)
        SDE_ETA.check(self.tau, "SASolver")
        check_points(self, 1, name="predictor")
        check_points(self, 0, name="corrector")

    @property
    def order(self) -> int:
        """min(corrector, predictor + 1), or min(predictor, 2) without; at most 2 with noise or a lower end."""
        if not self.corrector:
            return min(self.predictor, 2)
        most = 2 if self.tau or self.lower_order_final else 3
        return min(self.corrector, self.predictor + 1, most)

    @property
    def stochastic(self) -> bool:
        return self.tau > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: list[float] = []
        values: list[Tensor] = []
        x_s = x
        for i, t in enumerate(grid):
            p, c, z, v = self.predictor, self.corrector, None, 0.0
            if self.lower_order_final:
                left = grid.steps - i + 1
                p, c = min(p, left), min(c, left + 1)
            if i:
                eta = self.tau**2 if self.final_noise or i < grid.steps else 0.0
                v = SDE_ETA.split(nodes[0], t, eta)[1]
                z = ode.noise(x_s, nodes[0], t) if v > 0 else None
                x = self._advance(x_s, nodes[:p], values[:p], (nodes[0], t, 1 + eta))
                x = x if z is None else x.add(z, alpha=v)
                if i == grid.steps:
                    yield x
                    return
            value = ode.x0(x, t)
            s = nodes[0] if i else t
            nodes, values = [t, *nodes], [value, *values]
            if i:
                if c:
                    x = self._advance(x_s, nodes[:c], values[:c], (s, t, 1 + self.tau**2))
                    x = x if z is None else x.add(z, alpha=v)
                yield x
            keep = max(self.predictor, self.corrector - 1)
            nodes, values, x_s = nodes[:keep], values[:keep], x

    def _advance(
        self, x: Tensor, nodes: list[float], values: list[Tensor], step: tuple[float, float, float]
    ) -> Tensor:
        """The step (s, t, k) without its noise."""
        s, t, k = step
        powers, s, t = tuple([n**k for n in nodes]), s**k, t**k
        weights = self.weights(powers, s, t)
        return DATA.advance(x, s, t, weights, values[: len(weights)])

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        """Those of x₀ at the newest nodes, of levels to the power k."""

        def unguarded(newest: tuple[float, ...]) -> Sequence[float]:
            if self.published and len(newest) == 2:
                return half_weights(DATA, "bh1", newest, s, t)
            return adams_weights(DATA, LOG_SIGMA, newest, s, t)

        return guarded(unguarded, nodes, s, t, self.guard)
