"""sbi: estimators of a posterior by scores or flows, at an observation. Importing this imports no sbi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError
from flowsolve.interop.flow import velocity
from flowsolve.interop.score_sde import SubVPSDE, score_of
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.precondition import SUB_VP, VE, Precondition
from flowsolve.schedule.clock import VESDE, VPSDE

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("VPScoreEstimator", "SubVPScoreEstimator", "VEScoreEstimator", "FlowMatchingEstimator")


def from_sbi(estimator: Any, x_o: Tensor, **options: Any) -> DiffusionODE:
    """ε of p(θ | x_o) from a vector-field estimator of sbi 0.27: VP, sub-VP and VE scores, flow matching.

    estimator  what NPSE(...).train() and FMPE(...).train() return, or `posterior.vector_field_estimator`
    x_o        one observation, without an axis for a batch
    options    as of DiffusionODE

    sbi trains flow matching on (1-t) θ + (t + δ) ε with its noise_scale δ = 0.001, which is left out here. The
    samples are θ as the estimator knows it: a transform of the prior is applied by `posterior`. Raises
    NetworkError for another class, and for composed standardization.
    """
    names = {kind.__name__ for kind in type(estimator).__mro__}
    kind = next((k for k in KINDS if k in names), None)
    if kind is None:
        raise NetworkError(
            f"{type(estimator).__name__} is none of sbi's {', '.join(KINDS)}: give the estimator that "
            "train() returned, or posterior.vector_field_estimator."
        )
    if getattr(estimator, "compose_enabled", False):
        raise NetworkError(
            "this estimator composes standardizations, so its states are not θ. Train it without, or wrap "
            "its score by hand: from_score(f, VPSDE(...))."
        )
    condition = x_o.unsqueeze(0)

    def network(theta: Tensor, t: Tensor) -> Tensor:
        answer: Tensor = estimator(theta, condition, t)
        return answer

    return DiffusionODE(network, _precondition(kind, estimator), **options)


def _precondition(kind: str, estimator: Any) -> Precondition:
    if kind == "FlowMatchingEstimator":
        return velocity(data_at=0, points_to=1)
    if kind == "VEScoreEstimator":
        return score_of(VESDE(estimator.sigma_min, estimator.sigma_max), VE)
    ends = (float(estimator.beta_min), float(estimator.beta_max))
    return (
        score_of(SubVPSDE(*ends), SUB_VP)
        if kind == "SubVPScoreEstimator"
        else score_of(VPSDE(*ends))
    )
