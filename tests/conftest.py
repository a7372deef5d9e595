"""Shared by all tests: one torch thread, and where the development data are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

settings.register_profile("same", derandomize=True)
settings.load_profile("same")  # a gate gives the same answer twice; --hypothesis-profile=default looks further

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(int(os.environ.get("INVERSE_TEST_THREADS", "1")))


@pytest.fixture(autouse=True, scope="session")
def _no_priors_of_the_developer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVERSE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _global_state_is_untouched():
    """Nothing in the package reads or moves the global generators, the default dtype or the default device."""
    before = torch.random.get_rng_state(), torch.get_default_dtype(), torch.get_default_device()
    yield
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (torch.get_default_dtype(), torch.get_default_device()) == before[1:]


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the development data ../shared/data are not here")
    return SHARED


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
