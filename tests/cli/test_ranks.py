"""torchrun and job arrays, in real processes: the results of one process, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from flowsolve.metrics import Moments
from tests.cli.helpers import MINE, done, flowsolve, outside

pytestmark = pytest.mark.usefixtures("undrawn")
STUDY = ["compare", "mixture", "--seeds", "24", "--block", "8", "--solvers", "heun", "unipc",
         "--nfe", "4", "6", "8", "--threads", "1", "--out"]  # fmt: skip
QUALITY = ["quality", "letters", "--samples", "16", "--block", "6", "--solvers", "euler", "ddimeta",
           "--nfe", "3", "--distances", "frechet", "energy", "--threads", "1", "--out"]  # fmt: skip
SAMPLES = ["sample", "digits", "--samples", "20", "--block", "6", "--nfe", "4", "--threads", "1"]
SLOW = ["quality", "mymodule:problem", "--samples", "24", "--block", "4", "--solvers", "euler", "heun",
        "--nfe", "4", "6", "--threads", "1", "--out", "out"]  # fmt: skip


def ranks(n: int, args: list[str], cwd: Path, **env: str) -> subprocess.Popen[str]:
    """`torchrun --nproc_per_node n -m flowsolve ...`, a group of processes of its own."""
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(n),
    ]
    return subprocess.Popen(
        [*run, "-m", "flowsolve", *args], cwd=cwd, env={**os.environ, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def by_hand(n: int, args: list[str], cwd: Path, **env: str) -> list[subprocess.Popen[str]]:
    """The same without torchrun, as srun starts them: nobody ends the others when one dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(n), **env}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "flowsolve", *args], cwd=cwd, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **known, "RANK": str(i)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for i in range(n)
    ]  # fmt: skip


