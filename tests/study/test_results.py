"""Rows on disk: continued, kept apart, whole after a kill, and read back bit for bit."""

from __future__ import annotations

import csv
import errno
import math
import os
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve.errors import ResultsError
from flowsolve.problems import Mixture1D
from flowsolve.schedule.spacings import log_snr
from flowsolve.study.error import ErrorRow
from flowsolve.study.results import RowFile, read_jsonl, write_csv
from flowsolve.study.series import Study
from flowsolve.study.studies import work_precision
from flowsolve_solvers import Euler


class Known(Mixture1D):
    """A problem that may be told apart by its count of calls."""

    calls = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        Known.calls += 1
        return super().eps(x, sigma)


def test_a_study_continues_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    given = {"seeds": range(4), "path": path}
    first = work_precision([Euler()], Known(), [4, 8], **given)  # type: ignore[arg-type]
    before = path.read_bytes()
    Known.calls = 0
    again = work_precision([Euler()], Known(), [4, 8], **given)  # type: ignore[arg-type]
    assert Known.calls == 0
    assert again == first == Study.load(path)
    assert path.read_bytes() == before
    Known.calls = 0
    more = work_precision([Euler()], Known(), [4, 8, 16], **given)  # type: ignore[arg-type]
    assert 16 <= Known.calls <= 18  # the new row, and no more than the start of it
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes().splitlines()) == 3
    assert more.rows[:2] == first.rows


@pytest.mark.parametrize(
    "change",
    [{"seeds": range(1, 5)}, {"dtype": torch.float64}, {"spacings": [log_snr]}, {"seeds": [0, 3]}],
    ids=["other seeds", "a dtype", "a spacing", "seeds with a gap"],
)
def test_what_differs_is_computed_anew(tmp_path: Path, change: dict[str, object]) -> None:
    given: dict[str, object] = {"seeds": range(4), "path": tmp_path / "rows.jsonl"}
    first = work_precision([Euler()], Mixture1D(), [4], **given)  # type: ignore[arg-type]
    other = work_precision([Euler()], Mixture1D(), [4], **given | change)  # type: ignore[arg-type]
    assert other.rows[0].key != first.rows[0].key
    assert other.rows[0].rmse != first.rows[0].rmse
    assert len(read_jsonl(tmp_path / "rows.jsonl", ErrorRow)) == 2


def test_rows_of_another_problem_or_version_are_not_taken_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = work_precision([Euler()], Mixture1D(), [4], seeds=range(2)).rows[0]
    file = RowFile(path, ErrorRow)
    file.append(replace(row, flowsolve="0.0.0", rmse=1.0))
    file.append(replace(row, problem_digest="0" * 12, rmse=1.0))
    found = work_precision([Euler()], Mixture1D(), [4], seeds=range(2), path=path).rows[0]
    assert replace(found, seconds=0) == replace(row, seconds=0)


def test_failed_rows_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = work_precision([Euler()], Mixture1D(), [4], seeds=range(2)).rows[0]
    nothing = {f.name: f.default for f in fields(ErrorRow) if f.name in ("rmse", "max", "seconds")}
    RowFile(path, ErrorRow).append(replace(good, error="OutOfMemoryError: once", **nothing))
    study = work_precision([Euler()], Mixture1D(), [4], seeds=range(2), path=path)
    assert not study.failures
    assert study.rows[0].rmse == good.rmse
    assert [bool(r.error) for r in read_jsonl(path, ErrorRow)] == [True, False]


ODD = ErrorRow(
    problem="σ, \"quoted\"\nline", problem_digest="0" * 12, dtype="", device="", flowsolve="", torch="",
    python="", solver="Adams(points=3, chart=DATA)", order=2, spacing="karras", asked="nfe=5",
    sigma_max=math.inf, sigma_min=5e-324, rmse=0.1 + 0.2, median=math.nan, p90=-math.inf,
    max=1.7976931348623157e308, certified=True, error="x̄ ≠ ∞",
)  # fmt: skip


