"""Many samples: one file or a folder of images, whatever the blocks, in the memory of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from flowsolve.errors import SamplesError
from flowsolve.integrate import ve_start
from flowsolve.problems import Digits, Mixture
from flowsolve.schedule.spacings import log_snr
from flowsolve.study.sample_files import ImageFolder, TensorFile, eight_bits
from flowsolve.study.samples import Blocks, on_grid
from flowsolve.study.settings import Setup
from flowsolve_solvers import Euler
from tests.cli.helpers import done, flowsolve

MIXTURE = Mixture()
GRID = log_snr(3, 10.0, 0.05)
LARGE = """
import resource, sys
import torch
import flowsolve as fs
from flowsolve.problems import NetworkProblem
from flowsolve.cli.parser import main

def problem():
    ode = fs.DiffusionODE(lambda x, t: 0 * x, fs.EpsPrediction(fs.VPSDE()))
    return NetworkProblem(ode, (3, 64, 64), 10.0, 0.1, name="zero", digest="zero")

if __name__ == "__main__":
    args = ["--solver", "euler", "--nfe", "2", "--block", "8", "--out", sys.argv[1], "--quiet"]
    code = main(["sample", "large:problem", "--samples", sys.argv[1], *args])
    print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def blocks(folder: Path, problem: Any = MIXTURE, n: int = 7, block: int = 3) -> Blocks:
    run = Setup.of({"seeds": range(n), "block": block, "dtype": "float64"})
    return Blocks(problem, on_grid(Euler(), GRID, ve_start), run, folder / "blocks")


def test_one_file_holds_the_sample_of_every_seed(tmp_path: Path) -> None:
    made = blocks(tmp_path)
    file = TensorFile(made, tmp_path / "x.safetensors")
    assert file.done() is None
    for block in reversed(made.each):
        file.draw(block)
    notes = file.finish()
    assert (notes["nfe"], notes["solver run"], notes["steps"]) == ("3", "Euler()", "3")
    x = load_file(tmp_path / "x.safetensors")["x"]
    assert torch.equal(x, blocks(tmp_path).all().x)
    assert x.dtype == torch.float64
    with safe_open(tmp_path / "x.safetensors", "pt") as opened:
        assert opened.metadata()["seeds"] == "0-6"
    assert file.done() == {**notes, "seeds": "0-6"}
    assert torch.equal(file.first(4), x[:4])
    assert TensorFile(blocks(tmp_path, n=8), tmp_path / "x.safetensors").done() is None


def test_images_are_named_by_seed_and_read_as_they_were_drawn(tmp_path: Path) -> None:
    made = blocks(tmp_path, Digits().between(10.0, 0.05))
    folder = ImageFolder(made, tmp_path / "png")
    for block in made.each:
        folder.draw(block)
    notes = folder.finish()
    assert notes["nfe"] == "3"
    names = sorted(p.name for p in (tmp_path / "png").iterdir())
    assert names == [f"{i:06d}.png" for i in range(7)]
    x = blocks(tmp_path / "other", Digits().between(10.0, 0.05)).all().x
    image = np.array(Image.open(tmp_path / "png" / "000004.png"))
    assert (image == ((x[4, 0].numpy() * 127.5 + 128).clip(0, 255)).astype(np.uint8)).all()
    assert (folder.first(7) - x.clamp(-1, 1)).abs().max() < 1.01 / 127.5


def test_an_image_that_is_gone_is_drawn_again(tmp_path: Path) -> None:
    made = blocks(tmp_path, Digits().between(10.0, 0.05))
    folder = ImageFolder(made, tmp_path / "png")
    folder.finish()
    before = {p.name: p.read_bytes() for p in (tmp_path / "png").iterdir()}
    when = (tmp_path / "png" / "000000.png").stat().st_mtime_ns
    (tmp_path / "png" / "000003.png").unlink()
    folder.finish()
    assert {p.name: p.read_bytes() for p in (tmp_path / "png").iterdir()} == before
    assert (tmp_path / "png" / "000000.png").stat().st_mtime_ns == when  # of a block that is whole


def test_colours_and_the_ends_of_eight_bits() -> None:
    x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).expand(2, 3, 1, 5)
    assert eight_bits(x).shape == (2, 1, 5, 3)
    assert eight_bits(x)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_samples_that_are_no_images(tmp_path: Path) -> None:
    with pytest.raises(
        SamplesError, match=r"but samples of mixture are \(2,\): take --as safetensors"
    ):
        ImageFolder(blocks(tmp_path), tmp_path / "png")
    made = flowsolve("sample", "mixture", "--as", "png", "--out", "out", cwd=tmp_path)
    assert made.returncode == 1
    assert "PNG files are images" in made.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_continues_and_its_blocks_do_not_show(tmp_path: Path) -> None:
    args = ["sample", "mixture", "--samples", "10", "--nfe", "5", "--out"]
    done(*args, "one", "--block", "10", cwd=tmp_path)
    done(*args, "parts", "--block", "3", "--shard", "1/2", cwd=tmp_path)  # a half, as after a kill
    assert len([*(tmp_path / "parts" / "blocks").iterdir()]) == 2
    done(*args, "parts", "--block", "3", cwd=tmp_path)
    one, parts = (load_file(tmp_path / n / "samples.safetensors")["x"] for n in ("one", "parts"))
    torch.testing.assert_close(one, parts, rtol=1e-5, atol=1e-5)
    when = (tmp_path / "parts" / "samples.safetensors").stat().st_mtime_ns
    done(*args, "parts", "--block", "3", cwd=tmp_path)
    assert (tmp_path / "parts" / "samples.safetensors").stat().st_mtime_ns == when


def test_a_stochastic_method_has_its_noise(tmp_path: Path) -> None:
    x = []
    for name, more in (("a", []), ("b", ["--block", "3"]), ("c", ["--step-noise", "counter"])):
        args = ["sample", "mixture", "--samples", "10", "--nfe", "5", "--solver", "ddimeta"]
        done(*args, "--out", name, *more, cwd=tmp_path)
        x.append(load_file(tmp_path / name / "samples.safetensors")["x"])
    torch.testing.assert_close(x[0], x[1], rtol=1e-5, atol=1e-5)
    assert (x[0] - x[2]).abs().max() > 0.1


def test_the_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(LARGE)
    peaks = []
    for n in (256, 2000):  # 2000 samples take 98 MB
        made = subprocess.run(
            [sys.executable, "large.py", str(n)], cwd=tmp_path, capture_output=True, text=True
        )
        code, peak = made.stdout.split()[-2:]
        assert code == "0", made.stderr[-2000:]
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 20
    assert load_file(tmp_path / "2000" / "samples.safetensors")["x"].shape == (2000, 3, 64, 64)
