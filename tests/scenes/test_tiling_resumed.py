"""A scene of tiles that was killed, failed, or had too little memory, and is run again."""

from __future__ import annotations

import numpy as np
import pytest
from scene_runs import RECIPE, cropped, killed_after, read, run

from inverse.errors import MemoryLimitError
from inverse.restoration.options import Options
from inverse.runs.run import restore
from inverse.scenes.job import discard

pytest.importorskip("rasterio")

AREA = {**RECIPE, "operator": {"kind": "downsample", "factor": 2}, "data": {"scale": "auto"}}


def test_killed_it_goes_on_and_ends_with_the_same_bytes(scene, tmp_path, monkeypatch):
    run(RECIPE, scene, tmp_path / "a", tile=64)
    done = killed_after(monkeypatch, 50)
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, scene, tmp_path / "b", tile=64)
    assert not (tmp_path / "b" / "restored").exists()
    run(RECIPE, scene, tmp_path / "b")  # the plan says which tiles
    assert len(done) == 12 * 5 * 2 + 1  # the tile in flight twice
    for path in ("restored/scene.tif", "std/scene.tif", "items/scene.tif/posterior.h5"):
        first, second = ((tmp_path / run / path).read_bytes() for run in "ab")
        assert first == second, path
    done.clear()
    run(RECIPE, scene, tmp_path / "b")
    assert not done


def test_smaller_tiles_after_an_interruption(scene, tmp_path, monkeypatch):
    from inverse.scenes.state import State

    todo = State.todo

    def once(self, turn):
        yield next(todo(self, turn))
        raise KeyboardInterrupt

    monkeypatch.setattr(State, "todo", once)
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, scene, tmp_path / "a", tile=128)
    monkeypatch.undo()
    assert run(RECIPE, scene, tmp_path / "a", tile=64)["tiles"] == "coupled, 64"


def test_tiles_after_memory_did_not_suffice(scene, tmp_path, monkeypatch):
    def never(*_, **__):
        raise MemoryError

    monkeypatch.setattr("inverse.restoration.item.draw", never)
    made = restore(RECIPE, scene, out=tmp_path / "a", options=Options(progress="off"))
    assert made.exit_code == MemoryLimitError.exit_code
    assert "--tile" in made.failures[0].hint
    assert made.failures[0].reason.startswith("out of memory")
    assert run(RECIPE, scene, tmp_path / "a", tile=64)["tiles"] == "coupled, 64"


def test_a_state_that_a_kill_left_is_removed(scene, tmp_path, monkeypatch):
    left = []

    def killed(folder):
        left.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("inverse.runs.unit.discard", killed)
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, scene, tmp_path / "a", tile=64)
    monkeypatch.setattr("inverse.runs.unit.discard", discard)
    (folder,) = left
    folder.with_name(f".{folder.name}").mkdir()  # and what a kill in the middle of removing leaves
    other = folder.with_name("other")
    other.mkdir()
    run(RECIPE, scene, tmp_path / "a")
    assert list(folder.parent.iterdir()) == [other]


def test_out_of_memory_halves_the_tile(scene, tmp_path, monkeypatch, caplog):
    from inverse.scenes.passes import SceneSteps

    run(RECIPE, scene, tmp_path / "a", tile="off")
    start = SceneSteps._start

    def small(self, sample, tile):
        if self.tiling.side > 64:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        start(self, sample, tile)

    monkeypatch.setattr(SceneSteps, "_start", small)
    with caplog.at_level("INFO", "inverse"):
        row = run(RECIPE, scene, tmp_path / "b", tile=128)
    assert "out of memory, tiles of 64" in caplog.text
    assert row["tiles"] == "coupled, 64"
    assert (
        np.nanmax(np.abs(read(tmp_path / "a/restored/scene.tif")[0] - read(tmp_path / "b/restored/scene.tif")[0])) <= 1
    )

    def never(self, sample, tile):
        raise MemoryError

    monkeypatch.setattr(SceneSteps, "_start", never)
    made = restore(RECIPE, scene, out=tmp_path / "c", options=Options(progress="off", tile=128))
    assert made.exit_code == MemoryLimitError.exit_code == 6


def test_smaller_tiles_are_multiples_of_the_smallest():
    from inverse.restoration.memory import halved

    tried, said = [], []

    def never(size):
        tried.append(size)
        raise MemoryError

    with pytest.raises(MemoryLimitError, match="too large") as caught:
        halved(never, 448, said.append, least=192, failed="too large", hint="cut it")
    assert caught.value.hint == "cut it"
    assert tried == [448, 192]
    tried.clear()
    with pytest.raises(MemoryLimitError):
        halved(never, 320, said.append, least=64, failed="too large")
    assert tried == [320, 128, 64]


def test_tiles_are_chosen_by_free_memory(scene, tmp_path, monkeypatch):
    assert "tiles" not in run(RECIPE, scene, tmp_path / "a")
    monkeypatch.setattr("inverse.scenes.tile_size.free_bytes", lambda device: 10_000_000)
    assert run(RECIPE, scene, tmp_path / "b")["tiles"] == "coupled, 64"
    scene = cropped(scene, 70, 90)
    thirds = {**AREA, "operator": {"kind": "downsample", "factor": 3}}  # tiles that whole pixels of the file make
    assert run(thirds, scene, tmp_path / "d")["tiles"] == "coupled, 192"
    # no coupled tiles: as before, in memory
    assert "tiles" not in run({**RECIPE, "operator": {"kind": "destripe"}}, scene, tmp_path / "c")
