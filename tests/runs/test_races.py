"""Processes that start at the same moment, many times."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inverse.errors import OutputError, RecipeError
from inverse.io.tiling import Tiling
from inverse.scenes.state import State
from inverse.storage.locks import run_lock

PROCESSES, ROUNDS = 4, 120
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "inverse.sampling.posterior_samples",
        "inverse.runs.run",
        "inverse.io.formats.tiff",
        "inverse.operators.build",
        "h5py",
    ]
)


def starting(act: Callable[[Path, int, Any], None], folder: Path, place: int, barrier: Any, said: Any) -> None:
    """What went wrong in all rounds."""
    wrong = []
    for number in range(ROUNDS):
        barrier.wait(60)
        try:
            act(folder / str(number), place, barrier)
        except Exception:  # as text: whatever it is, the round failed
            wrong.append(traceback.format_exc())
            barrier.wait(60)
    said.put(wrong)


def at_once(act: Callable[[Path, int, Any], None], folder: Path) -> list[str]:
    """What went wrong where processes do this at the same moment."""
    barrier, said = CONTEXT.Barrier(PROCESSES), CONTEXT.Queue()
    crew = [
        CONTEXT.Process(target=starting, args=(act, folder, place, barrier, said), daemon=True)
        for place in range(PROCESSES)
    ]
    for process in crew:
        process.start()
    wrong = [line for _ in crew for line in said.get(timeout=120)]
    for process in crew:
        process.join(60)
    return wrong


def make_state(folder: Path, place: int, barrier: Any) -> None:
    state = State(folder, (1, 128, 128), Tiling((128, 128), 64, 8), {"seed": 3, "tile": 64})
    state.close()
    barrier.wait(60)


def hold_shard(folder: Path, place: int, barrier: Any) -> None:
    with run_lock(folder, shard=(place + 1, PROCESSES)):
        barrier.wait(60)


def test_a_state_that_several_processes_make_at_once(tmp_path: Path) -> None:
    assert at_once(make_state, tmp_path) == []
    with pytest.raises(RecipeError, match="seed differs"):
        State(tmp_path / "0", (1, 128, 128), Tiling((128, 128), 64, 8), {"seed": 4, "tile": 64})


def test_shards_that_start_at_once(tmp_path: Path) -> None:
    assert at_once(hold_shard, tmp_path) == []
    with run_lock(tmp_path, shard=(1, 3)), pytest.raises(OutputError), run_lock(tmp_path, shard=(1, 4)):
        pass
