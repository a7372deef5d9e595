"""Damaged files, many of every format: is each refused in words, in seconds, in little memory?

    python benchmarks/fuzz.py [--mutants 200] [--formats png,tiff] [--seconds 10] [--gigabytes 2] [--keep DIR]

A mutant is a whole file of a format with one to eight changes: bits flipped, numbers of a header made extreme, bytes
replaced, cut out, doubled or cut off; half of the changes are in the first kilobyte. Of formats of several files one of
them is changed; of packed ones the content or the archive. Each is read by a command (``inverse info``; recipes, cards
and checkpoints by theirs) in a process of its own, forked from one that has imported everything, under limits of time
and memory.

Prints a row a format: mutants, refused with an exit code that is documented, read, tracebacks, "this is a bug", killed
at the limit of time, the slowest (seconds) and the largest memory beyond what the interpreter held (MiB). Exits with 1
where there is a traceback, a bug, or a kill; ``--keep`` keeps those files.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "io"))

import corpus  # noqa: E402
import corpus_containers  # noqa: E402
import test_io_raw  # noqa: E402

from inverse.cli.main import cli  # noqa: E402

HEAD = 1024
EXTREME = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
OWN_ERROR = 125
RECIPE = (ROOT / "recipes" / "deblur.yaml").read_bytes()


def _zarr(path: Path) -> None:
    import zarr

    values = corpus.RNG.random((3, 40, 48)).astype("f4")
    zarr.create_array(path, shape=values.shape, chunks=(1, 40, 48), dtype="f4")[...] = values


def _cfl(path: Path) -> None:
    corpus_containers.cfl("# Dimensions\n48 40 1 4\n", np.moveaxis(corpus.KSPACE[0], 0, -1).copy())(path)


def _npz(path: Path) -> None:
    np.savez_compressed(path, a=corpus.RGB)


def _checkpoint(path: Path) -> None:
    torch.save({"state_dict": {f"layer.{index}": torch.ones(4, 4) for index in range(6)}}, path)


def _safetensors(path: Path) -> None:
    path.write_bytes((ROOT / "priors" / "weights" / "photo.safetensors").read_bytes())


def _heif(path: Path) -> None:
    import pillow_heif

    height, width, _ = corpus.RGB.shape
    pillow_heif.from_bytes(mode="RGB", size=(width, height), data=corpus.RGB.tobytes()).save(path)


def _jpegxl(path: Path) -> None:
    import pyjpegxl

    path.write_bytes(pyjpegxl.encode_from_numpy(corpus.RGB, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0"))


def _twix(path: Path) -> None:
    import test_io_twix

    test_io_twix.written(path, [test_io_twix.blocks(test_io_twix.kspace(1)[0])])


def _safe(path: Path) -> None:
    import test_io_products

    test_io_products.safe(path)


def _landsat(path: Path) -> None:
    import test_io_products

    path.mkdir()
    test_io_products.landsat(path)


def _put(content: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content()) and None


READ = ("info", "{file}")
FORMATS: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "png": ("a.png", _put(lambda: corpus.picture("PNG")), READ),
    "jpeg": ("a.jpg", _put(lambda: corpus.picture("JPEG")), READ),
    "cmyk": ("a.jpg", _put(lambda: corpus.picture("JPEG", mode="CMYK")), READ),
    "webp": ("a.webp", _put(lambda: corpus.picture("WEBP")), READ),
    "avif": ("a.avif", _put(lambda: corpus.picture("AVIF")), READ),
    "heif": ("a.heic", _heif, READ),
    "jpegxl": ("a.jxl", _jpegxl, READ),
    "jpeg2000": ("a.jp2", _put(lambda: corpus.picture("JPEG2000")), READ),
    "raw": ("a.dng", lambda path: test_io_raw.dng(path, test_io_raw.picture()), READ),
    "gif": ("a.gif", _put(lambda: corpus.picture("GIF")), READ),
    "bmp": ("a.bmp", _put(lambda: corpus.picture("BMP")), READ),
    "pnm": ("a.ppm", _put(lambda: corpus.picture("PPM")), READ),
    "tiff": ("a.tif", _put(lambda: corpus.tiff(compression="zlib", predictor=True)), READ),
    "geotiff": ("g.tif", _put(lambda: corpus.scene(corpus.GREY)), READ),
    "npy": ("a.npy", lambda path: np.save(path, corpus.RGB), READ),
    "npz": ("a.npz", _npz, READ),
    "hdf5": ("a.h5", corpus_containers.hdf5(corpus_containers.named(a=corpus.RGB)), READ),
    "nifti": ("a.nii", _put(lambda: corpus_containers.nifti()), READ),
    "nifti, packed": ("a.nii.gz", _put(lambda: corpus_containers.gzipped(corpus_containers.nifti())), READ),
    "zarr": ("a.zarr", _zarr, READ),
    "dicom": ("a.dcm", _put(lambda: corpus_containers.dicom({})), READ),
    "fastmri": ("k.h5", corpus_containers.fast(ismrmrd_header=corpus_containers.header()), READ),
    "ismrmrd": ("m.h5", corpus_containers.hdf5(corpus_containers.mrd(40, corpus_containers.header())), READ),
    "cfl": ("a.cfl", _cfl, READ),
    "twix": ("meas.dat", _twix, READ),
    "sentinel2": ("a.SAFE", _safe, READ),
    "landsat": ("LC08", _landsat, READ),
    "recipe": ("r.yaml", _put(lambda: RECIPE), ("recipe", "validate", "{file}")),
    "card": (
        "c.yaml",
        _put(lambda: (ROOT / "priors" / "cards" / "gaussian.yaml").read_bytes()),
        ("prior", "show", "{file}"),
    ),
    "safetensors": ("w.safetensors", _safetensors, ("prior", "show", "{file}")),
    "checkpoint": ("w.pt", _checkpoint, ("prior", "convert", "{file}", "--name", "fuzz", "--overwrite")),
}


@dataclass
class Row:
    """What became of the mutants of a format."""

    mutants: int = 0
    refused: int = 0
    read: int = 0
    tracebacks: int = 0
    bugs: int = 0
    killed: int = 0
    slowest: float = 0.0
    largest: float = 0.0  # bytes
    said: list[str] = field(default_factory=list)  # of what must not be

    @property
    def bad(self) -> int:
        """Mutants that must not be."""
        return self.tracebacks + self.bugs + self.killed


def mutate(data: bytes, draw: random.Random) -> bytes:
    """One to eight changes of some bytes."""
    out = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        if not out:
            break
        end = min(len(out), HEAD) if draw.random() < 0.5 else len(out)
        at, size = draw.randrange(end), draw.choice((1, 1, 2, 4, 8, 64))
        kind = draw.choice(("bit", "number", "bytes", "cut", "double", "end", "text"))
        if kind == "bit":
            out[at] ^= 1 << draw.randrange(8)
        elif kind == "number":
            width = draw.choice((1, 2, 4, 8))
            value = draw.choice(EXTREME) % 2 ** (8 * width)
            out[at : at + width] = value.to_bytes(width, draw.choice(("little", "big")))
        elif kind == "bytes":
            out[at : at + size] = draw.randbytes(size)
        elif kind == "cut":
            del out[at : at + size]
        elif kind == "double":
            out[at:at] = out[at : at + size]
        elif kind == "text":
            out[at : at + 1] = draw.choice((b"-", b"9", b"99999999", b"\0", b"\n", b'"', b"[", b"nan", b"\xff"))
        elif draw.random() < 0.3:
            del out[at:]
    return bytes(out)


def damage(path: Path, draw: random.Random) -> None:
    """Change a file in its place, or one of the files that a format has."""
    files = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())
    files += [path.with_suffix(".hdr")] if path.with_suffix(".hdr").exists() else []
    chosen = draw.choice(files)
    content = chosen.read_bytes()
    if chosen.suffix == ".gz" and draw.random() < 0.5:
        chosen.write_bytes(gzip.compress(mutate(gzip.decompress(content), draw)))
    else:
        chosen.write_bytes(mutate(content, draw))


def look(command: list[str], seconds: float, allowed: int) -> tuple[int | None, str, float, int]:
    """Exit code (None: killed at the limit of time), words, seconds, and largest memory of a command in a child."""
    with tempfile.TemporaryFile() as words:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(command, words.fileno(), allowed)
        while (ended := os.wait4(child, os.WNOHANG))[0] == 0:
            if time.monotonic() - began > seconds:
                os.kill(child, signal.SIGKILL)
                ended = os.wait4(child, 0)
                return None, f"killed after {seconds:g} s", time.monotonic() - began, ended[2].ru_maxrss * 1024
            time.sleep(0.002)
        spent = time.monotonic() - began
        words.seek(0)
        text = words.read().decode("utf-8", "replace")
    _, status, usage = ended
    code = os.waitstatus_to_exitcode(status)
    return code, text, spent, usage.ru_maxrss * 1024


def _child(command: list[str], words: int, allowed: int) -> None:
    """Run a command with its words in a file, and end the process."""
    code = OWN_ERROR
    try:
        os.dup2(words, 1)
        os.dup2(words, 2)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (held + allowed, held + allowed))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(os.dup(to), "wb"), "utf-8", "replace") for to in (1, 2))
        try:
            cli(command, prog_name="inverse")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def fuzz(name: str, mutants: int, seconds: float, allowed: int, seed: int, keep: Path | None) -> Row:
    """The row of a format."""
    file, make, command = FORMATS[name]
    row = Row()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        whole.mkdir()
        make(whole / file)
        nothing = look(["--version"], seconds, allowed)[3]
        for number in range(-1, mutants):
            draw, place = random.Random(f"{seed} {name} {number}"), Path(folder, "mutant")
            shutil.copytree(whole, place)
            if number >= 0:
                damage(place / file, draw)
            given = [part.replace("{file}", str(place / file)) for part in command]
            code, words, spent, memory = look(given, seconds, allowed)
            if number < 0 and command == READ and code != 0:
                row.said.append(f"{name}: the whole file was refused: {' '.join(words.split())[-200:]}")
            before = row.bad
            row.killed += code is None
            row.tracebacks += "Traceback" in words or (code is not None and code < 0) or code == OWN_ERROR
            row.bugs += "this is a bug" in words
            row.read += code == 0 and number >= 0
            row.refused += code is not None and code > 0 and number >= 0 and row.bad == before
            row.mutants += number >= 0
            row.slowest, row.largest = max(row.slowest, spent), max(row.largest, memory - nothing)
            if row.bad > before:
                row.said.append(f"{name} {number}: exit {code}: {' '.join(words.split())[-300:]}")
                if keep is not None:
                    shutil.copytree(place, keep / f"{name}-{number}", dirs_exist_ok=True)
            shutil.rmtree(place)
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--formats", default=",".join(FORMATS), help="names of the table, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["INVERSE_HOME"] = tempfile.mkdtemp()
    os.environ["INVERSE_OFFLINE"] = "1"
    for command in (["info", "/nowhere.png"], ["recipe", "validate", "deblur"], ["prior", "show", "photo"]):
        with open(os.devnull, "w") as nowhere:  # the parent imports what the children need
            saved, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), nowhere, nowhere
            try:
                cli(command, prog_name="inverse")
            except SystemExit:
                pass
            finally:
                sys.stdout, sys.stderr = saved
    h5py.is_hdf5(__file__)
    print(
        f"{'format':14}{'mutants':>8}{'refused':>8}{'read':>6}{'traceback':>10}{'bug':>5}{'killed':>7}{'slowest':>9}{'MiB':>7}"
    )
    said = []
    names = [name for name in FORMATS if name in given.formats.split(",") or given.formats == ",".join(FORMATS)]
    for name in names:
        row = fuzz(name, given.mutants, given.seconds, int(given.gigabytes * 2**30), given.seed, given.keep)
        said += row.said
        print(
            f"{name:14}{row.mutants:8}{row.refused:8}{row.read:6}{row.tracebacks:10}{row.bugs:5}{row.killed:7}"
            f"{row.slowest:8.1f}s{row.largest / 2**20:7.0f}",
            flush=True,
        )
    print("\n".join(said))
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
