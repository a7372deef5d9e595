"""Raw k-space in and images out: fastMRI, ISMRMRD, cfl; what is broken is refused with a message."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from inverse.errors import InputError, OutputError
from inverse.io.content import Scan
from inverse.io.formats import cfl
from inverse.io.formats.ismrmrd import _IMAGE_HEAD
from inverse.io.read_write import read, write_scan

RNG = np.random.default_rng(0)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "mri"
HEADER = (
    '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    "<encodedSpace><matrixSize><x>{0}</x><y>{1}</y><z>1</z></matrixSize></encodedSpace>"
    "<reconSpace><matrixSize><x>{2}</x><y>{3}</y><z>1</z></matrixSize></reconSpace>"
    "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{4}</maximum><center>{5}</center>"
    "</kspace_encoding_step_1></encodingLimits><trajectory>{6}</trajectory></encoding></ismrmrdHeader>"
)
HEAD = np.dtype(
    [
        ("flags", "<u8"),
        ("number_of_samples", "<u2"),
        ("active_channels", "<u2"),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("center_sample", "<u2"),
        (
            "idx",
            [
                (name, "<u2")
                for name in (
                    "kspace_encode_step_1",
                    "kspace_encode_step_2",
                    "average",
                    "slice",
                    "contrast",
                    "phase",
                    "repetition",
                    "set",
                )
            ],
        ),
    ]
)


def noise(*shape):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)


def fourier(array, axes, inverse=False):
    transform = np.fft.ifftn if inverse else np.fft.fftn
    return np.fft.fftshift(transform(np.fft.ifftshift(array, axes=axes), axes=axes, norm="ortho"), axes=axes)


def header(rows, columns, recon=None, *, kind="cartesian", center=None):
    wide = recon or (rows, columns)
    return HEADER.format(rows, columns, *wide, columns - 1, columns // 2 if center is None else center, kind)


def fastmri(path, kspace, *, text=None, mask=None, **attributes):
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        if text is not None:
            file["ismrmrd_header"] = text
        if mask is not None:
            file["mask"] = mask
        file.attrs.update({"acquisition": "AXT1", "patient_id": "p", **attributes})
    return path


def ismrmrd(path, lines, text):
    """``lines``: (head fields, readout (coils, n))."""
    kind = np.dtype([("head", HEAD), ("data", h5py.vlen_dtype(np.float32))])
    records = np.zeros(len(lines), kind)
    for record, (fields, readout) in zip(records, lines, strict=True):
        given = {
            "number_of_samples": readout.shape[1],
            "active_channels": readout.shape[0],
            "center_sample": readout.shape[1] // 2,
        }
        for name, value in {**given, **fields}.items():
            target = record["head"] if name in HEAD.names else record["head"]["idx"]
            target[name] = value
        record["data"] = np.ascontiguousarray(readout).view(np.float32).ravel()
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/xml", data=np.array([text], object), dtype=h5py.string_dtype())
        file.create_dataset("dataset/data", data=records, dtype=kind)
    return path


def columns(kspace, **fields):
    return [({"kspace_encode_step_1": i, **fields}, kspace[:, :, i]) for i in range(kspace.shape[2])]


def test_fastmri_in_and_out(tmp_path):
    kspace = noise(2, 3, 12, 10)
    found = read(fastmri(tmp_path / "f.h5", kspace, text=header(12, 10, (8, 6)), max=2.0))
    assert isinstance(found, Scan)
    assert (found.format, found.shape, found.kspace.dtype) == ("fastmri", (8, 10), np.complex64)
    images = fourier(found.kspace, (2, 3), inverse=True)
    np.testing.assert_allclose(images, fourier(kspace, (2, 3), inverse=True)[:, :, 2:10], atol=1e-5)
    assert found.notes == ("readout oversampling removed: 12 to 8 rows",)
    result = noise(2, 8, 10)
    assert (
        write_scan(tmp_path / "out" / "f.h5", result, like=found, provenance={"inverse:run": "r"})
        == tmp_path / "out" / "f.h5"
    )
    with h5py.File(tmp_path / "out" / "f.h5") as file:
        written = file["reconstruction"]
        assert (written.shape, written.dtype) == ((2, 8, 6), np.float32)
        np.testing.assert_allclose(written[()], np.abs(result[:, :, 2:8]), rtol=1e-6)
        np.testing.assert_array_equal(file["reconstruction_complex"][()], result)
        assert file.attrs["acquisition"] == "AXT1"
        assert file.attrs["inverse:run"] == "r"
        assert file.attrs["max"] == pytest.approx(np.abs(result).max())
        assert b"reconSpace" in file["ismrmrd_header"][()]


def test_fastmri_test_file_and_single_coil(tmp_path):
    kspace, mask = noise(1, 9, 8), np.array([0, 1, 0, 1, 1, 1, 0, 1], np.float32)
    found = read(fastmri(tmp_path / "f.h5", kspace * mask, mask=mask))
    assert found.kspace.shape == (1, 1, 9, 8)
    np.testing.assert_array_equal(found.mask, np.broadcast_to(mask > 0, (1, 9, 8)))


def test_fastmri_parts_on_the_last_axis(tmp_path):
    kspace = noise(2, 3, 12, 10)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["kspace"] = np.stack([kspace.real, kspace.imag], -1)
    found = read(tmp_path / "f.h5")
    assert (found.format, found.kspace.dtype) == ("fastmri", np.complex64)
    np.testing.assert_array_equal(found.kspace, kspace)


def test_ismrmrd_lines_noise_scan_averages_and_navigators(tmp_path):
    kspace, extra = noise(2, 16, 10), noise(2, 16)
    scan_noise = noise(2, 40)
    lines = [({"flags": 1 << 18}, scan_noise), *columns(kspace), ({"flags": 1 << 22}, extra)]
    lines.append(({"kspace_encode_step_1": 4, "average": 1}, extra))
    lines.append(({"kspace_encode_step_1": 5, "repetition": 1}, extra))
    found = read(ismrmrd(tmp_path / "f.h5", lines, header(16, 10, (8, 10))))
    expected = kspace.copy()
    expected[:, :, 4] = (kspace[:, :, 4] + extra) / 2
    np.testing.assert_allclose(found.noise, scan_noise / np.sqrt(1.1), rtol=1e-6)
    images = fourier(expected, (1, 2), inverse=True)[:, 4:12]
    np.testing.assert_allclose(fourier(found.kspace[0], (1, 2), inverse=True), images, atol=1e-5)
    assert found.mask.all()
    assert {"1 readouts of navigation data skipped", "averages combined"} < set(found.notes)


@pytest.mark.parametrize(("mode", "kept"), [("interleaved", True), ("separate", False)])
def test_ismrmrd_calibration_lines_are_data_unless_separate(mode, kept, tmp_path):
    kspace = noise(1, 8, 6)
    lines = columns(kspace)
    lines[2][0]["flags"] = 1 << 19
    said = f"<parallelImaging><calibrationMode>{mode}</calibrationMode></parallelImaging></encoding>"
    found = read(ismrmrd(tmp_path / "f.h5", lines, header(8, 6).replace("</encoding>", said)))
    assert bool(found.mask[0, :, 2].all()) == kept
    assert found.mask[0].sum() == 48 - 8 * (not kept)


def test_ismrmrd_places_lines_by_the_centre_and_leaves_gaps(tmp_path):
    kspace = noise(1, 8, 6)
    lines = columns(kspace)[::2]
    found = read(ismrmrd(tmp_path / "f.h5", lines, header(8, 8, center=3)))
    expected = np.zeros((1, 1, 8, 8), np.complex64)
    expected[0, :, :, 1:7:2] = kspace[:, :, ::2]
    np.testing.assert_array_equal(found.kspace, expected)
    np.testing.assert_array_equal(found.mask[0], expected[0, 0] != 0)


def test_ismrmrd_asymmetric_echo_and_reversed_readout(tmp_path):
    line = noise(1, 6)
    lines = [
        ({"center_sample": 2}, line),
        ({"kspace_encode_step_1": 1, "center_sample": 4, "flags": 1 << 21}, line[:, ::-1]),
    ]
    found = read(ismrmrd(tmp_path / "f.h5", lines, header(8, 2)))
    np.testing.assert_array_equal(found.kspace[0, 0, 2:, 0], line[0])
    np.testing.assert_array_equal(found.kspace[0, 0, 2:, 1], line[0])
    assert not found.kspace[0, 0, :2].any()
    partial = read(ismrmrd(tmp_path / "g.h5", [({"center_sample": 2}, line)] * 2, header(8, 2, (4, 2))))
    assert partial.shape == (8, 2)  # its matrix is the header's, not 7
    timed = [({"kspace_encode_step_1": 1, "center_sample": 3, "flags": 1 << 21}, noise(1, 8))]
    found = read(ismrmrd(tmp_path / "h.h5", [({}, noise(1, 8)), *timed], header(8, 2)))
    np.testing.assert_array_equal(found.kspace[0, 0, :, 1], timed[0][1][0, ::-1])


def test_ismrmrd_out(tmp_path):
    kspace = noise(2, 8, 6)
    found = read(ismrmrd(tmp_path / "f.h5", columns(kspace), header(8, 6)))
    images = noise(1, 8, 6)
    write_scan(tmp_path / "o.h5", images, like=found)
    with h5py.File(tmp_path / "o.h5") as file:
        data = file["dataset/image_0/data"][()]
        np.testing.assert_array_equal(data["real"][0, 0, 0].T + 1j * data["imag"][0, 0, 0].T, images[0])
        assert file["dataset/image_0/header"].dtype == _IMAGE_HEAD
        assert list(file["dataset/image_0/header"]["matrix_size"][0]) == [8, 6, 1]
        assert b"ismrmrdHeader" in file["dataset/xml"][0]


@pytest.mark.skipif(not (DATA / "brain8_ismrmrd.h5").exists(), reason="the shared data are not here")
def test_the_two_copies_of_a_real_scan_are_the_same():
    one, two = (read(DATA / name) for name in ("brain8_fastmri.h5", "brain8_ismrmrd.h5"))
    assert (one.format, two.format) == ("fastmri", "ismrmrd")
    np.testing.assert_array_equal(one.kspace, two.kspace)


@pytest.mark.skipif(not shutil.which("ismrmrd_generate_cartesian_shepp_logan"), reason="ismrmrd-tools is not installed")
def test_a_file_of_the_ismrmrd_tools(tmp_path):
    path = tmp_path / "f.h5"
    tool = ["ismrmrd_generate_cartesian_shepp_logan", "-m", "32", "-c", "4", "-n", "0.05", "-C", "-o", str(path)]
    subprocess.run(tool, check=True, capture_output=True)
    found = read(path)
    assert found.kspace.shape == (1, 4, 32, 32)
    assert found.noise.shape[0] == 4
    assert found.notes == ("readout oversampling removed: 64 to 32 rows",)


def test_cfl_in_and_out(tmp_path):
    kspace = noise(3, 4, 7, 5)
    array = kspace.transpose(2, 3, 1, 0)[:, :, None].reshape(7, 5, 1, 4, *[1] * 9, 3)
    cfl.write_array(tmp_path / "k.cfl", array)
    assert (tmp_path / "k.cfl").stat().st_size == 8 * kspace.size
    found = read(tmp_path / "k.cfl")
    assert (found.format, found.shape) == ("cfl", (7, 5))
    np.testing.assert_array_equal(found.kspace, kspace)
    images = noise(3, 7, 5)
    write_scan(tmp_path / "x.cfl", images, like=found, provenance={"inverse:run": "a\nb"})
    back = cfl.read_array(tmp_path / "x.cfl")
    assert back.shape == (7, 5, *[1] * 11, 3, 1, 1)
    np.testing.assert_array_equal(back.squeeze().transpose(2, 0, 1), images)
    with pytest.raises(OutputError, match="already exists"):
        write_scan(tmp_path / "x.cfl", images, like=found)
    with pytest.raises(OutputError, match=r"\(slices, H, W\)"):
        write_scan(tmp_path / "y.cfl", images[0], like=found)


@pytest.mark.skipif(not shutil.which("bart"), reason="BART is not installed")
def test_bart_and_we_read_each_others_cfl(tmp_path):
    subprocess.run(["bart", "phantom", "-x16", "-s3", "-k", "ksp"], cwd=tmp_path, check=True, capture_output=True)
    found = read(tmp_path / "ksp.cfl")
    assert found.kspace.shape == (1, 3, 16, 16)
    images = fourier(found.kspace[:, 0], (1, 2), inverse=True)
    write_scan(tmp_path / "x.cfl", images, like=found, provenance={"inverse:run": "r"})
    for tool in (
        ["fft", "-u", "-i", "3", "ksp", "img"],
        ["slice", "3", "0", "img", "one"],
        ["nrmse", "-t", "1e-5", "one", "x"],
    ):
        subprocess.run(["bart", *tool], cwd=tmp_path, check=True, capture_output=True)


def _external(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = h5py.ExternalLink("/etc/passwd", "/x")


def _bad_cfl(text, size=8 * 12):
    def write(path):
        path.with_suffix(".cfl").write_bytes(bytes(size))
        if text is not None:
            path.with_suffix(".hdr").write_text(text)
        return path.with_suffix(".cfl")

    return write


ONE = np.ones((1, 2, 8, 6), np.complex64)
LINES = columns(ONE[0])
BROKEN = {
    "nan": (lambda p: fastmri(p, ONE * np.nan), "NaN or infinite"),
    "zero": (lambda p: fastmri(p, ONE * 0), "all of k-space is zero"),
    "mask": (lambda p: fastmri(p, ONE, mask=np.ones(5)), "mask of 5 columns for k-space of 6"),
    "header": (lambda p: fastmri(p, ONE, text="<a><b></a>"), "not XML"),
    "bomb": (lambda p: fastmri(p, ONE, text='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "document type"),
    "matrix": (lambda p: fastmri(p, ONE, text=header(-3, 6)), "encodedSpace has a matrix of -3 x 6 x 1"),
    "huge": (lambda p: ismrmrd(p, columns(np.ones((2, 64, 64), "c8"), slice=65_535), header(64, 64)), "declares"),
    "external": (_external, "link into another file"),
    "radial": (lambda p: ismrmrd(p, LINES, header(8, 6, kind="radial")), "a radial trajectory"),
    "3-D": (lambda p: ismrmrd(p, columns(ONE[0], kspace_encode_step_2=1), header(8, 6)), "3-D data"),
    "size": (lambda p: ismrmrd(p, [({"number_of_samples": 9}, ONE[0, :, :, 0])], header(8, 6)), "9 samples"),
    "place": (lambda p: ismrmrd(p, columns(ONE[0]), header(8, 4)), "do not fit"),
    "noise alone": (lambda p: ismrmrd(p, [({"flags": 1 << 18}, ONE[0, :, :, 0])], header(8, 6)), "no image readouts"),
    "no hdr": (_bad_cfl(None), r"needs its \.hdr"),
    "no dims": (_bad_cfl("3 4\n"), "no '# Dimensions'"),
    "negative": (_bad_cfl("# Dimensions\n-3 4\n"), "has dimensions '-3 4'"),
    "short": (_bad_cfl("# Dimensions\n300 400\n"), "its header says 300 x 400"),
    "depth": (_bad_cfl("# Dimensions\n2 2 3\n"), "three-dimensional k-space, 2 x 2 x 3"),
    "maps": (_bad_cfl("# Dimensions\n2 2 1 1 3\n"), "3 entries along dimension 4"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(name, tmp_path):
    make, message = BROKEN[name]
    path = tmp_path / "f.h5"
    path = make(path) or path
    with pytest.raises(InputError, match=message) as caught:
        read(path, name=path.name)
    assert len(str(caught.value).splitlines()) <= 3
    assert str(tmp_path) not in str(caught.value)
