"""What people's raw data have: second encoding spaces, padding, wrong headers, DC at the corner, trajectories."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from test_io_scans import HEAD, columns, fastmri, fourier, header, ismrmrd, noise

from inverse.errors import InputError
from inverse.io.formats import cfl
from inverse.io.kspace.grid import recentred, resampled
from inverse.io.read_write import read, write_scan

VIEWS = "<fieldOfView_mm><x>{0}</x><y>{1}</y><z>5</z></fieldOfView_mm>"
GEOMETRY = ("position", "read_dir", "phase_dir", "slice_dir")
WIDE = np.dtype(
    [
        *((name, HEAD[name]) for name in HEAD.names),
        *(("encoding_space_ref", "<u2"), ("sample_time_us", "<f4"), ("trajectory_dimensions", "<u2")),
        *((name, "<f4", (3,)) for name in GEOMETRY),
    ]
)


def disc(rows, columns, coils=2):
    """k-space (coils, rows, columns) of a bright disc that does not fill the image, centred."""
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n for n in (rows, columns)), indexing="ij")
    image = (y**2 + (x - 0.05) ** 2 < 0.06) * (1.0 + y)
    gain = np.stack([np.exp(-((x - shift) ** 2)) for shift in np.linspace(-0.5, 0.5, coils)])
    return fourier(gain * image, (1, 2)).astype(np.complex64), np.sqrt(((gain * image) ** 2).sum(0))


def rss(kspace):
    return np.sqrt((np.abs(fourier(kspace, (-2, -1), inverse=True)) ** 2).sum(-3))


def with_views(text, encoded, recon):
    first, second = text.split("</encodedSpace>")
    rest, last = second.split("</reconSpace>")
    return f"{first}{VIEWS.format(*encoded)}</encodedSpace>{rest}{VIEWS.format(*recon)}</reconSpace>{last}"


def wide(path, lines, text):
    """As `ismrmrd`, with more of the acquisition's header and a trajectory."""
    float_list = h5py.vlen_dtype(np.float32)
    records = np.zeros(len(lines), np.dtype([("head", WIDE), ("traj", float_list), ("data", float_list)]))
    for record, (fields, line) in zip(records, lines, strict=True):
        given = {"number_of_samples": line.shape[1], "active_channels": len(line), "center_sample": line.shape[1] // 2}
        record["traj"] = np.asarray(fields.pop("traj", ()), np.float32).ravel()
        for name, value in {**given, **fields}.items():
            (record["head"] if name in WIDE.names else record["head"]["idx"])[name] = value
        record["data"] = np.ascontiguousarray(line).view(np.float32).ravel()
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/xml", data=np.array([text], object), dtype=h5py.string_dtype())
        file.create_dataset("dataset/data", data=records)
    return path


@pytest.mark.parametrize("flags", [0, 1 << 19])
def test_readouts_of_another_encoding_space_are_no_averages(flags, tmp_path):
    kspace, image = disc(32, 24)
    reference = columns(3 * kspace[:, 8:24, 8:16], encoding_space_ref=1, flags=flags)
    text = header(32, 24)
    second = header(16, 8)[len("<?xml") :]
    second = second[second.index("<encoding>") : second.index("</encoding>") + len("</encoding>")]
    text = text.replace("</ismrmrdHeader>", f"{second}</ismrmrdHeader>")
    found = read(wide(tmp_path / "f.h5", [*reference, *columns(kspace)], text))
    np.testing.assert_allclose(rss(found.kspace[0]), image, atol=1e-5)
    assert "8 readouts of encoding space 1 skipped" in found.notes
    with pytest.raises(InputError, match="encoding space 2, the header has 1"):
        read(wide(tmp_path / "g.h5", columns(kspace, encoding_space_ref=2), header(32, 24)))


def test_an_image_lies_where_the_scan_did_on_the_matrix_of_the_header(tmp_path):
    kspace, _ = disc(32, 14)
    place = {"position": (10, -20, 30), "read_dir": (0, 1, 0), "phase_dir": (1, 0, 0), "slice_dir": (0, 0, -1)}
    text = with_views(header(32, 14, (24, 21)), (266, 200), (200, 200))
    found = read(wide(tmp_path / "f.h5", columns(kspace, **place), text))
    assert found.kspace.shape == (1, 2, 24, 14)
    images = fourier(found.kspace[:, 0], (1, 2), inverse=True)
    write_scan(tmp_path / "o.h5", images, like=found)
    with h5py.File(tmp_path / "o.h5") as file:
        head, data = file["dataset/image_0/header"][0], file["dataset/image_0/data"][0, 0, 0]
    assert tuple(head["matrix_size"]) == (24, 21, 1)
    assert tuple(head["field_of_view"]) == (200, 200, 5)
    for name, value in place.items():
        assert tuple(head[name]) == value
    written = (data["real"] + 1j * data["imag"]).T
    assert written.shape == (24, 21)
    # three pixels for two: every third is one that was there
    np.testing.assert_allclose(written[:, 1::3], images[0][:, 1::2], atol=1e-5)


def test_another_contrast_or_repetition_is_read_by_its_number(tmp_path):
    kspace, image = disc(32, 24)
    lines = [
        (fields | {"contrast": contrast, "repetition": repetition}, (1 + contrast + 2 * repetition) * line)
        for contrast in (0, 1)
        for repetition in (0, 1)
        for fields, line in columns(kspace)
    ]
    path = wide(tmp_path / "f.h5", lines, header(32, 24))
    first = read(path)
    np.testing.assert_allclose(rss(first.kspace[0]), image, atol=1e-5)
    assert "contrast 0 of 2 was read: FILE::contrast=1 reads another" in first.notes
    named = read(f"{path}::contrast=1,repetition=1")
    np.testing.assert_allclose(rss(named.kspace[0]), 4 * image, atol=1e-4)
    write_scan(tmp_path / "o.h5", named.kspace[:, 0], like=named)
    with h5py.File(tmp_path / "o.h5") as file:
        head = file["dataset/image_0/header"][0]
    assert (head["contrast"], head["repetition"], head["set"]) == (1, 1, 0)
    with pytest.raises(InputError, match="no readouts of contrast 5"):
        read(f"{path}::contrast=5")


def test_slices_that_were_not_taken_lie_between_the_others(tmp_path):
    kspace, _ = disc(16, 12)
    lines = [
        (fields | {"slice": index, "position": (0, 0, 4.0 * index)}, line)
        for index in (0, 1, 3)
        for fields, line in columns(kspace)
    ]
    found = read(wide(tmp_path / "f.h5", lines, header(16, 12)))
    assert found.kspace.any((1, 2, 3)).tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.extra["placement"]["position"][:, 2], [0, 4, 8, 12], atol=1e-4)