def test_rows_survive_json_and_csv_bit_for_bit(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.jsonl", ErrorRow)
    file.append(ODD)
    file.append(replace(ODD, rmse=-0.0))
    for row, back in zip(file.rows, read_jsonl(file.path, ErrorRow), strict=True):
        for name, value in asdict(row).items():
            got = getattr(back, name)
            assert type(got) is type(value), name
            assert repr(got) == repr(value), name
    write_csv(file.rows, tmp_path / "rows.csv", ErrorRow)
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as csv_file:
        lines = [*csv.DictReader(csv_file)]
    assert [*lines[0]] == [f.name for f in fields(ErrorRow)]
    for row, line in zip(file.rows, lines, strict=True):
        for name, value in asdict(row).items():
            text = line[name]
            assert repr(float(text) if isinstance(value, float) else text) == (
                repr(value) if isinstance(value, float) else repr(str(value))
            ), name
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


@pytest.mark.parametrize("cut", range(1, 400, 23))
def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl"
    for row in (ODD, replace(ODD, order=3)):
        RowFile(path, ErrorRow).append(row)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])  # also in the middle of a character
    assert [r.order for r in read_jsonl(path, ErrorRow)] in ([2], [2, 3])
    file = RowFile(path, ErrorRow)
    file.append(replace(ODD, order=4))
    assert read_jsonl(path, ErrorRow)[0].order == 2
    assert read_jsonl(path, ErrorRow)[-1].order == 4
    assert path.read_bytes().endswith(b"}\n")


def test_a_whole_row_without_its_line_end_is_kept(tmp_path: Path) -> None:
    """As an editor leaves it, which takes the last line end away."""
    path = tmp_path / "rows.jsonl"
    RowFile(path, ErrorRow).append(ODD)
    path.write_bytes(path.read_bytes()[:-1])
    RowFile(path, ErrorRow).append(replace(ODD, order=3))
    assert [r.order for r in read_jsonl(path, ErrorRow)] == [2, 3]


def test_zeros_that_a_fall_of_the_system_left_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    RowFile(path, ErrorRow).append(ODD)
    path.write_bytes(path.read_bytes() + bytes(100))
    RowFile(path, ErrorRow).append(replace(ODD, order=3))
    assert [r.order for r in read_jsonl(path, ErrorRow)] == [2, 3]


def test_what_is_no_row_is_not_dropped_as_if_a_kill_had_cut_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("my notes")
    with pytest.raises(ResultsError, match="line 1 is not a result row"):
        RowFile(path, ErrorRow)
    assert path.read_text() == "my notes"


def test_a_text_that_reads_as_infinity_stays_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    RowFile(path, ErrorRow).append(replace(ODD, solver="inf", error="-inf"))
    (row,) = read_jsonl(path, ErrorRow)
    assert (row.solver, row.error, row.sigma_max) == ("inf", "-inf", math.inf)


def test_a_disk_that_fills_within_a_row_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    file = RowFile(path, ErrorRow)
    file.append(ODD)
    before = path.read_bytes()

    def full(fd: int) -> None:
        assert path.stat().st_size > len(before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(ResultsError, match=r"No space left.*The 1 rows before are there"):
            file.append(replace(ODD, order=3))
    assert path.read_bytes() == before
    assert len(file.rows) == 1


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"colour": "red"}\n{"a": 1}\n')
    with pytest.raises(ResultsError, match="line 1 is not a result row"):
        Study.load(path)
    with pytest.raises(ResultsError, match=r"^there is no file .*none.jsonl: a study writes it"):
        Study.load(tmp_path / "none.jsonl")


def test_a_row_is_on_the_disk_and_not_in_a_buffer_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    file = RowFile(tmp_path / "rows.jsonl", ErrorRow)
    for n in (1, 2):
        file.append(ODD)
        assert len(synced) == n
        assert synced[-1] == file.path.stat().st_size > 0  # all of the row was there by then
