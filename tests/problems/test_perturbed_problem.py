"""PerturbedProblem: what a study measures of it, and against what."""

from __future__ import annotations

import pytest
import torch

import flowsolve as fs
from flowsolve.errors import ResultsError, StateError
from flowsolve.ode import Clip, GaussianError, Reused, Rounded, SeededNoise
from flowsolve.problems import Letters, Mixture, NetworkProblem, Perturbation, PerturbedProblem
from flowsolve.problems.perturbed import bfloat16, constant, gaussian, int8, reuse
from flowsolve.solver.rule import default_rule
from flowsolve.study import Study, reference, work_precision
from flowsolve_solvers import Adams, Euler, Heun
from tests.helpers import says

MIXTURE = Mixture()


def test_errors_are_against_the_network_as_it_is_and_seeds_follow() -> None:
    problem = PerturbedProblem(MIXTURE, gaussian(0.05))
    (row,) = work_precision(Euler(), problem, [12], seeds=range(10, 18), dtype="float64").rows
    x = MIXTURE.start(range(10, 18), torch.float64)
    truth = reference(MIXTURE, x, 10.0, 0.05)
    ode = GaussianError(MIXTURE, 0.05, SeededNoise(range(10, 18)))
    off = fs.solve(ode, x, fs.karras(12, 10.0, 0.05), Euler()).x - truth.x
    assert row.rmse == pytest.approx(float(off.square().mean().sqrt()), rel=1e-9)
    assert row.perturb == "gaussian:0.05"
    assert row.ref_err == pytest.approx(truth.err)


def test_rows_of_blocks_are_those_of_all_seeds_at_once() -> None:
    problem = PerturbedProblem(MIXTURE, constant(0.05))
    at_once, blocks = (
        work_precision(Euler(), problem, [6], seeds=range(8), block=block, dtype="float64")
        for block in (8, 3)
    )
    (one,), (pooled,) = (next(iter(s.series.values())) for s in (at_once, blocks))
    assert len(blocks.rows) == 3
    assert pooled.rmse == pytest.approx(one.rmse, rel=1e-9)


def test_a_budget_is_what_the_network_is_asked() -> None:
    methods = [Euler(), Heun(), default_rule()]
    study = work_precision(methods, PerturbedProblem(MIXTURE, reuse(3)), [4, 9], seeds=range(4))
    assert [(r.nfe, r.steps) for r in study.rows] == [
        (4, 12),
        (9, 27),
        (4, 6),
        (9, 13),
        (4, 13),
        (9, 27),
    ]
    plain = work_precision(Euler(), MIXTURE, [4], seeds=range(4)).rows[0]
    assert (plain.nfe, plain.steps, plain.perturb) == (4, 4, "")


def test_the_network_of_the_users_is_disturbed_itself() -> None:
    pre = fs.VPrediction(fs.VPSDE())
    ode = fs.DiffusionODE(fs.problems.exact_network(MIXTURE, pre), pre)  # type: ignore[attr-defined]
    network = NetworkProblem(ode, (2,), 10.0, 0.05)
    x = network.start(range(4), torch.float64)
    assert torch.equal(
        PerturbedProblem(network, bfloat16()).eps(x, 10.0), Rounded(ode).eps(x, 10.0)
    )
    letters = PerturbedProblem(Letters(), int8()).for_seeds(range(4))
    assert letters.unperturbed.condition is not None  # type: ignore[attr-defined]
    assert letters.event == (1, 16, 16)
    assert len(letters.eps(letters.start(range(4)), 1.0)) == 4


def test_it_is_its_problem_in_all_else() -> None:
    problem = PerturbedProblem(MIXTURE, int8())
    assert (problem.name, problem.event, problem.is_network) == ("mixture", (2,), False)
    assert problem.sigma_range == MIXTURE.sigma_range
    assert (problem.levels, problem.features) == (MIXTURE.levels, MIXTURE.features)
    assert torch.equal(problem.data(), MIXTURE.data())
    assert repr(problem) == f"PerturbedProblem({MIXTURE!r}, int8)"
    other = problem.between(5.0, 0.1)
    assert (other.sigma_max, other.unperturbed.sigma_max, other.perturbation) == (5.0, 5.0, "int8")
    assert (
        len({p.digest for p in (MIXTURE, problem, other, PerturbedProblem(MIXTURE, reuse(2)))}) == 4
    )
    assert problem.digest == PerturbedProblem(Mixture(), int8()).digest
    assert (MIXTURE.unperturbed, MIXTURE.perturbation, MIXTURE.lasts) == (MIXTURE, "", 1)


def test_a_perturbation_of_ones_own() -> None:
    mine = Perturbation("mine", lambda ode, seeds: Clip(Reused(ode, 2), -9, 9), lasts=2)
    (row,) = work_precision(Euler(), PerturbedProblem(MIXTURE, mine), [5], seeds=range(4)).rows
    assert (row.perturb, row.nfe, row.steps) == ("mine", 5, 10)


def test_several_perturbations_are_studies_of_their_own() -> None:
    problems = [MIXTURE, *(PerturbedProblem(MIXTURE, p) for p in (int8(), reuse(2)))]
    rows = [r for p in problems for r in work_precision(Adams(), p, [4, 8], seeds=range(4)).rows]
    study = Study(tuple(rows))
    parts = study.perturbations
    assert [*parts] == ["", "int8", "reuse:2"]
    assert [len(part.rows) for part in parts.values()] == [2, 2, 2]
    titles = [title for _, _, title, _ in study.tables({})]
    assert [t.partition(":  "[:2])[0] for t in titles] == ["unperturbed", "int8", "reuse:2"]
    assert str(study).count("Adams() on mixture, karras") == 3
    assert "int8\nAdams() on" in str(study)
    with pytest.raises(ResultsError, match="their perturb is  and int8"):
        study.series  # noqa: B018


def test_wrong_arguments() -> None:
    problem = PerturbedProblem(MIXTURE, int8())
    says(
        StateError,
        f"{problem!r} is perturbed already. Make one Perturbation whose wrap does both.",
        lambda: PerturbedProblem(problem, reuse(2)),
    )
    says(
        StateError,
        "perturbation must be a Perturbation such as gaussian(0.01), not 'int8'.",
        lambda: PerturbedProblem(MIXTURE, "int8"),  # type: ignore[arg-type]
    )
    says(StateError, "problem must be a Problem", lambda: PerturbedProblem(3, int8()))  # type: ignore[arg-type]
    says(
        ValueError,
        "gaussian needs a finite size of 0 or more, such as 0.01, but got -1.",
        lambda: gaussian(-1),
    )
    says(ValueError, "constant: size must be a number", lambda: constant("much"))  # type: ignore[arg-type]
    says(
        ValueError, "reuse: every must be a whole number of at least 1, but got 0", lambda: reuse(0)
    )
    with pytest.raises(StateError, match="there are 0 seeds for 4 samples"):
        PerturbedProblem(MIXTURE, gaussian(0.1)).eps(MIXTURE.start(range(4)), 1.0)
