"""The folder of results is never overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import SMALL, contents, done, flowsolve, table_of

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_output_folder_is_not_overwritten_unasked(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file")
    made = flowsolve(*SMALL, "--out", "file/below", cwd=tmp_path)
    assert made.returncode == 1
    assert "cannot write to file/below" in made.stderr
    assert "Traceback" not in made.stderr
    assert blocked.read_text() == "a file"

    out = tmp_path / "out"
    done(*SMALL, "--out", "out", cwd=tmp_path)
    before = contents(out)
    other = flowsolve(*SMALL, "--dtype", "float64", "--out", "out", cwd=tmp_path)
    assert other.returncode == 1
    assert "out holds other results, of dtype float32, not float64" in other.stderr
    assert "--overwrite" in other.stderr
    assert contents(out) == before

    (out / "stray.txt").write_text("left by the old run")
    done(*SMALL, "--seeds", "4", "--out", "out", "--overwrite", cwd=tmp_path)
    assert {*contents(out)} == {*before}
    assert json.loads((out / "settings.json").read_bytes())["seeds"] == 4
    assert {r["samples"] for r in table_of(out / "rows.csv")} == {"4"}


@pytest.mark.parametrize(
    "content", [{"notes.txt": "mine"}, {"settings.json": '{"editor": 1}'}, {"settings.json": "["}]
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_a_folder_that_flowsolve_did_not_make_is_never_touched(
    content: dict[str, str], overwrite: list[str], tmp_path: Path, capfd: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from flowsolve.cli.parser import main

    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in content.items():
        (mine / name).write_text(text)
    before = contents(mine)
    assert main([*SMALL, "--out", "mine", *overwrite]) == 1
    assert "did not make" in capfd.readouterr().err
    assert contents(mine) == before
