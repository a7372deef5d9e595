"""One pydantic validation error as at most three lines a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inverse.errors import RecipeError, did_you_mean, printable
from inverse.operators.noise.spec import NOISES
from inverse.recipes.sections import method_models, operator_models
from inverse.recipes.yaml_layers import Layer, Where

__all__ = ["explain"]

KeysOf = Callable[[str, object], frozenset[str] | None]

_TOP = frozenset(
    {
        *("schema", "title", "extends", "operator", "noise", "prior", "method", "data", "run", "metrics"),
        *("output", "format"),
    }
)
_SECTIONS = ("operator", "noise", "prior", "method", "data", "run")
_BOUNDS = {
    "greater_than_equal": (">=", "ge"),
    "greater_than": (">", "gt"),
    "less_than_equal": ("<=", "le"),
    "less_than": ("<", "lt"),
}
_KINDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a mapping",
    "string": "a text",
    "tuple": "a list",
}


def explain(error: ValidationError, layer: Layer, keys_of: KeysOf) -> RecipeError:
    """The first problem, with its origin, key, value and what is allowed, and how many more there are."""
    problems: dict[Where, list[ErrorDetails]] = {}
    for detail in error.errors():
        problems.setdefault(_where(detail, layer.data), []).append(detail)
    unknown = [where for where, details in problems.items() if details[0]["type"] == "extra_forbidden"]
    where = (unknown or list(problems))[0]
    details = problems[where]
    message, hint = (printable(text) for text in _describe(where, details, layer, keys_of))
    more = len(problems) - 1
    if more:
        hint += f"\nand {more} more problem{'s' * (more > 1)}"
    return RecipeError(f"{printable(layer.at(where).label)}: {message}", hint.lstrip("\n"))


def _where(detail: ErrorDetails, data: Any) -> Where:
    """The key path in the file: pydantic's location without the names of models and union branches."""
    where: list[str | int] = []
    location = detail["loc"]
    for index, part in enumerate(location):
        if part in (data if isinstance(data, Mapping) else range(len(data)) if isinstance(data, list) else ()):
            data = data[part]
        elif detail["type"] != "missing" or index < len(location) - 1 or isinstance(part, int):
            continue
        where.append(part)
    return tuple(where)


def _describe(where: Where, details: list[ErrorDetails], layer: Layer, keys_of: KeysOf) -> tuple[str, str]:
    dotted, first = ".".join(str(part) for part in where), details[0]
    given = _short(first["input"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{dotted}' (given {given})", _suggest(where, layer.data, keys_of)
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        return f"{dotted}: {_short(_value(where, layer.data))} is not allowed", "allowed: a list with more values"
    if first["type"] == "missing":
        return f"missing key '{dotted}'", f"it has no default: add it, or give -s {dotted}=..."
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        kinds = _kinds(dotted)
        tag = first.get("ctx", {}).get("tag")
        if tag is None:
            return f"missing key '{dotted}.kind'", f"allowed: {', '.join(kinds)}"
        return f"unknown {dotted}.kind '{tag}'", did_you_mean(str(tag), kinds)
    allowed = list(dict.fromkeys(_allowed(detail) for detail in details))
    return f"{dotted}: {given} is not allowed", f"allowed: {' or '.join(allowed)}"


def _kinds(section: str) -> list[str]:
    tables: dict[str, Callable[[], Mapping[str, Any]]] = {"method": method_models, "noise": lambda: NOISES}
    return sorted(tables.get(section, operator_models)())


def _allowed(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind in _BOUNDS:
        sign, key = _BOUNDS[kind]
        return f"{sign} {context[key]:g}"
    if kind == "not_allowed":
        return detail["msg"]
    if kind in ("too_short", "too_long"):
        count = context.get("min_length", context.get("max_length"))
        return f"{'at least' if kind == 'too_short' else 'at most'} {count} values"
    for suffix in ("_type", "_parsing", "_from_float", "_attributes_type"):
        stem = kind.removesuffix(suffix)
        if stem != kind and stem in _KINDS:
            return _KINDS[stem]
    message = detail["msg"].removeprefix("Value error, ").removeprefix("allowed: ").removeprefix("Input should be ")
    return " ".join(message.split())[:160]


def _suggest(where: Where, data: Mapping[str, Any], keys_of: KeysOf) -> str:
    """The key that was meant: of the same section, else of the same name in another."""
    name = str(where[-1])
    kinds = {section: values.get("kind") for section, values in data.items() if isinstance(values, dict)}
    sections = {section: keys_of(section, kinds.get(section)) or frozenset() for section in _SECTIONS}
    here = _TOP if len(where) == 1 else sections.get(str(where[0]), frozenset())
    guess = did_you_mean(name, here - {"kind"} if name != "kind" else here)
    if guess.startswith("did you mean"):
        return guess
    elsewhere = [f"{section}.{name}" for section, keys in sections.items() if name in keys]
    return f"did you mean '{elsewhere[0]}'?" if elsewhere else guess


def _value(where: Where, data: Any) -> object:
    for part in where:
        data = data[part]
    return data


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
