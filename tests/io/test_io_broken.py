"""A corpus of files that are not what they should be: each an InputError of at most three lines that names the file."""

import gzip
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import inverse.io as iio
from inverse.errors import InputError
from inverse.io.content import Picture
from inverse.io.formats import raster

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def encoded(form, **options):
    buffer = io.BytesIO()
    if form == "tiff":
        tifffile.imwrite(buffer, options.pop("array", PIXELS), **options)
    elif form == "npy":
        np.save(buffer, options.pop("array", PIXELS), **options)
    elif form == "png16":
        return raster.png_bytes(PIXELS.astype(np.uint16) * 257)
    else:
        Image.fromarray(options.pop("array", PIXELS)).save(buffer, form, **options)
    return buffer.getvalue()


def made(write):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


def hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=PIXELS, compression="gzip").attrs["unit"] = "m"


def npz(path):
    with open(path, "wb") as file:
        np.savez_compressed(file, a=PIXELS)


def nifti():
    return bytes(nibabel.Nifti1Image(PIXELS, np.diag([1.0, 2, 3, 1])).to_bytes())


GOOD = {
    "hdf5": made(hdf5),
    "npz": made(npz),
    "nifti": nifti(),
    "nifti-gzip": gzip.compress(nifti()),
    "ome": encoded("tiff", array=PIXELS[..., 0][None], ome=True, photometric="minisblack", metadata={"axes": "ZYX"}),
    "png": encoded("png"),
    "png16": encoded("png16"),
    "jpeg": encoded("jpeg"),
    "tiff": encoded("tiff"),
    "tiff-deflate": encoded("tiff", compression="zlib"),
    "npy": encoded("npy"),
}


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        iio.read(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert len(text.splitlines()) <= 3
    assert caught.value.exit_code == 4
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("kind", sorted(set(GOOD) - {"ome"}))
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.98])
def test_truncated(tmp_path, kind, part):
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(GOOD[kind][: max(12, int(part * len(GOOD[kind])))])
    refused(path)


def test_a_tiff_that_lost_its_description_says_so(tmp_path):
    (tmp_path / "cut.tif").write_bytes(GOOD["ome"][:-200])
    picture = iio.read(tmp_path / "cut.tif")
    np.testing.assert_array_equal(picture.array, PIXELS[..., 0])
    assert "1 of its tags cannot be read" in picture.notes[0]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
def test_a_flipped_byte_is_an_input_error_or_harmless(tmp_path_factory, kind, where, flip, header):
    data = bytearray(GOOD[kind])
    data[int(where * min(len(data), 600 if header else len(data)))] ^= flip
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(data)
    said = ""
    try:
        found = iio.read(path)
        assert (found.slices[0] if isinstance(found, iio.Volume) else found).array.size > 0
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) <= 3


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"\x93NUMPY", b""]), st.binary(max_size=200))
def test_random_bytes(tmp_path_factory, magic, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(magic + noise)
    with pytest.raises(InputError):
        iio.read(path)


def test_missing_folder_empty_text(tmp_path):
    refused(tmp_path / "no.png", "no such file")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.png").write_bytes(b"")
    refused(tmp_path / "empty.png", "the file is empty")
    (tmp_path / "text.png").write_text("hello\nworld\n")
    refused(tmp_path / "text.png", "text, not an image", "supported: png, jpeg, ")
    refused(tmp_path / "text.png" / "below.png", "cannot be read")
    (tmp_path / "a.psd").write_bytes(b"8BPS" + b"\0" * 40)
    refused(tmp_path / "a.psd", "a Photoshop file")
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    refused(tmp_path / "a.docx", "a zip archive")


def test_the_name_in_messages_can_be_chosen(tmp_path):
    with pytest.raises(InputError) as caught:
        iio.read(tmp_path / "no.png", name="a/no.png")
    assert str(caught.value).startswith("a/no.png: no such file")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_nan_and_infinite_pixels_have_no_value(tmp_path, suffix):
    array = np.zeros((4, 5), np.float32)
    array[0, :2] = np.nan
    array[3, 4] = np.inf
    path = tmp_path / f"nan{suffix}"
    np.save(path, array) if suffix == ".npy" else tifffile.imwrite(path, array)
    picture = iio.read_picture(path)
    assert (picture.valid == np.isfinite(array)).all()
    assert (picture.array == 0).all()
    assert picture.notes[-1] == "3 NaN or infinite values taken as unobserved"


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0, 3), (4, 4, 0)])
def test_zero_size(tmp_path, shape):
    np.save(tmp_path / "zero.npy", np.zeros(shape, np.uint8))
    refused(tmp_path / "zero.npy", "the image is empty")


def test_arrays_that_are_no_images(tmp_path):
    for array, words in (
        (np.zeros(5), "shape (5,)"),
        (np.zeros((2, 3, 4, 5)), "not an image"),
        (np.zeros((3, 4), complex), "complex128"),
        (np.zeros((3, 4), np.int64), "int64"),
        (np.array([["a", "b"]]), "no defined range"),
    ):
        np.save(tmp_path / "a.npy", array)
        refused(tmp_path / "a.npy", words)
    np.save(tmp_path / "a.npy", np.array([[{"a": 1}]], object), allow_pickle=True)
    refused(tmp_path / "a.npy", "never loaded")
    (tmp_path / "a.npy").write_bytes(pickle.dumps(PIXELS))
    refused(tmp_path / "a.npy", "no image format")


def test_unsupported_kinds_of_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        writer.write(np.zeros((8, 9), np.uint8), metadata=None)
        writer.write(np.zeros((4, 4), np.uint16), metadata=None)
    refused(tmp_path / "two.tif", "holds 2 images")
    tifffile.imwrite(tmp_path / "int.tif", np.zeros((8, 9), np.int64))
    refused(tmp_path / "int.tif", "int64")


def test_tiff_compression_without_imagecodecs(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "import inverse.io as iio\n"
        "from inverse.errors import InputError\n"
        "try: iio.read(sys.argv[1])\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "lzw.tif")], capture_output=True, text=True, check=True
    )
    assert "pip install imagecodecs" in done.stdout
    assert len(done.stdout.splitlines()) <= 3


def picture(*shape, form="png"):
    return Picture(array=np.zeros(shape, np.uint8), format=form, source="photo.png")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1), "1 x 1 pixels, the smaller side must be at least 32"),
        ((1, 20000), "20000 x 1 pixels"),
        ((64, 64, 2), "2 channels, the prior takes 4 channels"),
        ((64, 64, 5), "5 channels"),
    ],
)
def test_what_does_not_fit_a_prior(shape, words):
    with pytest.raises(InputError) as caught:
        iio.require(picture(*shape), channels=4, minimum=32)
    assert str(caught.value).startswith("photo.png: ")
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_what_fits_a_prior():
    iio.require(picture(32, 32), channels=3, minimum=32)
    iio.require(picture(32, 32, 3), channels=3, minimum=32)
    iio.require(picture(32, 32, 6), channels=3, minimum=32)
    iio.require(picture(32, 32, 7), channels=None, minimum=32)
    iio.require(picture(1, 1), channels=1)


def test_a_channel_first_array_is_recognised():
    with pytest.raises(InputError, match="channel first"):
        iio.require(picture(3, 64, 64, form="npy"), channels=3)
