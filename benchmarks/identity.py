"""Run folders of two versions, byte by byte: the same recipe must give the same files.

    git worktree add /tmp/old REV && pip install --no-deps --target /tmp/old-site /tmp/old
    python benchmarks/identity.py /tmp/old-site

Six recipes (deblur, inpaint, mri-multicoil, landsat7-gapfill by tiles, denoise of a NIfTI volume, the exact posterior
of a Gaussian prior) run with few steps in both versions, one thread each; then a folder that the old version began and
was killed in is resumed by the new one. Left out of the comparison: seconds, peak bytes, the version of this package,
and what follows from them (hashes of such files). ``report.html`` is made on demand and not compared.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
from PIL import Image
from skimage import data

VOLATILE = ("seconds", "peak_bytes", "inverse")
ROOT = Path(__file__).resolve().parents[1]
COMMAND = "import sys; from inverse.cli.main import main; sys.argv = ['inverse', *sys.argv[1:]]; main()"


@dataclass(frozen=True)
class Trial:
    """A recipe on an input of its own."""

    name: str
    recipe: str
    make: Callable[[Path], None]
    arguments: tuple[str, ...] = ()


def photographs(folder: Path) -> None:
    """Two small photographs."""
    for name, image in (("a.png", data.astronaut()[30:126, 180:276]), ("b.png", data.chelsea()[100:180, 100:196])):
        Image.fromarray(image).save(folder / name)


def kspace(folder: Path) -> None:
    """A slice of four coils, every third line taken."""
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    image = (rows**2 + columns**2 < 0.7) * (0.6 + 0.3 * np.cos(9 * rows) * np.sin(7 * columns + 0.3))
    maps = [np.exp(-((rows - a) ** 2 + (columns - b) ** 2) + 2j * a * rows) for a in (-1, 1) for b in (-1, 1)]
    rng = np.random.default_rng(0)
    coils = np.stack([np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image * m), norm="ortho")) for m in maps])
    coils += 0.002 * (rng.standard_normal(coils.shape) + 1j * rng.standard_normal(coils.shape))
    kept = np.zeros(64, bool)
    kept[::3], kept[22:42] = True, True
    np.save(folder / "k.npy", (coils * kept).astype(np.complex64))


def scene(folder: Path) -> None:
    """A GeoTIFF of three bands with oblique gaps."""
    import rasterio
    from rasterio.transform import from_origin

    rows, columns = np.mgrid[:200, :168]
    bands = np.moveaxis(np.ascontiguousarray(data.retina()[400:600, 500:668]), -1, 0).astype(np.uint8)
    bands = np.where((rows + columns // 4) % 24 < 5, 0, np.maximum(bands, 1)).astype(np.uint8)
    profile: dict[str, Any] = {"driver": "GTiff", "width": 168, "height": 200, "count": 3, "dtype": "uint8"}
    profile |= {"nodata": 0, "crs": "EPSG:32633", "transform": from_origin(5e5, 5.1e6, 30, 30)}
    with rasterio.open(folder / "scene.tif", "w", **profile) as file:
        file.write(bands)


def volume(folder: Path) -> None:
    """A NIfTI volume of three slices."""
    import nibabel as nib

    rng = np.random.default_rng(0)
    slices = np.stack([data.camera()[a : a + 64, a : a + 72] for a in (100, 140, 180)], -1).astype(float)
    noisy = np.clip(20 * slices + rng.normal(0, 250, slices.shape), 0, None).astype(np.uint16)
    nib.save(nib.Nifti1Image(noisy, np.diag([-1.0, -1.0, 3.0, 1.0])), folder / "v.nii.gz")


FEW = ("-s", "method.steps=4", "--samples", "2")
TRIALS = (
    Trial("deblur", "deblur", photographs, (*FEW, "-s", "operator.sigma=1.5", "-s", "noise.sigma=0.02")),
    Trial("inpaint", "inpaint", photographs, ("-s", "operator.missing=0.5", *FEW)),
    Trial("mri-multicoil", "mri-multicoil", kspace, FEW),
    Trial("tiles", "landsat7-gapfill", scene, ("-s", "method.kind=diffpir", *FEW, "--tile", "128")),
    Trial("nifti", "denoise", volume, (*FEW, "-s", "data.scale=auto")),
    Trial("exact", "denoise", photographs, ("-s", "prior.name=gaussian", "-s", "method.kind=exact", "--samples", "3")),
)


def command(tree: Path, recipe: str, source: Path, out: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A run of one version, on one thread."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": "1",
        "INVERSE_HOME": str(out.parent / "home"),
    }
    words = [sys.executable, "-c", COMMAND, "-q", "restore", recipe, ".", "-o", str(out), "--threads", "1", *arguments]
    return subprocess.Popen(words, env=environment, cwd=source)


def plain(value: Any) -> Any:
    """JSON without what differs from run to run."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items() if key not in VOLATILE}
    return [plain(entry) for entry in value] if isinstance(value, list) else value


