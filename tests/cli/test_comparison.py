"""fs.compare: the command's comparison for a network in Python, and what it shows of itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import karras, log_snr
from flowsolve.errors import NameUnknown, NetworkError, StateError
from flowsolve.problems import Mixture, exact_network
from flowsolve.solver.rule import default_rule
from flowsolve.study import work_precision
from flowsolve_solvers import Euler, Heun
from tests.cli.helpers import done
from tests.helpers import says

EPS = fs.EpsPrediction(fs.VPSDE())
EXACT = exact_network(Mixture(), EPS)
SMALL: dict[str, Any] = {"event": (2,), "nfe": [4, 8], "seeds": range(8)}


def same(a: Any, b: Any) -> bool:
    """Whether two studies hold the same numbers, whatever the seconds."""
    columns = "solver", "spacing", "asked", "nfe", "rmse", "stderr"
    rows = [[tuple(getattr(r, c) for c in columns) for r in study.rows] for study in (a, b)]
    return rows[0] == rows[1]


def test_it_is_the_study_of_the_same_methods() -> None:
    asked = "default ddim@log_snr heun@karras"
    made = fs.compare(EXACT, EPS, solvers=asked, **SMALL)
    ode = fs.DiffusionODE(EXACT, EPS)
    problem = fs.problems.NetworkProblem(ode, (2,), *EPS.clock.sigma_range)  # type: ignore[attr-defined]
    methods: Any = [default_rule(), (Euler(), log_snr), (Heun(), karras)]
    assert same(made.study, work_precision(methods, problem, [4, 8], seeds=range(8)))
    for other in (
        fs.compare(ode, solvers=asked, **SMALL),
        fs.compare(ode, None, solvers=methods, **SMALL),
    ):
        assert same(made.study, other.study)


def test_a_problem_is_taken_as_it_is_and_the_command_says_the_same(tmp_path: Path) -> None:
    made = fs.compare(
        Mixture(), solvers=["ddim@log_snr", "heun@karras"], nfe=[4, 8], seeds=range(8)
    )
    printed = done("compare", "mixture", "--solvers", "ddim@log_snr", "heun@karras", "--nfe", "4", "8",
                   "--seeds", "8", "--out", "out", cwd=tmp_path)  # fmt: skip
    assert repr(made.table).replace("\n\n", "\n") in printed


def test_what_it_shows() -> None:
    made = fs.compare(EXACT, EPS, solvers="ddim@log_snr heun@karras", **SMALL)
    legend = made.figure.axes[0].get_legend()
    names = ["DDIM (Euler), log_snr", "Heun, karras"]
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()][:2] == names
    assert all(bar.lines[2] for bar in made.figure.axes[0].containers)  # error bars
    assert made.figure is made.figure
    assert made.draw(style="slides", title="mine") is not made.figure
    table = repr(made.table)
    assert all(name in table for name in names)
    assert " ± " in table
    page = made._repr_html_()
    assert (
        page.index("<table>")
        < page.index("DDIM (Euler)")
        < page.index('<img src="data:image/png;base64,')
    )
    assert len(repr(made).splitlines()) <= 3
    assert repr(made).startswith("Comparison: Study(2 solvers on ")


def test_levels_that_are_infinity_and_zero_are_cut_and_unknown_ones_asked_for() -> None:
    flow = fs.FlowPrediction()
    made = fs.compare(exact_network(Mixture(), flow), flow, solvers="euler", **SMALL)
    assert (made.study.rows[0].sigma_max, made.study.rows[0].sigma_min) == (999.0, 1 / 999)
    text = "compare needs the shape of one sample, event=(3, 32, 32), say."
    says(StateError, text, lambda: fs.compare(EXACT, EPS))

    class Unknown(fs.ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x

    assert "does not know the levels" in str(
        says(StateError, "", lambda: fs.compare(Unknown(), event=(2,)))
    )


def test_wrong_calls_are_told_as_elsewhere() -> None:
    text = "precondition must be an instance such as EpsPrediction(clock), not None."
    says(NetworkError, text, lambda: fs.compare(EXACT, event=(2,)))
    text = "a network is called as network(x, t), but got 3."
    says(NetworkError, text, lambda: fs.compare(3, EPS, event=(2,)))  # type: ignore[arg-type]
    says(StateError, "Mixture(weights=(0.2, 0.5", lambda: fs.compare(Mixture(), EPS))
    with pytest.raises(StateError, match=r"has samples of shape \(2,\): leave event out\.$"):
        fs.compare(Mixture(), event=(3,))
    with pytest.raises(NameUnknown, match="uler"):
        fs.compare(EXACT, EPS, event=(2,), solvers="uler")
    with pytest.raises(StateError, match="solver must be a Solver instance"):
        fs.compare(EXACT, EPS, event=(2,), solvers=[3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="sead"):
        fs.compare(EXACT, EPS, event=(2,), sead=3)  # type: ignore[call-arg]
    wide = lambda x, t: torch.cat([x, x], 1)  # noqa: E731
    with pytest.raises(
        NetworkError, match=r"the network returned shape \(2, 4\) for an input of \(2, 2\)"
    ):
        fs.compare(wide, EPS, **SMALL)


def test_rows_are_continued_and_told(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    problem = Mixture()
    for _ in range(2):
        made = fs.compare(
            problem, solvers="euler heun", nfe=[4, 8], seeds=range(4), path=tmp_path / "rows.jsonl",
            on_row=lambda row, done, total: heard.append((done, total)),
        )  # fmt: skip
    assert heard[-1] == (4, 4)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 4
    assert not any(math.isnan(row.stderr) for row in made.study.rows)


def test_references_tell_how_far_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flowsolve.cli.comparison.EVERY", 0.0)
    fs.compare(EXACT, EPS, solvers="euler", event=(2,), nfe=[4], seeds=range(2))
    said = capsys.readouterr()
    assert said.err.startswith("reference: ")
    assert said.out == ""
