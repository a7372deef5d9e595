"""OME-Zarr as most converters write it: five axes, most of one entry; and no link is followed."""

from __future__ import annotations

import numpy as np
import pytest

from inverse import io as iio
from inverse.errors import InputError

zarr = pytest.importorskip("zarr")
KINDS = {"t": "time", "c": "channel"}


def store(path, values, version, names="tczyx", unit="micrometer"):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("0", data=values, chunks=(1,) * (values.ndim - 2) + (16, 16))
    axes = [
        {"name": name, "type": KINDS.get(name, "space"), **({"unit": unit} if name in "zyx" else {})} for name in names
    ]
    moves = [{"type": "scale", "scale": [1] * (len(names) - 2) + [0.26, 0.13]}]
    scales = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": moves}]}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **scales}]


def again(path):
    group = zarr.open_group(path, mode="r")
    attributes = dict(group.attrs)
    return group["0"], attributes.get("ome", attributes)["multiscales"][0]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "names", "slices", "channels"),
    [
        ((1, 2, 1, 20, 24), "tczyx", 1, 2),
        ((1, 1, 1, 20, 24), "tczyx", 1, 1),
        ((1, 1, 5, 20, 24), "tczyx", 5, 1),
        ((1, 3, 5, 20, 24), "tczyx", 5, 3),
        ((2, 3, 5, 20, 24), "tczyx", 10, 3),
        ((2, 1, 5, 20, 24), "tczyx", 10, 1),
    ],
)
def test_axes_of_one_entry_are_left_out_and_come_back(tmp_path, version, shape, names, slices, channels):
    values = np.random.default_rng(0).integers(0, 60000, shape).astype("u2")
    store(tmp_path / "a.zarr", values, version, names)
    content = iio.read(tmp_path / "a.zarr")
    pictures = content.slices if isinstance(content, iio.Volume) else (content,)
    assert (len(pictures), content.size, content.channels) == (slices, (20, 24), channels)
    write = iio.write if slices == 1 else iio.write_volume
    array, scales = again(write(tmp_path / "out.zarr", content))
    assert (array[...] == values).all()
    assert [axis["name"] for axis in scales["axes"]] == list(names)
    maps = np.ones((slices, channels, 40, 48) if slices > 1 else (channels, 40, 48))
    array, scales = again(iio.save_float(tmp_path / "std.zarr", maps, like=content))
    assert array.shape == (*shape[:3], 40, 48)
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"][-2:] == [0.13, 0.065]


def test_its_pixels_are_a_fact_of_the_measurement(tmp_path):
    store(tmp_path / "a.zarr", np.zeros((1, 2, 1, 20, 24), "u2"), 2)
    assert iio.read(tmp_path / "a.zarr").extra["optics"]["pixel"] == pytest.approx((260, 130))
    store(tmp_path / "b.zarr", np.zeros((1, 2, 1, 20, 24), "u2"), 2, unit="")
    assert "optics" not in iio.read(tmp_path / "b.zarr").extra


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_or_metadata_that_is_a_link_is_refused(tmp_path, version):
    values = np.arange(24 * 20, dtype="f4").reshape(24, 20)
    array = zarr.create_array(tmp_path / "a.zarr", shape=(24, 20), chunks=(24, 20), dtype="f4", zarr_format=version)
    array[:] = values
    chunk = next(
        path
        for path in (tmp_path / "a.zarr").rglob("*")
        if path.is_file() and path.suffix != ".json" and path.name[0] != "."
    )
    chunk.rename(tmp_path / "secret.raw")
    chunk.symlink_to(tmp_path / "secret.raw")
    with pytest.raises(InputError, match="is a link to another file, which is never opened"):
        iio.read(tmp_path / "a.zarr")
    chunk.unlink()
    (tmp_path / "secret.raw").rename(chunk)
    metadata = tmp_path / "a.zarr" / ("zarr.json" if version == 3 else ".zarray")
    metadata.rename(tmp_path / "metadata")
    metadata.symlink_to(tmp_path / "metadata")
    with pytest.raises(InputError, match="is a link to another file"):
        iio.read(tmp_path / "a.zarr")
