"""What a picture is refused for, and what of it is clipped: the same of a scene that is read by windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inverse.errors import InputError
from inverse.io.read_write import read
from inverse.io.tiling import Window
from inverse.io.windows import open_windows
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame
from inverse.scenes.source import FileScene, open_scene

rasterio = pytest.importorskip("rasterio")

GIVEN = ["noise.sigma=0.02", "prior.name=gaussian"]


def scene_file(path: Path, *, gap: bool = False) -> Path:
    rows, columns = np.mgrid[:300, :170]
    light = 120 + 60 * np.sin(rows / 9) * np.cos(columns / 13)
    light += 900.0 * (np.hypot(rows - 250, columns - 60) < 30)  # a lamp across the strips of 256 rows
    values = np.clip(light + np.random.default_rng(0).normal(0, 3, (3, *rows.shape)), 1, 255).astype(np.uint8)
    values[:, 20:40, 30:60] *= not gap
    place = rasterio.Affine(10.0, 0, 5e5, 0, -10.0, 4e6)
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=3, height=300, width=170, nodata=0 if gap else None,
        crs="EPSG:32633", transform=place,
    ) as file:  # fmt: skip
        file.write(values)
    return path


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., FileScene]]:
    with ExitStack() as stack:

        def made(recipe: Any, *, gap: bool = False, coupled: bool = True) -> FileScene:
            windows = open_windows(scene_file(tmp_path / "s.tif", gap=gap), "s.tif", stack)
            return open_scene(windows, recipe, source="s.tif", channels=3, coupled=coupled)

        yield made


@pytest.mark.parametrize("recipe", ["inpaint", "cloud-gapfill", "landsat7-gapfill"])
def test_a_hole_that_nobody_named(recipe: str, opened: Any) -> None:
    with pytest.raises(InputError, match="nothing says"):
        opened(load(recipe, GIVEN))


def test_a_mask_without_a_hole_and_the_holes_of_the_file(tmp_path: Path, opened: Any) -> None:
    np.save(tmp_path / "m.npy", np.ones((300, 170)))
    own = load("inpaint", [*GIVEN, "operator.kind=file-mask", f"operator.file={tmp_path / 'm.npy'}"])
    with pytest.raises(InputError, match=r"mask m\.npy has no hole"):
        opened(own)
    scene = opened(load("inpaint", GIVEN), gap=True)
    assert scene.said == ("the hole is what has no value in the file: 1.18 % of the pixels",)
    _, physics = scene.observe(Window(0, 0, 64, 64))
    assert float((physics.mask == 0).sum()) == 20 * 30
    asked = opened(load("inpaint", [*GIVEN, "operator.missing=0.5"]))
    assert asked.said[0].endswith("of the measured values are hidden by random-mask, and not used")


@pytest.mark.parametrize("recipe", ["denoise", "deblur"])
def test_clipped_values_bound_in_windows_what_they_bound_in_the_whole(recipe: str, tmp_path: Path, opened: Any) -> None:
    chosen = load(recipe, [*GIVEN, "method.kind=auto", "operator.sigma=1.5"][: 4 if recipe == "deblur" else 3])
    scene = opened(chosen)
    case = open_case(chosen, frame(read(tmp_path / "s.tif"), 0, chosen.data))
    assert scene.said[0] == case.said[0]
    assert "clipped highlights" in case.said[0]
    height, width = scene.lies.shape[-2:]
    for top, left, bottom, right in ((0, 0, height, width), (200, 20, 264, 84), (236, 44, 276, 84)):
        window = Window(top, left, bottom, right)
        y, physics = scene.observe(window)
        place = scene.lies.measured(window)
        shown = torch.ones_like(y) if (seen := scene.lies.seen(window, y)) is None else seen.expand(y.shape)
        for name in ("bounds", "measured_mask"):
            whole = getattr(case.physics, name)[(..., *place.slices)]
            assert torch.equal(getattr(physics, name) * shown, whole * shown)
        assert torch.allclose(y, case.y[(..., *place.slices)] * shown)
