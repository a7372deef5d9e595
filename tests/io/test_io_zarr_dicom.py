"""Zarr stores in and out; DICOM in, TIFF out."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

import inverse.io as iio
from inverse.errors import InputError, OutputError
from inverse.io.content import from_unit
from inverse.io.sources import find
from inverse.storage.files import file_hash

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 3), (5, 12, 10)])
def test_zarr_round_trip(tmp_path, version, shape):
    zarr = pytest.importorskip("zarr")
    values = RNG.integers(0, 60000, shape).astype(np.uint16)
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=version)
    group.attrs["title"] = "scene"
    array = group.create_array("a/b", shape=shape, dtype="uint16", chunks=(5, *shape[1:]))
    array[...] = values
    array.attrs["unit"] = "m"
    assert iio.sniff(tmp_path / "in.zarr") == "zarr"
    found = iio.read(tmp_path / "in.zarr")
    write = iio.write_volume if isinstance(found, iio.Volume) else iio.write
    for _ in range(2):
        write(tmp_path / "out.zarr", found, provenance={"inverse:run": "recipe 1"}, overwrite=True)
    back = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert back.metadata.zarr_format == version
    assert back.attrs["title"] == "scene"
    assert dict(back["a/b"].attrs) == {"unit": "m", "inverse:run": "recipe 1"}
    assert back["a/b"].chunks == array.chunks
    np.testing.assert_array_equal(back["a/b"][...], values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr", "out.zarr"]
    with pytest.raises(OutputError, match="already exists"):
        write(tmp_path / "out.zarr", found)


def test_a_store_is_one_item_and_the_first_level_of_a_pyramid_is_read(tmp_path):
    zarr = pytest.importorskip("zarr")
    folder = tmp_path / "images"
    group = zarr.open_group(folder / "in.zarr", mode="w", zarr_format=2)
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}, {"path": "1"}]}]
    for level, size in (("0", 16), ("1", 8)):
        group.create_array(level, shape=(size, size), dtype="float32")[...] = 1.0
    assert [source.item for source in find([folder])] == ["in.zarr"]
    assert [source.item for source in find([folder / "in.zarr"])] == ["in.zarr"]
    found = iio.read(folder / "in.zarr")
    assert found.size == (16, 16)
    assert iio.read(f"{folder}/in.zarr::/1").size == (8, 8)
    iio.write(tmp_path / "out.zarr", found)
    scales = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs["multiscales"]
    assert scales == [{"datasets": [{"path": "0"}]}]
    with pytest.raises(InputError, match="no array '/2'"):
        iio.read(f"{folder}/in.zarr::/2")
    before = file_hash(folder / "in.zarr")
    group["0"][0, 0] = 2.0
    assert file_hash(folder / "in.zarr") != before
    with pytest.raises(InputError, match="cannot read"):
        file_hash(folder)


def test_axes_are_taken_by_their_names(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = RNG.integers(1, 60000, (3, 12, 10)).astype(np.uint16)
    for version, names in ((3, {"dimension_names": ("band", "y", "x")}), (2, {})):
        array = zarr.create_array(
            tmp_path / f"{version}.zarr",
            shape=values.shape,
            dtype="uint16",
            chunks=(1, 6, 10),
            zarr_format=version,
            **names,
        )
        array[...] = values
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = ["band", "y", "x"]
        picture = iio.read(tmp_path / f"{version}.zarr")
        np.testing.assert_array_equal(picture.array, np.moveaxis(values, 0, -1))
        iio.write(tmp_path / "out.zarr", picture, overwrite=True)
        back = zarr.open_array(tmp_path / "out.zarr", mode="r")
        np.testing.assert_array_equal(back[...], values)
        assert back.chunks == array.chunks
        assert dict(back.attrs) == dict(array.attrs)
        if version == 3:
            assert back.metadata.dimension_names == ("band", "y", "x")
        else:
            assert back.attrs["_ARRAY_DIMENSIONS"] == ["band", "y", "x"]
    # as many as no picture has: slices, wherever they are; and three names of space are no channels
    for shape, names, slices in (((12, 10, 20), ("y", "x", "band"), 20), ((12, 10, 4), ("z", "y", "x"), 12)):
        array = zarr.create_array(tmp_path / f"{slices}.zarr", shape=shape, dtype="f4", dimension_names=names)
        array[...] = RNG.random(shape, np.float32)
        volume = iio.read(tmp_path / f"{slices}.zarr")
        assert len(volume.slices) == slices
        iio.write_volume(tmp_path / "out.zarr", volume, overwrite=True)
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[...], array[...])


@pytest.mark.parametrize(
    ("names", "shape", "slices", "order"),
    [
        (("y", "x", "time"), (24, 20, 5), 5, (2, 0, 1)),
        (("y", "time", "x"), (24, 3, 20), 3, (1, 0, 2)),
        (("band", "x", "y"), (3, 20, 24), 1, (2, 1, 0)),
        (("Longitude", "Latitude"), (20, 24), 1, (1, 0)),
        (("x", "time", "band", "y"), (20, 5, 3, 24), 5, (1, 3, 0, 2)),
        (("northing", "easting", "band"), (24, 20, 18), 18, (2, 0, 1)),
    ],
)
def test_rows_and_columns_are_taken_by_their_names_wherever_they_are(names, shape, slices, order, tmp_path):
    zarr = pytest.importorskip("zarr")
    values = RNG.integers(1, 60000, shape).astype(np.uint16)
    known = {"chunks": tuple(max(2, side // 2) for side in shape), "dimension_names": names}
    zarr.create_array(tmp_path / "in.zarr", shape=shape, dtype="uint16", **known)[...] = values
    found = iio.read(tmp_path / "in.zarr")
    assert found.size == (24, 20)
    pictures = found.slices if isinstance(found, iio.Volume) else (found,)
    assert len(pictures) == slices
    read = np.squeeze(np.stack([picture.array for picture in pictures]))
    np.testing.assert_array_equal(read, values.transpose(order))
    (iio.write_volume if slices > 1 else iio.write)(tmp_path / "out.zarr", found)
    back = zarr.open_array(tmp_path / "out.zarr", mode="r")
    np.testing.assert_array_equal(back[...], values)
    assert back.metadata.dimension_names == names
    assert back.chunks == known["chunks"]


@pytest.mark.parametrize("version", [2, 3])
def test_pixels_without_a_value_are_unobserved_and_stay_so(version, tmp_path):
    zarr = pytest.importorskip("zarr")
    values = RNG.integers(1, 60000, (12, 10)).astype(np.uint16)
    values[3:5] = 9
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=version)
    array = group.create_array("image", shape=(12, 10), dtype="uint16", fill_value=9)
    array[...] = values
    array.attrs.update({"scale_factor": 0.1, "add_offset": 5.0})
    if version == 2:  # xarray's: fill_value is the missing one
        array.attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
    else:
        array.attrs["_FillValue"] = 9
    picture = iio.read(tmp_path / "in.zarr")
    np.testing.assert_array_equal(picture.valid, values != 9)
    measured = np.where(picture.valid, values, 9)
    assert measured[0, 0] != 9
    restored = replace(picture, array=np.full((12, 10), 9, np.uint16))  # a value that happens to be the missing one
    iio.write(tmp_path / "out.zarr", restored)
    np.testing.assert_array_equal(iio.read(tmp_path / "out.zarr").valid, picture.valid)
    assert set(np.unique(iio.read(tmp_path / "out.zarr").array[picture.valid])) == {10}
    iio.save_float(tmp_path / "std.zarr", np.ones((1, 12, 10)), like=picture)
    std = zarr.open_array(tmp_path / "std.zarr" / "image", mode="r")
    assert "_FillValue" not in std.attrs
    assert std.attrs["scale_factor"] == 0.1
    assert np.isnan(std.fill_value)
    np.testing.assert_array_equal(np.isnan(std[...]), ~picture.valid)


def test_floats_that_are_not_finite_are_unobserved(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = RNG.random((12, 10, 3), np.float32)
    values[2, 3], values[4, 5] = np.nan, np.inf
    zarr.create_array(tmp_path / "in.zarr", shape=values.shape, dtype="f4", fill_value=np.nan)[...] = values
    picture = iio.read(tmp_path / "in.zarr")
    np.testing.assert_array_equal(picture.valid, np.isfinite(values).all(-1))
    assert "3 NaN or infinite" not in picture.notes[-1]
    assert "6 NaN or infinite values taken as unobserved" in picture.notes
    iio.write(tmp_path / "out.zarr", picture)
    assert np.isnan(zarr.open_array(tmp_path / "out.zarr", mode="r")[2, 3]).all()
    zarr.open_array(tmp_path / "in.zarr", mode="a")[...] = np.nan
    with pytest.raises(InputError, match="no pixel has a value"):
        iio.read(tmp_path / "in.zarr")


def test_what_lies_beside_an_image_follows_its_grid(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "in.zarr", mode="w")
    group.create_array("image", shape=(12, 10), dtype="f4", dimension_names=("y", "x"))[...] = 1.0
    for name, values in (("y", 100.0 - 30 * np.arange(12)), ("x", 7 + 30 * np.arange(10)), ("time", np.arange(3))):
        group.create_array(name, shape=values.shape, dtype=values.dtype, dimension_names=(name,))[...] = values
    place = {"crs_wkt": "EPSG:32633", "GeoTransform": "-8 30 0 115 0 -30"}
    group.create_array("spatial_ref", shape=(), dtype="i8", attributes=place)
    group.create_group("other")
    picture = iio.read(tmp_path / "in.zarr")  # the only array of two axes
    iio.write(tmp_path / "same.zarr", picture)
    same = zarr.open_group(tmp_path / "same.zarr", mode="r")
    assert sorted(same) == ["image", "spatial_ref", "time", "x", "y"]
    assert dict(same["spatial_ref"].attrs) == place
    np.testing.assert_array_equal(same["x"][...], group["x"][...])
    assert same["x"].metadata.dimension_names == ("x",)
    finer = replace(picture, array=np.ones((24, 20), np.float32))
    iio.write(tmp_path / "finer.zarr", finer)
    group = zarr.open_group(tmp_path / "finer.zarr", mode="r")
    np.testing.assert_allclose(group["y"][...], 107.5 - 15 * np.arange(24))
    np.testing.assert_allclose(group["x"][...], -0.5 + 15 * np.arange(20))
    np.testing.assert_array_equal(group["time"][...], np.arange(3))
    assert dict(group["spatial_ref"].attrs) == {"crs_wkt": "EPSG:32633"}


def test_xarray_reads_what_it_wrote(tmp_path):
    pytest.importorskip("zarr")
    xarray = pytest.importorskip("xarray")
    values = RNG.random((3, 12, 10)).astype(np.float32)
    values[:, 2, 3] = np.nan
    known = {"band": [1, 2, 3], "y": np.arange(12.0), "x": np.arange(10.0)}
    given = xarray.Dataset({"image": (("band", "y", "x"), values, {"unit": "m"})}, coords=known)
    for version in (2, 3):
        given.to_zarr(tmp_path / f"{version}.zarr", zarr_format=version, consolidated=False)
        picture = iio.read(tmp_path / f"{version}.zarr")
        assert picture.size == (12, 10)
        assert int((~picture.valid).sum()) == 1
        iio.write(tmp_path / f"out{version}.zarr", picture)
        with xarray.open_zarr(tmp_path / f"out{version}.zarr", consolidated=False) as back:
            xarray.testing.assert_identical(back.load(), given)


def test_codecs_that_unpickle_are_refused_before_anything_is_opened(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), dtype="uint8", zarr_format=2)[...] = 1
    path = tmp_path / "a.zarr" / ".zarray"
    found = json.loads(path.read_text())
    for change, words in (
        ({"filters": [{"id": "pickle"}]}, "codec 'pickle'"),
        ({"dtype": "|O"}, "expected numbers"),
        ({"shape": [10**6, 10**6]}, "stores only"),
        ({"shape": [-8, 8]}, "declares the sizes"),
        ({"shape": "8 x 8"}, "broken Zarr: sizes"),
        ({"compressor": {"id": "nothing"}}, "codec 'nothing'"),
    ):
        path.write_text(json.dumps(found | change))
        with pytest.raises(InputError, match=words):
            iio.read(tmp_path / "a.zarr")
    path.write_text("{")
    with pytest.raises(InputError, match="broken Zarr"):
        iio.read(tmp_path / "a.zarr")


def dicom(values, **elements):
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = pydicom.dataset.FileDataset("a.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.PatientName = "Nobody^Else"
    file.Rows, file.Columns = values.shape[-2:]
    file.BitsAllocated = file.BitsStored = 8 * values.dtype.itemsize
    file.HighBit = file.BitsStored - 1
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        file.NumberOfFrames = len(values)
    file.PixelSpacing = [0.5, 0.25]
    for name, value in elements.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def pixels(path):
    """What a file holds, read by pydicom, in its own units."""
    pydicom = pytest.importorskip("pydicom")
    file = pydicom.dcmread(path)
    return file, pydicom.pixels.processing.apply_rescale(file.pixel_array, file)


def test_dicom_comes_back_as_an_instance_of_its_own(tmp_path):
    values = RNG.integers(0, 4000, (20, 30)).astype(np.uint16)
    (tmp_path / "a.dcm").write_bytes(dicom(values, SeriesInstanceUID="1.2.9", SeriesDescription="T1"))
    picture = iio.read(tmp_path / "a.dcm")
    assert picture.format == "dicom"
    np.testing.assert_array_equal(picture.array, values)
    written = iio.write(tmp_path / "out" / "a.dcm", picture, provenance={"inverse:run": "recipe 1"})
    assert written == tmp_path / "out" / "a.dcm" == iio.result_path(tmp_path / "out" / "a.dcm", "dicom")
    file, found = pixels(written)
    np.testing.assert_array_equal(found, values)
    assert (file.PatientName, file.ImageType, file.SeriesDescription) == (
        "Nobody^Else",
        ["DERIVED", "PRIMARY"],
        "T1 restored",
    )
    assert file.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert len({file.SOPInstanceUID, file.SeriesInstanceUID, "1.2.3", "1.2.9"}) == 4
    assert "recipe 1" in file.DerivationDescription
    assert iio.read(written).dpi == pytest.approx((101.6, 50.8), rel=1e-4)
    again = iio.write(tmp_path / "b.dcm", picture, provenance={"inverse:run": "recipe 1"})
    assert again.read_bytes() == written.read_bytes()
    std = iio.save_float(tmp_path / "std" / "a.dcm", np.full((1, 20, 30), 3.25), like=picture)
    other, found = pixels(std)
    np.testing.assert_allclose(found, 3.25, rtol=1e-4)
    assert other.SeriesInstanceUID != file.SeriesInstanceUID


def test_dicom_frames_and_rescaled_units(tmp_path):
    values = RNG.integers(0, 4000, (3, 20, 30)).astype(np.int16)
    (tmp_path / "a.dcm").write_bytes(dicom(values, RescaleSlope="2", RescaleIntercept="-1024"))
    volume = iio.read(tmp_path / "a.dcm")
    np.testing.assert_allclose(iio.stack(volume), values * 2.0 - 1024)
    file, found = pixels(iio.write_volume(tmp_path / "out.dcm", volume))
    np.testing.assert_array_equal(found, values * 2.0 - 1024)
    assert file.RescaleSlope == 2 / 16  # a sixteenth of the file's steps fits into 16 bits
    finer = np.stack([picture.array + np.float32(0.375) for picture in volume.slices])
    made = replace(volume, slices=tuple(replace(p, array=a) for p, a in zip(volume.slices, finer, strict=True)))
    np.testing.assert_array_equal(pixels(iio.write_volume(tmp_path / "finer.dcm", made))[1], finer)


@pytest.mark.parametrize("beyond", [0, 7])
def test_white_is_low_stays_so_as_far_as_it_can(tmp_path, beyond):
    values = RNG.integers(0, 4000, (20, 30)).astype(np.uint16)
    data = dicom(values, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    (tmp_path / "b.dcm").write_bytes(data)
    picture = iio.read(tmp_path / "b.dcm")
    np.testing.assert_array_equal(picture.array, 4095 - values)
    bright = replace(picture, array=picture.array + np.uint16(beyond) * (values == 0))
    written = iio.write(tmp_path / "o.dcm", bright)
    np.testing.assert_array_equal(iio.read(written).array, bright.array)
    wanted = "MONOCHROME2" if beyond and (values == 0).any() else "MONOCHROME1"
    assert pixels(written)[0].PhotometricInterpretation == wanted


def test_a_finer_grid_has_finer_spacing_at_the_same_place(tmp_path):
    place = {"ImagePositionPatient": [10, 20, 30], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
    (tmp_path / "a.dcm").write_bytes(dicom(RNG.integers(0, 4000, (20, 30)).astype(np.uint16), **place))
    picture = iio.read(tmp_path / "a.dcm")
    fine, _ = from_unit(np.zeros((1, 80, 120), np.float32), like=picture)
    file, _ = pixels(iio.write(tmp_path / "o.dcm", fine))
    assert [float(value) for value in file.PixelSpacing] == [0.125, 0.0625]
    # the corner of the first pixel stays: 20 - 0.25 / 2 + 0.0625 / 2 along y, 30 + 0.5 / 2 - 0.125 / 2 along z
    np.testing.assert_allclose([float(value) for value in file.ImagePositionPatient], [10, 19.90625, 30.1875])


def test_dicom_that_is_no_grey_image(tmp_path):
    good = dicom(np.zeros((20, 30), np.uint16))
    for name, data, words in (
        ("cut", good[:-100], "broken DICOM"),
        ("colour", dicom(np.zeros((20, 30), np.uint8), SamplesPerPixel=3), "coloured"),
        ("huge", dicom(np.zeros((20, 30), np.uint16), Rows=60000, Columns=60000), "stores only"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=words):
            iio.read(tmp_path / name)
