"""Shared by all tests: one torch thread, and where the development data are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.load_profile("same")  # a gate gives the same answer twice; --hypothesis-profile=default looks further

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


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
