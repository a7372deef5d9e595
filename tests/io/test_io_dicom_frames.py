"""DICOM: functional groups of multi-frame files, padding values, stored bits."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from inverse.io import read_write as iio

pydicom = pytest.importorskip("pydicom")
Dataset, Sequence = pydicom.dataset.Dataset, pydicom.sequence.Sequence

VALUES = np.random.default_rng(0).integers(0, 4000, (2, 20, 18)).astype(np.uint16)


def decode(data, *, source):
    from inverse.io.formats import dicom  # needs the extra

    return dicom.decode(data, source=source)


def made(values, *, stored=12, **elements):
    """The bytes of a file of one or several frames."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3"
    file = pydicom.dataset.FileDataset("a.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = values.shape[-2:]
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, stored, stored - 1
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        file.NumberOfFrames = len(values)
    for name, value in elements.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def group(slope=None, inter=None, spacing=None):
    part = Dataset()
    if slope is not None:
        scaling = Dataset()
        scaling.RescaleSlope, scaling.RescaleIntercept, scaling.RescaleType = slope, inter, "US"
        part.PixelValueTransformationSequence = Sequence([scaling])
    if spacing is not None:
        measures = Dataset()
        measures.PixelSpacing = spacing
        part.PixelMeasuresSequence = Sequence([measures])
    return part


def test_the_shared_group_scales_and_says_the_spacing(tmp_path):
    data = made(VALUES, SharedFunctionalGroupsSequence=Sequence([group(2.5, -100, [0.7, 0.9])]))
    volume = decode(data, source="a")
    np.testing.assert_allclose(_stack(volume), 2.5 * VALUES - 100.0)
    assert volume.slices[0].dpi == pytest.approx((25.4 / 0.9, 25.4 / 0.7))
    assert "pixel spacing 0.7 x 0.9 mm" in volume.notes
    written = iio.read(iio.write_volume(tmp_path / "a.dcm", volume))
    np.testing.assert_array_equal(_stack(written), _stack(volume))
    shared = pydicom.dcmread(tmp_path / "a.dcm").SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.7, 0.9]
    assert shared.PixelValueTransformationSequence[0].RescaleSlope == 2.5 / 2**4


def _stack(volume):
    return np.stack([picture.array for picture in volume.slices])


def test_each_frame_has_its_own_scale_before_the_shared_one():
    frames = Sequence([group(1, 0), group(2, 7)])
    shared = Sequence([group(9, 9)])
    data = made(VALUES, PerFrameFunctionalGroupsSequence=frames, SharedFunctionalGroupsSequence=shared)
    volume = decode(data, source="a")
    np.testing.assert_allclose(_stack(volume), np.stack([VALUES[0], 2.0 * VALUES[1] + 7]))
    assert "rescaled: each frame by its own" in volume.notes
    half = decode(
        made(
            VALUES, PerFrameFunctionalGroupsSequence=Sequence([group(), group()]), SharedFunctionalGroupsSequence=shared
        ),
        source="a",
    )
    np.testing.assert_allclose(_stack(half), 9.0 * VALUES + 9)


@pytest.mark.parametrize("limit", [None, -1990])
def test_padding_is_unobserved_and_stays(limit, tmp_path):
    values = VALUES[0].astype(np.int16)
    values[:3] = -2000
    values[3, :5] = -1995
    more = {} if limit is None else {"PixelPaddingRangeLimit": limit}
    scaled = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PixelPaddingValue": -2000}
    picture = decode(made(values, stored=16, **scaled, **more), source="a")
    padded = values == -2000 if limit is None else values < -1990
    np.testing.assert_array_equal(picture.valid, ~padded)
    restored = replace(picture, array=np.full(values.shape, 5, np.float32))
    file = pydicom.dcmread(iio.write(tmp_path / "r.dcm", restored))
    written = pydicom.pixels.processing.apply_rescale(file.pixel_array, file)
    np.testing.assert_array_equal(iio.read(tmp_path / "r.dcm").valid, values != -2000 if limit is None else ~padded)
    assert (written[:3] == -3024).all()
    if limit is not None:
        assert (written[3, :5] == -3019).all()  # each as it was
    assert (written[~padded] == 5).all()
    std = iio.read(iio.save_float(tmp_path / "s.dcm", np.ones((1, *values.shape)), like=restored))
    np.testing.assert_array_equal(std.valid, ~padded)
    np.testing.assert_allclose(std.array[~padded], 1, rtol=1e-4)