def output(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out[-2000:] + err[-3000:]
    return out + err


@pytest.fixture(scope="module")
def slow_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Those of SLOW in one process."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "mymodule.py").write_text(MINE)
    done(*SLOW, cwd=folder)
    return rows(folder / "out")


def rows(folder: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By what was measured, without the time that it took; each once."""
    found = {}
    for line in (folder / "rows.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        del row["seconds"]
        key = row["solver"], row["asked"], row["seeds"]
        assert key not in found
        found[key] = row
    assert not [p.name for p in folder.iterdir() if p.name.startswith("rows.rank")]
    return found


def until(condition: Any) -> None:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 120
        time.sleep(0.02)


@pytest.mark.parametrize("n", [2, 4])
def test_rows_of_a_study_are_those_of_one_process(n: int, tmp_path: Path) -> None:
    done(*STUDY, "one", cwd=tmp_path)
    said = output(ranks(n, [*STUDY, "many"], tmp_path))
    assert rows(tmp_path / "many") == rows(tmp_path / "one")
    assert len(rows(tmp_path / "one")) == 18
    assert "[18/18]" in said  # rank 0 tells of the rows of all
    assert said.count("RMS error ± its standard error") == 1
    # what is there is found again, by one process
    again = flowsolve(*STUDY, "many", cwd=tmp_path)
    assert again.returncode == 0
    assert rows(tmp_path / "many") == rows(tmp_path / "one")


def test_quality_with_labels_is_that_of_one_process(tmp_path: Path) -> None:
    done(*QUALITY, "one", cwd=tmp_path)
    output(ranks(3, [*QUALITY, "many"], tmp_path))
    one = rows(tmp_path / "one")
    assert rows(tmp_path / "many") == one
    assert all(row["frechet"] > 0 < row["energy"] for row in one.values())
    real = [Moments.load(tmp_path / name / "real.npz") for name in ("one", "many")]
    assert torch.equal(real[0].covariance, real[1].covariance)


@pytest.mark.gpu
def test_ranks_on_a_gpu_give_what_one_process_gives_there(tmp_path: Path) -> None:
    """Both on the same one, where there is no other."""
    at = ["--device", "cuda:0"]
    for args in ([*SAMPLES, "--step-noise", "counter", "--solver", "ddimeta"], QUALITY[:-1]):
        kind = args[0]
        output(by_hand(1, [*args, *at, "--out", f"{kind}-one"], tmp_path)[0])
        output(ranks(2, [*args, *at, "--out", f"{kind}-many"], tmp_path))
    files = [tmp_path / f"sample-{name}" / "samples.safetensors" for name in ("one", "many")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert rows(tmp_path / "quality-one") == rows(tmp_path / "quality-many")


def test_samples_are_those_of_one_process(tmp_path: Path) -> None:
    done(*SAMPLES, "--out", "one", cwd=tmp_path)
    output(ranks(2, [*SAMPLES, "--out", "many"], tmp_path))
    for i in (1, 0):
        said = done(*SAMPLES, "--out", "array", "--shard", f"{i}/2", cwd=tmp_path)
        assert said.startswith(
            f"shard{i}of2: done. When all shards have ended, the same command without"
        )
    done(*SAMPLES, "--out", "array", cwd=tmp_path)
    files = [tmp_path / name / "samples.safetensors" for name in ("one", "many", "array")]
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    assert load_file(files[0])["x"].shape == (20, 1, 8, 8)
    assert not (tmp_path / "many" / "blocks").exists()


def test_who_is_killed_loses_a_block_and_the_others_go_on(
    tmp_path: Path, slow_rows: dict[tuple[Any, ...], dict[str, Any]]
) -> None:
    (tmp_path / "mymodule.py").write_text(MINE)
    slow = {"SLOW": "0.05", "FLOWSOLVE_PATIENCE": "3"}
    processes = by_hand(3, SLOW, tmp_path, **slow)
    until(lambda: len([*(tmp_path / "out").glob("samples/*.safetensors")]) > 2)
    processes[2].send_signal(signal.SIGKILL)
    output(processes[0])
    output(processes[1])
    assert processes[2].wait(60) == -signal.SIGKILL
    processes[2].communicate()
    assert rows(tmp_path / "out") == slow_rows


@pytest.mark.parametrize("who", ["one rank", "rank 0", "all"])
def test_after_a_kill_another_number_of_processes_goes_on(
    who: str, tmp_path: Path, slow_rows: dict[tuple[Any, ...], dict[str, Any]]
) -> None:
    (tmp_path / "mymodule.py").write_text(MINE)
    blocks = tmp_path / "out" / "samples"
    if who == "rank 0":
        processes = by_hand(2, SLOW, tmp_path, SLOW="0.05", FLOWSOLVE_PATIENCE="3")
        until(lambda: len([*blocks.glob("*.safetensors")]) > 3)
        processes[0].send_signal(signal.SIGKILL)
        said = output(processes[1], 1)
        assert "rank 1 does not reach the others any more" in said
        assert "What was computed is on the disk, and the same command continues from there" in said
        assert "Traceback" not in said
        processes[0].communicate()
    else:
        process = ranks(3, SLOW, tmp_path, SLOW="0.05")
        until(lambda: len([*blocks.glob("*.safetensors")]) > 3)
        if who == "all":
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            found = subprocess.run(
                ["pgrep", "-f", "mymodule:problem"], capture_output=True, text=True
            )
            for pid in found.stdout.split():  # torchrun starts its ranks in sessions of their own
                if os.readlink(f"/proc/{pid}/cwd") == str(tmp_path):
                    os.kill(int(pid), signal.SIGKILL)
        else:
            found = subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
            )
            os.kill(int(found.stdout.split()[-1]), signal.SIGKILL)
            output(process, 1)
    kept = {p.name: p.stat().st_mtime_ns for p in blocks.glob("*.safetensors")}
    assert 3 < len(kept) < 24
    output(ranks(2, SLOW, tmp_path))
    assert all((blocks / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert rows(tmp_path / "out") == slow_rows


def test_two_unrelated_groups_on_one_folder_are_told_so(tmp_path: Path) -> None:
    (tmp_path / "mymodule.py").write_text(MINE)
    first = ranks(2, SLOW, tmp_path, SLOW="3")
    until(lambda: (tmp_path / "out" / "settings.json").exists())
    try:
        alone = outside(*SLOW, cwd=tmp_path)
        assert alone.returncode == 1
        assert "out is in use by another process" in alone.stderr
        others = by_hand(2, SLOW, tmp_path)
        said = [output(process, 1) for process in others]
        assert "out is in use by another process" in said[0]
        assert "rank 0 says: out is in use by another process" in said[1]
        shard = outside(*SLOW, "--shard", "0/2", cwd=tmp_path)
        assert "out is in use by another process" in shard.stderr
    finally:
        os.killpg(first.pid, signal.SIGTERM)
        first.communicate()


def test_a_command_that_cannot_be_shared_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "2"),
        ("MASTER_ADDR", "::1"),
        ("MASTER_PORT", "1"),
    ):
        monkeypatch.setenv(name, value)
    made = flowsolve("certify", "ddim", cwd=tmp_path)
    assert made.returncode == 2
    assert "certify runs in one process: start it without torchrun" in made.stderr


def test_shards_do_not_replace_what_is_there(tmp_path: Path) -> None:
    made = flowsolve(*STUDY, "out", "--overwrite", "--shard", "0/2", cwd=tmp_path)
    assert made.returncode == 2
    assert (
        "--overwrite is for one process: remove the folder before the shards start" in made.stderr
    )


def test_a_folder_keeps_its_number_of_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    done(*STUDY, "out", cwd=tmp_path)
    args = [a for a in STUDY if a not in ("--threads", "1")]
    done(*args, "out", cwd=tmp_path)  # takes those of the folder
    assert json.loads((tmp_path / "out" / "settings.json").read_bytes())["threads"] == 1
    made = flowsolve(*args, "out", "--threads", "2", cwd=tmp_path)
    assert made.returncode == 1
    assert "holds other results, of threads 1, not 2" in made.stderr
    assert torch.get_num_threads() == before
