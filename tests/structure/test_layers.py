"""Imports run one way: a package may import what stands before it in LAYERS, and itself; no module is in a cycle.

Every import statement counts, those inside functions and under ``TYPE_CHECKING`` too: a lazy import is an import.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LAYERS = (
    "errors",
    "numerics",
    "storage",
    "io",
    "metrics",
    "operators",
    "priors",
    "calibration",
    "posterior",
    "sampling",
    "priors.training",
    "recipes",
    "restoration",
    "scenes",
    "runs",
    "evaluation",
    "exact",
    "report",
    "tuning",
    "benchmark",
    "testing",
    "api",
    "cli",
)
SPEC = importlib.util.find_spec("inverse")
assert SPEC is not None
assert SPEC.submodule_search_locations
ROOT = Path(SPEC.submodule_search_locations[0])
LIGHT = 15  # modules in one package, its __init__ not counted
FLAT = 3
LONGEST = 400
LAZY = 70  # imports of the package inside functions, each to keep torch or an optional extra out of a light module


@cache
def sources() -> dict[str, Path]:
    """Every module of the package by its dotted name; the folders that are links are followed."""
    modules = {}
    for folder, _, names in os.walk(ROOT, followlinks=True):
        for name in names:
            if name.endswith(".py"):
                path = Path(folder, name)
                parts = ("inverse", *path.relative_to(ROOT).with_suffix("").parts)
                modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


def imported(name: str) -> Iterator[str]:
    """The modules of the package that a module imports, at any depth."""
    modules = sources()
    for node in ast.walk(ast.parse(modules[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "inverse":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "inverse")


def layer(module: str) -> str | None:
    """The layer of a module: its package, or the sub-package that has a layer of its own."""
    parts = module.split(".")[1:]
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in LAYERS), None) if parts else None


def test_every_module_has_a_layer() -> None:
    assert [name for name in sources() if layer(name) is None] == ["inverse", "inverse.__main__"]


def test_imports_run_one_way() -> None:
    wrong = []
    for name in sorted(sources()):
        here = layer(name)
        for target in imported(name):
            there = layer(target)
            if here and there and LAYERS.index(there) > LAYERS.index(here):
                wrong.append(f"{name} -> {target}")
    assert not wrong, "\n".join(wrong)


def circles() -> list[list[str]]:
    """Strongly connected sets of more than one module (Tarjan 1972)."""
    arrows = {name: sorted({to for to in imported(name) if to in sources() and to != name}) for name in sources()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for to in arrows[name]:
            if to not in index:
                visit(to)
                low[name] = min(low[name], low[to])
            elif to in stack:
                low[name] = min(low[name], index[to])
        if low[name] == index[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1:
                circles.append(sorted(members))

    for name in arrows:
        if name not in index:
            visit(name)
    return circles


def test_no_module_is_in_a_circle() -> None:
    assert not circles(), "\n".join(" ".join(members) for members in circles())


def test_packages_can_be_taken_in_at_a_glance() -> None:
    counts: dict[Path, list[str]] = {}
    for path in sources().values():
        if path.name != "__init__.py":
            counts.setdefault(path.parent, []).append(path.name)
    flat = [name for name in counts.pop(ROOT, []) if name != "__main__.py"]
    assert len(flat) < FLAT, flat
    assert not {folder.name: len(names) for folder, names in counts.items() if len(names) > LIGHT}


def test_no_file_is_too_long() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in sources().items()}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_imports_inside_functions_are_few() -> None:
    """Each import statement of the package inside a function counts once."""
    counts: dict[str, int] = {}
    for name, path in sources().items():
        statements = {
            (node.lineno, node.col_offset)
            for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in ast.walk(function)
            if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "inverse")
            or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "inverse" for alias in node.names))
        }
        counts[name] = len(statements)
    most = sorted(counts.items(), key=lambda item: -item[1])[:20]
    assert sum(counts.values()) <= LAZY, (sum(counts.values()), most)


def test_an_init_holds_a_docstring_and_names_and_nothing_else() -> None:
    for name, path in sources().items():
        if path.name != "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        for node in tree.body:
            assert isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.If)), (name, node.lineno)
