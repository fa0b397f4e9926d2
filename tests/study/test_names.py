"""Names of lines: readable, as they were asked for, or as they are told."""

from __future__ import annotations

from typing import Any

import pytest

from flowsolve.cli.methods import find_names
from flowsolve.errors import StateError
from flowsolve.study.names import asked, line_names, readable
from flowsolve_solvers import ALL, Euler
from tests.helpers import says


@pytest.mark.parametrize(
    ("solver", "name"),
    [
        ("Euler()", "Euler"),
        ("UniPC(points=3)", "UniPC (points=3)"),
        ("Adams(points=3, start=Heun())", "Adams (points=3, start=Heun)"),
        ("Adams(points=3, variable=ClockTime(VPSDE()))", "Adams (points=3, variable=ClockTime(VPSDE))"),
        ("LMS(4)", "LMS (4)"),
        ("Heun()/Euler()", "Heun/Euler"),
        ("Adams(points=3)/Rex(a=2)", "Adams(points=3)/Rex(a=2)"),
        ("real data", "real data"),
    ],
)  # fmt: skip
def test_a_repr_is_made_readable(solver: str, name: str) -> None:
    assert readable(solver) == name


def test_no_two_methods_are_called_alike() -> None:
    assert len({readable(repr(s)) for s in ALL}) == len({repr(s) for s in ALL})


def test_names_are_those_that_were_asked_for() -> None:
    assert asked("ddim", Euler()) == "DDIM (Euler)"
    assert asked("Euler()", Euler()) == asked("euler", Euler()) == "Euler"
    assert find_names(
        ["ddim@log_snr", "euler", "unipc:points=3@karras", "lms:points=3", "ddpm"]
    ) == {
        "Euler()": "DDIM (Euler)",  # the first name of a method counts
        "UniPC(points=3)": "UniPC (points=3)",
        "LMS(3)": "LMS (3)",
        "DDIMEta()": "DDPM (DDIMEta)",
    }
    assert [*find_names(["default"]).values()] == ["default (TwoScales)"]


KEYS = [("Euler()", "karras"), ("Euler()", "log_snr"), ("Torchdiffeq()", "adaptive"),
        ("TwoScales()", "two_scales(std=0.5, top=2.19)")]  # fmt: skip


def test_spacings_are_named_where_there_are_several_and_methods_have_none_of_their_own() -> None:
    assert line_names(KEYS) == ["Euler, karras", "Euler, log_snr", "Torchdiffeq", "TwoScales"]
    assert line_names(KEYS[1:]) == ["Euler", "Torchdiffeq", "TwoScales"]


def test_labels_replace_the_solver_or_the_whole_name() -> None:
    mapped = {
        "Euler()": "DDIM",
        "Euler, log_snr": "the second",
        "TwoScales": "ours",
        "Heun()": "not here",
    }
    assert line_names(KEYS, mapped) == ["DDIM, karras", "the second", "Torchdiffeq", "ours"]
    assert line_names(KEYS, ("a", "b", "c", "d")) == [*"abcd"]
    assert line_names([], []) == []


@pytest.mark.parametrize(
    ("labels", "kind", "text"),
    [
        (["a"], ValueError, "labels must name 4 lines, but are 1. The lines: Euler, karras; Euler, log_snr"),
        ("abcd", StateError, "labels must be a sequence of names, or a mapping name -> label"),
        ([1, 2, 3, 4], StateError, "labels[0] must be a text, but got 1."),
        ({"Euler()": 3}, StateError, "labels must be a mapping name -> label, both texts, not {'Euler()': 3}"),
    ],
)  # fmt: skip
def test_labels_that_are_none(labels: Any, kind: type[Exception], text: str) -> None:
    says(kind, text, lambda: line_names(KEYS, labels))
