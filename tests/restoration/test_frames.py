"""Files of several images, and of raw k-space: solved frame by frame, written as one file; pixels without a value.

Scales.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import inverse
from inverse.io.content import Picture, Volume
from inverse.io.read_write import read
from inverse.recipes.recipe import load
from inverse.restoration.frame import count, frame


def stack_of(path: Path, slices: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, slices, photometric="minisblack")
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return stack_of(
        tmp_path / "in" / "v.tif", np.random.default_rng(0).integers(0, 65536, (3, 24, 20), dtype=np.uint16)
    )


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "items.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_volume_is_solved_slice_by_slice_and_written_as_one_file(
    volume: Path, tmp_path: Path, make_recipe: Any
) -> None:
    out = tmp_path / "out"
    run = inverse.restore(make_recipe(), volume, out=out)
    assert run.exit_code == 0
    assert [row["item"] for row in rows(out)] == ["v.tif/0000", "v.tif/0001", "v.tif/0002"]
    restored, given = read(out / "restored" / "v.tif"), read(volume)
    assert isinstance(restored, Volume)
    assert [one.array.dtype for one in restored.slices] == [np.uint16] * 3
    std = read(out / "std" / "v.tif")
    assert isinstance(std, Volume)
    assert std.slices[0].array.dtype == np.float32
    for index in range(3):
        with h5py.File(out / "items" / f"v.tif/000{index}" / "posterior.h5") as file:
            mean, spread = file["mean"][0], file["std"][0]
        expected = np.clip(np.rint(65535 * mean.astype(np.float64)), 0, 65535)
        np.testing.assert_array_equal(restored.slices[index].array, expected)
        np.testing.assert_allclose(std.slices[index].array, spread, rtol=1e-6)
        apart = np.abs(restored.slices[index].array.astype(float) - given.slices[index].array).mean()
        assert 0 < apart < 10_000


def test_a_slice_does_not_depend_on_the_others(volume: Path, tmp_path: Path, make_recipe: Any) -> None:
    first = stack_of(tmp_path / "first" / "v.tif", tifffile.imread(volume)[:2])
    inverse.restore(make_recipe(), volume, out=tmp_path / "a")
    inverse.restore(make_recipe(), first, out=tmp_path / "b")
    one, other = read(tmp_path / "a" / "restored" / "v.tif"), read(tmp_path / "b" / "restored" / "v.tif")
    for index in range(2):
        np.testing.assert_array_equal(one.slices[index].array, other.slices[index].array)


def test_a_lost_result_of_a_volume_is_written_again_without_sampling(
    volume: Path, tmp_path: Path, make_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    inverse.restore(make_recipe(), volume, out=out)
    path = out / "restored" / "v.tif"
    before = path.read_bytes()
    path.unlink()

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("sampled again")

    monkeypatch.setattr("inverse.restoration.item.draw", refuse)
    assert inverse.restore(make_recipe(), volume, out=out).exit_code == 0
    assert path.read_bytes() == before


def test_shards_share_a_volume(volume: Path, tmp_path: Path, make_recipe: Any) -> None:
    from inverse.restoration.options import Options

    inverse.restore(make_recipe(), volume, out=tmp_path / "whole")
    for shard in ("1/2", "2/2"):
        run = inverse.restore(make_recipe(), volume, out=tmp_path / "parts", options=Options(shard=shard))
        assert (tmp_path / "parts" / "restored" / "v.tif").exists() == (shard == "2/2")
    assert run.exit_code == 0
    one, other = ((tmp_path / name / "restored" / "v.tif").read_bytes() for name in ("whole", "parts"))
    assert one == other


def test_the_truth_of_a_volume_is_compared_slice_by_slice(volume: Path, tmp_path: Path, make_recipe: Any) -> None:
    inverse.restore(make_recipe(metrics=["psnr"]), volume, out=tmp_path / "out", truth=volume)
    assert all(float(row["psnr"]) > 15 for row in rows(tmp_path / "out"))


def test_raw_kspace_gives_complex_images_in_the_units_of_the_file(tmp_path: Path, make_recipe: Any) -> None:
    rng = np.random.default_rng(0)
    image = 3e-4 * (rng.standard_normal((2, 1, 32, 24)) + 1j * rng.standard_normal((2, 1, 32, 24)))
    shifted = np.fft.fft2(np.fft.ifftshift(image, axes=(-2, -1)), norm="ortho")
    kspace = np.fft.fftshift(shifted, axes=(-2, -1)).astype(np.complex64)
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace[:, 0]
    recipe = make_recipe(operator={"kind": "mri"}, noise={"sigma": 1e-3}, run={"samples": 2, "seed": 0})
    run = inverse.restore(recipe, path, out=tmp_path / "out")
    assert run.exit_code == 0, run.failures
    with h5py.File(tmp_path / "out" / "restored" / "scan.h5") as file:
        magnitude = file["reconstruction"][:]
    assert magnitude.shape == (2, 32, 24)
    np.testing.assert_allclose(magnitude, np.abs(image[:, 0]), rtol=0.05, atol=1e-5)
    assert all("0 to 1" not in row.get("mismatch", "") for row in rows(tmp_path / "out"))


def test_images_do_not_take_an_operator_of_raw_data(volume: Path, tmp_path: Path, make_recipe: Any) -> None:
    run = inverse.restore(make_recipe(operator={"kind": "mri"}), volume, out=tmp_path / "out")
    assert run.exit_code in (3, 4)
    assert not (tmp_path / "out" / "restored" / "v.tif").exists()


def test_pixels_without_a_value_are_unobserved() -> None:
    import torch

    from inverse.operators.measurement import Measurement
    from inverse.restoration.case import make_case

    recipe = {"prior": {"name": "gaussian"}, "noise": {"sigma": 0.1}}
    valid = torch.ones(1, 1, 20, 24)
    valid[..., 5:9, 7:12] = 0
    y = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    other = torch.where(valid > 0, y, torch.full_like(y, 0.9))
    for operator in (
        {"kind": "denoise"},
        {"kind": "gaussian-blur", "sigma": 1.0},
        {"kind": "box-mask", "box": [0, 0, 4, 4]},
    ):
        one, two = (make_case(load({**recipe, "operator": operator}), Measurement(part, valid)) for part in (y, other))
        assert torch.equal(one.y, two.y)
        posts = [
            inverse.sample(c.y, c.physics, "gaussian", method="exact", samples=2, shape=c.shape) for c in (one, two)
        ]
        assert torch.equal(posts[0].samples, posts[1].samples)
        seen = float(valid.sum()) * 3 - (3 * 16 if operator["kind"] == "box-mask" else 0)
        assert float(posts[0].observation.count()[0]) == seen
        inside = posts[0].std[0, :, 6, 9] if operator["kind"] == "denoise" else None
        assert inside is None or float(inside.min()) > 0.03


def test_a_scale_is_undone_at_the_write(tmp_path: Path, make_recipe: Any) -> None:
    array = np.random.default_rng(0).integers(-300, 4000, (24, 24, 3)).astype(np.int16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    for scale in ("auto", [-300, 4000]):
        out = tmp_path / str(scale)
        recipe = make_recipe(data={"scale": scale}, noise={"sigma": 0.001}, method={"kind": "exact"})
        assert inverse.restore(recipe, tmp_path / "a.tif", out=out).exit_code == 0
        restored = read(out / "restored" / "a.tif")
        assert restored.array.dtype == np.int16
        assert np.abs(restored.array.astype(float) - array).mean() < 30
        std = read(out / "std" / "a.tif").array
        assert float(std.mean()) == pytest.approx(4.3, rel=0.2)
    apart = np.stack([array[..., 0], 10 * array[..., 1].clip(0, 3000), array[..., 2] // 10], -1).astype(np.int16)
    tifffile.imwrite(tmp_path / "b.tif", apart, photometric="rgb")
    out = tmp_path / "bands"
    recipe = make_recipe(data={"scale": "bands"}, noise={"sigma": 0.001}, method={"kind": "exact"})
    assert inverse.restore(recipe, tmp_path / "b.tif", out=out).exit_code == 0
    assert (np.abs(read(out / "restored" / "b.tif").array.astype(float) - apart).mean((0, 1)) < (30, 300, 3)).all()
    std = read(out / "std" / "b.tif").array.mean((0, 1))
    assert std[1] > 5 * std[0] > 25 * std[2]
    refused = inverse.restore(make_recipe(), tmp_path / "a.tif", out=tmp_path / "type")
    assert refused.exit_code == 4
    assert "data.scale=auto" in refused.failures[0].hint


def test_the_frames_of_a_changed_file(volume: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "out"
    inverse.restore(make_recipe(), volume, out=out)
    stack_of(volume, tifffile.imread(volume)[1:])
    run = inverse.restore(make_recipe(), volume, out=out)
    assert [row["item"] for row in run.rows] == ["v.tif/0000", "v.tif/0001"]
    assert len(read(out / "restored" / "v.tif").slices) == 2


def test_stretch_is_of_all_slices_and_valid_pixels() -> None:
    pictures = tuple(Picture(array=np.full((10, 10), value, np.float32), format="npy") for value in (1.0, 3.0, 900.0))
    valid = np.zeros((10, 10), bool)
    volume = Volume(slices=(*pictures[:2], replace(pictures[2], valid=valid)), format="npy")
    assert count(volume) == 3
    opened = frame(volume, 0, load({"operator": "denoise", "data": {"scale": "auto"}}).data)
    assert opened.span == (1.0, 3.0)
