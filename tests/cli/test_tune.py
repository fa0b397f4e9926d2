"""tune: a table, files that sample takes, rows that are not measured again; sample --tol."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowsolve.cli.parser import main
from flowsolve.study.tuned import Tuned
from tests.cli.helpers import done


def test_tune_and_sample_with_it(tmp_path: Path) -> None:
    text = done("tune", "mixture", "--nfe", "5", "--noises", "32", cwd=tmp_path)
    assert text.startswith("tune: mixture, 32 noises; cost in evaluations of that batch\nNFE  ")
    assert text.endswith("results/tune-mixture: tuned-5.json, rows.csv, rows.jsonl\n")
    found = Tuned.load(tmp_path / "results" / "tune-mixture" / "tuned-5.json")
    assert found.nfe == 5
    row = re.search(r"^  5 +(\S+) ±\d+ % +(\S+) ", text, re.MULTILINE)
    assert row is not None
    assert float(row[1]) == pytest.approx(found.error, rel=0.01)
    assert float(row[2]) == pytest.approx(found.default_error, rel=0.01)

    text = done("tune", "mixture", "--nfe", "5", "3", "--noises", "32", cwd=tmp_path)
    rows = (tmp_path / "results" / "tune-mixture" / "rows.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["nfe"] for row in rows] == [5, 3]
    assert "tuned-5.json, tuned-3.json" in text or "tuned-3.json, tuned-5.json" in text

    text = done("sample", "mixture", "--samples", "8", "--out", "s", "--tuned",
                "results/tune-mixture/tuned-5.json", cwd=tmp_path)  # fmt: skip
    assert "(5 evaluations, two_scales(" in text


def test_sample_to_a_tolerance(tmp_path: Path) -> None:
    text = done(
        "sample", "mixture", "--samples", "8", "--tol", "0.05", "--format", "json", cwd=tmp_path
    )
    row = json.loads(text)[0]
    assert row["nfe"] <= 9
    assert "AdaptiveUniPC(tol=0.05" in row["solver"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["sample", "mixture", "--tol", "0.1", "--solver", "heun"], "--tol is for the default; a solver"),
        (["sample", "mixture", "--tuned", "x.json", "--nfe", "5"], "--tuned brings its solver, grid and"),
        (["sample", "mixture", "--tuned", "x.json"], "cannot read x.json"),
        (["sample", "mixture", "--tol", "-1"], "tol is the RMS error to reach, a number above 0"),
        (["tune", "mixture", "--noises", "0"], "--noises must be at least 1, but got 0."),
        (["tune", "mixture", "--noises", "4", "--nfe", "3"], "tune needs 16 unit noises or more"),
    ],
)  # fmt: skip
def test_wrong_use(
    args: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(args) != 0
    out, err = capsys.readouterr()
    assert text in out + err
