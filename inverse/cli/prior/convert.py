"""``inverse prior convert FILE --name NAME``."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from inverse import priors
from inverse.cli import options
from inverse.errors import PriorError, UsageError
from inverse.priors.adapters.registry import KINDS

__all__ = ["convert"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the prior, for recipes and open_prior.")
@click.option(
    "--kind",
    type=click.Choice(["auto", *KINDS]),
    default="auto",
    show_default=True,
    help="Whose network it is; auto: told from the tensors' names (a flow looks like guided-diffusion: say so).",
)
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="What the file cannot tell: -s schedule=cosine, -s num_head_channels=64, -s data_range=[0,255], "
    "-s dtype=float16.",
)
@click.option("--licence", default="", metavar="TEXT", help="Terms of the weights, for the card.")
@click.option(
    "--i-trust-this-file",
    "trust",
    is_flag=True,
    help="Read a file that names code, such as a .pkl. Its tensors are taken out; its code is still not run.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write FILE.safetensors and FILE.yaml instead of putting the prior into this machine's store.",
)
@options.overwrite
def convert(
    file: Path,
    name: str,
    kind: str,
    settings: tuple[str, ...],
    licence: str,
    trust: bool,
    output: Path | None,
    overwrite: bool,
) -> int:
    """Turn a public checkpoint into a prior: safetensors and a card.

    FILE is a PyTorch checkpoint (.pt, .pth, .ckpt), a safetensors file, or an EDM .pkl.
    """
    from inverse.priors.adapters.convert import convert as read  # a package without a facade, which loads torch

    card, tensors = read(file, name=name, kind=kind, settings=_parsed(settings), licence=licence, trust=trust)
    count = sum(math.prod(value.shape) for value in tensors.values())
    stem = "" if output is None else output.name.removesuffix(".safetensors").removesuffix(".yaml")
    path = None if output is None else output.with_name(f"{stem}.yaml")
    place = priors.save_prior(card, tensors, overwrite=overwrite, path=path)
    LOGGER.info("prior        %s: %s, %.1f million numbers", card.name, card.adapter, count / 1e6)
    facts = (*card.data_range, card.channels, card.sigma_min, card.sigma_max)
    LOGGER.info("units        values %g to %g, %s channels, noise %.3g to %.3g", *facts)
    if not licence:
        LOGGER.warning("licence      not stated; --licence TEXT puts it on the card")
    LOGGER.info("written      %s", place)
    return 0


def _parsed(settings: tuple[str, ...]) -> dict[str, Any]:
    """Values as YAML 1.2 reads them."""
    parsed: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"-s {text[:60]}", "allowed: -s KEY=VALUE")
        try:
            parsed[key.strip()] = YAML(typ="safe", pure=True).load(value)
        except (YAMLError, ValueError) as error:
            raise PriorError(f"setting {text[:60]}: not a value of YAML") from error
    return parsed
