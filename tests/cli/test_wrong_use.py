"""Wrong use is exit code 2 and a run that failed 1, each with a sentence that says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import SMALL, flowsolve, outside

WRONG = {
    # arguments: what the message must hold
    ("compare", "mixtur"): "Did you mean mixture",
    ("compare", "nowhere:problem"): "No module named 'nowhere'",
    ("compare", "os:nothing"): "no attribute 'nothing'",
    ("compare", "os:getcwd"): "not a flowsolve Problem",
    ("compare", ":x"): "package.module:function",
    ("compare", "--solvers", "huen"): "Did you mean heun",
    ("compare", "--solvers", "heun", "3+"): "is not a name",
    ("compare", "--solvers", "heun("): "Name(option=value)",
    ("compare", "--solvers", "os.getcwd()"): "cannot read",
    ("order", "adams:pionts=3"): "Its options: points, chart, variable, start",
    ("order", "adams:points=0"): "has 1 to 8 points, a whole number, but got points = 0",
    ("order", "torchdiffeq:method=dopri"): "knows dopri5",
    ("order", "torchdiffeq:rtol=-1"): "must be positive",
    ("order", "heun", "--spacing", "kraras"): "Did you mean karras",
    ("order", "heun", "--spacing", "karras:roh=3"): "Its options: rho",
    ("order", "heun", "--device", "tpu9"): "cannot use --device tpu9",
    ("order", "heun", "--device", "meta"): "cannot use --device meta",
    ("order", "heun", "--dtype", "float23"): "'float64'",
    ("order", "heun", "--steps", "0"): "--steps must be at least 1",
    ("order", "heun", "--sigma-min", "20"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-max", "0"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-max", "inf"): "need 0 < sigma-min < sigma-max",
    ("order", "heun", "--sigma-min", "nan"): "need 0 < sigma-min < sigma-max",
    (
        "order",
        "heun",
        "ddpm",
    ): "draws noise, so its samples have no error against the ODE's solution",
    ("compare", "--nfe", "-3"): "--nfe must be at least 1",
    ("compare", "--nfe", "ten"): "invalid int value",
    ("compare", "--seeds", "0"): "--seeds must be at least 1",
    ("compare", "--block", "0"): "--block must be at least 1",
    ("compare", "--tolerances", "0"): "--tolerances must be positive",
    ("table1", "--etas", "two"): "--etas are numbers from 0 to 1 or hat (σ̂), but got 'two'",
    ("table1", "--etas", "2"): "0 <= eta <= 1",
    ("table1", "--grid", "tau_cubic"): "Did you mean tau",
    ("table1", "--steps", "0"): "--steps must be at least 1",
    (
        "table1",
        "--features",
        "nothing",
    ): "--features is own, values, pca:16 or package.module:function",
    ("quality", "--samples", "0"): "--samples must be at least 1",
    ("consistency", "--shown", "0"): "--shown must be at least 1",
    ("table2", "--ways", "ddim/heum"): "Did you mean heun",
    ("edit", "--samples", "0"): "--samples must be at least 1",
    ("interpolate", "--points", "1"): "--points must be at least 2",
    ("likelihood", "--probes", "1"): "--probes must be 0 (exact) or at least 2",
    ("sample", "--samples", "0"): "--samples must be at least 1",
    ("solvers", "all"): "unrecognized arguments",
    ("solve",): "invalid choice",
    ("table",): "required",
}


@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_wrong_use_is_2_and_says_what_is_right(args: tuple[str, ...], tmp_path: Path, capfd: Any,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from flowsolve.cli.parser import main

    monkeypatch.chdir(tmp_path)
    assert main(args) == 2  # in this process, for speed; the next test does it from outside
    out, err = capfd.readouterr()
    assert WRONG[args] in err
    assert "Traceback" not in out + err
    assert not [*tmp_path.iterdir()]


EXITS = [
        (["compare", "--solvers", "huen"], 2, "Did you mean heun"),
        (["compare", "nowhere:problem"], 2, "nowhere"),
        (["table", "torchdiffeq"], 1, "no coefficient table"),
        ([*SMALL, "--solvers", "heun", "ddpm"], 2, "`quality` measures their distance to data"),
        (["edit", "--samples", "1798", "--out", "o"], 1, "there are 1797 digits to edit"),
        (["table1", "--steps", "10", "1001"], 1, "has 1000 labels, too few for n = 1001 steps"),
        (["sample", "mixture_1d", "--solver", "heun", "--nfe", "1"], 1, "needs at least"),
        (["order", "heun", "--device", "cuda:77"], 2, "cannot use --device cuda:77"),
        ([*SMALL, "--nfe", "1"], 1, "needs at least 2 evaluations"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "code", "text", "run"),
    [(*case, flowsolve) for case in EXITS] + [(*case, outside) for case in EXITS[:3:2]],
)
def test_exit_codes(
    args: list[str], code: int, text: str, run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:  # fmt: skip
    made = run(*args, cwd=tmp_path)
    assert made.returncode == code
    assert text in made.stdout + made.stderr
    assert "Traceback" not in made.stderr
