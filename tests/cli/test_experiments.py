"""The commands of the experiments: rows, tables, figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.image import imread

from flowsolve.study import read_jsonl
from flowsolve.study.consistency import ConsistencyRow
from flowsolve.study.editing import EditRow
from flowsolve.study.interpolation import InterpolationRow
from flowsolve.study.likelihood import LikelihoodRow
from flowsolve.study.quality import QualityRow
from flowsolve.study.round_trip import RoundTripRow
from tests.cli.helpers import done, progress, table_of

pytestmark = pytest.mark.usefixtures("png_only")


def test_table1(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    args = ["table1", "--steps", "5", "10", "--etas", "0", "1", "hat", "--samples", "24",
            "--features", "pca:4", "--out", "out"]  # fmt: skip
    text = done(*args, cwd=tmp_path)
    assert imread(tmp_path / "out" / "table1.png").std() > 0.05
    request.getfixturevalue("undrawn")
    seen = progress(*args, cwd=tmp_path)
    out = tmp_path / "out"
    rows = read_jsonl(out / "rows.jsonl", QualityRow)
    assert [(r.solver, r.asked) for r in rows] == [("real data", "")] + [
        (s, f"S={n}")
        for n in (5, 10)
        for s in ("DDIMEta(eta=0.0)", "DDIMEta()", "DDIMEta(larger_variance=True)")
    ]
    assert {(r.features, r.real, r.start) for r in rows} == {("pca:4", 1773, "vp_start")}
    assert [r.nfe for r in rows] == [0, 5, 5, 5, 10, 10, 10]
    assert all(f"{r.distance('frechet')}" in text for r in rows)
    assert re.search(r"Fréchet distance of pca:4, real data .*\nη +S = 5 +S = 10\n", text)
    assert len(table_of(out / "rows.csv")) == 7
    assert len([*(out / "samples").iterdir()]) == 6
    assert progress(*args, cwd=tmp_path) == seen  # seconds too


def test_quality_of_methods_with_noise_alone_speaks_of_no_error(tmp_path: Path) -> None:
    args = ["quality", "mixture", "--solvers", "ddimeta", "seeds2", "--nfe", "6"]
    text = done(*args, "--samples", "50", "--out", "out", cwd=tmp_path)
    assert "Fréchet distance of values" in text
    assert not {"nan", "RMS", "nearest"} & {*text.split()}


def test_quality_says_where_error_and_distance_disagree(tmp_path: Path) -> None:
    args = [
        "quality",
        "mixture",
        "--solvers",
        "ddim",
        "heun",
        "dpmsolver3",
        "--nfe",
        "2",
        "6",
        "12",
    ]
    text = done(*args, "--samples", "100", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", QualityRow)
    failed = [r for r in rows if r.error]
    assert [(r.solver, r.asked) for r in failed] == [("DPMSolver3()", "nfe=2")]
    assert f"DPMSolver3()  nfe=2: {failed[0].error}" in text
    measured = [r for r in rows[1:] if not r.error]
    assert all(r.rmse > 0 and f"{r.rmse:.2e}" in text for r in measured)
    for n in (2, 6, 12):
        at = [r for r in measured if r.asked == f"nfe={n}"]
        near, like = min(at, key=lambda r: r.rmse), min(at, key=lambda r: r.frechet)
        line = f"at {n} evaluations {near.solver} is nearest to the ODE, {like.solver} to the data"
        assert (line in text) == (near is not like)
    assert imread(tmp_path / "out" / "quality.png").std() > 0.05


def test_consistency(tmp_path: Path) -> None:
    args = ["consistency", "--solvers", "ddim", "ddimeta", "--steps", "5", "10", "--samples", "8"]
    text = done(*args, "--shown", "3", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", ConsistencyRow)
    assert [(r.solver, r.S) for r in rows] == [
        (s, n) for s in ("Euler()", "DDIMEta()") for n in (10, 5)
    ]
    assert "Euler()'s" in text
    for name in ("images", "consistency"):
        assert imread(tmp_path / "out" / f"{name}.png").std() > 0.05
    done(*args[:-2], "--samples", "8", "--grid", "uniform_t", "--out", "other", cwd=tmp_path)
    other = read_jsonl(tmp_path / "other" / "rows.jsonl", ConsistencyRow)
    assert {r.spacing for r in other} == {"uniform_t[linear_beta(T=1000)]"}


def test_table2(tmp_path: Path) -> None:
    ways = ["ddim", "heun/ddim", "invert/ddim", "obelm", "ddimeta"]
    args = [
        "table2",
        "mixture",
        "--ways",
        *ways,
        "--grid",
        "log_snr",
        "--steps",
        "8",
        "16",
        "--samples",
        "4",
    ]
    text = done(*args, "--dtype", "float64", "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", RoundTripRow)
    assert [r.error != "" for r in rows] == [False] * 8 + [True] * 2
    assert re.search(r"Heun\(\) up, Euler\(\) down .* 32 \+ 16", text)
    assert re.search(r"DDIMEta\(\) .* failed .* failed", text)
    assert "float64: mean squared error per dimension of 4 of the data" in text
    assert imread(tmp_path / "out" / "table2.png").std() > 0.05


def test_edit(tmp_path: Path) -> None:
    text = done(
        "edit", "--samples", "4", "--steps", "5", "--shown", "2", "--out", "out", cwd=tmp_path
    )
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", EditRow)
    assert len(rows) == 15
    assert all(not r.error and f"{r.kept}" in text for r in rows)
    assert imread(tmp_path / "out" / "edits.png").std() > 0.05


def test_interpolate(tmp_path: Path) -> None:
    args = ["interpolate", "--solver", "ddim", "--nfe", "4", "--pairs", "4", "--points", "3"]
    text = done(*args, "--shown", "2", "--out", "out", cwd=tmp_path)
    assert len(read_jsonl(tmp_path / "out" / "rows.jsonl", InterpolationRow)) == 6
    assert "deviation of the noise" in text
    for name in ("interpolation", "pairs", "square"):
        assert imread(tmp_path / "out" / f"{name}.png").std() > 0.05


@pytest.mark.parametrize(("problem", "unit"), [("digits", "bits per"), ("mixture", "log p, nats")])
def test_likelihood(problem: str, unit: str, tmp_path: Path) -> None:
    args = ["likelihood", problem, "--solvers", "ddim", "--nfe", "4", "8", "--samples", "4"]
    text = done(*args, "--out", "out", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", LikelihoodRow)
    assert [(r.nfe, r.levels) for r in rows] == [
        (n, 17 if problem == "digits" else 0) for n in (4, 8)
    ]
    assert unit in text
    assert all(str(r.estimate) in text for r in rows)
    assert imread(tmp_path / "out" / "likelihood.png").std() > 0.05