def test_a_matrix_larger_than_the_data_is_not_believed(tmp_path):
    kspace, image = disc(32, 24)
    text = header(56, 34, center=12).replace("<maximum>33</maximum>", "<maximum>23</maximum>")
    found = read(ismrmrd(tmp_path / "f.h5", columns(kspace), text))
    np.testing.assert_allclose(rss(found.kspace[0]), image, atol=1e-5)
    assert "the header's encoded matrix, 56 x 34, is larger than the data: 32 x 24 used" in found.notes
    absurd = read(ismrmrd(tmp_path / "g.h5", columns(kspace), header(90_000, 90_000, center=12)))
    assert absurd.shape == (32, 24)
    limited = read(ismrmrd(tmp_path / "h.h5", columns(kspace), text.replace("<x>56</x>", "<x>32</x>")))
    assert limited.shape == (32, 34)
    assert limited.mask.mean() == pytest.approx(24 / 34)
    assert "10 of 34 columns lie outside the header's encodingLimits: never measured" in limited.notes


def test_reversed_readouts_and_zeros_at_their_ends(tmp_path):
    kspace, image = disc(32, 24)
    lines = columns(kspace)
    turned = [({**f, "flags": 1 << 21}, line[:, ::-1]) if i % 2 else (f, line) for i, (f, line) in enumerate(lines)]
    found = read(ismrmrd(tmp_path / "f.h5", turned, header(32, 24)))
    np.testing.assert_allclose(rss(found.kspace[0]), image, atol=1e-5)
    assert "12 reversed readouts turned round" in found.notes
    kspace[:, :4] = kspace[:, 28:] = kspace[:, :, :3] = 0
    padded = read(ismrmrd(tmp_path / "g.h5", columns(kspace), header(32, 24)))
    assert not padded.mask[0, :4].any()
    assert not padded.mask[0, 28:].any()
    assert not padded.mask[0, :, :3].any()
    assert padded.mask[0, 4:28, 3:].all()
    assert any("padding with zeros" in note for note in padded.notes)


def test_a_noise_scan_of_another_bandwidth_is_scaled(tmp_path):
    kspace, alone = noise(2, 16, 10), noise(2, 40)
    lines = [({"flags": 1 << 18, "sample_time_us": 2.0}, alone), *columns(kspace, sample_time_us=8.0)]
    found = read(wide(tmp_path / "f.h5", lines, header(16, 10)))
    np.testing.assert_allclose(found.noise, alone / 2, rtol=1e-6)
    assert "noise scan scaled: dwell time 2 us, images 8 us" in found.notes
    system = "<acquisitionSystemInformation><relativeReceiverNoiseBandwidth>0.25</relativeReceiverNoiseBandwidth>"
    text = header(16, 10).replace("<encoding>", f"{system}</acquisitionSystemInformation><encoding>", 1)
    np.testing.assert_allclose(read(wide(tmp_path / "g.h5", lines, text)).noise, alone, rtol=1e-6)


