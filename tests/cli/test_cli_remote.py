"""Scenes through the command line: what comes out lies where the input lay, with its type and nodata."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from inverse.cli.main import cli
from inverse.operators.image.masks import slc_off

rasterio = pytest.importorskip("rasterio")
SIZE = (48, 64)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Three bands of digital numbers with a border and gaps of nodata."""
    folder = tmp_path_factory.mktemp("scene")
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    ground = 7000 + 600 * np.sin(rows / 5) * np.cos(columns / 9)
    noise = 8 * np.random.default_rng(0).standard_normal((3, *SIZE))
    valid = slc_off((SIZE[0], 200), missing=0.15, period=16)[:, 100 : 100 + SIZE[1]] & (columns >= 8)
    array = np.where(valid, np.stack([ground, 0.9 * ground, 1.1 * ground]) + noise, 0).astype(np.uint16)
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", dtype="uint16", count=3, height=SIZE[0], width=SIZE[1], nodata=0,
        crs="EPSG:32621", transform=rasterio.Affine(30, 0, 723405, 0, -30, -2766615), compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.write(array)
        dataset.descriptions = ["B4", "B3", "B2"]
    return folder / "scene.tif", valid


def run(recipe, path, out, *settings):
    changes = [part for one in ("run.samples=2", "method.steps=2", *settings) for part in ("-s", one)]
    result = CliRunner().invoke(cli, ["restore", recipe, str(path), "-o", str(out), *changes])
    assert result.exit_code == ("unusable" in result.output), result.output  # two steps explain little
    return out / "restored" / "scene.tif", out / "std" / "scene.tif"


@pytest.mark.parametrize("recipe", ["landsat7-gapfill", "satellite-super-resolution"])
def test_a_scene_comes_back_where_it_lay(scene, tmp_path, recipe):
    path, valid = scene
    restored, std = run(recipe, path, tmp_path / "out")
    factor = 2 if recipe == "satellite-super-resolution" else 1
    with rasterio.open(path) as given, rasterio.open(restored) as out, rasterio.open(std) as spread:
        for file in (out, spread):
            assert (file.crs, file.bounds, file.descriptions) == (given.crs, given.bounds, given.descriptions)
            assert file.shape == (SIZE[0] * factor, SIZE[1] * factor)
        assert (out.dtypes, out.nodata, out.transform.a) == (given.dtypes, 0, 30 / factor)
        assert set(spread.dtypes) == {"float32"}
        assert np.isnan(spread.nodata)
        assert "INVERSE_RUN" in out.tags()
        seen = out.read_masks(1) > 0
        assert np.array_equal(seen, spread.read_masks(1) > 0)
        if factor == 2:
            assert np.array_equal(seen, np.kron(valid, np.ones((2, 2), bool)))
        else:
            assert (seen | ~valid).all()
            assert not seen[:, :7].any()
            assert seen[12:36, 14:].all()
            filled = out.read(1)[12:36, 14:]
            assert 5500 < filled.min() < filled.max() < 8500
