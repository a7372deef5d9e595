"""Data sets of HDF5 files and arrays of npz archives, by name, in and out."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inverse.io as iio
from inverse.errors import InputError
from inverse.io.axes import arranged, flattened
from inverse.io.sources import find
from inverse.storage.files import file_hash

SHAPES = {
    (12, 10): (1, (12, 10), 1),
    (12, 10, 3): (1, (12, 10), 3),
    (12, 10, 6): (1, (12, 10), 6),
    (5, 12, 10): (5, (12, 10), 1),
    (5, 12, 10, 3): (5, (12, 10), 3),
    (2, 3, 12, 10): (6, (12, 10), 1),
    (1, 12, 10): (1, (12, 10), 1),
}


def made(path, values, name="entry/data", **options):
    with h5py.File(path, "w") as file:
        file.attrs["instrument"] = "scope"
        dataset = file.create_dataset(name, data=values, **options)
        dataset.attrs["element_size_um"] = [0.5, 0.2, 0.2]
        dataset.attrs["self"] = dataset.ref
        if "/" in name:
            dataset.parent.attrs["title"] = "Łódź"
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, ">u2", np.int16, np.float32, np.float64])
def test_hdf5_round_trip(tmp_path, shape, dtype):
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    made(tmp_path / "in.h5", values, compression="gzip")
    found = iio.read(tmp_path / "in.h5")
    count, size, channels = SHAPES[shape]
    assert (found.size, found.channels) == (size, channels)
    assert isinstance(found, iio.Volume) is (len(shape) > 3 or (channels == 1 and len(shape) == 3))
    assert count == (len(found.slices) if isinstance(found, iio.Volume) else 1)
    write = iio.write_volume if isinstance(found, iio.Volume) else iio.write
    write(tmp_path / "out.h5", found, provenance={"inverse:run": "recipe 1"})
    with h5py.File(tmp_path / "out.h5") as file:
        dataset = file["/entry/data"]
        assert dataset.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(dataset[()], values)
        assert dataset.compression == "gzip"
        assert list(dataset.attrs["element_size_um"]) == [0.5, 0.2, 0.2]
        assert dataset.attrs["inverse:run"] == "recipe 1"
        assert file["entry"].attrs["title"] == "Łódź"
        assert file.attrs["instrument"] == "scope"
    first = (tmp_path / "out.h5").read_bytes()
    write(tmp_path / "out.h5", found, provenance={"inverse:run": "recipe 1"}, overwrite=True)
    assert (tmp_path / "out.h5").read_bytes() == first


def test_one_of_several_is_named(tmp_path):
    path = made(tmp_path / "in.h5", np.zeros((12, 10), np.uint8), "a")
    with h5py.File(path, "a") as file:
        file["group/b"] = np.ones((5, 12, 10), np.float32)
        file["axis"] = np.arange(12.0)
        file["name"] = "text"
    with pytest.raises(InputError, match=r"holds 2 arrays: /a \(12, 10\), /group/b") as caught:
        iio.read(path)
    assert caught.value.hint == "name one: FILE.h5::/a"
    found = iio.read(f"{path}::/group/b")
    assert len(found.slices) == 5
    assert iio.read(f"{path}::a").array.shape == (12, 10)
    for name, words in (("/no", "no data set"), ("/group", "is a group"), ("/axis", "no image"), ("/a/b", "no data")):
        with pytest.raises(InputError, match=words):
            iio.read(f"{path}::{name}")


def test_the_item_is_called_as_the_file_and_its_hash_knows_the_name(tmp_path):
    path = made(tmp_path / "in.h5", np.zeros((12, 10), np.uint8), "a")
    found = find([f"{path}::/a"])
    assert [(source.item, str(source.path)) for source in found] == [("in.h5", f"{path}::/a")]
    assert [source.item for source in find([f"{tmp_path}/*.h5::/a"])] == ["in.h5"]
    assert [source.item for source in find([tmp_path])] == ["in.h5"]
    (tmp_path / "list.txt").write_text("in.h5::/a\n")
    assert [(source.item, source.path) for source in find([f"@{tmp_path}/list.txt"])] == [
        ("in.h5", tmp_path / "in.h5::/a")
    ]
    assert file_hash(tmp_path / "in.h5::/a") != file_hash(path)
    assert iio.read(find([f"{path}::/a"])[0].path).size == (12, 10)
    odd = tmp_path / "a::b.npy"
    np.save(odd, np.zeros((4, 5)))
    assert iio.read(odd).size == (4, 5)


def test_npz_one_array_or_by_name(tmp_path):
    values = np.random.default_rng(0).integers(0, 200, (5, 12, 10)).astype(np.uint16)
    np.savez_compressed(tmp_path / "one.npz", left=values)
    volume = iio.read(tmp_path / "one.npz")
    iio.write_volume(tmp_path / "out.npz", volume)
    with np.load(tmp_path / "out.npz") as back:
        assert back.files == ["left"]
        np.testing.assert_array_equal(back["left"], values)
    np.savez(tmp_path / "two.npz", left=values, right=values[0])
    with pytest.raises(InputError, match="holds 2 arrays: left, right"):
        iio.read(tmp_path / "two.npz")
    picture = iio.read(f"{tmp_path}/two.npz::right")
    np.testing.assert_array_equal(picture.array, values[0])
    with pytest.raises(InputError, match="no array 'up'"):
        iio.read(f"{tmp_path}/two.npz::up")
    path = iio.save_float(tmp_path / "std.npz", np.full((5, 1, 12, 10), 0.5), like=volume)
    with np.load(path) as back:
        assert back["left"].dtype == np.float32
        assert back["left"].shape == (5, 12, 10)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=4).map(tuple))
def test_axes_come_back_whatever_they_were_taken_for(shape):
    values = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    found = arranged(values, format="hdf5", source="a.h5", extra={})
    np.testing.assert_array_equal(flattened(found), values)
