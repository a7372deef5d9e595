"""What a run would take is measured by a short run of one item, of which nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inverse.runs import dryrun
from inverse.runs.dryrun import estimate
from inverse.runs.dryrun_cost import Trial
from inverse.runs.run import Options, restore

RECIPE = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 8},
    "run": {"samples": 6},
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        values = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / f"in/{index}.png")
    return tmp_path / "in"


def test_seconds_are_those_of_the_short_run_times_what_is_left_out(
    photos: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    made: list[Trial] = []

    def noted(*arguments: Any) -> Trial:
        found = trial(*arguments)
        assert found is not None
        made.append(found)
        return Trial(1.0, 0.5, 0.0, found.samples, found.params)

    trial = dryrun.trial
    monkeypatch.setattr(dryrun, "trial", noted)
    options = {"progress": "off", "batch": 2, "threads": 1}
    found = estimate(RECIPE, photos, out=tmp_path / "out", options=Options(**options))
    assert made[0].samples == 2
    assert made[0].params["steps"] == 2
    assert made[0].sampling > 0
    item = 1.0 * 6 * 8 / (2 * 2) + 0.5
    assert found.seconds == pytest.approx(dryrun.START + 3 * item)
    assert (found.evaluations, len(found.items)) == (3 * 6 * 8, 3)
    shared = estimate(RECIPE, photos, out=tmp_path / "out", options=Options(**options, executor="processes", workers=2))
    assert shared.seconds == pytest.approx(2 * dryrun.START + 3 * item / 2)
    assert shared.memory_bytes > 1.5 * found.memory_bytes
    assert not (tmp_path / "out").exists()


def test_several_coils_are_one_complex_image() -> None:
    from types import SimpleNamespace

    assert dryrun._values((8, 20, 30), SimpleNamespace(channels=2)) == 2 * 20 * 30
    assert dryrun._values((4, 20, 30), SimpleNamespace(channels=3)) == dryrun._values((4, 20, 30), None) == 4 * 20 * 30


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds of an item, as the short run would find them."""

    def measured(*arguments: Any) -> Trial:
        return Trial(1.0, 0.0, 0.0, 2, {"steps": 2})

    monkeypatch.setattr(dryrun, "trial", measured)
    return 1.0 * 6 * 8 / (2 * 2)


def test_a_shard_is_asked_for_its_part(photos: Path, tmp_path: Path, timed: float) -> None:
    """Three items of three blocks of two samples; the second of two shards has four of the nine."""
    options = {"progress": "off", "batch": 2, "threads": 1}
    whole = estimate(RECIPE, photos, out=tmp_path / "out", options=Options(**options))
    parts = [
        estimate(RECIPE, photos, out=tmp_path / "out", options=Options(**options, shard=shard))
        for shard in ("1/2", "2/2")
    ]
    assert [part.evaluations for part in parts] == [5 * 2 * 8, 4 * 2 * 8]
    assert sum(part.evaluations for part in parts) == whole.evaluations
    assert parts[1].seconds - dryrun.START == pytest.approx(timed * 4 / 3)
    assert sum(part.disk_bytes for part in parts) == pytest.approx(whole.disk_bytes, rel=0.01)
    assert "shard        2/2: 4 of 9 units" in parts[1].lines()
    assert not any(line.startswith("shard") for line in whole.lines())
    assert parts[1].as_dict()["shard"] == "2/2"


def test_what_is_done_already_is_not_counted(photos: Path, tmp_path: Path, timed: float) -> None:
    out, options = tmp_path / "out", {"progress": "off", "batch": 2, "threads": 1}
    whole = estimate(RECIPE, photos, out=out, options=Options(**options))
    assert restore(RECIPE, photos / "0.png", out=out, options=Options(**options)).exit_code == 0
    before = sorted(out.rglob("*"))
    left = estimate(RECIPE, photos, out=out, options=Options(**options))
    assert (left.evaluations, left.done) == (2 * 6 * 8, 1)
    assert left.seconds - dryrun.START == pytest.approx(2 * timed)
    assert left.disk_bytes == pytest.approx(2 / 3 * whole.disk_bytes, rel=0.01)
    assert "items        3, of which 1 done already" in left.lines()
    again = estimate(RECIPE, photos, out=out, options=Options(**options, overwrite=True))
    assert again.evaluations == estimate(RECIPE, photos, out=tmp_path / "new", options=Options(**options)).evaluations
    assert again.evaluations == 3 * 6 * 8
    other = {**RECIPE, "run": {"samples": 2}}
    assert estimate(other, photos, out=out, options=Options(**options)).evaluations == 3 * 2 * 8
    (out / "restored" / "0.png").write_bytes(b"edited")
    assert estimate(RECIPE, photos, out=out, options=Options(**options)).evaluations == 3 * 6 * 8
    restore(RECIPE, photos, out=out, options=Options(**options))
    done = estimate(RECIPE, photos, out=out, options=Options(**options))
    assert (done.evaluations, done.seconds, done.disk_bytes, done.done) == (0, 0, 0, 3)
    assert set(before) <= set(out.rglob("*"))


def test_a_scene_that_is_done_is_not_timed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (72, 136, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.tif")
    recipe = {**RECIPE, "method": {"kind": "diffpir", "steps": 2}, "run": {"samples": 2}}
    options = {"progress": "off", "threads": 1, "tile": 64}
    first = estimate(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=Options(**options))
    part = estimate(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=Options(**options, shard="2/2"))
    assert part.evaluations == first.evaluations > 0
    assert (
        "shard        2/2: 3 of 6 units, and of shared scenes the tiles that other shards leave: at most all"
        in part.lines()
    )
    assert restore(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=Options(**options)).exit_code == 0
    done = estimate(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=Options(**options))
    assert (done.evaluations, done.seconds, done.disk_bytes, done.scenes) == (0, 0, 0, {})


def test_workers_elsewhere_are_not_counted(photos: Path, tmp_path: Path, timed: float) -> None:
    here, there = (
        estimate(RECIPE, photos, out=tmp_path / "out", options=Options(progress="off", threads=1, executor=executor))
        for executor in ("serial", "dask://10.0.0.1:8786")
    )
    assert any(line.startswith("time") and line.endswith("on this machine") for line in here.lines())
    assert any(line.startswith("time") and line.endswith("on one worker like this machine") for line in there.lines())
    assert (here.evaluations, there.evaluations) == (3 * 6 * 8, 3 * 6 * 8)
