"""--format, --quiet, plain tables, progress of what has no rows, env, completion."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from flowsolve.cli import commands, progress
from flowsolve.cli.parser import parser
from flowsolve.cli.progress import busy
from flowsolve.solver import provided
from flowsolve.study import ErrorRow
from tests.cli.helpers import COMMAND, EVERY, PRINTS, Measured, done, flowsolve, outside

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.mark.usefixtures("certified_once")
@pytest.mark.parametrize("command", PRINTS)
def test_json_and_csv_hold_the_same_values_and_quiet_says_nothing(
    command: str, measured: Measured
) -> None:
    """Measured in silence; JSON and CSV are of the same rows."""
    folder, quiet = measured(command)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    made = flowsolve(command, *EVERY[command], "--format", "json", cwd=folder)
    assert made.returncode == 0, made.stderr
    rows = json.loads(made.stdout)
    assert rows
    assert isinstance(rows[0], dict)
    text = done(command, *EVERY[command], "--format", "csv", cwd=folder)
    lines = [*csv.DictReader(io.StringIO(text))]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for name, value in row.items():
            if name in ("seconds", "value") or value is None:
                continue
            if isinstance(value, float):
                assert float(line[name]) == value
            else:
                assert line[name] == str(value)


def test_rows_and_listings_are_values_and_not_texts(tmp_path: Path) -> None:
    rows = json.loads(done("compare", *EVERY["compare"], "--format", "json", cwd=tmp_path))
    assert {*rows[0]} == {f.name for f in fields(ErrorRow)}
    assert rows[0]["rmse"] > 0
    (levels,) = (r for r in json.loads(done("table", "ddim", "--steps", "1", "--format", "json",
                                            cwd=tmp_path)) if r["at σ"] == "answer")  # fmt: skip
    assert levels["ε1"] == pytest.approx(0.05 - 10)
    listed = json.loads(done("solvers", "--format", "json", cwd=tmp_path))
    assert {row["name"] for row in listed} == {*provided()} or len(listed) == len({*provided()})
    assert next(r for r in listed if r["name"] == "Heun")["order"] == 2
    (needy,) = (r for r in listed if r["name"] == "GaussianStart")  # it has no default
    assert needy["order"] is needy["NFE a step"] is None
    assert needy["formula"].endswith(" Needs mean, covariance.")
    order = json.loads(done("order", *EVERY["order"], "--format", "json", cwd=tmp_path))
    assert order[0]["declared"] == 2
    assert isinstance(order[0]["measured"], float)


def test_options_are_where_they_belong() -> None:
    top = parser(commands.names())
    choices: dict[str, Any] = top._subparsers._group_actions[0].choices  # type: ignore
    has = {name: {*c._option_string_actions} for name, c in choices.items()}
    assert [n for n in has if "--format" in has[n]] == PRINTS
    assert [n for n in has if "--quiet" in has[n]] == PRINTS


@pytest.mark.parametrize("command", ["solvers", "problems", "grids"])
def test_where_there_is_no_terminal_a_row_is_a_line_without_boxes(
    command: str, tmp_path: Path
) -> None:
    text = outside(command, cwd=tmp_path).stdout
    head, rule, *body = text.splitlines()
    assert not re.search("[│┃━─]", text)
    assert {*rule} == {"-", " "}
    if command == "solvers":
        assert len(body) == len(provided())
        assert all(name in text for name in ("Heun", "Torchdiffeq"))
        starts = [match.start() for match in re.finditer("-+", rule)]
        (needy,) = (line for line in body if line.startswith("GaussianStart"))
        assert re.fullmatch(r"GaussianStart( +-){4} +x_t = .*", needy)
        assert needy.index("x_t") == starts[6]  # under "formula"
    assert all(line == line.rstrip() for line in text.splitlines())
    assert head


def _on_a_terminal(args: list[str], cwd: Path, **more: str) -> str:
    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI", "TTY_COMPATIBLE")}
    process = subprocess.Popen(
        args, cwd=cwd, stdin=slave, stdout=slave, stderr=slave,
        env={**env, "TERM": "xterm-256color", "COLUMNS": "120", **more},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait(timeout=30) == 0, shown.decode()
    return shown.decode()


def test_a_terminal_has_lines_between_cells(tmp_path: Path) -> None:
    assert "│ mixture_1d │" in _on_a_terminal([COMMAND, "problems"], tmp_path)
    without = {"PYTHONIOENCODING": "ascii"}
    text = _on_a_terminal([COMMAND, "problems"], tmp_path, **without)
    assert "| mixture_1d |" in text


def test_what_has_no_rows_says_after_a_while_that_it_is_alive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.05)
    with busy("counting") as now:
        now.count = 7
        time.sleep(0.4)
        now.print("a result")
    told = capsys.readouterr()
    assert 2 <= len(told.err.splitlines()) <= 4  # after 0.05, 0.15, 0.35 s
    assert told.err.startswith("counting, 7 evaluations, 0 s\n")
    assert told.out == "a result\n"
    with busy("nothing"):
        pass
    with busy("nothing", quiet=True):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_is_one_line_that_goes_away(tmp_path: Path) -> None:
    code = """
import time
from flowsolve.cli import progress
progress.FIRST = 0.05
with progress.busy("counting"):
    time.sleep(0.9)
