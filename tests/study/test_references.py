"""References: honest about their own error, and a cache that survives damage, kills and company."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import cache as cache_calls
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import LOG_SIGMA, log_snr, solve
from flowsolve.errors import NonFiniteError
from flowsolve.ode import ODE
from flowsolve.problems import Dataset, Gaussian, Mixture, Mixture1D, NetworkProblem, Problem
from flowsolve.study import cache
from flowsolve.study.references import _key, reference
from flowsolve_solvers import RK4, Scipy

HIGH, LOW = 10.0, 0.1


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWSOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


class Counting(Mixture1D):
    """A mixture whose closed form is hidden, and that counts."""

    exact = False
    calls = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        Counting.calls += 1
        return super().eps(x, sigma)


# --- the numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [Gaussian(), Mixture1D()], ids=repr)
@pytest.mark.parametrize(("s", "t"), [(HIGH, LOW), (LOW, HIGH), (HIGH, 1.0)])
def test_closed_form_agrees_with_an_integrator(problem: Problem, s: float, t: float) -> None:
    x = problem.start(range(5), torch.float64)
    if s < t:
        x = problem.flow(x, HIGH, LOW)
    found = reference(problem, x, s, t)
    other = solve(problem, x, [s, t] if s > t else log_snr(1, t, s).reversed(), Scipy()).x
    assert rms(found.x - other) < 1e-8 * max(1.0, rms(other))
    assert found.how == "closed form, against its composition"
    assert 0 < found.err < 1e-12 * max(1.0, rms(found.x))
    assert (found.x.dtype, found.x.shape) == (torch.float64, x.shape)


@cache_calls
def fine(problem: Problem, steps: int) -> Tensor:
    x = problem.start(range(4), torch.float64)
    return solve(problem, x, log_snr(steps, HIGH, LOW), RK4(LOG_SIGMA)).x


@pytest.mark.parametrize("problem", [Mixture(), Dataset()], ids=repr)
@pytest.mark.parametrize("tolerance", [1e-5, 1e-9])
def test_integrated_error_is_honest(problem: Problem, tolerance: float) -> None:
    x = problem.start(range(4), torch.float64)
    found = reference(problem, x, HIGH, LOW, tolerance=tolerance)
    finer, finest = fine(problem, 1200), fine(problem, 2400)
    assert rms(finer - finest) / 15 < 0.1 * found.err  # the judge is better than the judged
    assert rms(found.x - finest) <= 10 * found.err
    assert 0 < found.err <= tolerance * rms(found.x)
    assert re.fullmatch(r"DOP853 in log σ, rtol 1e-\d\d against 1e-\d\d", found.how)


def test_closed_form_and_integrated_agree() -> None:
    x = Mixture1D().start(range(5), torch.float64)
    integrated, exact = reference(Counting(), x, HIGH, LOW), reference(Mixture1D(), x, HIGH, LOW)
    assert "DOP853" in integrated.how
    assert "closed form" in exact.how
    assert rms(integrated.x - exact.x) <= 10 * integrated.err
    assert integrated.err <= Mixture1D.tolerance * rms(exact.x)


def test_up_is_the_inverse_of_down() -> None:
    problem = Mixture()
    x = problem.start(range(3), torch.float64)
    down = reference(problem, x, HIGH, LOW, tolerance=1e-9)
    up = reference(problem, down.x, LOW, HIGH, tolerance=1e-9)
    assert rms(up.x - x) < 1e-6


def test_state_of_another_dtype_and_integer_ends() -> None:
    x = Mixture1D().start(range(3), torch.float32)
    found = reference(Mixture1D(), x, 10, 1)
    assert found.x.dtype == torch.float64
    assert torch.equal(found.x, reference(Mixture1D(), x.double(), 10.0, 1.0).x)


def test_a_reference_is_never_nan() -> None:
    x = torch.tensor([1.0, float("nan")], dtype=torch.float64)
    with pytest.raises(NonFiniteError, match="is not finite"):
        reference(Gaussian(), x[None], HIGH, LOW)


# --- the cache: hits and keys --------------------------------------------------------------------


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.exists() else []


def test_the_second_call_reads(folder: Path) -> None:
    x = Counting().start(range(3), torch.float64)
    Counting.calls = 0
    first, cost = reference(Counting(), x, HIGH, LOW), Counting.calls
    assert cost > 100
    assert [p.suffix for p in entries(folder)] == [".safetensors"]
    second = reference(Counting(), x, HIGH, LOW)
    assert Counting.calls == cost
    assert torch.equal(first.x, second.x)
    assert (first.err, first.how) == (second.err, second.how)
    reference(Counting(), x, HIGH, LOW, cached=False)
    assert Counting.calls == 2 * cost
    assert len(entries(folder)) == 1


def test_everything_is_in_the_key(folder: Path) -> None:
    x = Mixture1D().start(range(3), torch.float64)
    nearby = x.clone()
    nearby[0] = torch.nextafter(nearby[0], nearby[1])
    asks = [
        (Mixture1D(), x, HIGH, LOW, 1e-6),
        (Mixture1D(means=(-1.0, 0.8000000001)), x, HIGH, LOW, 1e-6),
        (Counting(), x, HIGH, LOW, 1e-6),
        (Mixture1D(), nearby, HIGH, LOW, 1e-6),
        (Mixture1D(), x[:2], HIGH, LOW, 1e-6),
        (Mixture1D(), x, HIGH + 1e-14, LOW, 1e-6),
        (Mixture1D(), x, HIGH, LOW * (1 + 1e-15), 1e-6),
        (Mixture1D(), x, HIGH, LOW, 1e-7),
    ]
    for count, (problem, start, s, t, tolerance) in enumerate(asks, 1):
        reference(problem, start, s, t, tolerance=tolerance)
        assert len(entries(folder)) == count
    for problem, start, s, t, tolerance in asks:
        reference(problem, start, s, t, tolerance=tolerance)
    assert len(entries(folder)) == len(asks)


# --- damage --------------------------------------------------------------------------------------


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_end(data: bytes) -> bytes:
    return data[:-1]


def empty(data: bytes) -> bytes:
    return b""


def random_bytes(data: bytes) -> bytes:
    return bytes(torch.randint(0, 256, (len(data),)).tolist())


def flipped_in_tensor(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def flipped_in_err(data: bytes) -> bytes:
    at = data.index(b'"err":"') + 7
    return data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :]


def other_dtype(data: bytes) -> bytes:
    return data.replace(b'"F64"', b'"I64"')


DAMAGES = [
    truncated,
    without_end,
    empty,
    random_bytes,
    flipped_in_tensor,
    flipped_in_err,
    other_dtype,
]


def test_a_network_has_a_reference_of_its_own_in_every_dtype_and_on_every_device(
    folder: Path,
) -> None:
    """In float32 this network is another, and the tolerance is the same for both."""

    def network(x: Tensor, sigma: float) -> Tensor:
        return x / 3 if x.dtype == torch.float64 else x / 5

    class Network(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return network(x, sigma)

    problem = NetworkProblem(Network(), (2,), HIGH, LOW, digest="two dtypes")
    problem.tolerance = 1e-4  # type: ignore[misc]
    x = torch.ones(1, 2)
    single, double = (
        reference(problem, x.to(d), HIGH, LOW) for d in (torch.float32, torch.float64)
    )
    assert len(entries(folder)) == 2
    assert rms(single.x - double.x) > 0.01
    where = [("torch.float32", "cpu"), ("torch.float64", "cpu"), ("torch.float32", "cuda")]
    keys = {_key(problem, x.double(), (HIGH, LOW), 1e-4, w) for w in where}
    assert len(keys) == 3
    assert {p.stem for p in entries(folder)} <= keys


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_computed_again(damage, folder: Path) -> None:
    x = Mixture1D().start(range(3), torch.float64)
    good = reference(Mixture1D(), x, HIGH, LOW)
    (path,) = entries(folder)
    whole = path.read_bytes()
    broken = damage(whole)
    assert broken != whole
    path.write_bytes(broken)
    with pytest.warns(RuntimeWarning) as caught:
        again = reference(Mixture1D(), x, HIGH, LOW)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith(f"{path} is damaged (")
    assert text.endswith("); it is computed again.")
    if damage in (flipped_in_tensor, flipped_in_err, other_dtype):
        assert "its checksum does not match its content" in text
    assert torch.equal(again.x, good.x)
    assert again.err == good.err
    # mended: read without a warning from now on
    assert entries(folder) == [path]
    found = cache.load(path.stem)
    assert found is not None
    assert torch.equal(found[0], good.x)


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    x = Mixture1D().start(range(3), torch.float64)
    good = reference(Mixture1D(), x, HIGH, LOW)
    (path,) = entries(folder)
    path.unlink()
    path.mkdir()
    with pytest.warns(RuntimeWarning) as caught:
        again = reference(Mixture1D(), x, HIGH, LOW)
    assert ["is damaged" in str(w.message) for w in caught] == [True, False]
    assert str(caught[1].message).startswith("could not store")
    assert torch.equal(again.x, good.x)
    assert entries(folder) == [path]  # no litter


def test_an_unwritable_cache_still_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a regular file")
    monkeypatch.setenv("FLOWSOLVE_CACHE", str(tmp_path / "file" / "cache"))
    x = Mixture1D().start(range(3), torch.float64)
    with pytest.warns(RuntimeWarning, match=r"^could not store .*: .*Not a directory"):
        found = reference(Mixture1D(), x, HIGH, LOW)
    assert torch.equal(found.x, Mixture1D().flow(x, HIGH, LOW))


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="could not store .*: .*No space left"):
        cache.store("key", torch.ones(3), {})
    assert entries(folder) == []


def test_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert cache.cache_folder() == folder
    monkeypatch.delenv("FLOWSOLVE_CACHE")
    assert cache.cache_folder().name == "flowsolve"


# --- other processes -----------------------------------------------------------------------------

KILLED = """
import os, sys, time
import torch
from flowsolve.study import cache

