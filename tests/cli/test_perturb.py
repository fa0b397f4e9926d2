"""`flowsolve compare --perturb` and fs.compare(perturb=): rows, tables, the figure, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

import flowsolve as fs
from flowsolve.errors import NameUnknown, StateError
from flowsolve.problems import Mixture
from flowsolve.problems.perturbed import gaussian, reuse
from flowsolve.study import ErrorRow, read_jsonl
from tests.cli.helpers import SMALL, done, flowsolve, table_of
from tests.helpers import says

NAMES = ["unperturbed", "gaussian:0.01", "bfloat16", "reuse:2"]


def test_compare_perturbed(tmp_path: Path) -> None:
    args = [*SMALL, "--perturb", "gaussian:0.01,bfloat16", "reuse:2", "--out", "o"]
    text = done(*args, cwd=tmp_path)
    folder = tmp_path / "o"
    rows = read_jsonl(folder / "rows.jsonl", ErrorRow)
    assert [(r.perturb, r.asked, r.nfe) for r in rows] == [
        (name, f"nfe={n}", n) for name in ("", *NAMES[1:]) for n in (4, 8)
    ]
    assert len({r.rmse for r in rows}) == 8
    assert [
        line.split(": RMS error")[0] for line in text.splitlines() if ": RMS error" in line
    ] == NAMES
    assert all(f"{r.rmse:.2e}" in text for r in rows)
    assert [r["perturb"] for r in table_of(folder / "orders.csv")] == ["", *NAMES[1:]]
    assert [r["perturb"] for r in table_of(folder / "rows.csv")] == [r.perturb for r in rows]
    assert (folder / "error_vs_nfe.png").stat().st_size > 10_000


@pytest.mark.usefixtures("undrawn")
def test_it_continues_and_grows(tmp_path: Path) -> None:
    args = [*SMALL, "--perturb", "gaussian:0.01", "--out", "o"]
    text = done(*args, cwd=tmp_path)
    path = tmp_path / "o" / "rows.jsonl"
    before = path.read_bytes()
    assert done(*args, cwd=tmp_path) == text
    assert path.read_bytes() == before
    done(*SMALL, "--perturb", "constant:0.01", "--out", "o", cwd=tmp_path)
    assert path.read_bytes().startswith(before)
    assert [r.perturb for r in read_jsonl(path, ErrorRow)[4:]] == ["constant:0.01"] * 2
    assert done(*args, cwd=tmp_path).count(": RMS error") == 3


@pytest.mark.usefixtures("undrawn")
def test_a_study_without_perturbations_is_grown_by_one(tmp_path: Path) -> None:
    plain = done(*SMALL, "--out", "o", cwd=tmp_path)
    text = done(*SMALL, "--perturb", "int8", "--out", "o", cwd=tmp_path)
    assert len(read_jsonl(tmp_path / "o" / "rows.jsonl", ErrorRow)) == 4
    assert plain.splitlines()[1:5] == text.splitlines()[1:5]


def test_in_python_it_is_the_same() -> None:
    mixture = Mixture()
    kinds = [gaussian(0.01), "reuse:2"]
    made = fs.compare(mixture, None, None, "euler heun", [4, 8], perturb=kinds, seeds=range(8))
    other = fs.compare(
        mixture, None, None, "euler heun", [4, 8], perturb="gaussian:0.01,reuse:2", seeds=range(8)
    )
    assert [r.rmse for r in made.study.rows] == [r.rmse for r in other.study.rows]
    assert [*made.study.perturbations] == ["", "gaussian:0.01", "reuse:2"]
    assert repr(made.table).count("RMS error") == 3
    figure = made.figure
    assert [a.get_title() for a in figure.axes] == ["unperturbed", "gaussian:0.01", "reuse:2"]
    assert len({a.get_ylim() for a in figure.axes}) == len({a.get_xlim() for a in figure.axes}) == 1
    solid = [[x for x in a.lines if x.get_marker() in ("o", "s")] for a in figure.axes]
    assert [len(lines) for lines in solid] == [2, 2, 2]
    (legend,) = figure.legends
    names = [t.get_text() for t in legend.get_texts()]
    assert names[:2] == ["Euler", "Heun"]
    assert "grey: unperturbed" in names
    panels = Figure().subplots(3, 1)
    assert made.draw(ax=panels) is panels[0].figure
    with pytest.raises(ValueError, match="this figure has 3 panels, but ax holds 1 Axes"):
        made.draw(ax=panels[0])


WRONG = {
    "gausian:0.01": "there is no perturbation 'gausian'. Did you mean gaussian",
    "gaussian": "gaussian: missing a required argument: 'size'. Its options: size.",
    "gaussian:-1": "gaussian: gaussian needs a finite size of 0 or more, such as 0.01, but got -1.",
    "reuse:0": "reuse: reuse: every must be a whole number of at least 1, but got 0.",
    "int8:3": "int8: too many positional arguments. Its options: none.",
    "velocity": "there is no perturbation 'velocity'. There are gaussian:0.01, constant:0.01, bfloat16",
    "0.01": "'0.01' is not a name.",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_use(text: str, tmp_path: Path) -> None:
    made = flowsolve(*SMALL, "--perturb", f"int8,{text}", cwd=tmp_path)
    assert made.returncode == 2
    assert WRONG[text] in made.stderr
    assert not [*tmp_path.iterdir()]


def test_wrong_use_in_python() -> None:
    def asked(perturb: object) -> object:
        return fs.compare(Mixture(), None, None, "euler", [4], perturb=perturb)  # type: ignore[arg-type]

    says(NameUnknown, "there is no perturbation 'int9'. Did you mean int8", lambda: asked("int9"))
    says(StateError, "perturb must be a sequence of perturbations: gaussian:0.01", lambda: asked(3))
    says(StateError, "perturb holds perturbations: gaussian:0.01", lambda: asked([reuse]))
