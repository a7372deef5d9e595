"""TIFF as other programs write it, and stacks: axes, OME-XML and ImageJ descriptions through a round trip."""

import re

import numpy as np
import pytest
import tifffile
from PIL import Image

import inverse.io as iio
from inverse.errors import InputError

RNG = np.random.default_rng(0)
RGB16 = RNG.integers(0, 65536, (40, 56, 3)).astype(np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"planarconfig": "separate"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "planarconfig": "separate", "compression": "zlib", "predictor": True},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"byteorder": ">"},
        {"byteorder": ">", "bigtiff": True},
        {"rowsperstrip": 7},
        {"bigtiff": True, "compression": "zlib"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_layouts_of_other_writers(tmp_path, options, dtype):
    array = RGB16.astype(dtype)
    values = np.moveaxis(array, -1, 0) if options.get("planarconfig") == "separate" else array
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb", metadata=None, iccprofile=b"profile", **options)
    picture = iio.read(tmp_path / "in.tif")
    np.testing.assert_array_equal(picture.array, array)
    iio.write(tmp_path / "out.tif", picture)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        page = file.pages[0]
        assert page.dtype == dtype
        assert page.photometric == 2
        assert page.planarconfig == (2 if options.get("planarconfig") == "separate" else 1)
        assert page.iccprofile == b"profile"
        assert (page.compression == 8) is ("compression" in options)
    np.testing.assert_array_equal(iio.read(tmp_path / "out.tif").array, array)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "F", "P", "1", "LA"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_as_pillow_writes_it(tmp_path, mode, compression):
    grey = RNG.integers(0, 256, (30, 41)).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(RGB16[..., 0])
    elif mode == "P":
        image = Image.fromarray(RGB16.astype(np.uint8)).quantize(16)
    else:
        image = Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "in.tif", compression=compression, dpi=(300, 300))
    picture = iio.read(tmp_path / "in.tif")
    if mode == "P":
        np.testing.assert_array_equal(picture.array, np.asarray(image.convert("RGB")))
        return
    expected = np.asarray(image)
    if mode == "1":
        expected = expected * np.uint8(255)
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(picture.alpha, expected[..., -1])
        expected = expected[..., :-1].squeeze()
    np.testing.assert_array_equal(picture.array, expected)
    assert picture.dpi == pytest.approx((300, 300))


@pytest.mark.parametrize(
    ("axes", "shape", "count", "channels"),
    [
        ("ZYX", (5, 12, 14), 5, 1),
        ("TZYX", (2, 3, 12, 14), 6, 1),
        ("ZCYX", (4, 2, 12, 14), 4, 2),
        ("CZYX", (2, 4, 12, 14), 4, 2),
        ("TZCYX", (2, 3, 2, 12, 14), 6, 2),
        ("TYX", (20, 12, 14), 20, 1),
        ("ZYXS", (3, 12, 14, 3), 3, 3),
    ],
)
@pytest.mark.parametrize("flavour", ["ome", "shaped", "imagej"])
def test_stacks_come_back_with_their_axes(tmp_path, axes, shape, count, channels, flavour):
    array = RNG.integers(0, 256, shape).astype(np.uint8 if axes.endswith("S") else np.uint16)
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    if (axes, flavour) == ("CZYX", "imagej"):
        axes, array = "ZCYX", array.swapaxes(0, 1)  # the order ImageJ has
    own = {flavour: True} if flavour != "shaped" else {}
    tifffile.imwrite(tmp_path / "in.tif", array, photometric=photometric, metadata={"axes": axes}, **own)
    volume = iio.read(tmp_path / "in.tif")
    assert isinstance(volume, iio.Volume)
    assert (len(volume.slices), volume.channels, volume.size) == (count, channels, (12, 14))
    iio.write_volume(tmp_path / "out.tif", volume, provenance={"inverse:run": "recipe 1"})
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.series[0].axes == axes
        np.testing.assert_array_equal(file.asarray(), array)
        assert file.pages[0].tags[305].value == "inverse:run=recipe 1"
        assert getattr(file, f"is_{flavour}")
    std = RNG.random((count, channels, 12, 14)).astype(np.float32)
    back = iio.read(iio.save_float(tmp_path / "std.tif", std, like=volume))
    np.testing.assert_array_equal(iio.stack(back).reshape(count, 12, 14, channels), np.moveaxis(std, 1, -1))
    assert back.extra["first"].extra["axes"].names == axes


