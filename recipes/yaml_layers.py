"""The text side of recipes: YAML 1.2 with line numbers, layers, overrides, and errors that say where.

A recipe is built of layers: the recipe it extends, its own file, the command line. Every value remembers the layer and
line it came from, so that an error can name it and a relative file can be found.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from inverse.errors import RecipeError

__all__ = ["Layer", "Origin", "Where", "dump", "merge", "parse_mapping", "parse_overrides", "spelled_out"]

Where = tuple[str | int, ...]

#: Written as it is, it would be read as a line break.
NEXT_LINE = "\x85"

#: Values that a document with aliases may stand for.
EXPANDED = 10_000
_OPEN = -1

_SHORT = {"operator": "kind", "method": "kind", "noise": "sigma", "prior": "name"}


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a label for messages and the folder its relative files are in."""

    label: str
    folder: Path


@dataclass(frozen=True)
class Layer:
    """One source of values."""

    data: dict[str, Any]
    origin: Origin
    marks: Mapping[Where, Origin] = field(default_factory=dict)

    def at(self, where: Where) -> Origin:
        """The origin of the value at a key path, or of the nearest mapping around it."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.marks:
                return self.marks[where[:length]]
        return self.origin


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _read(text: str) -> tuple[Any, Node | None]:
    """Values as they are written, and the node of the document; both None of an empty one.

    Raises:
        YAMLError: It is not YAML, or a value is not of the kind that it looks like (``-_``, ``2001-99-99``), or holds
            itself.
    """
    try:
        yaml = _yaml()
        node = yaml.compose(text)
        if node is None:
            return None, None
        _check_aliases(node)
        return yaml.constructor.construct_document(node), node
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise YAMLError(str(error)) from None


def _check_aliases(root: Node) -> None:
    """Refuse a value that holds itself, and aliases that stand for more than any recipe holds.

    A few hundred bytes of aliases of aliases can mean billions of values. Each node is counted once, with what it
    stands for written out.
    """
    sizes: dict[int, int] = {}
    aliases = False

    def size(node: Node) -> int:
        nonlocal aliases
        known = sizes.get(id(node))
        if known == _OPEN:
            raise YAMLError("a value that holds itself")
        if known is not None:
            aliases = True
            return known
        if isinstance(node, MappingNode | SequenceNode):
            sizes[id(node)] = _OPEN
            pairs = node.value if isinstance(node, SequenceNode) else (part for pair in node.value for part in pair)
            sizes[id(node)] = 1 + sum(size(part) for part in pairs)
        else:
            sizes[id(node)] = 1 + len(node.value) // 16
        return sizes[id(node)]

    if size(root) > EXPANDED and aliases:
        raise YAMLError(f"its aliases (*name) stand for more than {EXPANDED:,} values: write out what is meant")


def _syntax_error(error: YAMLError, label: str, example: str) -> RecipeError:
    if not isinstance(error, MarkedYAMLError):
        return RecipeError(f"{label}: not valid YAML: {' '.join(str(error).split())[:160]}")
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = " ".join(str(error.problem or error.context).split())[:160]
    return RecipeError(f"{label}{line}: not valid YAML: {problem}", f"see 'inverse show {example}' for an example")


def parse_mapping(text: str, *, label: str, folder: Path, example: str = "recipe deblur") -> Layer:
    """A YAML document as a layer.

    Args:
        text: The document.
        label: Its name in messages.
        folder: Where its relative files start.
        example: What messages point to, as arguments of ``inverse show``.

    Raises:
        RecipeError: It is not YAML, not a mapping, or has a key twice; with the line.
    """
    try:
        data, node = _read(text)
    except YAMLError as error:
        raise _syntax_error(error, label, example) from None
    if not isinstance(data, dict):
        raise RecipeError(
            f"{label}: a {example.split()[0]} is a mapping of keys to values, this is {_name(data)}",
            f"see 'inverse show {example}' for an example",
        )
    marks: dict[Where, Origin] = {}

    def walk(part: Node, where: Where) -> None:
        if isinstance(part, MappingNode):
            for key, value in part.value:
                marks[(*where, key.value)] = Origin(f"{label}:{key.start_mark.line + 1}", folder)
                walk(value, (*where, key.value))
        elif isinstance(part, SequenceNode):
            for index, value in enumerate(part.value):
                marks[(*where, index)] = Origin(f"{label}:{value.start_mark.line + 1}", folder)
                walk(value, (*where, index))

    assert node is not None
    walk(node, ())
    return Layer(spelled_out(data), Origin(label, folder), marks)


def parse_overrides(overrides: Iterable[str] | str) -> Layer:
    """``key.path=value`` texts as one layer, later ones winning; values are YAML, files start at the current folder.

    Raises:
        RecipeError: A text has no ``=`` or no key, or its value is not YAML; the message names it.
    """
    data: dict[str, Any] = {}
    marks: dict[Where, Origin] = {}
    for text in (overrides,) if isinstance(overrides, str) else overrides:
        if not isinstance(text, str):
            raise RecipeError(f"overrides: {text!r}"[:100], "allowed: texts, such as 'method.steps=50'")
        shown = " ".join(text.split())
        shown = shown if len(shown) <= 100 else f"{shown[:97]}..."
        origin = Origin(f"-s {shown}", Path())
        key, equals, value = text.partition("=")
        where: Where = tuple(part.strip() for part in key.split("."))
        if not equals or not all(where):
            raise RecipeError(f"-s {shown}: expected key=value", "for example -s method.steps=50")
        try:
            parsed = _read(value)[0]
        except YAMLError as error:
            problem = " ".join(str(getattr(error, "problem", None) or error).split())[:160]
            raise RecipeError(
                f"-s {shown}: the value is not valid YAML: {problem}", "quote it: -s \"key='value'\""
            ) from None
        if where == ("operator",) and isinstance(parsed, list):
            parsed = {"kind": "chain", "operators": parsed}
        if len(where) == 1 and where[0] in _SHORT and not isinstance(parsed, dict) and parsed is not None:
            where = (where[0], _SHORT[str(where[0])])
        _put(data, where, parsed, shown)
        marks[where] = origin
        for length in range(1, len(where)):
            marks.setdefault(where[:length], origin)
    return Layer(data, Origin("-s", Path()), marks)


def _put(data: dict[str, Any], where: Where, value: Any, text: str) -> None:
    inner = data
    for part in where[:-1]:
        inner = inner.setdefault(str(part), {})
        if not isinstance(inner, dict):
            raise RecipeError(f"-s {text}: '{part}' was set to a plain value before", "give only one of the two")
    last = str(where[-1])
    if isinstance(inner.get(last), dict) and isinstance(value, dict):
        inner[last] = {**inner[last], **value}
    else:
        inner[last] = value


def spelled_out(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Spell out the short forms: ``method: ddrm`` is ``method: {kind: ddrm}``, a list of operators is a chain."""
    spelled = {str(key): value for key, value in data.items()}
    for section, key in _SHORT.items():
        value = spelled.get(section)
        if isinstance(value, str | int | float):
            spelled[section] = {key: value}
    if isinstance(spelled.get("operator"), list):
        spelled["operator"] = {"kind": "chain", "operators": spelled["operator"]}
    return spelled