real = os.{where}
def slow(*args):
    if "{where}" == "fsync":
        os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)  # as far as the disk had got
    print("ready", flush=True)
    time.sleep(60)
os.{where} = slow
cache.store("key", torch.arange(1000.0), {{}})
"""

STORING = """
import sys
import torch
from flowsolve.study import cache

x = torch.arange(100_000.0)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    cache.store("key", x, {"who": "both"})
    found = cache.load("key")
    assert found is not None and torch.equal(found[0], x), found
print("done", flush=True)
"""


def spawn(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_killed_while_storing(where: str, folder: Path) -> None:
    with spawn(KILLED.format(where=where)) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            assert len(entries(folder)) == 1  # it is in the middle of it
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
    assert list(folder.glob("*.safetensors")) == []
    assert cache.load("key") is None  # without a warning: nothing half was seen
    cache.store("key", torch.arange(1000.0), {})
    found = cache.load("key")
    assert found is not None
    assert torch.equal(found[0], torch.arange(1000.0))


def test_two_processes_store_one_key(folder: Path) -> None:
    with spawn(STORING) as one, spawn(STORING) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outs = [process.communicate(timeout=60) for process in (one, two)]
    assert outs == [("done\n", "")] * 2
    assert [p.name for p in entries(folder)] == ["key.safetensors"]
    found = cache.load("key")
    assert found is not None
    assert torch.equal(found[0], torch.arange(100_000.0))
    assert found[1] == {"who": "both"}
