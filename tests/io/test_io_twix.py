"""Siemens raw data: files of VD/VE made by twixtools, of VB by the layout of their headers."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from inverse.errors import InputError
from inverse.io.patient.placement import on_ground
from inverse.io.read_write import read, write_scan

twixtools = pytest.importorskip("twixtools")
mdh_def, mdb = twixtools.mdb.mdh_def, twixtools.mdb

BASE, LINES, COILS = 16, 20, 3
PROTOCOL = """sKSpace.lBaseResolution = 16
sKSpace.lPhaseEncodingLines = 20
sKSpace.ucDimension = {dimension}
sKSpace.ucTrajectory = {trajectory}
sSliceArray.asSlice[0].dReadoutFOV = 160.0
sSliceArray.asSlice[0].dPhaseFOV = 200.0
sSliceArray.asSlice[0].dThickness = 4.0
sRXSPEC.alDwellTime[0] = 5000
alTE[0] = 4000
tProtocolName = ""gre""
"""
# of the scalar first: the columns of the rotation are phase encoding, readout, slice
QUATERNION = np.array([0.5, 0.5, -0.5, 0.5])
PHASE, READ, SLICE = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)


def header(dimension=2, trajectory=1):
    text = f"### ASCCONV BEGIN ###\n{PROTOCOL.format(dimension=dimension, trajectory=trajectory)}### ASCCONV END ###"
    parts = b"".join(name + b"\0" + struct.pack("<I", len(text) + 1) + text.encode() + b"\0" for name in (b"Config",))
    data = struct.pack("<II", 8 + len(parts), 1) + parts
    fill = -len(data) % 32
    return struct.pack("<I", len(data) + fill) + data[4:] + b"\0" * fill


def block(samples, line, *, new=True, flags=(), place=0, centre=LINES // 2):
    made = mdb.Mdb_local(samples.astype(np.complex64), new)
    for name in flags:
        made.add_flag(name)
    made.mdh.CenterCol, made.mdh.CenterLin = samples.shape[1] // 2, centre
    made.mdh.Counter.Lin, made.mdh.Counter.Sli = line, place
    position = np.array([10.0, -20.0, 30.0]) + 5.0 * place * SLICE
    made.mdh.SliceData.SlicePos.Sag, made.mdh.SliceData.SlicePos.Cor, made.mdh.SliceData.SlicePos.Tra = position
    for index, value in enumerate(QUATERNION):
        made.mdh.SliceData.Quaternion[index] = value
    return made


def kspace(slices=2):
    """(slices, coils, 2 BASE, LINES), of images that lie in the middle half of the rows."""
    rng = np.random.default_rng(0)
    images = np.zeros((slices, COILS, 2 * BASE, LINES), complex)
    images[:, :, 8:24] = rng.normal(size=(slices, COILS, BASE, LINES)) + 3
    moved = np.fft.fftn(np.fft.ifftshift(images, axes=(-2, -1)), axes=(-2, -1), norm="ortho")
    return np.fft.fftshift(moved, axes=(-2, -1)), images[:, :, 8:24]


def blocks(values, *, new=True, noise=True, lines=range(LINES), **options):
    rng = np.random.default_rng(1)
    made = []
    if noise:
        samples = rng.normal(size=(COILS, 2 * BASE)) + 1j * rng.normal(size=(COILS, 2 * BASE))
        made.append(block(samples, 0, new=new, flags=("NOISEADJSCAN",)))
    for place, part in enumerate(values):
        for line in lines:
            turned = line % 2 == 1
            samples = part[:, ::-1, line] if turned else part[:, :, line]
            flags = ("REFLECT",) if turned else ()
            made.append(block(samples, line, new=new, flags=flags, place=place, **options))
    return made


def written(path, measurements, **protocol):
    scans = [{"hdr_str": np.frombuffer(header(**protocol), "S1"), "mdb": made} for made in measurements]
    twixtools.write_twix(scans, str(path))
    return path


def combined(scan):
    moved = np.fft.ifftn(np.fft.ifftshift(scan.kspace, axes=(-2, -1)), axes=(-2, -1), norm="ortho")
    return np.fft.fftshift(moved, axes=(-2, -1))


def test_a_file_of_ve_is_read_with_its_place(tmp_path):
    values, images = kspace()
    scan = read(written(tmp_path / "meas.dat", [blocks(values)]))
    assert (scan.format, scan.shape, scan.kspace.shape) == ("twix", (BASE, LINES), (2, COILS, BASE, LINES))
    np.testing.assert_allclose(combined(scan), images, atol=1e-5)
    assert scan.noise.shape == (COILS, 2 * BASE)
    assert scan.mask.all()
    assert any("reversed readouts turned" in note for note in scan.notes)
    place = scan.extra["placement"]
    np.testing.assert_allclose(place["position"], [[10, -20, 30], np.array([10, -20, 30]) + 5 * SLICE], atol=1e-5)
    np.testing.assert_allclose(place["read_dir"][0], READ, atol=1e-6)
    np.testing.assert_allclose(place["phase_dir"][0], PHASE, atol=1e-6)
    shown, ground = on_ground(scan.kspace[:, 0], scan)
    assert shown.shape == (2, BASE, BASE * 200 // 160)
    assert (ground.spacing, ground.thickness) == ((10.0, 10.0), 4.0)
    result = write_scan(tmp_path / "o" / "meas.dat", scan.kspace[:, 0], like=scan)
    assert result == tmp_path / "o" / "meas.dat.h5"


def test_lines_are_placed_by_the_centre_and_the_noise_may_be_of_another_measurement(tmp_path):
    values, _ = kspace(1)
    early = [blocks(values[:, :, :, :0], lines=())]
    late = blocks(values[:, :, :, 4:], noise=False, lines=range(LINES - 4), centre=6)
    scan = read(written(tmp_path / "meas.dat", [*early, late]))
    np.testing.assert_array_equal(scan.mask[0].any(0), np.arange(LINES) >= 4)
    assert scan.noise is not None
    assert {"the last of 2 measurements is read", "noise scan of an earlier measurement"} <= set(scan.notes)


def test_a_file_of_vb_is_read(tmp_path):
    values, images = kspace(1)
    data = [header()]
    for one in blocks(values, new=False):
        for channel in np.asarray(one.data):
            data += [bytes(one.mdh), channel.tobytes()]
    end = mdh_def.VB17_header()
    mdh_def.add_flag(end, "ACQEND")
    (tmp_path / "meas.dat").write_bytes(b"".join([*data, bytes(end)]))
    scan = read(tmp_path / "meas.dat")
    np.testing.assert_allclose(combined(scan), images, atol=1e-5)
    cut = b"".join(data)[:-100]
    (tmp_path / "cut.dat").write_bytes(cut)
    short = read(tmp_path / "cut.dat")
    assert "the file ends before the measurement does" in short.notes
    assert short.mask[0].any(0).sum() == LINES - 1


@pytest.mark.parametrize(
    ("options", "words"), [({"dimension": 4}, "3-D"), ({"trajectory": 2}, "a radial trajectory"), ({}, "no image")]
)
def test_what_is_not_read_is_said(tmp_path, options, words):
    values, _ = kspace(1)
    made = blocks(values, lines=range(LINES) if options else ())
    with pytest.raises(InputError, match=words):
        read(written(tmp_path / "meas.dat", [made], **options))
