"""SA-Solver: Adams methods with noise, whose weights are those of the ODE in σ^(1+η).   Xue et al. 2023."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA
from flowsolve.solver import DATA, Solver, adams_weights
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
    published=True takes the slope of a two-point P as H/2 (bh1), as diffusers does at order 2. There τ is
    a function of the time, 1 inside an interval and 0 outside; here it is constant.
    Weak order 2 with two points or more, strong order 1.
    """

    tau: float = 1.0
    predictor: int = 2
    corrector: int = 2
    published: bool = False

    def __post_init__(self) -> None:
        SDE_ETA.check(self.tau, "SASolver")
        if self.predictor < 1 or self.corrector < 0:
            raise ValueError(
                f"SASolver needs predictor >= 1 and corrector >= 0, but got predictor = "
                f"{self.predictor!r}, corrector = {self.corrector!r}."
            )

    @property
    def order(self) -> int:
        """min(corrector, predictor + 1), or min(predictor, 2) without; at most 2 with noise, else 3."""
        if not self.corrector:
            return min(self.predictor, 2)
        return min(self.corrector, self.predictor + 1, 2 if self.tau else 3)

    @property
    def stochastic(self) -> bool:
        return self.tau > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: list[float] = []
        values: list[Tensor] = []
        x_s = x
        for i, t in enumerate(grid):
            z, v = None, 0.0
            if i:
                v = SDE_ETA.split(nodes[0], t, self.tau**2)[1]
                z = ode.noise(x_s, nodes[0], t) if v > 0 else None
                p = self.predictor
                x = self._advance(x_s, nodes[:p], values[:p], nodes[0], t)
                x = x if z is None else x.add(z, alpha=v)
                if i == grid.steps:
                    yield x
                    return
            value = ode.x0(x, t)
            s = nodes[0] if i else t
            nodes, values = [t, *nodes], [value, *values]
            if i:
                if c := self.corrector:
                    x = self._advance(x_s, nodes[:c], values[:c], s, t)
                    x = x if z is None else x.add(z, alpha=v)
                yield x
            keep = max(self.predictor, self.corrector - 1)
            nodes, values, x_s = nodes[:keep], values[:keep], x

    def _advance(
        self, x: Tensor, nodes: list[float], values: list[Tensor], s: float, t: float
    ) -> Tensor:
        """The step without its noise."""
        k = 1 + self.tau**2
        powers, s, t = tuple(n**k for n in nodes), s**k, t**k
        if self.published and len(nodes) == 2:
            weights: tuple[float, ...] = half_weights(DATA, "bh1", powers, s, t)
        else:
            weights = adams_weights(DATA, LOG_SIGMA, powers, s, t)
        return DATA.advance(x, s, t, weights, values)
