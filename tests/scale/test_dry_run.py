"""What a run would take is measured by a short run of one item, of which nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inverse import dryrun
from inverse.dryrun import estimate
from inverse.run import Options
from inverse.trial import Trial

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
