"""``inverse show KIND NAME``: one operator, method, prior, recipe, format, metric or suite in full."""

from __future__ import annotations

import json
from typing import Any

import click

from inverse.cli import options
from inverse.cli.catalogues import catalogue, plural
from inverse.errors import UsageError, did_you_mean

__all__ = ["show"]


@click.command()
@click.argument("kind")
@click.argument("name")
@options.json
def show(kind: str, name: str, as_json: bool) -> None:
    """Show one operator, method, prior, recipe, format, metric or suite in full.

    A recipe is shown as its file, which `inverse recipe new` copies, and so is a suite; with --json, resolved.
    """
    found = catalogue(kind)
    if name not in found:
        raise UsageError(f"no {plural(kind).removesuffix('s')} '{name}'", did_you_mean(name, found))
    if as_json:
        click.echo(json.dumps({"name": name, **found[name]}, indent=2))
    elif plural(kind) == "recipes":
        from inverse.recipes.recipe import shipped

        click.echo(shipped()[name], nl=False)
    elif plural(kind) == "suites":
        from inverse.benchmark.suite import shipped_suites

        click.echo(shipped_suites()[name], nl=False)
    else:
        click.echo("\n".join(_lines(name, found[name])))


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
