"""Images of raw k-space placed in the patient: the affine of NIfTI, positions and directions of DICOM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inverse.errors import InputError, RecipeError
from inverse.io.content import Picture, Scan
from inverse.io.kspace.header import Encoding
from inverse.io.patient.written import placeable, placed_path, write_placed
from inverse.recipes.recipe import load

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

SIZE, VIEW, CENTRE = (24, 20), (48.0, 30.0, 5.0), np.array([10.0, -20.0, 30.0])
NAME = "<x><subjectInformation><patientName>Doe^Jo</patientName></subjectInformation></x>"


def turned():
    """Orthogonal unit vectors along the readout, the phase encoding and the slices, of none of the axes."""
    down, across = np.array([0.6, 0.64, 0.48]), np.array([-0.8, 0.48, 0.36])
    return down, across, np.cross(down, across)


def scan(order=(0, 1, 2), **changes):
    """A scan whose slice number s lies at place order[s], 6 mm apart."""
    down, across, through = turned()
    places = np.array([CENTRE + 6.0 * place * through for place in order])
    fields = {"position": places, "read_dir": np.tile(down, (3, 1)), "phase_dir": np.tile(across, (3, 1))} | changes
    encoding = Encoding(SIZE, SIZE, VIEW, VIEW, None, None, "cartesian", "")
    return Scan(
        kspace=np.ones((3, 1, *SIZE), np.complex64),
        shape=SIZE,
        format="ismrmrd",
        extra={"placement": fields, "encoding": encoding, "header": NAME},
        source="a.h5",
    )


def marked(order):
    """Images, in each slice a bright pixel of its own, and where in the patient (LPS) each of those lies."""
    down, across, through = turned()
    images, points = np.zeros((3, *SIZE), np.complex64), {}
    for index, place in enumerate(order):
        row, column = 3 + 5 * place, 16 - 4 * place
        images[index, row, column] = 2j * (place + 1)
        # the origin of the Fourier transform, pixel n // 2, lies at the position
        off = (row - 12) * 2.0 * down + (column - 10) * 1.5 * across
        points[place] = CENTRE + 6.0 * place * through + off
    return images, points


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1)])
def test_the_affine_of_nifti_is_that_of_the_scan(tmp_path, order):
    images, points = marked(order)
    (path,) = write_placed(tmp_path / "a.h5", images, like=scan(order), form="nifti", provenance={"inverse:run": "r"})
    assert path == tmp_path / "a.h5.nii.gz" == placed_path(tmp_path / "a.h5", "nifti")
    file = nibabel.load(path)
    np.testing.assert_allclose(file.header.get_zooms(), (1.5, 2.0, 6.0), rtol=1e-5)
    np.testing.assert_allclose(file.get_qform(), file.get_sform(), atol=1e-4)
    for place, point in points.items():
        voxel = np.linalg.solve(file.affine, [-point[0], -point[1], point[2], 1])[:3]
        np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-4)
        assert file.get_fdata()[tuple(np.rint(voxel).astype(int))] == 2 * (place + 1)


def test_a_dicom_series_lies_where_the_scan_does(tmp_path):
    order = (2, 0, 1)
    images, points = marked(order)
    like = scan(order)
    paths = write_placed(tmp_path / "a.h5", images, like=like, form="dicom", provenance={"inverse:run": "r"})
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [f"a.h5.dcm/000{n}.dcm" for n in (1, 2, 3)]
    files = [pydicom.dcmread(path) for path in paths]
    for place, file in enumerate(files):  # in the order in space
        across, down = np.array(file.ImageOrientationPatient, float).reshape(2, 3)
        off = points[place] - np.array(file.ImagePositionPatient, float)
        row, column = off @ down / float(file.PixelSpacing[0]), off @ across / float(file.PixelSpacing[1])
        np.testing.assert_allclose(
            [off @ np.cross(across, down), row, column], [0, round(row), round(column)], atol=1e-4
        )
        value = file.pixel_array[round(row), round(column)] * float(file.RescaleSlope) + float(file.RescaleIntercept)
        assert value == pytest.approx(2 * (place + 1), rel=1e-4)
    assert {len({str(file[name].value) for file in files}) for name in ("SeriesInstanceUID", "StudyInstanceUID")} == {1}
    assert len({file.SOPInstanceUID for file in files}) == 3
    assert (files[0].SOPClassUID, files[0].PatientName) == (pydicom.uid.MRImageStorage, "Doe^Jo")
    assert (float(files[0].SliceThickness), float(files[0].SpacingBetweenSlices)) == pytest.approx((5, 6))
    std = write_placed(tmp_path / "s.h5", np.full((3, *SIZE), np.nan), like=like, form="dicom", deviation=True)
    other = pydicom.dcmread(std[0])
    assert other.PixelPaddingValue == 0
    assert other.StudyInstanceUID == files[0].StudyInstanceUID
    assert other.SeriesInstanceUID != files[0].SeriesInstanceUID


def test_what_cannot_be_placed_is_refused_before_any_work():
    nowhere = replace(scan(), extra={})
    placeable(nowhere, "nifti")
    with pytest.raises(InputError, match="does not say where its slices lie") as caught:
        placeable(nowhere, "dicom")
    assert "output=nifti" in caught.value.hint
    down, across, _ = turned()
    crossed = scan(read_dir=np.stack([down, down, across]), phase_dir=np.stack([across, across, down]))
    placeable(crossed, "dicom")
    with pytest.raises(InputError, match="several orientations"):
        placeable(crossed, "nifti")
    with pytest.raises(InputError, match="distances of the slices differ"):
        placeable(scan((0, 1, 4)), "nifti")


def test_pictures_are_written_in_their_own_format():
    placeable(Picture(array=np.zeros((4, 4), np.float32), format="dicom"), "dicom")
    with pytest.raises(InputError, match="output: nifti is of raw k-space, this is PNG"):
        placeable(Picture(array=np.zeros((4, 4), np.uint8), format="png", source="a"), "nifti")


def test_a_format_is_an_output_too():
    plain, placed = load("mri-multicoil"), load("mri-multicoil", ["output=dicom"])
    assert (placed.output, placed.format) == ("mean", "dicom")
    assert "format" not in plain.resolved()
    assert plain.hash != placed.hash == load(placed).hash
    both = load("mri-multicoil", ["output=rss", "format=nifti"])
    assert (both.output, both.format) == ("rss", "nifti")
    with pytest.raises(RecipeError, match="allowed: mean, sample, rss, nifti, dicom"):
        load("mri-multicoil", ["output=nii"])
