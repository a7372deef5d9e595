"""``inverse list KIND`` and ``inverse show KIND NAME``: what can be chosen from, as plain data and in words.

An entry of the catalogue is a mapping with a ``summary``; everything else in it is shown under its key. The facades
imported here load a module when a kind needs it, so that a listing loads no torch.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from inverse import benchmark, metrics, operators, recipes
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import UsageError, did_you_mean
from inverse.io import registry
from inverse.sampling import auto
from inverse.sampling.methods import BUDGETS, method_spec, methods

__all__ = ["KINDS", "catalogue", "list_", "plural", "show"]

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
    entries = {}
    for kind, model in recipes.operator_models().items():
        spec = operators.operator_spec(kind)
        parameters = _parameters(model.model_json_schema())
        for row in parameters:
            row["default"] = recipes.OPERATOR_DEFAULTS.get(row["name"], row["default"])
        entries[kind] = {
            "summary": spec.summary,
            "formula": spec.formula,
            "capabilities": spec.capabilities,
            "parameters": parameters,
        }
    return entries


def _methods() -> dict[str, Entry]:
    models = recipes.method_models()
    entries: dict[str, Entry] = {
        name: {
            "summary": spec.summary,
            "title": spec.title,
            "needs": [*sorted(spec.needs), *(f"{', '.join(sorted(n))} with {k}" for k, n in spec.needs_with.items())],
            "point estimate": "its samples are no posterior draws" if spec.point_estimate else "",
            "cost of a sample at the defaults": "{} F + {} V".format(*spec.cost({})),
            "measured bias on exact posteriors (1, 1, 0, 0, 1 is exact)": dict(spec.bias),
            "parameters": _parameters(models[name].model_json_schema()),
        }
        for name, spec in methods().items()
    }
    entries["auto"]["what it chooses (kind of operator, noise over the images' std, budget)"] = {
        f"{kind}, {noise:g}, {limit}": {"method": method, **_changed(method, params)}
        for kind, noise in sorted({(row.kind, row.noise) for row in auto.rows()})
        for admits in [frozenset({"grad"} if kind == "nonlinear" else {"grad", "linear", "spectral"})]
        for limit in BUDGETS.values()
        for method, params in [auto.best(kind, noise, admits, limit)]
    }
    return entries


def _changed(method: str, params: Entry) -> Entry:
    """The parameters that are not the method's defaults, and the steps."""
    defaults = method_spec(method).defaults
    return {name: value for name, value in params.items() if name == "steps" or defaults[name] != value}


def _priors() -> dict[str, Entry]:
    from inverse.priors.catalogue import cards  # loads pydantic, which half of the kinds need not

    return {
        name: {"summary": card.title, **card.model_dump(mode="json", exclude={"name", "title"}, exclude_none=True)}
        for name, card in cards().items()
    }


class _Recipes(Mapping[str, Entry]):
    """The shipped recipes, each loaded when it is asked for: twenty take more than a second."""

    def __init__(self) -> None:
        self._names = tuple(recipes.shipped())

    def __getitem__(self, name: str) -> Entry:
        if name not in self._names:
            raise KeyError(name)
        recipe = recipes.load(name)
        return {"summary": recipe.title, **recipe.resolved()}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _suites() -> dict[str, Entry]:
    entries = {}
    for name in benchmark.shipped_suites():
        suite = benchmark.load_suite(name)
        tasks = {
            task.name: {"images": len(task.images) or "exact", "methods": [row.name for row in task.rows]}
            for task in suite.tasks
        }
        entries[name] = {"summary": suite.title, "tasks": tasks}
    return entries


def _formats() -> dict[str, Entry]:
    def needs(extra: str) -> str:
        return f" [needs the extra {extra}{'' if registry.installed(extra) else ', not installed'}]" if extra else ""

    return {
        name: {
            "summary": f"{item.title}: {item.pixels}{needs(item.extra)}",
            "suffixes": list(item.suffixes),
            "keeps": item.keeps,
            "extra": item.extra,
            "written as": item.result or name,
        }
        for name, item in registry.formats().items()
    }


