"""Linear light: the curve, and a run whose operator averages light instead of stored values."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
import tifffile

import inverse
from inverse.errors import RecipeError
from inverse.io.content import Picture
from inverse.io.read_write import read, write
from inverse.io.transfer import decode, encode
from inverse.recipes.recipe import load
from inverse.restoration.simulate import simulate_files


def test_the_curve_is_invertible_past_both_ends_and_hits_its_known_points() -> None:
    values = np.linspace(-0.5, 1.5, 4001).astype(np.float32)
    assert np.allclose(encode(decode(values)), values, atol=1e-5)
    assert np.allclose(decode(encode(values)), values, atol=1e-5)
    assert decode(np.float32([0, 1, 0.5])) == pytest.approx([0, 1, 0.2140], abs=1e-4)
    assert np.all(np.diff(decode(values)) > 0)


def test_averaging_black_and_white_in_linear_light_is_brighter(tmp_path) -> None:
    board = np.where(np.indices((32, 32)).sum(0) % 2 == 0, 255, 0).astype(np.uint8)
    write(tmp_path / "truth" / "board.png", Picture(array=np.repeat(board[..., None], 3, 2), format="png"))
    mean = {}
    for transfer in ("srgb", "linear"):
        out = tmp_path / transfer
        simulate_files(
            "super-resolution",
            tmp_path / "truth",
            out=out,
            overrides=["operator.factor=2", "noise.sigma=0.0001", f"data.transfer={transfer}"],
        )
        mean[transfer] = float(read(next((out / "measured").iterdir())).array.mean())
    assert mean["srgb"] == pytest.approx(0.5, abs=1e-3)
    assert mean["linear"] == pytest.approx(float(encode(np.float32([0.5]))[0]), abs=1e-3)


def _edge() -> np.ndarray:
    pixels = np.full((40, 40, 3), 25, np.uint8)
    pixels[:, 20:] = 240
    return pixels


def test_light_that_was_blurred_is_restored_better_in_light(tmp_path) -> None:
    write(tmp_path / "truth" / "edge.png", Picture(array=_edge(), format="png"))
    settings = [
        "noise.sigma=0.005",
        "operator={kind: gaussian-blur, sigma: 1.5}",
        "method.kind=diffpir",
        "method.steps=8",
    ]
    simulate_files("deblur", tmp_path / "truth", out=tmp_path / "s", overrides=[*settings, "data.transfer=linear"])
    psnr = {}
    for transfer in ("srgb", "linear"):
        out = tmp_path / transfer
        inverse.restore(
            "deblur",
            tmp_path / "s" / "measured",
            out=out,
            samples=2,
            overrides=[*settings, f"data.transfer={transfer}"],
            truth=tmp_path / "s" / "truth",
        )
        # scored as stored: what `evaluate` finds on the written file, in either light
        error = read(out / "restored" / "edge.tif").array - read(tmp_path / "s" / "truth" / "edge.png").array / 255
        psnr[transfer] = -10 * np.log10(np.mean(error**2))
        with (out / "items.csv").open() as stream:
            assert float(next(csv.DictReader(stream))["psnr"]) == pytest.approx(psnr[transfer], abs=0.01)
    assert psnr["linear"] > psnr["srgb"] + 3


def test_maps_in_linear_light_say_so(tmp_path) -> None:
    write(tmp_path / "edge.png", Picture(array=_edge(), format="png"))
    for transfer in ("srgb", "linear"):
        out = tmp_path / transfer
        settings = ["prior.name=gaussian", "noise.sigma=0.01", "method.steps=4", f"data.transfer={transfer}"]
        inverse.restore("denoise", tmp_path / "edge.png", out=out, samples=2, overrides=settings)
        with tifffile.TiffFile(out / "std" / "edge.png.tif") as file:
            assert ("inverse:light=linear" in file.pages[0].description) == (transfer == "linear")
        with h5py.File(out / "items" / "edge.png" / "posterior.h5") as file:
            assert file.attrs["transfer"] == transfer
            stored = encode(file["mean"][:]) if transfer == "linear" else file["mean"][:]
        expected = np.rint(np.clip(np.moveaxis(stored, 0, -1), 0, 1) * 255)
        np.testing.assert_array_equal(read(out / "restored" / "edge.png").array, expected)


def test_arrays_are_taken_as_stored_too() -> None:
    settings = ["prior.name=gaussian", "noise.sigma=0.0001", "method.steps=30", "data.transfer=linear"]
    post = inverse.restore("denoise", _edge(), samples=2, overrides=settings)
    assert np.abs(np.moveaxis(encode(post.mean[0].numpy()), 0, -1) * 255 - _edge()).max() < 2


def test_the_curve_needs_the_range_it_is_defined_on() -> None:
    with pytest.raises(RecipeError, match="linear only with"):
        load("denoise", ["data.transfer=linear", "data.range=[0, 255]"])


def test_a_run_in_linear_light_restores_the_stored_values(tmp_path) -> None:
    ramp = np.broadcast_to(np.linspace(20, 235, 32).astype(np.uint8)[None, :, None], (32, 32, 3))
    write(tmp_path / "ramp.png", Picture(array=np.ascontiguousarray(ramp), format="png"))
    run = inverse.restore(
        "denoise",
        tmp_path / "ramp.png",
        out=tmp_path / "out",
        overrides=["prior.name=gaussian", "noise.sigma=0.0001", "data.transfer=linear", "method.steps=30"],
        truth=tmp_path / "ramp.png",
    )
    assert run.exit_code == 0
    restored = read(tmp_path / "out" / "restored" / "ramp.png").array
    assert np.abs(restored.astype(int) - ramp).max() <= 2
    assert "linear light" in (tmp_path / "out" / "run.json").read_text()
