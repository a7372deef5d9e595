"""Damaged Zarr stores end in one message, and a write that stops leaves what was there."""

import json
import os
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import inverse.io as iio
from inverse.errors import InputError, OutputError
from inverse.io.windows import open_windows

zarr = pytest.importorskip("zarr")


def made(path, version=3, **known):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array("image", shape=(24, 20), dtype="float32", chunks=(12, 10), **known)
    array[...] = np.ones((24, 20), np.float32)
    group.create_array("y", shape=(24,), dtype="float64")[...] = np.arange(24.0)
    return path


def refused(path, match):
    for attempt in (iio.read, lambda place: open_windows(place, "in.zarr", ExitStack())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zarr's, on what it does not know
            with pytest.raises(InputError, match=match):
                attempt(path)


@pytest.mark.parametrize(
    ("version", "change", "match"),
    [
        (3, {"chunk_grid": "regular"}, "broken Zarr: sizes None"),
        (3, {"chunk_grid": {"name": "regular", "configuration": None}}, "broken Zarr: configuration None"),
        (3, {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [12]}}}, "broken Zarr: chunks"),
        (3, {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 10]}}}, "broken Zarr: chunks"),
        (3, {"codecs": [["bytes"]]}, "broken Zarr: codec"),
        (3, {"codecs": "bytes"}, "broken Zarr: codecs bytes"),
        (3, {"codecs": [{"name": "bytes", "configuration": None}]}, "broken Zarr: configuration None"),
        (3, {"codecs": [{"name": "bytes", "configuration": "x"}]}, "broken Zarr: configuration x"),
        (3, {"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": 5}}]}, "broken Zarr"),
        (3, {"attributes": {"_FillValue": 10**400}}, "missing value .* is no number"),
        (3, {"attributes": {"_FillValue": "AAAA"}}, "missing value 'AAAA' is no number"),
        (3, {"attributes": {"_FillValue": "-9999"}}, "missing value '-9999' is no number"),
        (3, {"attributes": {"missing_value": {"a": 1}}}, "missing value .* is no number"),
        (3, {"dimension_names": 5}, "broken Zarr: names of axes 5"),
        (3, {"dimension_names": "yx"}, "broken Zarr: names of axes yx"),
        (3, {"attributes": {"_ARRAY_DIMENSIONS": {"y": 1}}}, "broken Zarr: names of axes"),
        (3, {"fill_value": [[]]}, "broken Zarr"),
        (3, {"data_type": "float31"}, "expected numbers"),
        (2, {"filters": 5}, "broken Zarr: filters 5"),
        (2, {"compressor": 5}, "codec '5'"),
        (2, {"chunks": "12"}, "broken Zarr: sizes 12"),
        (2, {"fill_value": {}}, "broken Zarr"),
    ],
)
def test_damaged_metadata_is_an_input_error(version, change, match, tmp_path):
    path = made(tmp_path / "in.zarr", version)
    file = path / "image" / ("zarr.json" if version == 3 else ".zarray")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    refused(path, match)


def test_damaged_chunks_are_an_input_error(tmp_path):
    path = made(tmp_path / "in.zarr")
    for file in (path / "y" / "c").rglob("*"):
        file.write_bytes(b"damaged")
    refused(path, "in.zarr::/y: broken Zarr")
    path = made(tmp_path / "b.zarr")
    (path / "image" / "c" / "0" / "0").write_bytes(b"damaged")
    with pytest.raises(InputError, match="broken Zarr"):
        iio.read(path)


def test_what_is_no_array_of_numbers_beside_an_image_is_left_alone(tmp_path):
    path = made(tmp_path / "in.zarr")
    group = zarr.open_group(path, mode="a")
    group.create_group("other")
    (path / "nothing").mkdir()
    file = path / "y" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"data_type": "string"}))
    picture = iio.read(path)
    iio.write(tmp_path / "out.zarr", picture)
    assert sorted(zarr.open_group(tmp_path / "out.zarr", mode="r")) == ["image"]


def test_a_fill_value_in_hex_survives(tmp_path):
    path = made(tmp_path / "in.zarr")
    file = path / "image" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fill_value": "0x7fc00000"}))
    picture = iio.read(path)
    iio.write(tmp_path / "out.zarr", picture)
    back = zarr.open_array(tmp_path / "out.zarr" / "image", mode="r")
    assert np.isnan(back.fill_value)
    np.testing.assert_array_equal(back[...], 1.0)
    iio.save_float(tmp_path / "std.zarr", np.ones((1, 24, 20)), like=picture)
    assert np.isnan(zarr.open_array(tmp_path / "std.zarr" / "image", mode="r").fill_value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError])
def test_a_write_that_stops_between_two_renames_leaves_what_was_there(error, tmp_path, monkeypatch):
    picture = iio.read(made(tmp_path / "in.zarr"))
    target = tmp_path / "out.zarr"
    iio.write(target, picture)
    rename = Path.rename

    def stopped(self, to):
        if ".part" in self.name:
            raise error
        return rename(self, to)

    twice = replace(picture, array=2 * picture.array)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stopped)
        with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else OutputError):
            iio.write(target, twice, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["in.zarr", "out.zarr"]
    np.testing.assert_array_equal(iio.read(target).array, picture.array)


def test_what_a_killed_write_left_is_removed_by_the_next(tmp_path):
    picture = iio.read(made(tmp_path / "in.zarr"))
    target, old = tmp_path / "out.zarr", tmp_path / ".out.zarr.old"
    iio.write(target, picture)
    made(old)
    with pytest.raises(OutputError, match="already exists"):
        iio.write(target, picture)
    assert old.is_dir()
    broken = replace(picture, extra={**picture.extra, "beside": (None,)})
    with pytest.raises(AttributeError):  # even by one that does not get far
        iio.write(target, broken, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["in.zarr", "out.zarr"]
    target.rename(old)  # killed between the two: all there is
    with pytest.raises(AttributeError):
        iio.write(target, broken)
    assert sorted(os.listdir(tmp_path)) == ["in.zarr", "out.zarr"]