def test_a_padding_value_of_the_other_sign_is_understood():
    values = VALUES[0].astype(np.int16)
    values[:3] = -2000
    data = made(values, stored=16, PixelPaddingValue=-2000)
    swapped = data.replace(b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US")
    assert swapped != data
    assert not decode(swapped, source="a").valid[:3].any()


@pytest.mark.parametrize("stored", [12, 16])
def test_monochrome1_is_inverted_by_the_bits_that_are_stored(stored):
    picture = decode(made(VALUES[0], stored=stored, PhotometricInterpretation="MONOCHROME1"), source="a")
    np.testing.assert_array_equal(picture.array, 2**stored - 1 - VALUES[0].astype(int))
    values = (VALUES[0] % 2000).astype(np.int16)
    signed = decode(made(values, stored=stored, PhotometricInterpretation="MONOCHROME1"), source="a")
    np.testing.assert_array_equal(signed.array, -1 - values.astype(int))


def test_a_dose_is_in_its_units_and_its_deviation_too(tmp_path):
    """What a reader of doses does: the stored value times the grid's scaling, and nothing else."""
    data = made(VALUES, stored=16, DoseGridScaling="2.5e-3", DoseUnits="GY")
    volume = decode(data, source="a")
    np.testing.assert_allclose(_stack(volume), 2.5e-3 * VALUES, rtol=1e-6)
    file = pydicom.dcmread(iio.write_volume(tmp_path / "a.dcm", volume))
    np.testing.assert_allclose(file.pixel_array * float(file.DoseGridScaling), 2.5e-3 * VALUES, rtol=1e-12)
    assert (file.pixel_array.dtype, "RescaleSlope" in file) == (np.uint32, False)
    deviation = np.full((2, 1, 20, 18), 0.04)
    file = pydicom.dcmread(iio.save_float(tmp_path / "s.dcm", deviation, like=volume))
    np.testing.assert_allclose(file.pixel_array * float(file.DoseGridScaling), 0.04, rtol=1e-4)
    assert "RescaleSlope" not in file


def test_real_world_values_follow_the_stored_steps(tmp_path):
    mapping = Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.25, -5.0
    scaled = {"RescaleSlope": 2, "RescaleIntercept": 10}
    data = made(VALUES[0], RealWorldValueMappingSequence=Sequence([mapping]), **scaled)
    picture = decode(data, source="a")
    for path, values in (
        (iio.write(tmp_path / "r.dcm", picture), 0.25 * VALUES[0] - 5),
        (iio.save_float(tmp_path / "s.dcm", np.full((1, 20, 18), 3.0), like=picture), np.full((20, 18), 0.25 * 3 / 2)),
    ):
        file = pydicom.dcmread(path)
        said = file.RealWorldValueMappingSequence[0]
        mapped = file.pixel_array * said.RealWorldValueSlope + said.RealWorldValueIntercept
        np.testing.assert_allclose(mapped, values, rtol=1e-4)


def test_floats_stay_floats_and_regions_follow_the_grid(tmp_path):
    region = Dataset()
    region.PhysicalDeltaX, region.PhysicalDeltaY, region.RegionLocationMinX0, region.RegionLocationMaxX1 = (
        0.1,
        0.2,
        4,
        9,
    )
    file = pydicom.dcmread(io.BytesIO(made(VALUES[0], SequenceOfUltrasoundRegions=Sequence([region]))))
    values = (VALUES[0] / 7).astype(np.float32)
    values[2, 3], values[4] = np.nan, -1
    file.BitsAllocated, file.FloatPixelData, file.FloatPixelPaddingValue = 32, values.tobytes(), -1
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(file, name)
    file.save_as(tmp_path / "a.dcm")
    picture = iio.read_picture(tmp_path / "a.dcm")
    assert int((~picture.valid).sum()) == 19
    written = pydicom.dcmread(iio.write(tmp_path / "r.dcm", replace(picture, array=picture.array + 1)))
    np.testing.assert_array_equal(written.pixel_array, np.where(picture.valid, values + 1, -1))
    larger = replace(picture, array=np.ones((40, 36), np.float32), valid=None)
    said = pydicom.dcmread(iio.write(tmp_path / "l.dcm", larger)).SequenceOfUltrasoundRegions[0]
    assert (said.PhysicalDeltaX, said.PhysicalDeltaY) == (0.05, 0.1)
    assert (said.RegionLocationMinX0, said.RegionLocationMaxX1) == (8, 19)
