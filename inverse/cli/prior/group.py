"""``inverse prior list|show|verify|add|export|convert|train|fit``."""

from __future__ import annotations

import click

from inverse.cli.group import LazyGroup, bare_help

__all__ = ["prior"]

VERBS = {
    "list": ("inverse.cli.prior.catalogue:list_", "List the priors there are, with their licences."),
    "show": ("inverse.cli.prior.catalogue:show", "Show a prior's card."),
    "verify": ("inverse.cli.prior.catalogue:verify", "Check a prior's file against its card."),
    "add": ("inverse.cli.prior.catalogue:add", "Put a prior's file into this machine's store."),
    "export": ("inverse.cli.prior.catalogue:export", "Write a prior, card and weights, into one file."),
    "convert": ("inverse.cli.prior.convert:convert", "Turn a public checkpoint into a prior."),
    "train": ("inverse.cli.prior.train:train", "Train a prior on images of your own, or fine-tune one."),
    "fit": ("inverse.cli.prior.fit:fit", "Fit a prior with a closed form to a few images."),
}


@click.group(cls=LazyGroup, verbs=VERBS, invoke_without_command=True)
@click.pass_context
def prior(ctx: click.Context) -> None:
    """Find, check, convert, train and fit priors."""
    bare_help(ctx)
