"""The malformed files that hold several things: HDF5, NIfTI, k-space, Zarr, DICOM; see ``corpus.py``."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import zarr
from corpus import EMPTY, ENTITIES, GREY, KSPACE, RGB, RNG, ZEROS, Builder, archive, bad, patched, put, saved


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
bad("nan.h5", "no pixel has a value", hdf5(named(a=EMPTY)))
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
bad("mrd-spiral.h5", "a spiral readout", hdf5(mrd(48, header(kind="spiral"))))
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
bad("nan.nii", "no pixel has a value", put(nifti(EMPTY)))


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
