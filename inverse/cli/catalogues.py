"""What can be chosen from, as plain data: the source of ``inverse list`` and ``inverse show``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inverse.errors import UsageError, did_you_mean

__all__ = ["KINDS", "catalogue", "plural"]

Entry = dict[str, Any]


def _parameters(schema: dict[str, Any]) -> list[Entry]:
    rows = []
    for name, field in schema.get("properties", {}).items():
        if name == "kind":
            continue
        options = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
        rows.append(
            {
                "name": name,
                "allowed": " or ".join(_allowed(part) for part in options),
                "default": field.get("default"),
                "required": name in schema.get("required", ()),
                "summary": field.get("description", ""),
            }
        )
    return rows


def _allowed(field: Entry) -> str:
    if "enum" in field:
        return ", ".join(str(value) for value in field["enum"])
    if "const" in field:
        return str(field["const"])
    if field.get("type") == "array":
        count = field.get("minItems")
        return f"list of {count}" if count is not None and count == field.get("maxItems") else "list"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    return " ".join([str(field.get("type", "value")), *bounds])


def _operators() -> dict[str, Entry]:
    from inverse.operators import catalog
    from inverse.recipes.sections import OPERATOR_DEFAULTS, operator_models

    found = {}
    for kind, model in operator_models().items():
        spec = catalog.operator_spec(kind)
        parameters = _parameters(model.model_json_schema())
        for row in parameters:
            row["default"] = OPERATOR_DEFAULTS.get(row["name"], row["default"])
        found[kind] = {
            "summary": spec.summary,
            "formula": spec.formula,
            "capabilities": spec.capabilities,
            "parameters": parameters,
        }
    return found


def _methods() -> dict[str, Entry]:
    from inverse.recipes.sections import method_models
    from inverse.sampling import auto
    from inverse.sampling.method_spec import methods

    found: dict[str, Entry] = {
        name: {
            "summary": spec.summary,
            "title": spec.title,
            "needs": [*sorted(spec.needs), *(f"{', '.join(sorted(n))} with {k}" for k, n in spec.needs_with.items())],
            "point estimate": "its samples are no posterior draws" if spec.point_estimate else "",
            "cost of a sample at the defaults": "{} F + {} V".format(*spec.cost({})),
            "measured bias on exact posteriors (1, 1, 0, 0, 1 is exact)": dict(spec.bias),
            "parameters": _parameters(method_models()[name].model_json_schema()),
        }
        for name, spec in methods().items()
    }
    found["auto"]["what it chooses (kind of operator, noise over the images' std, budget)"] = {
        f"{kind}, {noise:g}, {limit}": {"method": method, **_own(method, params)}
        for kind, noise in sorted({(row.kind, row.noise) for row in auto.rows()})
        for limit in auto.BUDGETS.values()
        for method, params in [auto.best(kind, noise, _has(kind), limit)]
    }
    return found


def _has(kind: str) -> frozenset[str]:
    """What an operator of a kind admits at best."""
    return frozenset({"grad"} if kind == "nonlinear" else {"grad", "linear", "spectral"})


def _own(method: str, params: Entry) -> Entry:
    """The parameters that are not the method's defaults, and the steps."""
    from inverse.sampling.method_spec import method_spec

    defaults = method_spec(method).defaults
    return {name: value for name, value in params.items() if name == "steps" or defaults[name] != value}


def _priors() -> dict[str, Entry]:
    from inverse.priors.catalog import cards

    return {
        name: {"summary": card.title, **card.model_dump(mode="json", exclude={"name", "title"}, exclude_none=True)}
        for name, card in cards().items()
    }


def _recipes() -> dict[str, Entry]:
    from inverse.recipes.recipe import load, shipped

    found = {}
    for name in shipped():
        recipe = load(name)
        found[name] = {"summary": recipe.title, **recipe.resolved()}
    return found


def _suites() -> dict[str, Entry]:
    from inverse.benchmark.suite import load_suite, shipped_suites

    found = {}
    for name in shipped_suites():
        suite = load_suite(name)
        tasks = {
            task.name: {"images": len(task.images) or "exact", "methods": [r.name for r in task.rows]}
            for task in suite.tasks
        }
        found[name] = {"summary": suite.title, "tasks": tasks}
    return found


def _formats() -> dict[str, Entry]:
    from inverse.io.registry import FORMATS, installed

    def needs(extra: str) -> str:
        return f" [needs the extra {extra}{'' if installed(extra) else ', not installed'}]" if extra else ""

    return {
        name: {
            "summary": f"{item.title}: {item.pixels}{needs(item.extra)}",
            "suffixes": list(item.suffixes),
            "keeps": item.keeps,
            "extra": item.extra,
            "written as": item.result or name,
        }
        for name, item in FORMATS.items()
    }


def _metrics() -> dict[str, Entry]:
    from inverse.metrics.registry import metrics

    takes = {
        "image": "",
        "samples": "samples of the posterior: a run folder",
        "source": "the multispectral image, --ms, and for qnr the panchromatic one, --pan",
        "set": "all images together",
    }
    found: dict[str, Entry] = {}
    for name, item in metrics().items():
        reason, hint = item.missing()
        found[name] = {
            "summary": item.define("R") + (f" [not here: {reason}]" if reason else ""),
            "unit": item.unit,
            "better": {True: "higher", False: "lower", None: "neither"}[item.higher_is_better],
            "needs": takes[item.kind],
            "smallest side": item.side if item.side > 1 else "",
            "leaves out pixels without a value": "yes" if "valid" in item.accepts else "no",
            "R": "white minus black: the recipe's data range; of evaluate --data-range"
            if "{range}" in item.definition
            else "",
            "not here": f"{reason}; {hint}" if reason else "",
        }
    return found


KINDS: dict[str, Callable[[], dict[str, Entry]]] = {
    "operators": _operators,
    "methods": _methods,
    "priors": _priors,
    "recipes": _recipes,
    "formats": _formats,
    "metrics": _metrics,
    "suites": _suites,
}


def plural(kind: str) -> str:
    """The kind as `KINDS` spells it; the singular is accepted.

    Raises:
        UsageError: There is no such kind.
    """
    for name in KINDS:
        if kind in (name, name.removesuffix("s")):
            return name
    raise UsageError(f"no kind '{kind}'", did_you_mean(kind, KINDS))


def catalogue(kind: str) -> dict[str, Entry]:
    """Everything of a kind, by name; each entry has a ``summary``."""
    return KINDS[plural(kind)]()
