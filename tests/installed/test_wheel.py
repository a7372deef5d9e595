"""The wheel, installed in a folder of its own and run outside the checkout, restores an image."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
sys.path[:] = [p for p in sys.path if p != {checkout!r}]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
import inverse
assert inverse.__file__.startswith({site!r}), inverse.__file__
from inverse.cli.main import cli
cli(prog_name="inverse")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    for name in subprocess.run(
        ["git", "ls-files", "-m", "-o", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _inverse(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")])}
    code = RUN.format(site=str(site), checkout=str(ROOT))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_everything(site) -> None:
    names = {str(path.relative_to(site / "inverse")) for path in (site / "inverse").rglob("*")}
    assert {"py.typed", "bias.json", "priors/weights/photo.safetensors", "priors/cards/photo.yaml"} <= names
    assert {"recipes/deblur.yaml", "operators/catalog.py", "cli/main.py"} <= names
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"inverse"}


@pytest.mark.parametrize("prior", ["gaussian", "photo"])
def test_it_restores_an_image_outside_the_checkout(site, tmp_path, prior) -> None:
    from skimage.io import imread, imsave

    image = np.random.Generator(np.random.Philox(0)).integers(0, 256, (40, 36, 3)).astype(np.uint8)
    imsave(tmp_path / "photo.png", image, check_contrast=False)
    done = _inverse(
        site, "restore", "denoise", "photo.png", "-o", "out", "-s", f"prior.name={prior}", "-s", "noise.sigma=0.1",
        "-s", "method.steps=2", "--samples", "2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert imread(tmp_path / "out" / "restored" / "photo.png").shape == image.shape
    assert _inverse(site, "--help", cwd=tmp_path).returncode == 0
