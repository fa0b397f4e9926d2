"""One study in several processes: every unit is somebody's once, and nobody waits for the dead."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed import HashStore

from flowsolve.errors import ResultsError, StateError, WrongUse
from flowsolve.problems import Mixture1D
from flowsolve.schedule.spacings import karras
from flowsolve.study import ErrorRow, Task, budget_cases, collect, error_tasks, read_jsonl
from flowsolve.study.cache import found_or_made
from flowsolve.study.lock import Lock
from flowsolve.study.one_thread import one_thread
from flowsolve.study.results import RowFile
from flowsolve.study.settings import Setup
from flowsolve.study.shards import Alone, Portion, Ranks, my_shard
from flowsolve_solvers import Euler, Heun

RUN = Setup.of({"seeds": range(12), "block": 4, "dtype": "float64"})


class Counted(Mixture1D):
    """Counts its evaluations, of all objects."""

    calls = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        Counted.calls += 1
        return super().eps(x, sigma)


def tasks() -> list[Task[ErrorRow]]:
    problem = Counted()
    cases = [c for s in (Euler(), Heun()) for c in budget_cases(s, problem, karras, [4, 6])]
    return error_tasks(cases, problem, RUN)


def bare(row: ErrorRow) -> dict[str, object]:
    """All but the time it took."""
    return {k: v for k, v in vars(row).items() if k != "seconds"}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_parts_of_a_job_array_are_all_of_it_and_no_unit_twice(n: int) -> None:
    found = [unit for i in range(n) for unit in Portion(i, n).units("x", 11)]
    assert sorted(found) == [*range(11)]
    assert [*Alone().units("x", 11)] == [*range(11)]


@pytest.mark.parametrize("n", [2, 3])
def test_shards_one_after_the_other_and_one_process_give_the_rows_of_one(
    n: int, tmp_path: Path
) -> None:
    alone = collect(tasks(), tmp_path / "alone.jsonl")
    Counted.calls, path, heard = 0, tmp_path / "rows.jsonl", list[tuple[int, int]]()
    for i in range(n):
        part = collect(tasks(), path, shard=Portion(i, n))
        assert len(part) == len(RowFile(path, ErrorRow).measured) < 12 or i == n - 1
    assert {p.name for p in tmp_path.iterdir()} == {
        "alone.jsonl",
        *(f"rows.shard{i}of{n}.jsonl" for i in range(n)),
    }
    spent = Counted.calls
    rows = collect(tasks(), path, lambda row, done, total: heard.append((done, total)))
    assert Counted.calls == spent  # nothing was measured again
    assert heard == [(i, 12) for i in range(1, 13)]
    assert [*map(bare, rows)] == [*map(bare, alone)]
    assert {p.name for p in tmp_path.iterdir()} == {"alone.jsonl", "rows.jsonl"}
    assert len(read_jsonl(path, ErrorRow)) == 12


def test_what_a_shard_left_undone_is_done_by_whoever_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    collect(tasks(), path, shard=Portion(1, 3))
    with open(tmp_path / "rows.shard1of3.jsonl", "ab") as file:
        file.write(b'{"problem": "mix')  # a kill in the middle of a line
    (tmp_path / ".rows.jsonl.shard1of3.lock").touch()
    collect(tasks(), path, shard=Portion(0, 2))
    rows = collect(tasks(), path)
    assert [*map(bare, rows)] == [*map(bare, collect(tasks()))]
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_ranks_take_the_next_unit_from_the_store(tmp_path: Path) -> None:
    store, path = HashStore(), tmp_path / "rows.jsonl"
    found: dict[int, tuple[ErrorRow, ...]] = {}
    ranks = [Ranks(store, i, 3) for i in range(3)]

    def work(i: int) -> None:
        found[i] = collect(tasks(), path, shard=ranks[i])
        ranks[i].close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [*map(bare, found[0])] == [*map(bare, collect(tasks()))]
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]
    assert len(read_jsonl(path, ErrorRow)) == 12


def test_nobody_waits_for_the_dead() -> None:
    store = HashStore()
    zero, one = Ranks(store, 0, 2, patience=0.3), Ranks(store, 1, 2)
    mine = zero.units("x", 3)
    assert next(mine) == 0
    assert next(one.units("x", 3)) == 1  # which it will never do
    assert [*mine] == [2]
    one._over.set()  # killed: no sign of life, and no word that it has ended
    heard: list[int] = []
    assert zero.wait("x", 3, heard.append)
    assert heard[-1] == zero.done("x") == 2


def test_what_the_first_says_the_others_hear_or_that_it_has_ended() -> None:
    store = HashStore()
    zero, one = Ranks(store, 0, 2), Ranks(store, 1, 2)
    zero.say("folder", {"seeds": 4})
    assert one.hear("folder") == {"seeds": 4}
    zero.close()
    with pytest.raises(
        ResultsError, match=r"^rank 0 has ended\. What was computed is on the disk, and"
    ):
        one.hear("begun")


def test_a_store_that_is_gone_is_said_to_be() -> None:
    class Gone:
        def add(self, key: str, value: int) -> int:
            raise RuntimeError("Connection reset by peer\nat line 3")

    rank = Ranks(Gone(), 2, 4)  # type: ignore[arg-type]
    with pytest.raises(
        ResultsError, match=r"rank 2 does not reach the others any more \(Connection"
    ):
        next(rank.units("x", 3))


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/2", "1/2/3", "/"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(WrongUse, match=r"--shard is i/n.*such as 0/4 to 3/4, but got"):
        my_shard(text)


def test_the_environment_of_torchrun_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(my_shard()) is Alone
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    assert type(my_shard()) is Alone  # a cluster's own variables are no torchrun
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(WrongUse, match="without torchrun"):
        my_shard("0/2")


def test_a_patience_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("RANK", "1"),
        ("WORLD_SIZE", "2"),
        ("MASTER_ADDR", "::1"),
        ("MASTER_PORT", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLOWSOLVE_PATIENCE", "long")
    with pytest.raises(
        WrongUse, match="FLOWSOLVE_PATIENCE is a number of seconds such as 60, but is 'long'"
    ):
        my_shard()


def test_several_processes_need_a_file() -> None:
    with pytest.raises(StateError, match=r"several processes share their results through a file"):
        collect(tasks(), shard=Portion(0, 2))


def test_shards_share_a_file_and_one_process_alone_does_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    shared = Lock(path.with_name(".rows.jsonl.lock"), path, "", shared=True)
    with shared:
        collect(tasks(), path, shard=Portion(0, 2))
        with pytest.raises(ResultsError, match=r"rows\.jsonl is in use by another process"):
            collect(tasks(), path)
    own = Lock(path.with_name(".rows.jsonl.shard1of2.lock"), path, "")
    with own, pytest.raises(ResultsError, match=r"shard1of2 of .*rows\.jsonl is in use"):
        collect(tasks(), path, shard=Portion(1, 2))
    assert len(collect(tasks(), path)) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_what_another_process_makes_is_waited_for(tmp_path: Path) -> None:
    began, made = threading.Event(), list[int]()

    def make(who: int) -> tuple[Tensor, dict[str, str]]:
        began.set()
        threading.Event().wait(0.3)
        made.append(who)
        return torch.full((3,), float(who)), {"who": str(who)}

    first = threading.Thread(target=found_or_made, args=("key", lambda: make(1), tmp_path))
    first.start()
    assert began.wait(10)
    x, notes = found_or_made("key", lambda: make(2), tmp_path)
    first.join()
    assert made == [1]
    assert (x.tolist(), notes["who"]) == ([1.0] * 3, "1")
    assert [p.name for p in tmp_path.iterdir()] == ["key.safetensors"]


def test_sums_are_on_one_thread_and_afterwards_on_as_many_as_before() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
