"""Camera raw files: synthetic DNGs that LibRaw opens, from the mosaic to a TIFF in sRGB."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from inverse import io
from inverse.errors import InputError
from inverse.io import read_picture, registry, transfer, write
from inverse.runs.run import Options, restore

rawpy = pytest.importorskip("rawpy", reason="needs inverse-imaging[raw]")

BLACK, WHITE, NEUTRAL, PROFILE = 512, 16383, (0.5, 1.0, 0.625), (2e-4, 1e-6)
#: XYZ of D65 to a camera's colours, as a DNG states it, and light of sRGB to XYZ (IEC 61966-2-1).
CAMERA = np.array([[0.7866, -0.2108, -0.0555], [-0.4869, 1.2483, 0.2681], [-0.1176, 0.2069, 0.7501]])
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def camera_colours(image: Any) -> Any:
    """Colours (H, W, 3) of sRGB as the camera sees them after white balance, light."""
    matrix = CAMERA @ TO_XYZ
    return transfer.decode(image.astype(np.float32)) @ (matrix / matrix.sum(1, keepdims=True)).T


def dng(
    path: Path, image: Any, pattern: str = "RGGB", *, side: int = 2, orientation: int = 1, exposure: float = 1.0
) -> Any:
    """Write a DNG of a picture in sRGB, (H, W, 3) of [0, 1]; returns what is stored."""
    codes = ["RGB".index(letter) for letter in pattern]
    light = camera_colours(image) * np.array(NEUTRAL) * exposure
    colours = np.tile(np.reshape(codes, (side, side)), np.array(image.shape[:2]) // side + 1)
    colours = colours[: image.shape[0], : image.shape[1]]
    mosaic = np.take_along_axis(light, colours[..., None], -1)[..., 0]
    stored = np.clip(np.rint(BLACK + (WHITE - BLACK) * mosaic), 0, WHITE).astype(np.uint16)
    ratios = [number for value in CAMERA.ravel() for number in (round(value * 10000), 10000)]
    neutral = [number for value in NEUTRAL for number in (round(value * 10000), 10000)]
    tags = [
        (33421, "H", 2, (side, side), True), (33422, "B", side**2, bytes(codes), True),
        (50706, "B", 4, b"\1\4\0\0", True), (50707, "B", 4, b"\1\1\0\0", True), (50708, "s", 0, "Made up", True),
        (50710, "B", 3, b"\0\1\2", True), (50711, "H", 1, 1, True), (50713, "H", 2, (1, 1), True),
        (50714, "H", 1, BLACK, True), (50717, "H", 1, WHITE, True), (50721, "2i", 9, ratios, True),
        (50728, "2I", 3, neutral, True), (50778, "H", 1, 21, True), (51041, "d", 2, PROFILE, True),
        (271, "s", 0, "Maker", True), (272, "s", 0, "Made up", True), (274, "H", 1, orientation, True),
    ]  # fmt: skip
    tifffile.imwrite(path, stored, photometric="cfa", metadata=None, extratags=tags)
    return stored


def picture(height: int = 40, width: int = 48) -> Any:
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    return np.stack([0.2 + 0.6 * rows, 0.75 - 0.5 * columns, 0.3 + 0.3 * rows + 0.2 * columns], -1)


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG", "RGBG"])
def test_the_mosaic_is_what_a_picture_of_the_cameras_colours_gives(tmp_path: Path, pattern: str) -> None:
    image = picture()
    dng(tmp_path / "a.dng", image, pattern)
    read = read_picture(tmp_path / "a.dng")
    assert (read.format, read.extra["pattern"]) == ("raw", pattern)
    whole = transfer.encode(camera_colours(image).astype(np.float32))
    for index, letter in enumerate(pattern):
        place = np.s_[index // 2 :: 2, index % 2 :: 2]
        assert np.allclose(read.array[place], whole[(*place, "RGB".index(letter))], atol=1e-3)
    gains = np.array([1 / value for value in NEUTRAL])["RGB".index(pattern[0])]
    x = transfer.decode(read.array[:1, :1]).item()
    slope = 1.055 / 2.4 * x ** (1 / 2.4 - 1)
    assert read.extra["deviation"][0, 0] == pytest.approx(
        slope * gains * np.sqrt(PROFILE[0] * x / gains + PROFILE[1]), rel=0.05
    )


def test_turned_and_cut_mosaics_have_their_own_pattern(tmp_path: Path) -> None:
    image = picture()
    dng(tmp_path / "a.dng", np.rot90(image, 1), orientation=6)  # stored a quarter turn to the left
    turned = read_picture(tmp_path / "a.dng")
    dng(tmp_path / "b.dng", image, turned.extra["pattern"])
    assert turned.size == image.shape[:2]
    assert np.allclose(turned.array, read_picture(tmp_path / "b.dng").array, atol=1e-3)
    part = read_picture(f"{tmp_path}/a.dng::1,2,20,24")
    assert np.array_equal(part.array, turned.array[1:21, 2:26])
    assert part.extra["pattern"] == turned.extra["pattern"][2:] + turned.extra["pattern"][:2]
    with pytest.raises(InputError, match="TOP,LEFT,HEIGHT,WIDTH"):
        read_picture(f"{tmp_path}/a.dng::30,0,20,24")


def test_a_restored_mosaic_is_a_tiff_in_srgb(tmp_path: Path) -> None:
    """White-balanced colours of the camera come out as the colours of the picture that was taken."""
    image = picture()
    dng(tmp_path / "a.dng", image)
    read = read_picture(tmp_path / "a.dng")
    colours = np.moveaxis(transfer.encode(camera_colours(image).astype(np.float32)), -1, 0)
    restored, _ = io.from_unit(colours, like=read)
    made = write(tmp_path / "out" / "a.dng", restored)
    assert made.name == "a.dng.tif"
    with tifffile.TiffFile(made) as file:
        values, page = file.asarray(), file.pages.first
        assert (values.dtype, page.tags[271].value, page.iccprofile[12:20]) == (np.uint16, "Maker", b"mntrRGB ")
    assert np.abs(values / 65535 - image).max() < 2e-3
    again = write(tmp_path / "out" / "b.dng", restored)
    assert again.read_bytes() == made.read_bytes()
    steps = np.random.default_rng(0).normal(size=(400, *colours.shape)).astype(np.float32) * 0.004
    drawn = [io.from_unit(colours + step, like=read)[0] for step in steps[:40]]
    spread = np.std([tifffile.imread(write(tmp_path / "c", one, overwrite=True)) / 65535 for one in drawn], 0)
    told = tifffile.imread(io.save_float(tmp_path / "std" / "a.dng", np.full_like(colours, 0.004), like=restored))
    assert np.median(told / spread) == pytest.approx(1, abs=0.05)


def test_clipped_values_are_white_and_said(tmp_path: Path) -> None:
    dng(tmp_path / "a.dng", picture(), exposure=3)
    read = read_picture(tmp_path / "a.dng")
    assert read.array.max() == pytest.approx(1)
    assert any("sensor's end" in note for note in read.notes)


def test_demosaic_takes_the_pattern_and_the_noise_of_the_file(tmp_path: Path) -> None:
    image = picture(32, 32)
    dng(tmp_path / "a.dng", image, "GBRG")
    overrides = ["prior.name=gaussian", "method={kind: exact}", "run.samples=2"]
    restore("demosaic", tmp_path / "a.dng", out=tmp_path / "out", overrides=overrides, options=Options(progress="off"))
    said = (tmp_path / "out" / "items.csv").read_text()
    assert "pattern GBRG, as the file says" in said
    assert "by the noise profile of the file" in said
    with h5py.File(tmp_path / "out" / "items" / "a.dng" / "posterior.h5") as file:
        mean = file["mean"][...]
    measured = read_picture(tmp_path / "a.dng").array
    for index, letter in enumerate("GBRG"):
        place = np.s_[index // 2 :: 2, index % 2 :: 2]
        assert np.abs(mean["RGB".index(letter)][place] - measured[place]).mean() < 0.01
    assert tifffile.imread(tmp_path / "out" / "restored" / "a.dng.tif").shape == (32, 32, 3)


def test_other_recipes_and_other_sensors_are_refused(tmp_path: Path) -> None:
    dng(tmp_path / "x.dng", picture(48, 48), "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG", side=6)
    with pytest.raises(InputError, match="X-Trans"):
        read_picture(tmp_path / "x.dng")
    dng(tmp_path / "a.dng", picture())
    with pytest.raises(InputError, match="raw file"):
        restore("denoise", [tmp_path / "a.dng"], out=tmp_path / "out", options=Options(strict=True))
    Path(tmp_path, "cut.dng").write_bytes(Path(tmp_path, "a.dng").read_bytes()[:2000])
    with pytest.raises(InputError):
        read_picture(tmp_path / "cut.dng")


def test_a_mosaic_is_read_and_its_result_written_by_windows(tmp_path: Path) -> None:
    image = picture()
    dng(tmp_path / "a.dng", image)
    with ExitStack() as stack:
        scene = io.open_windows(tmp_path / "a.dng", "a.dng", stack)
        window = scene.picture(1, 0, 20, 24)
    assert (window.extra["pattern"], window.size, scene.size) == ("GBRG", (20, 24), image.shape[:2])
    whole, _ = io.from_unit(np.moveaxis(image.astype(np.float32), -1, 0), like=read_picture(tmp_path / "a.dng"))
    with io.open_writer(tmp_path / "b", whole, size=whole.size) as put:
        for left in (0, 24):
            put(0, left, replace(whole, array=whole.array[:, left : left + 24]))
    assert (tmp_path / "b").read_bytes() == write(tmp_path / "c", whole).read_bytes()


def test_without_the_extra_a_raw_file_is_no_plain_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dng(tmp_path / "a.dng", picture())
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setitem(registry.OPTIONAL, "raw", ("no_such_package",))
    with pytest.raises(InputError, match=r"camera raw.*needs a package") as caught:
        read_picture(tmp_path / "a.dng")
    assert "inverse-imaging[raw]" in caught.value.hint
    assert read_picture(tmp_path / "plain.tif").format == "tiff"
