"""A class name means one thing in the package, and a facade hands out the object of the module that it names."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict

import pytest
from test_layers import ROOT, sources

STUBS = sorted(
    stub.relative_to(ROOT) for stub in (path.with_suffix(".pyi") for path in sources().values()) if stub.is_file()
)


def test_no_class_name_means_two_things() -> None:
    """A class name without an underscore is defined once in the package."""
    places = defaultdict(list)
    for name, path in sources().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    twice = {name: modules for name, modules in sorted(places.items()) if len(modules) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(modules)}" for name, modules in twice.items())


@pytest.mark.parametrize("stub", STUBS, ids=str)
def test_a_facade_hands_out_the_objects_of_its_modules(stub) -> None:
    """Every name of a stub is the object of the module that the stub imports it from, and is in ``__all__``."""
    package = ".".join(("inverse", *stub.parent.parts))
    facade = importlib.import_module(package)
    names = []
    for node in ast.parse((ROOT / stub).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(f"{package}.{node.module}")
            for alias in node.names:
                names.append(alias.asname)
                assert getattr(facade, alias.name) is getattr(module, alias.name), alias.name
                assert alias.name == alias.asname
    assert sorted(names) == sorted(facade.__all__)
