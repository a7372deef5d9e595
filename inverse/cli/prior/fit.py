"""``inverse prior fit DATA... --name NAME``."""

from __future__ import annotations

import json
import logging
from typing import Any

import click

from inverse import priors
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import UsageError
from inverse.priors import training

__all__ = ["fit"]

LOGGER = logging.getLogger("inverse")


@click.command(short_help="Fit a prior with a closed form to a few images.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--name", required=True, metavar="NAME", help="What the prior will be called.")
@click.option(
    "--kind",
    type=click.Choice(["gaussian", "mixture", "patch"]),
    default="gaussian",
    show_default=True,
    help="A power spectrum, several of them, or a mixture on small patches.",
)
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of the kind: -s components=8."
)
@options.overwrite
@options.json
def fit(data: tuple[str, ...], name: str, kind: str, settings: tuple[str, ...], overwrite: bool, as_json: bool) -> None:
    """Learn a prior from 1 to 100 images, in seconds and without training, and put it into this machine's store.

    DATA is files, folders, globs in quotes, or @list.txt. gaussian: mean, colour correlations and power spectrum;
    mixture: several kinds of image; with both, method 'exact' gives the posterior of any linear operator in closed
    form. patch: the better denoiser, without a closed form.
    """
    priors.check_name(name)
    chosen = dict(_setting(text) for text in settings)
    images = training.read_images(data, transfer=str(chosen.get("transfer", "srgb")))
    card, tensors = training.fit(images, name=name, kind=kind, settings=chosen)
    path = priors.save_prior(card, tensors, overwrite=overwrite)
    if as_json:
        echo(json.dumps({"name": name, "path": str(path), "card": card.model_dump(mode="json")}, indent=1))
    scores = ", ".join(f"{value} dB at {level}" for level, value in card.psnr.items() if level != "on")
    LOGGER.info(f"fitted       {card.title}, in {card.training['seconds']} s")
    LOGGER.info(f"denoises     {scores}, its own images")
    LOGGER.info(f"stored       {path}")
    method = " -s method.kind=exact" if kind != "patch" else ""
    LOGGER.info(f"use it       inverse restore RECIPE INPUT -o DIR -s prior.name={name}{method}")


def _setting(text: str) -> tuple[str, Any]:
    """A name and a number or word from ``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"-s {text}", "allowed: KEY=VALUE, such as -s components=8")
    for kind in (int, float):
        try:
            return key.strip(), kind(value)
        except ValueError:
            continue
    return key.strip(), value.strip()
