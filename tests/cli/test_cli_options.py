"""The registry of shared flags at the head of `inverse.cli.options` says what the verbs use."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from inverse.cli import main, options
from inverse.cli.prior import group


def registered() -> dict[str, tuple[str, list[str]]]:
    """Decorator to its flag and its verbs, from the table."""
    rows: list[list[str]] = []
    table = re.split(r"^=.*\n", options.__doc__, flags=re.MULTILINE)[2]
    for line in table.splitlines():
        cells = [line[:17].strip(), line[17:41].strip(), line[41:].strip()]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1][2] += " " + cells[2]
    return {name: (flag, verbs.split(", ")) for name, flag, verbs in rows}


def verbs() -> Iterator[tuple[str, str, str]]:
    """Every verb: what it is called, its module and its function."""
    paths = {**main.VERBS, **{f"prior {name}": verb for name, verb in group.VERBS.items()}}
    del paths["prior"], paths["recipe"]
    for name, (path, _) in paths.items():
        module, _, function = path.partition(":")
        yield name, module, function
    yield from ((f"recipe {name}", "inverse.cli.recipe", name) for name in ("new", "validate", "resolve", "schema"))


def test_the_registry_names_every_use_of_a_shared_flag() -> None:
    used: dict[str, list[str]] = {}
    folder = Path(options.__file__).parent
    for name, module, function in verbs():
        path = folder.joinpath(*module.split(".")[2:]).with_suffix(".py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                for decorator in map(ast.unparse, node.decorator_list):
                    if decorator.startswith("options."):
                        used.setdefault(decorator.removeprefix("options."), []).append(name)
    assert {name: verbs for name, (_, verbs) in registered().items()} == {
        name: sorted(verbs) for name, verbs in used.items()
    }


def test_the_registry_names_the_flags() -> None:
    for name, (flag, _) in registered().items():

        @getattr(options, name)
        def verb() -> None: ...

        (option,) = verb.__click_params__
        assert isinstance(option, click.Option)
        assert ", ".join(option.opts) == re.sub(r" .*", "", flag.replace(", ", ",")).replace(",", ", ")
        assert option.name == ("as_json" if name == "json" else name)
