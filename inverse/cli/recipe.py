"""``inverse recipe new|validate|resolve|schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inverse import recipes, storage
from inverse.cli import options
from inverse.cli.catalogue import catalogue
from inverse.cli.echo import echo
from inverse.cli.group import Group, bare_help
from inverse.errors import InverseError, RecipeError, did_you_mean

__all__ = ["recipe"]


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def recipe(ctx: click.Context) -> None:
    """Make, validate and resolve recipes."""
    bare_help(ctx)


@recipe.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--like", default=None, metavar="NAME", help="The shipped recipe to copy.  [default: deblur]")
@click.option("--operator", default=None, metavar="KIND", help="Instead: start from an operator, all values spelt out.")
@options.overwrite
def new(file: Path, like: str | None, operator: str | None, overwrite: bool) -> None:
    """Write a recipe FILE to start from."""
    if like is not None and operator is not None:
        raise click.UsageError("give --like or --operator, not both")
    if operator is not None:
        text = _template(operator)
    else:
        name = like or "deblur"
        if name not in recipes.shipped():
            raise RecipeError(f"no shipped recipe '{name}'", did_you_mean(name, recipes.shipped()))
        text = recipes.recipe_text(name)[0]
    storage.atomic_bytes(file, text.encode(), overwrite=overwrite)
    echo(f"{file}: change what you need, then: inverse recipe validate {file}", err=True)


def _template(kind: str) -> str:
    operators = catalogue("operators")
    if kind not in operators:
        raise RecipeError(f"unknown operator '{kind}'", did_you_mean(kind, operators))
    lines = [f"# {operators[kind]['summary']}", "schema: 1", f"title: {kind}", "operator:", f"  kind: {kind}"]
    examples = [recipes.load(name).resolved()["operator"] for name in recipes.shipped()]
    example: dict[str, Any] = next((values for values in examples if values["kind"] == kind), {})
    for item in operators[kind]["parameters"]:
        value = example.get(item["name"], "CHANGE-ME") if item["required"] else item["default"]
        setting = recipes.dump({item["name"]: value}).strip()
        lines.append(f"  {setting}  # {item['allowed']}; {item['summary']}".rstrip("; "))
    lines += [
        "noise: {kind: gaussian, sigma: auto}  # auto: estimated from the measurement",
        "prior: {name: photo}",
        "method: {kind: diffpir, steps: 20}",
        "data: {range: [0, 1]}",
        "run: {samples: 4, seed: 0}",
        "metrics: [psnr, ssim]",
    ]
    return "\n".join(lines) + "\n"


@recipe.command(short_help="Check recipes.")
@click.argument("names", nargs=-1, required=True, metavar="RECIPE...")
@options.overrides
@options.json
def validate(names: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> int:
    """Check each RECIPE, a name or a file; one that is wrong makes the exit code 3."""
    rows: list[dict[str, Any]] = []
    for name in names:
        try:
            rows.append({"recipe": name, "valid": True, "hash": recipes.load(name, overrides).hash})
        except InverseError as error:
            if len(names) == 1 and not as_json:
                raise
            rows.append({"recipe": name, "valid": False, "error": str(error)})
    if as_json:
        echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            if row["valid"]:
                echo(f"{row['recipe']}: valid, hash {row['hash'][:16]}")
            else:
                echo(f"error: {row['error']}", err=True)
    return 0 if all(row["valid"] for row in rows) else RecipeError.exit_code


@recipe.command(short_help="Print a recipe with every default filled in.")
@click.argument("name", metavar="RECIPE")
@options.overrides
@options.json
def resolve(name: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print RECIPE with everything it extends, every override and every default filled in."""
    loaded = recipes.load(name, overrides)
    echo(json.dumps(loaded.resolved(), indent=2) if as_json else loaded.to_yaml(), nl=as_json)


@recipe.command()
def schema() -> None:
    """Print the JSON schema of recipes, for completion in an editor."""
    echo(json.dumps(recipes.schema(), indent=2))