print("done")
"""
    text = _on_a_terminal([sys.executable, "-c", code], tmp_path)
    assert text.count("\r") >= 2
    assert text.rstrip().rpartition("\x1b[K")[2] == "done"
    assert "\n" not in text.split("done")[0]


def test_order_and_sample_show_progress(tmp_path: Path) -> None:
    made = flowsolve("order", "heun", "euler", "--steps", "10", "20", "--seeds", "2", cwd=tmp_path)
    assert [x[:5] for x in made.stderr.splitlines() if x[0] == "["] == [
        f"[{i}/4]" for i in range(1, 5)
    ]
    slow = {"SLOW": "0.4"}
    from tests.cli.helpers import MINE

    (tmp_path / "mymodule.py").write_text(MINE)
    made = outside(
        "sample",
        "mymodule:problem",
        "--solver",
        "ddim",
        "--samples",
        "2",
        "--nfe",
        "8",
        cwd=tmp_path,
        **slow,
    )
    assert re.search(r"2 samples of .*, \d evaluations, 2 s", made.stderr)


def test_order_continues(tmp_path: Path) -> None:
    args = ["order", "heun", "--steps", "10", "20", "--seeds", "2", "--out", "o"]
    text = done(*args, cwd=tmp_path)
    rows = (tmp_path / "o" / "rows.jsonl").read_bytes()
    assert done(*args, cwd=tmp_path) == text
    assert (tmp_path / "o" / "rows.jsonl").read_bytes() == rows


def test_the_reader_of_a_pipe_may_have_enough(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "solvers"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    env = {"FLOWSOLVE_CACHE": str(tmp_path / "cache"), "PYTHONWARNINGS": "default"}
    made = outside(
        "compare", "mixture", "--seeds", "2", "--nfe", "4", "--solvers", "ddim", cwd=tmp_path, **env
    )
    assert made.returncode == 0
    lines = [x for x in made.stderr.splitlines() if x.startswith("flowsolve: ")]
    assert [x for x in lines if x.startswith("flowsolve: RuntimeWarning: could not store ")]
    assert all(re.match(r"flowsolve: \w+Warning: ", line) for line in lines)


def test_env_says_what_a_report_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "x.safetensors").write_bytes(bytes(2**20))
    monkeypatch.setenv("FLOWSOLVE_CACHE", str(cache))
    found = {
        r["what"]: r["value"] for r in json.loads(done("env", "--format", "json", cwd=tmp_path))
    }
    assert found["torch"].startswith(f"{torch.__version__}, built for ")
    assert found["threads"].startswith(f"{torch.get_num_threads()}, ")
    assert found["cache"] == f"{cache}: 1 files, 1.0 MiB"
    assert found["devices"].startswith("cpu")
    assert found["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {"flowsolve", "platform", "numpy", "extra digits", "extra diffusers", "output"} <= {
        *found
    }
    monkeypatch.setenv("FLOWSOLVE_CACHE", str(tmp_path / "none"))
    assert "0 files" in done("env", cwd=tmp_path)


def completed(line: str, script: str, shell: str = "bash") -> list[str]:
    """What bash offers at the end of the line."""
    words = line.split(" ")
    code = (
        f'{script}\nCOMP_WORDS=({" ".join(words[:-1])} "$1"); COMP_CWORD={len(words) - 1}\n'
        'COMPREPLY=(); _flowsolve; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    made = subprocess.run(
        [shell, "--norc", "-c", code, shell, words[-1]], capture_output=True, text=True, check=True
    )
    assert made.stderr == ""
    return made.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    script = done("completion", "bash", cwd=tmp_path)
    for line, offered in {
        "flowsolve ": commands.names(),
        "flowsolve comp": ["compare", "completion"],
        "flowsolve compare mix": ["mixture_1d", "mixture"],
        "flowsolve compare --ove": ["--overwrite"],
        "flowsolve compare mixture --solvers ddim he": ["heun"],
        "flowsolve compare --spacing kar": ["karras"],
        "flowsolve compare --dtype ": ["float32", "float64", "bfloat16", "float16"],
        "flowsolve table1 --format ": ["table", "csv", "json"],
        "flowsolve compare --nfe ": [],
        "flowsolve sample dig": ["digits"],
        "flowsolve order dpmsolver3 rk": ["rk4"],
    }.items():
        assert completed(line, script) == offered, line
    # as a user has it: bash itself finds the function for the command
    listed = subprocess.run(
        ["bash", "--norc", "-c", 'eval "$1"; complete -p flowsolve', "bash", script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.strip() == "complete -o default -F _flowsolve flowsolve"


def test_zsh_and_fish_have_theirs(tmp_path: Path) -> None:
    zsh = done("completion", "zsh", cwd=tmp_path)
    assert zsh.startswith("autoload -U +X compinit bashcompinit")
    assert zsh.endswith(done("completion", "bash", cwd=tmp_path))
    fish = done("completion", "fish", cwd=tmp_path)
    assert "complete -c flowsolve -f -n __fish_use_subcommand -a compare -d 'error against" in fish
    assert "-n '__fish_seen_subcommand_from compare' -l dtype -r -a 'float32 float64" in fish
    for shell, text in (("zsh", zsh), ("fish", fish)):
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=text, text=True, check=True)
