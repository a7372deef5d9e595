"""The registry of adapters: what a module must have for its line, and that the names cost no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inverse.errors import PriorError
from inverse.priors.adapters import registry
from inverse.priors.adapters.parametrisation import AdapterSettings


@pytest.mark.parametrize("name", registry.ADAPTERS)
def test_an_adapter_opens_something_and_converts_if_its_line_says_so(name: str) -> None:
    module = registry.adapter(name)
    assert hasattr(module, "open_weights") or hasattr(module, "open_spec")
    assert hasattr(module, "ANCHOR") == (name in registry.KINDS)
    if name in registry.KINDS:
        assert issubclass(module.SETTINGS, AdapterSettings)
        assert callable(module.describe)


def test_an_unknown_adapter_is_refused_with_a_suggestion() -> None:
    with pytest.raises(PriorError, match=r"(?s)no adapter 'edn'.*edm"):
        registry.open_spec("edn:x")


def test_the_names_of_adapters_import_no_torch() -> None:
    code = (
        "import sys, inverse.priors.adapters.registry as r; assert 'edm' in r.KINDS; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
