from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from inverse.errors import Failure, OutputError, UsageError
from inverse.restoration.plan import Item, Plan, Terms, Unit, block_size, item_name, split, units
from inverse.runs.executors import executor, parse_shard
from inverse.runs.ledger import Ledger
from inverse.storage.files import file_hash, read_hdf5, read_json, write_hdf5
from inverse.storage.locks import run_lock


def test_hdf5_bytes_depend_on_the_arguments_only(tmp_path: Path) -> None:
    data = {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "q": np.zeros(2)}
    first = write_hdf5(tmp_path / "a.h5", data, {"": {"item": "i"}, "q": {"q": (0.1, 0.9)}})
    second = write_hdf5(tmp_path / "sub" / "b.h5", data, {"": {"item": "i"}, "q": {"q": (0.1, 0.9)}})
    assert first == second == file_hash(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_hdf5(tmp_path / "a.h5")["x"], data["x"])


def test_large_hdf5_goes_through_a_part_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inverse.storage.files.MEMORY_LIMIT", 10)
    write_hdf5(tmp_path / "a.h5", {"x": np.arange(12.0)}, {})
    assert read_hdf5(tmp_path / "a.h5")["x"][-1] == 11
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_marker_counts_only_while_its_files_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "out.bin").write_bytes(b"result")
    ledger = Ledger(tmp_path, {"recipe": "r"})
    ledger.mark("u", "input", {"out.bin": file_hash(tmp_path / "out.bin")})
    assert ledger.valid("u", "input")
    assert ledger.valid("u", "other input") is None
    assert Ledger(tmp_path, {"recipe": "other"}).valid("u", "input") is None
    (tmp_path / "out.bin").write_bytes(b"resul")
    assert ledger.valid("u", "input") is None
    (tmp_path / "out.bin").unlink()
    assert ledger.valid("u", "input") is None


def test_a_damaged_marker_is_no_marker(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {})
    ledger.mark("u", "input", {})
    (ledger.done / "u.json").write_text('{"files": ')
    assert ledger.valid("u", "input") is None
    assert read_json(tmp_path / "missing.json") is None


def test_failure_round_trip(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {})
    failure = Failure.of("a.png", "read", OutputError("no\nspace", "free some"))
    ledger.fail("u", failure)
    assert ledger.failure("u") == failure
    assert (failure.reason, failure.code) == ("no space", 7)
    ledger.clear("u")
    assert ledger.failure("u") is None


def test_plan_round_trip_and_round_robin(tmp_path: Path) -> None:
    terms = Terms("r", "", 5, ("mean",), "float32", "cpu", 1, {"torch": "2"})
    plan = Plan(terms, (Item("a.png", "s", (3, 8, 8), 2), Item("b/ö.png", "t", (3, 8, 8), 5)))
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan
    assert split(plan.items[0], 5) == [Unit("a.png", 0, 2), Unit("a.png", 2, 4), Unit("a.png", 4, 5)]
    everything = units(plan)
    parts = [units(plan, (i, 3)) for i in (1, 2, 3)]
    assert sorted([unit for part in parts for unit in part], key=everything.index) == everything
    assert len({unit.name for unit in everything}) == 4
    assert item_name("x/a.png") != item_name("y/a.png")
    assert Plan.load(tmp_path / "nowhere") is None


def test_block_size() -> None:
    assert block_size((3, 512, 512), 4, None) == 1
    assert block_size((3, 64, 64), 4, None) == 4
    assert block_size((3, 64, 64), 4, 3) == 3


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1", "1/0"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shard(text)


def test_executors() -> None:
    todo, solved = [Unit("a", 0, 1), Unit("a", 1, 2)], []
    assert list(executor("serial").map(solved.append, iter([*todo, None]).__next__)) == todo == solved
    with pytest.raises(UsageError, match="serial"):
        executor("ray")
    with pytest.raises(UsageError, match="processes"):
        executor("serial", workers=2)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        with pytest.raises(OutputError, match="is being written by process"), run_lock(tmp_path):
            pass
        with pytest.raises(OutputError), run_lock(tmp_path, shard=(1, 2)):
            pass
    with run_lock(tmp_path):
        pass


def test_shards_share_a_folder_but_not_a_part(tmp_path: Path) -> None:
    with run_lock(tmp_path, shard=(1, 2)), run_lock(tmp_path, shard=(2, 2)):
        for other in ((1, 2), (1, 3), None):
            with pytest.raises(OutputError), run_lock(tmp_path, shard=other):
                pass


def _hold(folder: Path, ready: object) -> None:
    with run_lock(folder):
        ready.set()  # type: ignore[attr-defined]
        import time

        time.sleep(60)


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    with pytest.raises(OutputError, match=f"process {process.pid}"), run_lock(tmp_path):
        pass
    process.kill()
    process.join()
    with run_lock(tmp_path):
        pass
