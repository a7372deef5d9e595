"""About a hundred kinds of malformed files, one line each: ``BAD[name] = (words that the message must have, builder)``.

A builder makes one file (or store) at the path it is given. `TRAP` unpickled would leave a file behind: nothing in here may ever run.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import tifffile
import zarr
from PIL import Image

RNG = np.random.default_rng(0)
GREY = RNG.integers(1, 255, (40, 48)).astype(np.uint8)
RGB = RNG.integers(1, 255, (40, 48, 3)).astype(np.uint8)
HOLED = np.where(np.arange(GREY.size).reshape(GREY.shape) % 7, GREY.astype(np.float32), np.nan)
KSPACE = (RNG.normal(size=(1, 4, 40, 48)) + 1j * RNG.normal(size=(1, 4, 40, 48))).astype(np.complex64)
ENTITIES = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><OME>&c;</OME>'
MARK = "/tmp/inverse-corpus-was-executed"
Builder = Callable[[Path], Any]
BAD: dict[str, tuple[str, Builder]] = {}


class Trap:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARK}",)


TRAP = pickle.dumps(Trap())


def bad(name: str, words: str, make: Builder) -> None:
    """Register a kind; the name has its suffix."""
    BAD[name] = words, make


def put(data: bytes) -> Builder:
    return lambda path: path.write_bytes(data)


def saved(writer: Callable[..., Any], *args: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    writer(buffer, *args, **options)
    return buffer.getvalue()


def picture(form: str, array: Any = RGB, mode: str | None = None, **options: Any) -> bytes:
    image = Image.fromarray(array)
    return saved(lambda to: (image.convert(mode) if mode else image).save(to, form, **options))


def tiff(array: Any = RGB, **options: Any) -> bytes:
    options.setdefault("photometric", "rgb" if array.shape[-1] == 3 else "minisblack")
    return saved(tifffile.imwrite, array, metadata=None, **options)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


# PNG and JPEG
def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int = 8, colour: int = 0, data: bytes = b"", end: bytes = b"IEND") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(end, b"")


ZEROS = zlib.compress(bytes(2**24), 9)
bad("truncated.png", "broken PNG", put(picture("png")[:-900]))
bad("checksum.png", "broken PNG", put(patched(picture("png"), 45, b"\xff\xff\xff")))
bad("absurd.png", "pixels", put(png(2**31 - 1, 2**31 - 1, data=ZEROS)))
bad("zero-width.png", "", put(png(0, 10, data=ZEROS)))
bad("bomb.png", "declares", put(png(12000, 12000, colour=2, data=ZEROS)))
bad("bomb16.png", "", put(png(40, 40, bits=16, data=zlib.compress(bytes(100))[:20] + ZEROS)))
bad("short16.png", "broken PNG", put(png(400, 400, bits=16, data=zlib.compress(bytes(100)))))
bad("no-end.png", "broken PNG", put(png(40, 48, data=b"")[:-12]))
bad("depth.png", "broken PNG", put(png(40, 48, bits=3, data=ZEROS)))
bad("truncated.jpg", "broken JPEG", put(picture("jpeg")[:600]))
bad("cmyk.jpg", "CMYK", put(picture("jpeg", mode="CMYK")))
bad("header-alone.jpg", "broken JPEG", put(picture("jpeg")[:30]))
bad("really.webp.png", "WebP", put(b"RIFF\0\0\0\0WEBPVP8 " + bytes(40)))


# TIFF
def entry(data: bytes, code: int, value: int) -> bytes:
    """The value of a tag of the first directory of a little-endian classic TIFF replaced."""
    start = struct.unpack_from("<I", data, 4)[0]
    for index in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * index
        if struct.unpack_from("<H", data, at)[0] == code:
            return patched(data, at + 8, struct.pack("<I", value))
    raise KeyError(code)


def cyclic(data: bytes) -> bytes:
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    return patched(data, start + 2 + 12 * count, struct.pack("<I", start))


def two_sizes(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:8], metadata=None)


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
    'Type="uint8" SizeX="48" SizeY="40" SizeZ="{}" SizeC="1" SizeT="1"><Channel ID="C:0" SamplesPerPixel="1"/>'
    '<TiffData IFD="0" PlaneCount="1"/><TiffData FirstZ="1" PlaneCount="1"><UUID FileName="/etc/passwd">u:1</UUID></TiffData>'
    "</Pixels></Image></OME>"
)
bad("truncated.tif", "TIFF", put(tiff()[:-1000]))
bad("header-alone.tif", "broken TIFF", put(b"II*\0\x08\0\0\0"))
bad("directory-outside.tif", "broken TIFF", put(b"II*\0" + struct.pack("<I", 2**31) + bytes(100)))
bad("cyclic.tif", "", put(cyclic(tiff(GREY, compression="zlib"))[:120]))
bad("absurd.tif", "", put(entry(entry(tiff(GREY), 256, 2**30), 257, 2**30)))
bad("zero-size.tif", "", put(entry(tiff(GREY), 257, 0)))
bad("pixels-outside.tif", "TIFF", put(entry(tiff(GREY), 273, 2**31)))
bad("bits.tif", "", put(entry(tiff(GREY), 258, 13)))
bad("compression.tif", "TIFF", put(entry(tiff(GREY), 259, 60000)))
bad("complex.tif", "complex", put(tiff(GREY.astype(np.complex64))))
bad("wide-integers.tif", "int64", put(tiff(GREY.astype(np.int64))))
bad("cmyk.tif", "colour is not supported", put(picture("tiff", mode="CMYK")))
bad("two-sizes.tif", "holds 2 images", two_sizes)
bad("nan.tif", "NaN or infinite", put(tiff(HOLED)))
bad("infinite.tif", "NaN or infinite", put(tiff(np.where(GREY > 9, 1.0, np.inf).astype(np.float32))))
bad("bomb.tif", "stores only", put(entry(entry(tiff(GREY, compression="zlib"), 256, 20000), 257, 20000)))
bad("ome-elsewhere.tif", "never opened", put(tiff(GREY, description=OME.format(2))))
bad("ome-entities.tif", "OME-XML", put(tiff(GREY, description=ENTITIES)))
bad("big-header.tif", "broken TIFF", put(b"II+\0\x04\0\0\0" + bytes(40)))


# GeoTIFF
def scene(array: Any, **changes: Any) -> bytes:
    import rasterio

    profile = {"driver": "GTiff", "height": 40, "width": 48, "count": 1, "dtype": array.dtype.name, "crs": "EPSG:32621"}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, transform=rasterio.Affine(30, 0, 5e5, 0, -30, 4e6), **changes) as file:
            file.write(array, 1)
        return bytes(memory.read())


def wrong_crs() -> bytes:
    """A scene whose geo keys have a key of a type that does not exist."""
    data = scene(GREY)
    return data.replace(struct.pack("<4H", 1026, 34737, 22, 0), struct.pack("<4H", 1026, 999, 22, 0))


bad("geo-crs.tif", "broken GeoTIFF", put(wrong_crs()))
bad("geo-truncated.tif", "", put(scene(GREY)[:700]))
bad("geo-all-nodata.tif", "no pixel has a value", put(scene(GREY * np.uint8(0), nodata=0)))
bad("geo-complex.tif", "complex", put(scene(GREY.astype(np.complex64))))
bad("geo-bands.tif", "42753 bands", put(entry(scene(GREY), 277, 42753)))
bad("geo-absurd.tif", "", put(entry(entry(scene(GREY), 256, 2**24), 257, 2**24)))


# NumPy
def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    size = struct.pack("<H", len(header)) if version == 1 else struct.pack("<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def shaped(shape: str, kind: str = "|u1", data: bytes = bytes(100)) -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n", data)


def archive(name: str = "a.npy", data: bytes = b"", **options: Any) -> bytes:
    def write(to: Any) -> None:
        with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, data or saved(np.save, GREY))

    return saved(write)


def crc(data: bytes) -> bytes:
    at = data.find(b"PK\x03\x04") + 40
    return patched(data, at, bytes(8))


bad("pickled.npy", "no image format", put(TRAP))
bad("objects.npy", "never loaded", put(shaped("(1,)", "|O", TRAP)))
bad("code.npy", "broken npy", put(npy(f"__import__('os').system('touch {MARK}')\n")))
bad("negative.npy", "declares the sizes -4 x 5", put(shaped("(-4, 5)")))
bad("huge.npy", "stores only", put(shaped("(1000000, 1000000)")))
bad("overflow.npy", "stores only", put(shaped("(4611686018427387904, 4)")))
bad("short.npy", "bytes of", put(shaped("(40, 50)")))
bad("version.npy", "version 9.0", put(npy("{}\n", version=9)))
bad("no-keys.npy", "broken npy", put(npy("{'a': 1}\n")))
bad("deep.npy", "broken npy", put(npy("(" * 4000 + "\n")))
bad("complex.npy", "complex64", put(saved(np.save, GREY.astype(np.complex64))))
bad("structured.npy", "no defined range", put(saved(np.save, np.zeros(9, [("a", "u1"), ("b", "f4")]))))
bad("strings.npy", "no defined range", put(saved(np.save, np.array([["a", "b"]]))))
bad("empty-axis.npy", "the image is empty", put(saved(np.save, np.zeros((0, 5), np.uint8))))
bad("five-axes.npy", "not an image", put(saved(np.save, np.zeros((2, 2, 2, 4, 4), np.uint8))))
bad("nan.npy", "NaN or infinite", put(saved(np.save, HOLED)))
bad("kspace-nan.npy", "NaN or infinite", put(saved(np.save, np.where(np.abs(KSPACE) > 2, np.nan, KSPACE))))
bad("objects.npz", "never loaded", put(archive(data=shaped("(1,)", "|O", TRAP))))
bad("bomb.npz", "stores only", put(archive(data=shaped("(300000000,)", data=bytes(3 * 10**8)))))
bad("checksum.npz", "broken npz", put(crc(archive())))
bad("encrypted.npz", "broken npz", lambda path: path.write_bytes(encrypted(archive())))
bad("several.npz", "holds 2 arrays", put(saved(np.savez, a=GREY, b=GREY)))
bad("no-array.npz", "empty zip", put(saved(np.savez)))
bad("outside.npz", "outside", put(archive("../../evil.npy")))
bad("no-npy.npz", "", put(archive("readme.txt", b"hello")))
bad("truncated.npz", "broken npz", put(archive()[:-40]))


def encrypted(data: bytes) -> bytes:
    """The bit that says that a member is encrypted, in both of its headers."""
    first, second = data.find(b"PK\x03\x04") + 6, data.find(b"PK\x01\x02") + 8
    return patched(patched(data, first, b"\x01\0"), second, b"\x01\0")


# HDF5
def hdf5(fill: Callable[[Any], Any]) -> Builder:
    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            fill(file)

    return make


def hdf5_bytes(fill: Callable[[Any], Any]) -> bytes:
    def write(to: Any) -> None:
        with h5py.File(to, "w") as file:
            fill(file)

    return saved(write)


def named(**arrays: Any) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        for name, array in arrays.items():
            file[name] = array

    return fill


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(40, 48), dtype="u1")
    layout[:] = h5py.VirtualSource("other.h5", "a", shape=(40, 48))
    file.create_virtual_dataset("a", layout)


def itself(file: Any) -> None:
    file["group/inner/again"] = file["group"] if "group" in file else file.create_group("group")


def packed(shape: tuple[int, ...], **options: Any) -> Callable[[Any], Any]:
    def fill(file: Any) -> None:
        dataset = file.create_dataset("a", shape, "u1", compression="gzip", **options)
        dataset.id.write_direct_chunk((0,) * len(shape), ZEROS)

    return fill


def unknown_filter(file: Any) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((40, 48))
    plist.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((40, 48))
    h5py.h5d.create(file.id, b"a", h5py.h5t.STD_U8LE, space, plist)


WHOLE = hdf5_bytes(named(a=GREY))
bad("truncated.h5", "broken HDF5", put(WHOLE[: len(WHOLE) // 2]))
bad("damaged.h5", "", put(patched(WHOLE, 100, bytes(range(200)) * 2)))
bad("external-link.h5", "never opened", hdf5(lambda file: file.__setitem__("a", h5py.ExternalLink("other.h5", "/a"))))
bad("external-data.h5", "never opened", hdf5(lambda f: f.create_dataset("a", (40, 48), "u1", external="/etc/passwd")))
bad("virtual.h5", "never opened", hdf5(virtual))
bad("soft-link.h5", "holds 0 arrays", hdf5(lambda file: file.__setitem__("a", h5py.SoftLink("/a"))))
bad("cyclic.h5", "holds 0 arrays", hdf5(itself))
bad("bomb.h5", "stores only", hdf5(packed((600, 1000, 1000), chunks=(600, 1000, 1000))))
bad("unwritten.h5", "stores only", hdf5(lambda file: file.create_dataset("a", (10**5, 10**5), "f4")))
bad("chunk.h5", "stores only", hdf5(packed((8, 8), chunks=(60000, 60000), maxshape=(None, None))))
bad("filter.h5", "filter 32999", hdf5(unknown_filter))
bad("complex.h5", "complex", hdf5(named(a=GREY.astype(np.complex64), b=np.arange(4))))
bad("text.h5", "holds 0 arrays", hdf5(named(a="hello", b=["x", "y"])))
bad("several.h5", "holds 2 arrays: /a (40, 48), /b", hdf5(named(a=GREY, b=RGB)))
bad("five-axes.h5", "holds 0 arrays", hdf5(named(a=np.zeros((2, 2, 2, 4, 4)))))
bad("nan.h5", "NaN or infinite", hdf5(named(a=HOLED)))
bad("empty.h5", "holds 0 arrays", hdf5(named()))
bad("empty-array.h5", "", hdf5(named(a=h5py.Empty("f4"))))


# Raw k-space
def header(size: str = "48", encoded: str = "40", kind: str = "cartesian") -> str:
    matrix = (
        "<matrixSize><x>{}</x><y>{}</y><z>1</z></matrixSize><fieldOfView_mm><x>1</x><y>1</y><z>1</z></fieldOfView_mm>"
    )
    spaces = "".join(f"<{name}>{matrix.format(encoded, size)}</{name}>" for name in ("encodedSpace", "reconSpace"))
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"{spaces}<trajectory>{kind}</trajectory></encoding></ismrmrdHeader>"
    )


def mrd(records: int, xml: str, samples: int = 40) -> Callable[[Any], None]:
    counters = [("kspace_encode_step_1", "<u2"), ("kspace_encode_step_2", "<u2"), ("average", "<u2"), ("slice", "<u2")]
    counters += [(name, "<u2") for name in ("contrast", "phase", "repetition", "set", "segment")]
    fields = [("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4")]
    fields += [("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", 3), ("number_of_samples", "<u2")]
    fields += [("available_channels", "<u2"), ("active_channels", "<u2"), ("channel_mask", "<u8", 16)]
    fields += [("discard_pre", "<u2"), ("discard_post", "<u2"), ("center_sample", "<u2"), ("encoding_space_ref", "<u2")]
    fields += [
        ("trajectory_dimensions", "<u2"),
        ("sample_time_us", "<f4"),
        ("position", "<f4", 3),
        ("read_dir", "<f4", 3),
    ]
    fields += [("phase_dir", "<f4", 3), ("slice_dir", "<f4", 3), ("patient_table_position", "<f4", 3)]
    fields += [("idx", [*counters, ("user", "<u2", 8)]), ("user_int", "<i4", 8), ("user_float", "<f4", 8)]
    floats = h5py.vlen_dtype(np.dtype("<f4"))
    kind = np.dtype([("head", fields), ("traj", floats), ("data", floats)])

    def fill(file: Any) -> None:
        rows = np.zeros(records, kind)
        for index, row in enumerate(rows):
            row["head"]["number_of_samples"], row["head"]["active_channels"] = samples, 1
            row["head"]["idx"]["kspace_encode_step_1"] = index
            row["data"], row["traj"] = np.ones(80, np.float32), np.zeros(0, np.float32)
        file.create_dataset("dataset/data", data=rows)
        file.create_dataset("dataset/xml", data=[xml.encode()], dtype=h5py.string_dtype())

    return fill


def long_record(data: bytes) -> bytes:
    """The first record of raw data that asks for 16 GB."""
    with h5py.File(io.BytesIO(data)) as file:
        table = file["dataset/data"].id
        at = table.get_offset() + table.get_type().get_member_offset(2)
    return patched(data, at, struct.pack("<I", 2**32 - 1))


def fast(**arrays: Any) -> Builder:
    return hdf5(named(**{"kspace": KSPACE, **arrays}))


def cfl(dimensions: str, values: Any = KSPACE) -> Builder:
    def make(path: Path) -> None:
        path.with_suffix(".hdr").write_text(dimensions)
        path.write_bytes(np.ascontiguousarray(values, "<c8").tobytes())

    return make


bad("kspace-swapped.h5", "axes", fast(kspace=np.moveaxis(KSPACE, (2, 3), (0, 1))))
bad("kspace-mask.h5", "mask of 40 columns", fast(mask=np.ones(40)))
bad("kspace-zero.h5", "all of k-space is zero", fast(kspace=KSPACE * 0))
bad("kspace-nan.h5", "NaN or infinite", fast(kspace=np.where(np.abs(KSPACE) > 2, np.nan, KSPACE)))
bad("kspace-real.h5", "", fast(kspace=KSPACE.real, mask=np.ones((48, 48))))
bad("kspace-entities.h5", "document type", fast(ismrmrd_header=ENTITIES))
bad("kspace-no-xml.h5", "not XML", fast(ismrmrd_header="hello"))
bad("kspace-matrix.h5", "matrix of", fast(ismrmrd_header=header("-48")))
bad("kspace-link.h5", "never opened", hdf5(lambda f: f.__setitem__("kspace", h5py.ExternalLink("o.h5", "/kspace"))))
bad("mrd-empty.h5", "no image readouts", hdf5(mrd(0, header())))
bad("mrd-spiral.h5", "a spiral trajectory", hdf5(mrd(48, header(kind="spiral"))))
bad("mrd-no-xml.h5", "not XML", hdf5(mrd(48, "hello")))
bad("mrd-samples.h5", "", hdf5(mrd(48, header(), samples=60000)))
bad("mrd-lengths.h5", "its records ask for", put(long_record(hdf5_bytes(mrd(40, header())))))
bad("mrd-no-data.h5", "holds 0 arrays", hdf5(lambda file: file.__setitem__("dataset/xml", header())))
bad("mismatch.cfl", "its header says", cfl("# Dimensions\n50 50 1 4\n"))
bad("negative.cfl", "dimensions '-40", cfl("# Dimensions\n-40 48 1 4\n"))
bad("garbage.cfl", "no '# Dimensions'", cfl("hello\n"))
bad("huge.cfl", "its header says", cfl("# Dimensions\n1000000 1000000 1 4\n"))
bad("alone.cfl", "", put(KSPACE.tobytes()))
bad("nan.cfl", "NaN or infinite", cfl("# Dimensions\n40 48 1 4\n", KSPACE * np.nan))


# NIfTI
def nifti(array: Any = GREY, at: int | None = None, new: bytes = b"", **header: Any) -> bytes:
    image = nibabel.Nifti1Image(array, np.eye(4))
    data = bytes(image.to_bytes())
    return data if at is None else patched(data, at, new)


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def dims(*sizes: int) -> bytes:
    return struct.pack("<8h", *sizes, *[1] * (8 - len(sizes)))


COLOURS = np.zeros((40, 48, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
NAN4 = struct.pack("<4f", *[float("nan")] * 4)
AFFINE = patched(nifti(), 254, struct.pack("<h", 1))
bad("negative.nii", "NIfTI header", put(nifti(at=40, new=dims(2, -40, 48))))
bad("no-axes.nii", "", put(nifti(at=40, new=dims(0, 40, 48))))
bad("nine-axes.nii", "", put(nifti(at=40, new=dims(9, 40, 48))))
bad("huge.nii", "stores only", put(nifti(at=40, new=dims(4, 30000, 30000, 30000, 30000))))
bad("longer.nii", "truncated NIfTI", put(nifti(at=40, new=dims(2, 400, 480))))
bad("truncated.nii", "truncated NIfTI", put(nifti()[:-100]))
bad("truncated.nii.gz", "NIfTI", put(gzipped(nifti())[:-900]))
bad("bomb.nii.gz", "stores only", put(gzipped(patched(nifti(), 40, dims(3, 1000, 1000, 600)) + bytes(10**6))))
bad("complex.nii", "voxels are complex", put(nifti(GREY.astype(np.complex64))))
bad("coloured.nii", "voxels are coloured", put(nifti(COLOURS)))
bad("type.nii", "NIfTI header", put(nifti(at=70, new=struct.pack("<h", 999))))
bad("affine.nii", "the affine is not finite", put(patched(AFFINE, 280, NAN4)))
bad("slope.nii", "NIfTI", put(nifti(at=112, new=struct.pack("<2f", float("inf"), 0))))
bad("intercept.nii", "NIfTI header", put(nifti(at=112, new=struct.pack("<2f", 2, float("nan")))))
bad("offset.nii", "NIfTI", put(nifti(at=108, new=struct.pack("<f", 1e9))))
bad("nan-offset.nii", "broken NIfTI", put(nifti(at=108, new=struct.pack("<f", float("nan")))))
bad("mrd-fields.h5", "no field of name", put(hdf5_bytes(mrd(48, header())).replace(b"center_sample", b"centre_sample")))
bad("negative-offset.nii", "NIfTI", put(nifti(at=108, new=struct.pack("<f", -500))))
bad("vectors.nii", "5 axes", put(nifti(np.zeros((8, 8, 2, 1, 3), np.float32))))
bad("nan.nii", "NaN or infinite", put(nifti(HOLED)))


# Zarr and DICOM
def store(**changes: Any) -> Builder:
    def make(path: Path) -> None:
        zarr.create_array(path, shape=(40, 48), dtype="uint8", zarr_format=2)[...] = GREY
        metadata = json.loads((path / ".zarray").read_text())
        (path / ".zarray").write_text(json.dumps(metadata | changes))

    return make


def broken_chunk(path: Path) -> None:
    store()(path)
    (path / "0.0").write_bytes(b"hello")


def metadata(text: str, name: str = "zarr.json") -> Builder:
    def make(path: Path) -> None:
        path.mkdir()
        (path / name).write_text(text)

    return make


def dicom(changes: dict[str, Any]) -> bytes:
    import pydicom

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    file = pydicom.dataset.FileDataset("a.dcm", {}, file_meta=meta, preamble=bytes(128))
    own = {"Rows": 40, "Columns": 48, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    own |= {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelData": GREY.tobytes(), **changes}
    for name, value in own.items():
        if value is not None:
            setattr(file, name, value)
    return saved(lambda to: file.save_as(to, enforce_file_format=True))


bad("pickle.zarr", "codec 'pickle'", store(filters=[{"id": "pickle"}]))
bad("objects.zarr", "expected numbers", store(dtype="|O"))
bad("huge.zarr", "stores only", store(shape=[10**6, 10**6]))
bad("negative.zarr", "declares the sizes", store(shape=[-40, 48]))
bad("codec.zarr", "codec 'evil'", store(compressor={"id": "evil"}))
bad("chunk.zarr", "broken Zarr", broken_chunk)
bad("json.zarr", "broken Zarr", metadata("{"))
bad("list.zarr", "no mapping", metadata("[1]"))
bad("group.zarr", "holds 0 arrays", metadata('{"zarr_format": 3, "node_type": "group"}'))
bad("truncated.dcm", "broken DICOM", put(dicom({})[:-500]))
bad("no-image.dcm", "without an image", put(dicom({"PixelData": None})))
bad("coloured.dcm", "coloured", put(dicom({"SamplesPerPixel": 3})))
bad("absurd.dcm", "stores only", put(dicom({"Rows": 60000, "Columns": 60000})))
bad("no-size.dcm", "broken DICOM", put(dicom({"Rows": None})))

# Anything else
bad("empty.png", "the file is empty", put(b""))
bad("text.tif", "text, not an image", put(b"hello\n" * 20))
bad("noise.png", "no image format", put(bytes(RNG.integers(0, 255, 500).astype(np.uint8))))
bad("document.npz", "zip archive", put(archive("word/document.xml", b"<a/>")))
bad("packed.nii.gz", "gzip", put(gzipped(b"hello")))
