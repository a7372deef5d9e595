"""One empty or failed slice never costs the volume: it is written as it was, and named."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from test_raw_data import FAST, kspace  # noqa: F401

import inverse
from inverse.io.read_write import read
from inverse.restoration.frame import first_filled, nothing_in
from inverse.runs import unit

EXACT = ["prior.name=gaussian", "method.kind=exact", "run.samples=2"]


def volume(path: Path, empty: int = 0) -> np.ndarray:
    """(H, W, 3) of smooth noise and one empty slice, as NIfTI."""
    rng = np.random.default_rng(0)
    values = 0.5 + 0.3 * np.sin(np.arange(24) / 4)[:, None, None] + rng.normal(0, 0.05, (24, 20, 3))
    values[:, :, empty] = 0
    nibabel.save(nibabel.Nifti1Image(values.astype("f4"), np.diag([1, 1, 3, 1.0])), path)
    return values.astype("f4")


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_slice_stays_as_it_is(tmp_path: Path, empty: int) -> None:
    values = volume(tmp_path / "v.nii.gz", empty)
    content = read(tmp_path / "v.nii.gz")
    assert [bool(nothing_in(content, index)) for index in range(3)] == [index == empty for index in range(3)]
    assert first_filled(content) == (1 if empty == 0 else 0)
    run = inverse.restore("denoise", tmp_path / "v.nii.gz", out=tmp_path / "o", overrides=EXACT)
    assert run.exit_code == 0
    assert [row["status"] for row in run.rows] == ["empty" if index == empty else "done" for index in range(3)]
    restored, std = (nibabel.load(tmp_path / "o" / kind / "v.nii.gz") for kind in ("restored", "std"))
    found = restored.get_fdata()
    assert found.shape == values.shape
    assert not found[..., empty].any()
    others = [index for index in range(3) if index != empty]
    assert all(np.abs(found - values)[..., index].max() > 0.01 for index in others)
    assert np.isnan(std.get_fdata()[..., empty]).all()
    assert np.isfinite(std.get_fdata()[..., others]).all()
    assert f"inverse:unrestored=slice {empty}" in str(restored.header.extensions)
    counts = json.loads((tmp_path / "o" / "run.json").read_text())["counts"]
    assert counts == {"done": 2, "failed": 0, "pending": 0, "empty": 1}
    before = (tmp_path / "o" / "restored" / "v.nii.gz").read_bytes()
    again = inverse.restore("denoise", tmp_path / "v.nii.gz", out=tmp_path / "o", overrides=EXACT)
    assert again.exit_code == 0
    assert (tmp_path / "o" / "restored" / "v.nii.gz").read_bytes() == before


def test_a_failed_slice_is_written_as_measured_until_it_is_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = volume(tmp_path / "v.nii.gz", empty=0)
    solve = unit.solve

    def failing(case, *args, **kwargs):
        if kwargs["items"] == ["v.nii.gz/0002"]:
            raise ValueError("no luck")
        return solve(case, *args, **kwargs)

    monkeypatch.setattr(unit, "solve", failing)
    run = inverse.restore("denoise", tmp_path / "v.nii.gz", out=tmp_path / "o", overrides=EXACT)
    assert run.exit_code == 1
    assert [row["status"] for row in run.rows] == ["empty", "done", "failed"]
    restored = nibabel.load(tmp_path / "o" / "restored" / "v.nii.gz")
    np.testing.assert_array_equal(restored.get_fdata()[..., 2], values[..., 2])
    assert "inverse:unrestored=slices 0, 2" in str(restored.header.extensions)
    monkeypatch.setattr(unit, "solve", solve)
    run = inverse.restore("denoise", tmp_path / "v.nii.gz", out=tmp_path / "o", overrides=EXACT)
    assert run.exit_code == 0
    restored = nibabel.load(tmp_path / "o" / "restored" / "v.nii.gz")
    assert np.abs(restored.get_fdata()[..., 2] - values[..., 2]).max() > 0.01
    assert "inverse:unrestored=slice 0" in str(restored.header.extensions)


def test_a_volume_of_nothing_fails(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 20, 2), "f4"), np.eye(4)), tmp_path / "v.nii")
    run = inverse.restore("denoise", tmp_path / "v.nii", out=tmp_path / "o", overrides=EXACT)
    assert run.exit_code == 4
    assert not (tmp_path / "o" / "restored").exists()


def test_a_slice_that_was_not_scanned_is_zero(tmp_path: Path, kspace: np.ndarray) -> None:  # noqa: F811
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = np.stack([np.zeros_like(kspace), kspace])
    run = inverse.restore("mri-multicoil", tmp_path / "k.h5", out=tmp_path / "o", overrides=FAST)
    assert run.rows[0]["status"] == "empty"
    with h5py.File(tmp_path / "o" / "restored" / "k.h5") as file:
        assert not file["reconstruction"][0].any()
        assert file["reconstruction"][1].max() > 0.5
        assert np.isfinite(file.attrs["max"])
        assert file.attrs["inverse:unrestored"] == "slice 0"
    with h5py.File(tmp_path / "o" / "std" / "k.h5") as file:
        assert np.isnan(file["reconstruction"][0]).all()
        assert np.isfinite(file.attrs["max"])


def dicom(path: Path, values: np.ndarray) -> None:
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = pydicom.dataset.FileDataset("a.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.NumberOfFrames, file.Rows, file.Columns = values.shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.PixelData = values.tobytes()
    file.save_as(path, enforce_file_format=True)


def test_results_of_multi_frame_dicom_are_found(tmp_path: Path) -> None:
    values = (2000 + 300 * np.random.default_rng(0).standard_normal((2, 24, 20))).astype("u2")
    (tmp_path / "in").mkdir()
    dicom(tmp_path / "in" / "a.dcm", values)
    run = inverse.restore("denoise", tmp_path / "in", out=tmp_path / "o", overrides=[*EXACT, "data.scale=auto"])
    assert {row["restored"] for row in run.rows} == {"restored/a.dcm"}
    assert len(inverse.evaluate(tmp_path / "o", tmp_path / "in", metrics=["psnr"]).rows) == 2
