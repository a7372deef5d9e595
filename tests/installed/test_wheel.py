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
PACKAGES = {
    "inverse": "inverse",
    "operators": "inverse/operators",
    "priors": "inverse/priors",
    "recipes": "inverse/recipes",
}
RUN = """
import sys
sys.path[:] = [p for p in sys.path if p != {checkout!r}]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
import inverse
import inverse.operators, inverse.priors, inverse.recipes
for module in (inverse, inverse.operators, inverse.priors, inverse.recipes):
    assert module.__file__.startswith({site!r}), module.__file__
from inverse.cli.main import {entry}
{entry}()
"""


def _run(*command: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def _inverse(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")])}
    code = RUN.format(site=str(site), checkout=str(ROOT), entry="main")
    return _run(sys.executable, "-c", code, *arguments, cwd=cwd, env=environment)


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(site) -> None:
    with zipfile.ZipFile(site.with_suffix(".whl")) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    expected = {"inverse/py.typed"}
    for folder, package in PACKAGES.items():
        expected |= {
            f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
            for pattern in (
                "*.py",
                "*.pyi",
                "*.yaml",
                "*.json",
                "*.png",
                "*.safetensors",
                "*.html",
                "*.css",
                "*.js",
                "*.tif",
                "LICENCES",
            )
            for path in (ROOT / folder).rglob(pattern)
        }
    assert names == expected
    assert {
        "inverse/priors/weights/photo.safetensors",
        "inverse/priors/cards/photo.yaml",
        "inverse/recipes/deblur.yaml",
    } <= names
    assert "Requires-Dist: matplotlib>=3.8" in metadata


@pytest.mark.parametrize("prior", ["gaussian", "photo"])
def test_it_restores_an_image_outside_the_checkout(site, tmp_path, prior) -> None:
    from skimage.io import imread, imsave

    smooth = 128 + 60 * np.sin(np.arange(40)[:, None, None] / 9) * np.cos(np.arange(36)[None, :, None] / 7)
    noisy = smooth + np.random.Generator(np.random.Philox(0)).normal(0, 25.5, (40, 36, 3))
    image = noisy.clip(0, 255).astype(np.uint8)
    imsave(tmp_path / "photo.png", image, check_contrast=False)
    done = _inverse(
        site, "restore", "denoise", "photo.png", "-o", "out", "-s", f"prior.name={prior}", "-s", "noise.sigma=0.1",
        "-s", "method.steps=6", "--samples", "2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    restored = imread(tmp_path / "out" / "restored" / "photo.png")
    assert (restored.shape, restored.dtype) == (image.shape, image.dtype)
    assert not np.array_equal(restored, image)
    assert (tmp_path / "out" / "items" / "photo.png" / "figure.png").is_file()


def test_its_command_line_speaks_for_itself(site, tmp_path) -> None:
    shown = _inverse(site, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "restore" in shown.stdout
    assert "deblur" in _inverse(site, "list", "recipes", cwd=tmp_path).stdout
    unknown = _inverse(site, "restore", "deblurr", "photo.png", "-o", "out", cwd=tmp_path)
    assert unknown.returncode == 3
    assert "Traceback" not in unknown.stderr
