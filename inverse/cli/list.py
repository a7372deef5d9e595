"""``inverse list KIND``: what there is to choose from."""

from __future__ import annotations

import json
import shutil
import textwrap

import click

from inverse.cli import options
from inverse.cli.catalogues import KINDS, catalogue, plural
from inverse.errors import UsageError

__all__ = ["list_"]


@click.command("list")
@click.argument("kind", metavar="[KIND]", required=False)
@click.option(
    "--check",
    is_flag=True,
    help="Measure every operator: adjoint, linearity, gradient, pseudo-inverse, singular basis, batches, at two odd sizes.",
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
        click.echo(json.dumps(counts) if as_json else "\n".join(f"{count:4d} {name}" for name, count in counts.items()))
        return 0
    found = catalogue(kind)
    if as_json:
        click.echo(json.dumps([{"name": name, **entry} for name, entry in found.items()], indent=2))
        return 0
    margin = max((len(name) for name in found), default=0) + 2
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    for name, entry in found.items():
        lines = textwrap.wrap(str(entry["summary"]), width - margin) or [""]
        click.echo(f"{name:{margin}}" + f"\n{'':{margin}}".join(lines))
    return 0


_COLUMNS = {
    "adjoint": "adjoint",
    "linearity": "linear",
    "gradient": "gradient",
    "A_dagger": "A_dagger",
    "svd": "svd",
    "basis": "basis",
    "batch": "batch",
}


def _measured(as_json: bool) -> int:
    """The table of all operators; 1 where one fails."""
    from inverse.operators.selfcheck import check_catalogue

    rows, failed = [], 0
    if not as_json:
        click.echo(
            f"{'operator':20} {'unknown':>10} {'built as':10}" + "".join(f"{name:>10}" for name in _COLUMNS.values())
        )
    for found in check_catalogue():
        failed += not found.ok
        rows.append(
            {
                "operator": found.kind,
                "unknown": list(found.shape),
                "built as": found.sort,
                "ok": found.ok,
                "checks": {
                    name: {"value": row.value, "limit": row.limit, "ok": row.ok} for name, row in found.checks.items()
                },
            }
        )
        if not as_json:
            cells = [found.checks.get(name) for name in _COLUMNS]
            shown = "".join(
                f"{'-' if cell is None else f'{cell.value:.1e}':>9}{' ' if cell is None or cell.ok else '!'}"
                for cell in cells
            )
            click.echo(f"{found.kind:20} {'x'.join(map(str, found.shape)):>10} {found.sort:10}{shown}".rstrip())
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        click.echo(
            f"{len(rows) - failed} of {len(rows)} passed; relative errors in float32, batch of 3; ! is beyond its limit"
        )
    return 1 if failed else 0
