"""Tiny pictures, and recipes that need no network: the exact Gaussian prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def recipe(**changes: Any) -> dict[str, Any]:
    base = {
        "operator": {"kind": "denoise"},
        "noise": {"sigma": 0.1},
        "prior": {"name": "gaussian"},
        "method": {"kind": "diffpir", "steps": 4},
        "run": {"samples": 4, "seed": 3},
    }
    return {**base, **changes}


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32), channels: int = 3) -> Path:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if channels == 1 else array).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i, name in enumerate(("a.png", "b.png", "sub/a.png", "sub/c.png")):
        picture(folder / name, i)
    return folder


@pytest.fixture
def make_recipe() -> Any:
    return recipe


@pytest.fixture
def make_picture() -> Any:
    return picture
