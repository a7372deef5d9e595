"""``inverse recipe new|validate|resolve|schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inverse.cli import options
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
    from inverse.recipes.recipe import recipe_text, shipped
    from inverse.storage.files import atomic_bytes

    if like is not None and operator is not None:
        raise click.UsageError("give --like or --operator, not both")
    if operator is not None:
        text = _template(operator)
    else:
        name = like or "deblur"
        if name not in shipped():
            raise RecipeError(f"no shipped recipe '{name}'", did_you_mean(name, shipped()))
        text = recipe_text(name)[0]
    atomic_bytes(file, text.encode(), overwrite=overwrite)
    click.echo(f"{file}: change what you need, then: inverse recipe validate {file}", err=True)


def _template(kind: str) -> str:
    from inverse.cli.catalogues import catalogue
    from inverse.recipes.recipe import load, shipped
    from inverse.recipes.yaml_layers import dump

    operators = catalogue("operators")
    if kind not in operators:
        raise RecipeError(f"unknown operator '{kind}'", did_you_mean(kind, operators))
    lines = [f"# {operators[kind]['summary']}", "schema: 1", f"title: {kind}", "operator:", f"  kind: {kind}"]
    examples = [load(name).resolved()["operator"] for name in shipped()]
    example: dict[str, Any] = next((values for values in examples if values["kind"] == kind), {})
    for item in operators[kind]["parameters"]:
        value = example.get(item["name"], "CHANGE-ME") if item["required"] else item["default"]
        lines.append(f"  {dump({item['name']: value}).strip()}  # {item['allowed']}; {item['summary']}".rstrip("; "))
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
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@options.overrides
@options.json
def validate(recipes: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> int:
    """Check each RECIPE, a name or a file; one that is wrong makes the exit code 3."""
    from inverse.recipes.recipe import load

    rows: list[dict[str, Any]] = []
    for name in recipes:
        try:
            rows.append({"recipe": name, "valid": True, "hash": load(name, overrides).hash})
        except InverseError as error:
            if len(recipes) == 1 and not as_json:
                raise
            rows.append({"recipe": name, "valid": False, "error": str(error)})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            if row["valid"]:
                click.echo(f"{row['recipe']}: valid, hash {row['hash'][:16]}")
            else:
                click.echo(f"error: {row['error']}", err=True)
    return 0 if all(row["valid"] for row in rows) else RecipeError.exit_code


@recipe.command(short_help="Print a recipe with every default filled in.")
@click.argument("name", metavar="RECIPE")
@options.overrides
@options.json
def resolve(name: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print RECIPE with everything it extends, every override and every default filled in."""
    from inverse.recipes.recipe import load

    found = load(name, overrides)
    click.echo(json.dumps(found.resolved(), indent=2) if as_json else found.to_yaml(), nl=as_json)


@recipe.command()
def schema() -> None:
    """Print the JSON schema of recipes, for completion in an editor."""
    from inverse.recipes.recipe import schema as recipe_schema

    click.echo(json.dumps(recipe_schema(), indent=2))