def test_ome_metadata_follow_a_finer_grid(tmp_path):
    array = RNG.integers(0, 4096, (4, 2, 12, 14)).astype(np.uint16)
    physical = {"axes": "ZCYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5}
    names = {"Channel": {"Name": ["DAPI", "GFP"]}, "Description": "a > b & c"}
    tifffile.imwrite(tmp_path / "in.ome.tif", array, photometric="minisblack", ome=True, metadata=physical | names)
    volume = iio.read(tmp_path / "in.ome.tif")
    finer = np.moveaxis(np.kron(array, np.ones((1, 1, 2, 2), np.float32)), 1, 1)
    iio.save_float(tmp_path / "out.ome.tif", finer, like=volume)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        xml = file.ome_metadata
        assert file.series[0].axes == "ZCYX"
        np.testing.assert_array_equal(file.asarray(), finer)
    for words in ('SizeX="28"', 'SizeY="24"', 'PhysicalSizeX="0.1"', 'PhysicalSizeY="0.15"', 'PhysicalSizeZ="1.5"'):
        assert words in xml
    assert re.findall(r'Name="(\w+)"', xml)[-2:] == ["DAPI", "GFP"]
    assert 'Type="float"' in xml
    assert "a &gt; b &amp; c" in xml
    assert xml.count("<TiffData") == 1
    assert "UUID" not in xml


def test_channels_of_one_image_stay_a_picture_on_a_finer_grid(tmp_path):
    array = RNG.integers(0, 4096, (3, 12, 14)).astype(np.uint16)
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.2, "Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="minisblack", ome=True, metadata=metadata)
    picture = iio.read(tmp_path / "in.tif")
    finer, _ = iio.from_unit(np.ones((3, 24, 28), np.float32), like=picture)
    iio.write(tmp_path / "out.tif", finer)
    back = iio.read(tmp_path / "out.tif")
    assert (back.size, back.channels) == ((24, 28), 3)
    assert 'PhysicalSizeX="0.1"' in back.extra["ome"]


def test_plain_pages_are_slices(tmp_path):
    pages = [Image.fromarray(RNG.integers(0, 256, (12, 14)).astype(np.uint8)) for _ in range(3)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    volume = iio.read(tmp_path / "in.tif")
    assert len(volume.slices) == 3
    iio.write_volume(tmp_path / "out.tif", volume, provenance={"inverse:run": "recipe 1"})
    with Image.open(tmp_path / "out.tif") as image:
        assert image.n_frames == 3
        for index, page in enumerate(pages):
            image.seek(index)
            np.testing.assert_array_equal(np.asarray(image), np.asarray(page))
        image.seek(0)
        assert "inverse:run=recipe 1" in image.tag_v2[270]


def test_ome_pages_in_other_files_are_never_opened(tmp_path, monkeypatch):
    array = RNG.integers(0, 256, (3, 12, 14)).astype(np.uint8)
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="14" SizeY="12" SizeZ="4" SizeC="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="3"/>'
        '<TiffData FirstZ="3" PlaneCount="1"><UUID FileName="other.tif">urn:uuid:1</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(tmp_path / "bad.tif", array, photometric="minisblack", description=xml.encode(), metadata=None)
    tifffile.imwrite(tmp_path / "other.tif", array, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="in other files, which are never opened"):
        iio.read("bad.tif")


SIZES = [np.full((20, 24), 7, "u1"), np.full((40, 48), 9, "u1"), np.full((10, 12), 5, "u1")]


def several(path, kinds):
    with tifffile.TiffWriter(path) as file:
        for values, kind in zip(SIZES, kinds, strict=True):
            file.write(values, subfiletype=kind, photometric="minisblack", metadata=None)


def test_reduced_copies_and_masks_are_none_of_its_images(tmp_path):
    several(tmp_path / "a.tif", (1, 0, 1))
    picture = iio.read_picture(tmp_path / "a.tif")
    assert (picture.array == SIZES[1]).all()
    assert picture.lost == ("its other images (24 x 20, 12 x 10 pixels) are not in the result",)


def test_of_images_of_several_sizes_one_is_named(tmp_path):
    several(tmp_path / "a.tif", (0, 0, 0))
    with pytest.raises(InputError, match="holds 3 images: 24 x 20, 48 x 40, 12 x 10") as caught:
        iio.read(tmp_path / "a.tif")
    assert "FILE.tif::1" in caught.value.hint
    for index, values in enumerate(SIZES):
        assert (iio.read_picture(f"{tmp_path / 'a.tif'}::{index}").array == values).all()
    with pytest.raises(InputError, match="no image '3'"):
        iio.read(f"{tmp_path / 'a.tif'}::3")
    assert not iio.read_picture(iio.write(tmp_path / "out.tif", iio.read_picture(f"{tmp_path / 'a.tif'}::1"))).lost
