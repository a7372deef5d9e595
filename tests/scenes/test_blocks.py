"""`inverse.restore_blocks`: numpy, dask and xarray, and what does not change with the chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import inverse
from inverse.errors import RecipeError, UsageError
from inverse.io.tiling import Window
from inverse.scenes.blend import Blocks, axis, blend

RECIPE: dict[str, Any] = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 3},
    "run": {"samples": 2, "seed": 3},
}
SMALL = {"block": 32, "overlap": 16}


@pytest.fixture
def scene() -> np.ndarray:
    """(80, 72, 2) float32."""
    return np.random.default_rng(0).random((80, 72, 2), dtype=np.float32)


@pytest.mark.parametrize("size", [20, 32, 33, 47, 48, 64, 79, 80, 200])
@pytest.mark.parametrize("factor", [1, 2])
def test_weights_sum_to_one_and_blocks_cover(size: int, factor: int) -> None:
    found = axis(size, 32, 16)
    places = np.arange(factor * size)
    total = sum(found.weight(j, places, factor) for j in range(len(found)))
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert found.starts[0] == 0
    assert found.stops[-1] == size
    assert all(start % 8 == 0 for start in found.starts)
    ends = [found.cell(j) for j in range(len(found))]
    assert [stop for _, stop in ends[:-1]] == [start for start, _ in ends[1:]]
    for j, (low, high) in enumerate(ends):  # what covers a cell is all that weighs in it
        inside = np.arange(factor * low, factor * high)
        assert {k for k in range(len(found)) if found.weight(k, inside, factor).any()} == set(found.over(j))


def test_cells_are_a_partition_and_lie_in_the_blocks_that_cover_them() -> None:
    blocks = Blocks.of((80, 72), 32, 16)
    assert len(blocks) == len(list(blocks)) == 16
    counts = np.zeros((160, 144), int)
    for place in blocks:
        cell = blocks.cell(*place)
        counts[cell.scaled(2).slices] += 1
        assert place in blocks.over(*place)
        for window in (blocks.window(*other) for other in blocks.over(*place)):
            assert window.top <= cell.top < window.bottom
            assert window.left <= cell.left < window.right
    assert (counts == 1).all()
    assert Window(2, 3, 5, 9).scaled(3).divided(3) == Window(2, 3, 5, 9)


def test_blocks_of_one_image_blend_to_it() -> None:
    whole = np.random.default_rng(1).random((1, 80, 72, 2), dtype=np.float32)
    rows, columns = axis(80, 32, 16), axis(72, 32, 16)
    blocks = {
        (i, j): whole[:, rows.starts[i] : rows.stops[i], columns.starts[j] : columns.stops[j]]
        for i in range(len(rows))
        for j in range(len(columns))
    }
    for cell in blocks:
        (top, bottom), (left, right) = rows.cell(cell[0]), columns.cell(cell[1])
        np.testing.assert_allclose(
            blend(rows, columns, cell, blocks, factor=1), whole[:, top:bottom, left:right], atol=1e-6
        )


def test_one_block_is_restore(scene: np.ndarray) -> None:
    blocks = inverse.restore_blocks(RECIPE, scene, block=128, output=("mean", "std"))
    post = inverse.restore(RECIPE, scene, items=["0:0"])
    np.testing.assert_array_equal(blocks[0], post.to_numpy()[0])
    np.testing.assert_array_equal(blocks[1], post.to_numpy("std")[0])


def test_the_blocks_of_a_scene_are_its_parts(scene: np.ndarray) -> None:
    found = inverse.restore_blocks(RECIPE, scene, **SMALL)
    assert found.shape == scene.shape
    assert found.dtype == np.float32
    corner = inverse.restore(RECIPE, scene[:32, :32], items=["0:0"]).to_numpy()[0]
    np.testing.assert_allclose(found[:16, :16], corner[:16, :16], atol=1e-6)
    second = inverse.restore(RECIPE, scene[16:48, :32], items=["16:0"]).to_numpy()[0]
    between = 0.5 * (corner[23:25, :16].mean(0) + second[7:9, :16].mean(0))
    assert np.abs(found[23:25, :16].mean(0) - between).max() < 0.05  # half way through the overlap


def test_the_result_does_not_depend_on_the_chunks(scene: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    expected = inverse.restore_blocks(RECIPE, scene, **SMALL, output=("mean", "std"))
    for chunks in ((80, 72, 2), (13, 50, 1)):
        lazy = inverse.restore_blocks(RECIPE, da.from_array(scene, chunks=chunks), **SMALL, output=("mean", "std"))
        for one, other in zip(lazy, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_array_equal(one.compute(scheduler="threads", num_workers=2), other)


def test_dask_computes_what_is_asked_for_alone(scene: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    read: list[tuple[int, ...]] = []

    def chunk(block_info: Any = None) -> np.ndarray:
        (top, bottom), (left, right), _ = block_info[None]["array-location"]
        read.append((top, left))
        return scene[top:bottom, left:right]

    lazy = da.map_blocks(chunk, chunks=((16,) * 5, (24,) * 3, (2,)), dtype=np.float32)
    result = inverse.restore_blocks(RECIPE, lazy, **SMALL)
    assert read == []
    corner = result[:16, :16].compute(scheduler="synchronous")
    assert set(read) == {(0, 0), (0, 24), (16, 0), (16, 24)}
    np.testing.assert_array_equal(corner, inverse.restore_blocks(RECIPE, scene, **SMALL)[:16, :16])


def test_axes_and_other_dimensions(scene: np.ndarray) -> None:
    first = np.moveaxis(scene, -1, 0)
    expected = inverse.restore_blocks(RECIPE, scene, **SMALL)
    np.testing.assert_array_equal(inverse.restore_blocks(RECIPE, first, dims=(1, 2, 0), **SMALL)[1], expected[..., 1])
    times = np.stack([scene, scene[::-1]])
    both = inverse.restore_blocks(RECIPE, times, **SMALL)
    again = inverse.restore_blocks(RECIPE, times[::-1][::-1], **SMALL)
    np.testing.assert_array_equal(both, again)
    assert not np.array_equal(both[1], both[0])
    grey = inverse.restore_blocks(RECIPE, scene[..., 0], **SMALL)
    assert grey.shape == (80, 72)
    with pytest.raises(UsageError, match="dims"):
        inverse.restore_blocks(RECIPE, scene, dims=(0, 0, 1))


def test_xarray_keeps_names_coordinates_and_attributes(scene: np.ndarray) -> None:
    xr = pytest.importorskip("xarray")
    values = np.rint(np.moveaxis(scene, -1, 0) * 250).astype(np.uint16)
    values[:, 40:48, 8:16] = 0
    values[:, 60:, 60:] = 0
    array = xr.DataArray(
        np.stack([values, values]), dims=("time", "band", "y", "x"), name="reflectance",
        coords={"time": [3, 4], "band": ["red", "nir"], "y": 100.0 - np.arange(80), "x": 5.0 + np.arange(72),
                "crs": 32633},
        attrs={"_FillValue": 0, "units": "1"},
    )  # fmt: skip
    overrides = ["data.scale=[0,250]"]
    found = inverse.restore_blocks(RECIPE, array, **SMALL, overrides=overrides)
    assert found.dims == array.dims
    assert found.name == "reflectance"
    for name in ("time", "band", "y", "x", "crs"):
        assert found.coords[name].identical(array.coords[name].astype(found.coords[name].dtype))
    assert found.attrs["units"] == "1"
    assert "_FillValue" not in found.attrs
    assert "approximate" in found.attrs["inverse_blocks"]
    assert np.array_equal(np.isnan(found.values), array.values == 0)
    assert np.nanmean(np.abs(found.values - array.values)) < 0.2 * 250
    assert not np.allclose(found.values[0], found.values[1], equal_nan=True)  # each time has noise of its own
    filled = inverse.restore_blocks(
        RECIPE, array, **SMALL, overrides=[*overrides, "operator={kind: gap-mask}"], output="data_share"
    )
    assert float(filled.sel(y=100.0 - 44, x=5.0 + 12).max()) == 0  # a gap, filled: the data say nothing there
    turned = inverse.restore_blocks(RECIPE, array.transpose("y", "time", "x", "band"), **SMALL, overrides=overrides)
    assert turned.dims == ("y", "time", "x", "band")
    np.testing.assert_array_equal(turned.transpose(*array.dims).values, found.values)


def test_xarray_over_dask_is_lazy_and_names_are_asked_for(scene: np.ndarray) -> None:
    xr = pytest.importorskip("xarray")
    da = pytest.importorskip("dask.array")
    array = xr.DataArray(da.from_array(scene, chunks=(40, 36, 2)), dims=("a", "b", "c"))
    with pytest.raises(UsageError, match="which dimensions"):
        inverse.restore_blocks(RECIPE, array)
    found = inverse.restore_blocks(RECIPE, array, **SMALL, dims=("a", "b", "c"))
    assert type(found.data).__module__.startswith("dask")
    np.testing.assert_array_equal(found.values, inverse.restore_blocks(RECIPE, scene, **SMALL))
    with pytest.raises(UsageError, match="Dataset"):
        inverse.restore_blocks(RECIPE, array.to_dataset(name="v"))
    with pytest.raises(UsageError, match="restore_blocks"):
        inverse.restore(RECIPE, array)


def test_a_finer_result_has_finer_coordinates(scene: np.ndarray) -> None:
    xr = pytest.importorskip("xarray")
    recipe = {**RECIPE, "operator": {"kind": "downsample", "factor": 2}}
    array = xr.DataArray(scene[..., 0], dims=("y", "x"), coords={"y": np.arange(80) * 10.0, "x": np.arange(72.0)})
    found = inverse.restore_blocks(recipe, array, **SMALL)
    assert found.shape == (160, 144)
    np.testing.assert_allclose(found.coords["y"].values, (np.arange(160) + 0.5) * 5 - 5)
    blocks = found.values.reshape(80, 2, 72, 2).mean((1, 3))
    assert np.abs(blocks - scene[..., 0]).mean() < 0.1


def test_nothing_observed_stays_nan() -> None:
    scene = np.full((64, 64), np.nan, np.float32)
    scene[:8, :8] = 0.5
    found = inverse.restore_blocks(RECIPE, scene, **SMALL)
    assert np.array_equal(np.isnan(found), np.isnan(scene))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operator": {"kind": "random-mask", "missing": 0.5}}, "not the same in each block"),
        ({"operator": {"kind": "gaussian-blur", "sigma": 2, "boundary": "reflect"}}, "boundary: free"),
        ({"operator": {"kind": "gaussian-blur", "sigma": "auto"}}, "give a number"),
        ({"operator": {"kind": "gap-mask", "pattern": "slc-off"}}, "pattern of the whole scene"),
        ({"data": {"scale": "auto"}}, "data.scale"),
    ],
)
def test_what_would_differ_from_block_to_block_is_refused(
    scene: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        inverse.restore_blocks({**RECIPE, **changes}, scene)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"block": 30}, {"block": 64, "overlap": 40}, {"overlap": 3}, {"output": "meen"}, {"output": ()}]
)
def test_what_does_not_fit_is_refused(scene: np.ndarray, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        inverse.restore_blocks(RECIPE, scene, **options)
