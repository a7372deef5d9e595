"""Zarr stores in and out; DICOM in, TIFF out."""

import io
import json

import numpy as np
import pytest
import tifffile

import inverse.io as iio
from inverse.errors import InputError, OutputError
from inverse.inputs import find
from inverse.store import file_hash

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


def test_dicom_is_read_and_written_as_tiff(tmp_path):
    values = RNG.integers(0, 4000, (20, 30)).astype(np.uint16)
    (tmp_path / "a.dcm").write_bytes(dicom(values))
    picture = iio.read(tmp_path / "a.dcm")
    assert picture.format == "dicom"
    np.testing.assert_array_equal(picture.array, values)
    assert "written as TIFF" in picture.notes
    written = iio.write(tmp_path / "out" / "a.dcm", picture, provenance={"inverse:run": "recipe 1"})
    assert written == tmp_path / "out" / "a.dcm.tif" == iio.result_path(tmp_path / "out" / "a.dcm", "dicom")
    with tifffile.TiffFile(written) as file:
        np.testing.assert_array_equal(file.asarray(), values)
        assert file.pages[0].description == "inverse:run=recipe 1"
    assert b"Nobody" not in written.read_bytes()
    assert iio.read(written).dpi == pytest.approx((101.6, 50.8), rel=1e-4)
    std = iio.save_float(tmp_path / "std" / "a.dcm", np.ones((1, 20, 30)), like=picture)
    assert std.name == "a.dcm.tif"


def test_dicom_frames_and_rescaled_units(tmp_path):
    values = RNG.integers(0, 4000, (3, 20, 30)).astype(np.int16)
    (tmp_path / "a.dcm").write_bytes(dicom(values, RescaleSlope="2", RescaleIntercept="-1024"))
    volume = iio.read(tmp_path / "a.dcm")
    np.testing.assert_allclose(iio.stack(volume), values * 2.0 - 1024)
    written = iio.write_volume(tmp_path / "out.dcm", volume)
    with tifffile.TiffFile(written) as file:
        assert file.series[0].axes == "ZYX"
        assert file.asarray().dtype == np.float32
    (tmp_path / "b.dcm").write_bytes(dicom(values[0].astype(np.uint16), PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(iio.read(tmp_path / "b.dcm").array, 65535 - values[0].astype(np.uint16))


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
