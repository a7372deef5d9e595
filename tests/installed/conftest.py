"""Shared by the tests of installed copies: a checkout, and what ``pip install .`` in its root makes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("inverse", "operators", "priors", "recipes")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A copy of the tree with its links, as git makes it: building writes into it."""
    folder = tmp_path_factory.mktemp("checkout") / "main"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def site(checkout) -> Path:
    """The wheel, built with what is installed here (no network) and installed in a folder; it is kept as site.whl."""
    folder = checkout.parent
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-index", "--no-deps")

    def run(*command: str) -> None:
        done = subprocess.run([*pip, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run("wheel", "-q", *offline, "--no-build-isolation", "-w", str(folder), str(checkout))
    (wheel,) = folder.glob("*.whl")
    run("install", "-q", *offline, "--target", str(folder / "site"), str(wheel))
    shutil.copy(wheel, folder / "site.whl")
    return folder / "site"