def test_the_mask_of_a_fastmri_file_over_padding(tmp_path):
    kspace, _ = disc(16, 30)
    kspace[..., :4] = kspace[..., 26:] = 0
    mask = np.zeros(30, bool)
    mask[1::3] = mask[12:18] = True
    text = header(16, 30, center=11).replace("<maximum>29</maximum>", "<maximum>21</maximum>")
    found = read(fastmri(tmp_path / "f.h5", (kspace * mask)[None], text=text, mask=mask))
    expected = mask & (np.abs(np.arange(30) - 14.5) < 11)
    np.testing.assert_array_equal(found.mask[0], np.broadcast_to(expected, (16, 30)))
    assert f"{int(mask.sum() - expected.sum())} columns of the mask hold zeros alone: never measured" in found.notes
    whole = read(fastmri(tmp_path / "g.h5", kspace[None], mask=np.ones(30)))
    assert whole.mask.mean() == pytest.approx(22 / 30)


def test_a_fastmri_header_of_another_scan_is_not_used(tmp_path):
    kspace, _ = disc(20, 18)
    found = read(fastmri(tmp_path / "f.h5", kspace[None], text=header(64, 18, (10, 10))))
    assert found.shape == found.extra["recon"] == (20, 18)
    assert found.notes == ("the header's encoded matrix is 64 x 18, the data's 20 x 18: it is not used",)
    done = read(fastmri(tmp_path / "g.h5", kspace[None], text=header(40, 18, (20, 18))))
    assert (done.shape, done.notes) == ((20, 18), ())
    limits = header(20, 18, center=5).replace("<maximum>17</maximum>", "<maximum>9</maximum>")
    assert "the data reach beyond them" in read(fastmri(tmp_path / "h.h5", kspace[None], text=limits)).notes[0]


