"""``inverse prior list|show|verify|add|export``: what priors there are, whether they are whole, and how they travel."""

from __future__ import annotations

import json
import logging
import shutil
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from inverse import priors, storage
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import InverseError, UsageError

__all__ = ["add", "export", "list_", "show", "verify"]

LOGGER = logging.getLogger("inverse")


def _size(count: int | None) -> str:
    if not count:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@click.command("list")
@options.json
def list_(as_json: bool) -> None:
    """List the priors: in the package, in this machine's store, and public ones to be had with `inverse prior add`.

    The licence is that of the weights; `inverse prior show NAME` has the whole card.
    """
    embedded, stored = priors.embedded(), priors.stored()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "where": where,
            "kind": card.kind,
            "channels": card.channels,
            "bytes": card.bytes,
            "licence": card.licence,
            "sha256": card.sha256,
            "title": card.title,
        }
        for where, cards in (("embedded", embedded), ("store", stored), ("remote", priors.remote()))
        for name, card in cards.items()
        if where != "remote" or name not in {**stored, **embedded}
    ]
    for name, error in priors.broken().items():
        LOGGER.warning("store: %s.yaml is left out: %s", name, error.message)
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    table = [("name", "where", "kind", "channels", "size", "licence")] + [
        (row["name"], row["where"], row["kind"], str(row["channels"] or "any"), _size(row["bytes"]), row["licence"])
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) + 2 for column in range(5)]
    margin = sum(widths)
    room = max(30, min(shutil.get_terminal_size((120, 24)).columns, 160) - margin)
    for line in table:
        start = "".join(f"{text:{width}}" for text, width in zip(line, widths, strict=False))
        echo(start + f"\n{'':{margin}}".join(textwrap.wrap(line[5], room) or [""]))


@click.command()
@click.argument("name")
@options.json
def show(name: str, as_json: bool) -> None:
    """Show a prior's card in full.

    NAME is a prior's name, a card (.yaml), or a .safetensors file with its card in it.
    """
    prior = priors.find(name)
    if as_json:
        echo(json.dumps({"where": prior.where, **prior.card.model_dump(mode="json")}, indent=2))
        return
    places = {
        "embedded": "in the package",
        "store": "in this machine's store",
        "file": "a file",
        "remote": f"not on this machine; get it with: inverse prior add {name}",
    }
    echo(f"# {places[prior.where]}")
    echo(priors.card_text(prior.card), nl=False)


@click.command()
@click.argument("names", metavar="[NAME|FILE]...", nargs=-1)
@options.json
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Check priors: hash, size, header, shapes, finite values, and that they denoise.

    Without a NAME, all that are on this machine. Exit code 5 where one is not in order.
    """
    from inverse.priors.catalogue import cards  # the facade's cards is a folder; loads pydantic
    from inverse.priors.verify import verify as check  # the facade's verify is a module; loads torch

    rows: list[dict[str, Any]] = []
    worst = 0
    for name in names or (*cards(), *priors.broken()):
        try:
            verdict = check(name)
        except InverseError as error:
            worst = max(worst, error.exit_code)
            rows.append({"name": name, "ok": False, "error": str(error)})
            if not as_json:
                echo(f"{name}: NOT in order: {error}", err=True)
            continue
        rows.append({**asdict(verdict), "ok": True})
        if not as_json:
            parts = f"{verdict.tensors} tensors, {verdict.numbers:,} numbers, " if verdict.tensors else "a formula, "
            digest = f"sha256 {verdict.sha256[:16]}..., " if verdict.sha256 else ""
            echo(f"{name}: in order: {digest}{parts}denoises")
    if as_json:
        echo(json.dumps(rows, indent=2))
    return worst


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--name", "new_name", metavar="NAME", help="Its name in the store.  [default: that of its card]")
@options.overwrite
def add(name: str, new_name: str | None, overwrite: bool) -> None:
    """Put a prior into this machine's store, so that recipes can name it.

    FILE is what `inverse prior export` wrote, a card (.yaml) with its weights beside it, or a published checkpoint that
    `inverse prior list` names, which is known by its hash. NAME is a remote prior of `inverse prior list`: it is
    downloaded.
    """
    from inverse.priors.add import add as put  # the facade's add is a module; loads torch

    path, card = put(name, name=new_name, overwrite=overwrite)
    LOGGER.info("prior        %s: %s", card.name, card.title)
    LOGGER.info("licence      %s", card.licence)
    LOGGER.info("written      %s", path)


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE.safetensors")
@options.overwrite
def export(name: str, output: Path, overwrite: bool) -> None:
    """Write a prior, card and weights, into one .safetensors file, for `inverse prior add FILE` elsewhere."""
    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"-o {output.name}", "allowed: a name that ends in .safetensors")
    card, tensors = priors.read(name)
    content = priors.pack(card, tensors)
    storage.atomic_bytes(output, content, overwrite=overwrite)
    LOGGER.info("prior        %s: %s", card.name, card.title)
    LOGGER.info("licence      %s", card.licence)
    LOGGER.info("written      %s (%s)", output, _size(len(content)))