def merge(lower: Layer, upper: Layer, keys_of: Callable[[str, object], frozenset[str] | None]) -> Layer:
    """Lay one layer over another, mapping by mapping.

    Where `upper` changes the ``kind`` of a section, keys of the old kind that the new one lacks are dropped.

    Args:
        lower: The values underneath.
        upper: The values that win.
        keys_of: ``keys_of(section, kind)``, the keys that a kind has, or None if the kind is unknown.
    """
    data = dict(lower.data)
    for key, value in upper.data.items():
        below = data.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            kind = value.get("kind", below.get("kind"))
            if kind != below.get("kind"):
                known = keys_of(key, kind)
                below = {name: inner for name, inner in below.items() if known is None or name in known}
            data[key] = {**below, **value}
        else:
            data[key] = value
    return Layer(data, lower.origin, {**lower.marks, **upper.marks})


def dump(data: Mapping[str, Any]) -> str:
    """A plain mapping as YAML, one key a line."""
    yaml: Any = _yaml()
    yaml.default_flow_style = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 2**31
    lines = []
    for key, value in data.items():
        yaml.allow_unicode = True
        text = _written(yaml, key, value)
        if NEXT_LINE in text:
            yaml.allow_unicode = False
            text = _written(yaml, key, value)
        lines.append(text + "\n")
    return "".join(lines)


def _written(yaml: Any, key: str, value: Any) -> str:
    buffer = io.StringIO()
    yaml.dump({key: value}, buffer)
    return buffer.getvalue().strip()[1:-1]


def _name(value: object) -> str:
    names = {type(None): "empty", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
