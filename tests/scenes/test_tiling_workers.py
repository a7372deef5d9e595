"""Workers that share the tiles of a scene: in every step each takes those that nobody is at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from inverse.errors import InputError
from inverse.io.tiling import Tiling
from inverse.restoration.options import Options
from inverse.restoration.plan import Item, item_name, split
from inverse.runs.processes import Processes, _Crew
from inverse.runs.progress import Progress
from inverse.runs.run import restore
from inverse.scenes.state import State

rasterio = pytest.importorskip("rasterio")

FILES = ("restored/scene.tif", "std/scene.tif", "items/scene.tif/posterior.h5")
RECIPE = {
    "operator": {"kind": "gap-mask"},
    "noise": {"kind": "gaussian", "sigma": 0.02},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 12},
    "data": {"scale": [0, 20000]},
    "run": {"samples": 2, "seed": 0},
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "scene.tif"
    rows, columns = np.mgrid[:200, :330]
    values = np.rint(9000 + 3000 * np.sin(rows / 17) * np.cos(columns / 23)).astype(np.uint16)
    values[(rows + columns // 7) % 32 < 5] = 0
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(30.0, 0, 500000.0, 0, -30.0, 4000000.0)}
    profile = {"dtype": "uint16", "count": 1, "height": 200, "width": 330, "nodata": 0, **place}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(values[None])
    return path


def run(scene, out, **options):
    return restore(RECIPE, scene, out=out, options=Options(progress="off", threads=1, tile=64, **options))


@pytest.fixture(scope="module")
def alone(scene, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run(scene, out).exit_code == 0
    return {name: (out / name).read_bytes() for name in FILES}


def test_two_workers_share_the_tiles_though_one_is_killed(scene, alone, tmp_path, monkeypatch, caplog):
    start, advance, workers, done = _Crew._start, Progress.advance, [], []

    def started(self):
        workers.append(start(self))
        return workers[-1]

    def advanced(self, item, count):
        done.append(count)
        if sum(done[:-1]) < 0.3 <= sum(done):
            os.kill(workers[0].process.pid, signal.SIGKILL)
        advance(self, item, count)

    monkeypatch.setattr(_Crew, "_start", started)
    monkeypatch.setattr(Progress, "advance", advanced)
    with caplog.at_level("INFO", "inverse"):
        made = run(scene, tmp_path / "out", executor=Processes(2))
    assert made.exit_code == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == alone
    assert len(workers) == 3
    assert "its work is done again" in caplog.text
    assert not list((tmp_path / "out" / ".inverse" / "scene").iterdir())
    assert [path.stem for path in (tmp_path / "out" / ".inverse" / "done").iterdir()] == [item_name("scene.tif")]


def test_a_tile_that_another_process_is_at_is_left_to_it_until_it_dies(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path\n"
        "from inverse.scenes.state import State; from inverse.io.tiling import Tiling\n"
        "state = State(Path(sys.argv[1]), (1, 128, 192), Tiling((128, 192), 64, 8), {})\n"
        "for number, _ in state.todo(0):\n"
        "    print(number, flush=True)\n"
        "    time.sleep(1000 * (number == 1))\n"
    )
    other = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert [other.stdout.readline().strip() for _ in range(2)] == ["0", "1"]
    state = State(tmp_path, (1, 128, 192), Tiling((128, 192), 64, 8), {})
    todo = state.todo(0)
    assert [next(todo)[0] for _ in range(4)] == [2, 3, 4, 5]
    assert state.turn == 0
    other.kill()
    other.communicate()
    assert [number for number, _ in todo] == [1], "of the dead one, and 0 was done"
    assert state.turn == 1
    state.close()


def test_two_shards_share_the_tiles(scene, alone, tmp_path):
    first = run(scene, tmp_path / "out", shard=(1, 2))
    assert not (tmp_path / "out" / "restored").exists(), "the other shard's hands are still to come"
    assert first.exit_code == 0
    assert run(scene, tmp_path / "out", shard=(2, 2)).exit_code == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == alone


def test_what_fails_is_said_once(scene, tmp_path, monkeypatch, caplog):
    from inverse.scenes.source import FileScene

    def broken(self, window):
        raise InputError("a strip of the file is damaged")

    monkeypatch.setattr(FileScene, "picture", broken)
    with caplog.at_level("INFO", "inverse"):
        made = run(scene, tmp_path / "out")
    assert made.exit_code == 4
    assert caplog.text.count("a strip of the file is damaged") == 1
    monkeypatch.undo()
    assert run(scene, tmp_path / "out").exit_code == 0


def test_a_failure_of_an_earlier_run_stops_nobody(scene, alone, tmp_path, monkeypatch):
    from inverse.scenes.passes import SceneSteps
    from inverse.scenes.source import FileScene

    def broken(self, window):
        raise InputError("a strip of the file is damaged")

    monkeypatch.setattr(FileScene, "picture", broken)
    assert run(scene, tmp_path / "out", shard=(1, 2)).exit_code == 4
    monkeypatch.undo()
    step, steps = SceneSteps._step, []
    monkeypatch.setattr(SceneSteps, "_step", lambda self, *given: steps.append(given) or step(self, *given))
    assert run(scene, tmp_path / "out", shard=(2, 2)).exit_code == 0
    assert len(steps) == 24 * 12 * 2
    assert run(scene, tmp_path / "out", shard=(1, 2)).exit_code == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == alone


def test_one_worker_out_of_memory_leaves_the_scene_to_the_others(scene, alone, tmp_path, monkeypatch, caplog):
    from inverse.scenes.passes import SceneSteps

    start, calls = SceneSteps._start, []

    def first_fails(self, sample, tile):
        calls.append(tile)
        if len(calls) == 5:
            raise MemoryError
        start(self, sample, tile)

    monkeypatch.setattr(SceneSteps, "_start", first_fails)
    with caplog.at_level("INFO", "inverse"):
        assert run(scene, tmp_path / "out").exit_code == 0
    assert "leaves the scene to the others" in caplog.text
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == alone


def test_a_scene_has_hands_and_one_that_fits_a_tile_has_none():
    scene = Item("a", "", (3, 500, 700), 2, tile=128)
    hands = split(scene, 4)
    assert [unit.part for unit in hands] == list(range(16))
    assert sum(unit.stop - unit.start for unit in hands) == 4
    assert len({unit.name for unit in hands}) == 16
    for other in (
        Item("a", "", (3, 100, 100), 4, tile=128),
        Item("a", "", (3, 500, 700), 4, tile=128, independent=True),
    ):
        assert [unit.part for unit in split(other, 4)] == [None]
