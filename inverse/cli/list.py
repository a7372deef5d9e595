"""``inverse list KIND``: what there is to choose from."""

from __future__ import annotations

import json
import shutil
import textwrap

import click

from inverse.cli import options
from inverse.cli.catalogues import KINDS, catalogue

__all__ = ["list_"]


@click.command("list")
@click.argument("kind", metavar="[KIND]", required=False)
@options.json
def list_(kind: str | None, as_json: bool) -> None:
    """List operators, methods, priors, recipes, formats or metrics.

    Without KIND, the kinds and how many there are of each.
    """
    if kind is None:
        counts = {name: len(catalogue(name)) for name in KINDS}
        click.echo(json.dumps(counts) if as_json else "\n".join(f"{count:4d} {name}" for name, count in counts.items()))
        return
    found = catalogue(kind)
    if as_json:
        click.echo(json.dumps([{"name": name, **entry} for name, entry in found.items()], indent=2))
        return
    margin = max((len(name) for name in found), default=0) + 2
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    for name, entry in found.items():
        lines = textwrap.wrap(str(entry["summary"]), width - margin) or [""]
        click.echo(f"{name:{margin}}" + f"\n{'':{margin}}".join(lines))