def _metrics() -> dict[str, Entry]:
    takes = {
        "image": "",
        "samples": "samples of the posterior: a run folder",
        "source": "the multispectral image, --ms, and for qnr the panchromatic one, --pan",
        "set": "all images together",
    }
    entries: dict[str, Entry] = {}
    for name, item in metrics.metrics().items():
        reason, hint = item.missing()
        entries[name] = {
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
    return entries


KINDS: dict[str, Callable[[], Mapping[str, Entry]]] = {
    "operators": _operators,
    "methods": _methods,
    "priors": _priors,
    "recipes": _Recipes,
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


def catalogue(kind: str) -> Mapping[str, Entry]:
    """Everything of a kind, by name; each entry has a ``summary``."""
    return KINDS[plural(kind)]()


@click.command("list")
@click.argument("kind", metavar="[KIND]", required=False)
@click.option(
    "--check",
    is_flag=True,
    help="Measure every operator: adjoint, linearity, gradient, pseudo-inverse, singular basis, batches, at two odd "
    "sizes.",
)
@options.json
def list_(kind: str | None, check: bool, as_json: bool) -> int:
    """List operators, methods, priors, recipes, formats, metrics or suites.

    Without KIND, the kinds and how many there are of each.
    """
    if check:
        if kind is None or plural(kind) != "operators":
            raise UsageError("--check measures operators", "inverse list operators --check")
        return _measured(as_json)
    if kind is None:
        counts = {name: len(catalogue(name)) for name in KINDS}
        echo(json.dumps(counts) if as_json else "\n".join(f"{count:4d} {name}" for name, count in counts.items()))
        return 0
    entries = catalogue(kind)
    if as_json:
        echo(json.dumps([{"name": name, **entry} for name, entry in entries.items()], indent=2))
        return 0
    margin = max((len(name) for name in entries), default=0) + 2
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    for name, entry in entries.items():
        lines = textwrap.wrap(str(entry["summary"]), width - margin) or [""]
        echo(f"{name:{margin}}" + f"\n{'':{margin}}".join(lines))
    return 0


#: Checks of `inverse.operators.checks` in the order of the table, each with its heading.
CHECKS = {name: name for name in ("adjoint", "linearity", "gradient", "A_dagger", "svd", "basis", "batch")}
CHECKS["linearity"] = "linear"


def _measured(as_json: bool) -> int:
    """Measure all operators and print the table; 1 where one fails."""
    rows, failed = [], 0
    if not as_json:
        headings = "".join(f"{heading:>10}" for heading in CHECKS.values())
        echo(f"{'operator':20} {'unknown':>10} {'built as':10}{headings}")
    for operator in operators.check_catalogue():
        failed += not operator.ok
        checks = {name: {"value": row.value, "limit": row.limit, "ok": row.ok} for name, row in operator.checks.items()}
        rows.append(
            {
                "operator": operator.kind,
                "unknown": list(operator.shape),
                "built as": operator.sort,
                "ok": operator.ok,
                "checks": checks,
            }
        )
        if not as_json:
            cells = [operator.checks.get(name) for name in CHECKS]
            shown = "".join(
                f"{'-' if cell is None else f'{cell.value:.1e}':>9}{' ' if cell is None or cell.ok else '!'}"
                for cell in cells
            )
            unknown = "x".join(map(str, operator.shape))
            echo(f"{operator.kind:20} {unknown:>10} {operator.sort:10}{shown}".rstrip())
    if as_json:
        echo(json.dumps(rows, indent=1))
    else:
        echo(
            f"{len(rows) - failed} of {len(rows)} passed; relative errors in float32, batch of 3; ! is beyond its limit"
        )
    return 1 if failed else 0


@click.command()
@click.argument("kind")
@click.argument("name")
@options.json
def show(kind: str, name: str, as_json: bool) -> None:
    """Show one operator, method, prior, recipe, format, metric or suite in full.

    A recipe is shown as its file, which `inverse recipe new` copies, and so is a suite; with --json, resolved.
    """
    entries = catalogue(kind)
    if name not in entries:
        raise UsageError(f"no {plural(kind).removesuffix('s')} '{name}'", did_you_mean(name, entries))
    if as_json:
        echo(json.dumps({"name": name, **entries[name]}, indent=2))
    elif plural(kind) == "recipes":
        echo(recipes.shipped()[name], nl=False)
    elif plural(kind) == "suites":
        echo(benchmark.shipped_suites()[name], nl=False)
    else:
        echo("\n".join(_lines(name, entries[name])))


def _lines(name: str, entry: dict[str, Any]) -> list[str]:
    lines = [f"{name}: {entry['summary']}"]
    for key, value in entry.items():
        if key in ("summary", "parameters") or value in ("", [], {}, None):
            continue
        if isinstance(value, dict) and all(isinstance(part, dict) for part in value.values()):
            lines.append(f"  {key}:")
            lines += [f"    {part}: {_text(fields)}" for part, fields in value.items()]
        else:
            lines.append(f"  {key.replace('_', ' ')}: {_text(value)}")
    parameters = entry.get("parameters", [])
    if parameters:
        lines.append("  parameters:")
        margin = max(len(item["name"]) for item in parameters) + 2
        for item in parameters:
            default = "required" if item["required"] else f"default {_text(item['default'])}"
            lines.append(f"    {item['name']:{margin}}{item['allowed']}; {default}")
            if item["summary"]:
                lines.append(f"    {'':{margin}}{item['summary']}")
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "auto"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
