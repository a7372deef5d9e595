"""``inverse prior train DATA... --name NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from inverse import priors, restoration, storage
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import PriorError
from inverse.priors import training

__all__ = ["train"]


@click.command(short_help="Train a prior on images of your own, or fine-tune one.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--name", required=True, help="What the prior will be called.")
@click.option("--init", metavar="PRIOR", help="Fine-tune this prior instead of starting from nothing.")
@click.option("-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting: -s steps=20000.")
@click.option("--licence", default="not stated", show_default=True, help="Terms of the weights, for the card.")
@click.option("--about", default="", help="Where the images are from and under which terms, for the card.")
@click.option("--title", default="", help="One line, for the card.")
@click.option("--use", default="", help="What it is for, and what not, for the card.")
@click.option("--images", default="", help="What the images are, in two or three words, for messages.")
@click.option("--test", multiple=True, metavar="PATH", help="Images never trained on, to measure the card's table on.")
@click.option("--work", type=click.Path(path_type=Path), metavar="DIR", help="Checkpoints.  [default: in INVERSE_HOME]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the prior here, not to the store."
)
@options.device
@options.overwrite
def train(
    data: tuple[str, ...],
    name: str,
    init: str | None,
    settings: tuple[str, ...],
    test: tuple[str, ...],
    work: Path | None,
    output: Path | None,
    device: str,
    overwrite: bool,
    **texts: str,
) -> None:
    """Train a prior on DATA: images, folders, or HDF5 files (FILE.h5:DATASET for one dataset of several).

    A checkpoint is written every two minutes: the same command resumes. The end is a card and float16 weights, in the
    store, where recipes find them: -s prior.name=NAME.

    \b
    inverse prior train photos/ --name mine --init photo -s steps=4000 -s rate=3e-4
    inverse prior train slices.h5 --name knee -s image=complex

    The settings are described in docs/training.md.
    """  # noqa: D301
    import torch

    from inverse.priors.training.finish import finish  # the facade's finish is a module

    config, start = training.parse_settings(settings), None
    if output is None:
        priors.check_name(name)
    if init is not None:
        network = _network(init)
        fixed = {"channels": network.config.channels, "blocks": network.config.blocks}
        config = training.parse_settings(settings, **fixed)
        start = dict(network.state_dict())
    corpus = training.read_corpus(data, image=config.image, sources=config.sources, smallest=config.crop)
    threads = config.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    folder = work or priors.home() / "training" / name
    place = restoration.Options(device=device).resolved_device()
    echo(f"{corpus.described()}; checkpoints in {folder.name}/", err=True)
    with storage.run_lock(folder):
        denoiser, held_out, record = training.train(corpus, folder, config, device=place, init=start)
    tested = held_out
    if test:
        layout = config.image if config.image != "auto" else "bands" if corpus.channels != 3 else "rgb"
        tested = training.read_corpus(test, image=layout)
    measured = tested.described() if test else f"{len(tested.images)} images held out of the training"
    fields = _fields(corpus, name, texts)
    echo("measuring the card's tables", err=True)
    machine = training.hardware(place, threads)
    card, tensors = finish(
        denoiser, corpus, tested, config, record, fields=fields, measured_on=measured, machine=machine
    )
    path = priors.save_prior(
        card, tensors, overwrite=overwrite, path=None if output is None else output / f"{card.name}.yaml"
    )
    sheet: bytes = training.contact_sheet(priors.open_prior(str(path)))
    storage.atomic_bytes(path.with_suffix(".png"), sheet, overwrite=True)
    table = ", ".join(f"{value} dB at noise {level}" for level, value in card.psnr.items() if level != "measured_on")
    echo(f"{path}: denoising PSNR {table}")
    chosen = name if output is None else path
    echo(f"use it: inverse restore RECIPE INPUT -o DIR -s prior.name={chosen}", err=True)


def _network(name: str) -> Any:
    """The network that ``--init`` names."""
    prior = priors.open_prior(name)
    if not isinstance(prior, priors.NetworkPrior):
        raise PriorError(f"--init {name}: not a network of this package", "allowed: an embedded or a trained prior")
    return prior.denoiser.network


def _fields(corpus: training.Corpus, name: str, texts: Mapping[str, str]) -> dict[str, str]:
    """What the card says in words, from the flags or from the corpus."""
    bands = "RGB images" if corpus.channels == 3 else f"{corpus.channels}-band images"
    return {
        "name": name,
        "title": texts["title"] or f"Trained on {corpus.described()}",
        "licence": texts["licence"],
        "data": texts["about"] or corpus.described(),
        "images": texts["images"] or ("complex images" if corpus.complex else bands),
        "intended_use": texts["use"],
    }
