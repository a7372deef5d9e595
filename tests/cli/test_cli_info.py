"""inverse info: each kind of file says what it is; only recipes that exist are named."""

import json

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from inverse.cli.main import cli

SHIPPED = "inverse.cli.info.suggest.shipped"


@pytest.fixture(autouse=True)
def _all_recipes(monkeypatch):
    names = (
        "deblur denoise inpaint super-resolution deconvolve-microscopy mri-multicoil mri-cartesian mri-radial demosaic "
        "landsat7-gapfill cloud-gapfill satellite-super-resolution pansharpen despeckle-sar destripe low-light jpeg"
    )
    monkeypatch.setattr(SHIPPED, lambda: dict.fromkeys(names.split(), ""))


def info(path):
    text = CliRunner().invoke(cli, ["info", str(path)])
    assert text.exit_code == 0, text.output
    done = CliRunner().invoke(cli, ["info", str(path), "--json"])
    found = json.loads(done.stdout)
    assert all(row["name"] in text.stdout for row in found["recipes"])
    return found, [row["name"] for row in found["recipes"]]


def test_kspace(tmp_path):
    rng = np.random.default_rng(0)
    kspace = (rng.normal(size=(2, 4, 48, 64)) + 1j).astype(np.complex64)
    mask = np.zeros(64, bool)
    mask[::4] = True
    mask[28:36] = True
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace * mask
    found, names = info(tmp_path / "a.h5")
    assert (found["format"], found["slices"], found["coils"]) == ("fastmri", 2, 4)
    assert found["sampled"] == pytest.approx(mask.mean())
    assert found["columns"] == f"{mask.sum()} of 64"
    assert found["calibration"] == "9 columns"
    assert names == ["mri-multicoil"]
    np.save(tmp_path / "one.npy", kspace[0, :1])
    found, names = info(tmp_path / "one.npy")
    assert (found["kind"], names) == ("raw k-space", ["mri-cartesian"])


def test_a_scene_with_gaps(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(0).integers(7000, 9000, (3, 120, 100)).astype(np.uint16)

    def written(name, gaps):
        transform = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", width=100, height=120, count=3, dtype="uint16", nodata=0,
            crs="EPSG:32621", transform=transform,
        ) as file:  # fmt: skip
            file.write(np.where(gaps, 0, values))
        return info(tmp_path / name)

    rows, columns = np.mgrid[:120, :100]
    found, names = written("stripes.tif", (rows + columns // 7) % 30 < 7)
    assert (found["format"], found["crs"], found["nodata"]) == ("geotiff", "EPSG:32621", 0)
    assert found["pixel"] == [30, 30]
    assert found["extent"] == [500000, 3996400, 503000, 4000000]
    assert found["unobserved"] == pytest.approx(7 / 30, abs=0.02)
    assert found["minimum"] > [6000] * 3
    assert names[0] == "landsat7-gapfill"
    assert any("data.scale=auto" in note for note in found["notes"])
    _, names = written("cloud.tif", (rows - 60) ** 2 + (columns - 50) ** 2 < 400)
    assert names[0] == "cloud-gapfill"
    _, names = written("whole.tif", np.zeros((120, 100), bool))
    assert names[0] == "satellite-super-resolution"
    assert "landsat7-gapfill" not in names


def test_volumes(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).integers(0, 3000, (40, 48, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, 1, 3, 1])), tmp_path / "a.nii.gz")
    found, names = info(tmp_path / "a.nii.gz")
    assert (found["format"], found["slices"], found["width"], found["height"]) == ("nifti", 5, 40, 48)
    assert found["voxel"] == [1, 1, 3]
    assert found["orientation"] == "LAS"
    assert any("one by one" in note for note in found["notes"])
    assert any("data.scale=auto" in note for note in found["notes"])
    assert "super-resolution" in names
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.1, "Channel": {"Name": ["GFP"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.moveaxis(values, -1, 0).astype(np.uint16), ome=True,
                     photometric="minisblack", metadata=metadata)  # fmt: skip
    found, names = info(tmp_path / "a.ome.tif")
    assert (found["axes"], found["physical_size"]["X"], found["channel_names"]) == ("ZYX", "0.1", ["GFP"])
    assert names[0] == "deconvolve-microscopy"


def test_an_array_of_a_container(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = np.random.default_rng(0).random((64, 64))
        file["entry/other"] = np.zeros((5, 64, 64))
    found, _ = info(f"{tmp_path}/a.h5::/entry/data")
    assert (found["array"], found["dtype"]) == ("/entry/data", "float64")
    done = CliRunner().invoke(cli, ["info", str(tmp_path / "a.h5")])
    assert done.exit_code == 4
    assert "/entry/data (64, 64), /entry/other (5, 64, 64)" in done.stderr


def test_a_mosaic_and_a_dark_picture(tmp_path):
    rng = np.random.default_rng(0)
    mosaic = np.tile(np.array([[200, 100], [100, 40]]), (32, 32)) + rng.integers(0, 5, (64, 64))
    np.save(tmp_path / "raw.npy", mosaic.astype(np.uint8))
    assert info(tmp_path / "raw.npy")[1][0] == "demosaic"
    np.save(tmp_path / "dark.npy", np.full((64, 64, 3), 10, np.uint8))
    assert "low-light" in info(tmp_path / "dark.npy")[1]


def test_recipes_that_are_not_there_are_not_named(tmp_path, monkeypatch):
    monkeypatch.setattr(SHIPPED, lambda: {"deblur": ""})
    np.save(tmp_path / "dark.npy", np.full((64, 64, 3), 10, np.uint8))
    assert info(tmp_path / "dark.npy")[1] == ["deblur"]


@pytest.mark.parametrize("version", [2, 3])
def test_a_volume_with_missing_values_in_some_of_its_slices(tmp_path, version):
    zarr = pytest.importorskip("zarr")
    values = np.random.default_rng(0).random((3, 24, 20)).astype("f4")
    values[0, 0, 0], values[2] = np.nan, 0.5
    array = zarr.create_array(
        tmp_path / "n.zarr", shape=values.shape, chunks=(1, 24, 20), dtype="f4", zarr_format=version
    )
    array[:] = values
    found, _ = info(tmp_path / "n.zarr")
    assert found["slices"] == 3
    assert found["mean"] == [pytest.approx(float(np.nanmean(values)), rel=1e-6)]