@pytest.mark.parametrize("size", [(32, 24), (33, 27)])
def test_dc_at_the_corner_is_moved(size):
    kspace, image = disc(*size)
    mask = np.zeros(size[1], bool)
    mask[::2] = mask[size[1] // 2 - 5 : size[1] // 2 + 5] = True
    axes = (-2, -1)
    given = {
        "as it should be": kspace,
        "corner": np.fft.ifftshift(kspace, axes=axes),
        "rows": np.fft.ifftshift(kspace, axes=(-2,)),
        "fft2": np.fft.fft2(fourier(kspace, axes, inverse=True), norm="ortho"),
        "fftshift(fft2)": np.fft.fftshift(np.fft.fft2(fourier(kspace, axes, inverse=True), norm="ortho"), axes=axes),
    }
    for name, values in given.items():
        found, _, notes = recentred(values[None].astype(np.complex64), None)
        np.testing.assert_allclose(rss(found[0]), image, atol=1e-5, err_msg=name)
        assert bool(notes) == (name != "as it should be"), name
        sampled = mask if name in ("as it should be", "rows", "fftshift(fft2)") else np.fft.ifftshift(mask)
        found, kept, _ = recentred((values * sampled)[None], np.broadcast_to(sampled, (1, *size)))
        np.testing.assert_allclose(np.abs(found[0]), np.abs(kspace) * mask, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(kept[0], np.broadcast_to(mask, size))


def test_dc_at_the_corner_in_every_format(tmp_path):
    kspace, image = disc(32, 24)
    moved = np.ascontiguousarray(np.fft.ifftshift(kspace, axes=(-2, -1)))
    np.save(tmp_path / "k.npy", moved)
    cfl.write_array(tmp_path / "k.cfl", moved.transpose(1, 2, 0)[:, :, None])
    fastmri(tmp_path / "k.h5", moved[None])
    for name in ("k.npy", "k.cfl", "k.h5"):
        found = read(tmp_path / name)
        np.testing.assert_allclose(rss(found.kspace[0]), image, atol=1e-5)
        assert "DC at entry 0 of the rows and columns: moved to the centre" in found.notes
    kspace[:, 3, 20] = 300
    np.save(tmp_path / "spike.npy", kspace)
    assert "largest sample is at row 3, column 20" in read(tmp_path / "spike.npy").notes[-1]


def test_bart_may_have_its_one_first(tmp_path):
    kspace = noise(4, 12, 10)
    cfl.write_array(tmp_path / "k.cfl", kspace.transpose(1, 2, 0)[None])
    found = read(tmp_path / "k.cfl")
    np.testing.assert_array_equal(found.kspace[0], kspace)
    write_scan(tmp_path / "x.cfl", kspace[:1], like=found)
    assert cfl.read_array(tmp_path / "x.cfl").shape[:3] == (1, 12, 10)
    cfl.write_array(tmp_path / "m.cfl", kspace.transpose(1, 2, 0)[:, None])
    np.testing.assert_array_equal(read(tmp_path / "m.cfl").kspace[0], kspace)


def spokes(size=16, count=9, samples=32):
    angle = np.arange(count)[:, None] * 1.94
    radius = (np.arange(samples) - samples // 2) / samples
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], -1).astype(np.float32)  # cycles per pixel


@pytest.mark.parametrize("unit", [1.0, 2 * np.pi, 16.0])
def test_ismrmrd_readouts_come_with_their_trajectory(unit, tmp_path):
    points, samples = spokes(), noise(3, 9, 32)
    text = with_views(header(32, 9, (16, 16), kind="radial"), (400, 400), (200, 200))
    place = {"trajectory_dimensions": 2, "read_dir": (1, 0, 0)}
    lines = [({"traj": unit * points[i], **place}, samples[:, i]) for i in range(9)]
    found = read(wide(tmp_path / "f.h5", lines, text))
    assert (found.shape, found.trajectory.shape, found.kspace.shape) == ((16, 16), (1, 288, 2), (1, 3, 288))
    np.testing.assert_allclose(found.trajectory[0], points.reshape(-1, 2), atol=1e-6)
    np.testing.assert_array_equal(found.kspace[0], samples.reshape(3, -1))
    write_scan(tmp_path / "o.h5", noise(1, 16, 16), like=found)
    with h5py.File(tmp_path / "o.h5") as file:
        assert tuple(file["dataset/image_0/header"]["field_of_view"][0]) == (200, 200, 5)
    with pytest.raises(InputError, match="numbers of trajectory"):
        read(wide(tmp_path / "g.h5", [({**place}, samples[:, 0])], text))
    with pytest.raises(InputError, match="reaches 100"):
        read(wide(tmp_path / "h.h5", [({"traj": points[0] * 200, **place}, samples[:, 0])], text))


def test_bart_samples_come_with_the_trajectory_beside_them(tmp_path):
    points, samples = spokes(), noise(3, 9, 32)
    path = np.zeros((3, 32, 9), np.complex64)
    path[:2] = 16 * points.transpose(2, 1, 0)
    cfl.write_array(tmp_path / "ksp.cfl", samples.transpose(2, 1, 0)[None])
    assert read(tmp_path / "ksp.cfl").trajectory is None
    cfl.write_array(tmp_path / "traj.cfl", path)
    found = read(tmp_path / "ksp.cfl")
    order = [spoke * 32 + sample for spoke in range(9) for sample in range(32)]
    np.testing.assert_allclose(found.trajectory[0], points.reshape(-1, 2)[order], atol=1e-6)
    np.testing.assert_array_equal(found.kspace[0], samples.reshape(3, -1)[:, order])
    assert found.shape == (16, 16)
    with pytest.raises(InputError, match="a trajectory, not k-space"):
        read(tmp_path / "traj.cfl")
    cfl.write_array(tmp_path / "ksp_traj.cfl", path[:, :5])
    with pytest.raises(InputError, match=r"ksp_traj\.cfl is 3 x 5 x 9"):
        read(tmp_path / "ksp.cfl")


@pytest.mark.parametrize("layout", ["slices", "each", "first", "complex"])
def test_hdf5_kspace_with_a_trajectory(layout, tmp_path):
    points, samples = spokes(), noise(2, 3, 9, 32)
    stored = {
        "slices": points,
        "each": np.stack([points, points[::-1]]),
        "first": points.transpose(2, 0, 1),
        "complex": points[..., 0] + 1j * points[..., 1],
    }[layout]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["kspace"], file["traj"] = samples, stored
        file.attrs["matrix"] = (16, 14)
    found = read(tmp_path / "f.h5")
    assert (found.kspace.shape, found.shape) == ((2, 3, 288), (16, 14))
    assert len(found.trajectory) == (2 if layout == "each" else 1)
    np.testing.assert_allclose(found.trajectory[0], points.reshape(-1, 2), atol=1e-6)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["kspace"], file["traj"] = samples[..., :20], stored
    with pytest.raises(InputError, match="a trajectory of"):
        read(tmp_path / "g.h5")


def test_finer_grids_keep_values_and_centre():
    image = noise(1, 9, 8)
    fine = resampled(image, (18, 24))
    np.testing.assert_allclose(fine[:, 1::2, 0::3], image, atol=1e-5)
    np.testing.assert_allclose(resampled(fine, (9, 8)), image, atol=1e-5)
    flat = resampled(np.ones((1, 5, 6), np.float32), (7, 12))
    np.testing.assert_allclose(flat, 1)
