"""``inverse prior train DATA... --name NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inverse.cli import options

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.priors.card import Card

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
    licence: str,
    about: str,
    title: str,
    use: str,
    images: str,
    test: tuple[str, ...],
    work: Path | None,
    output: Path | None,
    device: str,
    overwrite: bool,
) -> None:
    """Train a prior on DATA: images, folders, or HDF5 files (FILE.h5:DATASET for one dataset of several).

    A checkpoint is written every two minutes: the same command resumes. The end is a card and float16 weights, in the store, where
    recipes find them: -s prior.name=NAME.

    \b
    inverse prior train photos/ --name mine --init photo -s steps=4000 -s rate=3e-4
    inverse prior train slices.h5 --name knee -s image=complex

    The settings are described in docs/training.md.
    """  # noqa: D301
    import torch

    from inverse.errors import PriorError
    from inverse.priors.open import NetworkPrior, open_prior
    from inverse.priors.store import check_name, home
    from inverse.priors.training.corpus import read_corpus
    from inverse.priors.training.finish import finish, hardware
    from inverse.priors.training.settings import parse_settings
    from inverse.priors.training.trainer import train as run
    from inverse.restoration.options import Options
    from inverse.storage.locks import run_lock

    config, start = parse_settings(settings), None
    if output is None:
        check_name(name)
    if init is not None:
        found = open_prior(init)
        if not isinstance(found, NetworkPrior):
            raise PriorError(f"--init {init}: not a network of this package", "allowed: an embedded or a trained prior")
        shape = found.denoiser.network.config
        fixed = {"channels": shape.channels, "blocks": shape.blocks}
        config = parse_settings(settings, **fixed)
        start = dict(found.denoiser.network.state_dict())
    corpus = read_corpus(data, image=config.image, sources=config.sources, smallest=config.crop)
    threads = config.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    folder, where = work or home() / "training" / name, Options(device=device).resolved_device()
    click.echo(f"{corpus.described()}; checkpoints in {folder.name}/", err=True)
    with run_lock(folder):
        denoiser, held_out, record = run(corpus, folder, config, device=where, init=start)
    tested = (
        read_corpus(test, image=config.image if config.image != "auto" else "bands" if corpus.channels != 3 else "rgb")
        if test
        else held_out
    )
    fields = {
        "name": name,
        "title": title or f"Trained on {corpus.described()}",
        "licence": licence,
        "data": about or corpus.described(),
        "images": images
        or (
            "complex images"
            if corpus.complex
            else "RGB images"
            if corpus.channels == 3
            else f"{corpus.channels}-band images"
        ),
        "intended_use": use,
    }
    measured = tested.described() if test else f"{len(tested.images)} images held out of the training"
    click.echo("measuring the card's tables", err=True)
    card, tensors = finish(
        denoiser, corpus, tested, config, record, fields=fields, measured_on=measured, machine=hardware(where, threads)
    )
    path = _place(card, tensors, output, overwrite)
    click.echo(
        f"{path}: denoising PSNR "
        + ", ".join(f"{v} dB at noise {k}" for k, v in card.psnr.items() if k != "measured_on")
    )
    click.echo(
        f"use it: inverse restore RECIPE INPUT -o DIR -s prior.name={name if output is None else path}", err=True
    )


def _place(card: Card, tensors: dict[str, Tensor], output: Path | None, overwrite: bool) -> Path:
    """Into the store, or a folder: weights, card, and a contact sheet."""
    from inverse.priors.open import open_prior
    from inverse.priors.store import save_prior
    from inverse.priors.training.finish import contact_sheet
    from inverse.storage.files import atomic_bytes

    given = None if output is None else output / f"{card.name}.yaml"
    path = save_prior(card, tensors, overwrite=overwrite, path=given)
    sheet: bytes = contact_sheet(open_prior(str(path)))
    atomic_bytes(path.with_suffix(".png"), sheet, overwrite=True)
    return path