def content(path: Path) -> bytes | dict[str, Any]:
    """A file's bytes, or what of them is compared."""
    if path.suffix == ".json":
        facts = plain(json.loads(path.read_text(encoding="utf-8")))
        for name in facts.get("files", {}):
            if name.endswith("figure.png"):
                facts["files"][name] = ""  # its caption says the seconds
        return json.dumps(facts).encode()
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return json.dumps([plain(row) for row in rows]).encode()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            arrays = {name: hashlib.sha256(np.asarray(file[name])).hexdigest() for name in file}
            notes = {name: {key: repr(value) for key, value in file[name].attrs.items()} for name in file}
            return {"arrays": arrays, "notes": notes, "file": {key: repr(value) for key, value in file.attrs.items()}}
    if path.name == "figure.png":
        return np.asarray(Image.open(path)).tobytes()
    return path.read_bytes()


def differences(before: Path, after: Path) -> list[str]:
    """Which files of two run folders differ."""
    names = {
        str(path.relative_to(folder))
        for folder in (before, after)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != "lock"
    }
    said = []
    for name in sorted(names):
        if not (before / name).is_file() or not (after / name).is_file():
            said.append(f"{name}: only {'before' if (before / name).is_file() else 'after'}")
        elif content(before / name) != content(after / name):
            said.append(name)
    return said


def begun(tree: Path, trial: Trial, source: Path, out: Path) -> None:
    """A run that is killed once its first item is done."""
    process = command(tree, trial.recipe, source, out, trial.arguments)
    while process.poll() is None and not list((out / ".inverse" / "done").glob("*.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


@click.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True), default=ROOT)
@click.option("--only", multiple=True, type=click.Choice([trial.name for trial in TRIALS]), help="Some of the recipes.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for the run folders.")
def main(before: Path, after: Path, only: tuple[str, ...], keep: Path | None) -> None:
    """Compare run folders of the versions in BEFORE and AFTER."""
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = keep or Path(temporary)
        for trial in [trial for trial in TRIALS if not only or trial.name in only]:
            folder = work / trial.name
            (folder / "in").mkdir(parents=True, exist_ok=True)
            trial.make(folder / "in")
            outs = {}
            for tree, name in ((before, "before"), (after, "after")):
                outs[name] = folder / name / "out"
                shutil.rmtree(folder / name, ignore_errors=True)
                outs[name].parent.mkdir()
                code = command(tree.resolve(), trial.recipe, folder / "in", outs[name], trial.arguments).wait()
                if code:
                    raise click.ClickException(f"{trial.name} with {tree}: exit code {code}")
            said = differences(outs["before"], outs["after"])
            count = sum(path.is_file() for path in outs["after"].rglob("*"))
            print(f"{trial.name:14} {count:3} files  {'identical' if not said else 'DIFFERENT: ' + ', '.join(said)}")
            bad += bool(said)
            if trial.name == "deblur":
                half = folder / "begun" / "out"
                shutil.rmtree(half.parent, ignore_errors=True)
                half.parent.mkdir()
                begun(before.resolve(), trial, folder / "in", half)
                done = len(list((half / "restored").glob("*.png")))
                command(after.resolve(), trial.recipe, folder / "in", half, trial.arguments).wait()
                said = differences(outs["before"], half)
                print(
                    f"{'resumed':14} {done} of 2 were done, "
                    f"{'identical' if not said else 'DIFFERENT: ' + ', '.join(said)}"
                )
                bad += bool(said)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
