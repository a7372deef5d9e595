"""Crossings between modules in one ``inverse restore`` of a small picture: how far the data travel.

    python benchmarks/crossings.py [--by-pair]

A crossing is a call of a function of the package from another module of it, counted by ``sys.setprofile``; calls that
come back through a library (a callback, a generator resumed by torch) count by the direct caller. Modules are those in
which a function ran. Forms are the classes of the package that held the picture on its way (`FORMS`), counted as they
are made.
"""

from __future__ import annotations

import collections
import inspect
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import click
from PIL import Image
from skimage import data

#: Classes that the picture is, in turn; only those that are made in this run count. Names of 0.1.0 and of today.
FORMS = (
    "Source",
    "Item",
    "Unit",
    "Picture",
    "Frame",
    "Measurement",
    "Fitted",
    "Case",
    "Observation",
    "Problem",
    "Posterior",
    "ItemResult",
    "Made",
    "Run",
)


def package(frame: FrameType | None) -> str:
    """The module of a frame where it is the package's, else nothing."""
    name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return name if name.split(".")[0] == "inverse" else ""


@click.command()
@click.option("--by-pair", is_flag=True, help="Which modules call which, most first.")
@click.option("--recipe", default="deblur", show_default=True)
def main(by_pair: bool, recipe: str) -> None:
    """Restore 64 x 64 pixels in two steps and count."""
    import torch

    from inverse.cli.main import cli

    torch.set_num_threads(1)
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    ran: set[str] = set()
    made: dict[str, None] = {}

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        here = package(frame)
        if not here:
            return
        ran.add(here)
        if frame.f_code.co_name == "__init__":
            own = type(frame.f_locals.get(next(iter(inspect.getargs(frame.f_code).args), "self"))).__name__
            made.update({own: None} if own in FORMS else {})
        there = package(frame.f_back)
        if there and there != here:
            pairs[there, here] += 1

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.png")
        Image.fromarray(data.astronaut()[100:164, 150:214]).save(source)
        arguments = [
            "-q",
            "restore",
            recipe,
            str(source),
            "-o",
            str(Path(folder, "out")),
            "-s",
            "method.steps=2",
            "--threads",
            "1",
        ]
        sys.setprofile(profile)
        try:
            cli(arguments, standalone_mode=False)
        finally:
            sys.setprofile(None)
    print(f"{sum(pairs.values())} crossings between {len(ran)} modules; forms: {len(made)} ({', '.join(made)})")
    if by_pair:
        for (there, here), count in pairs.most_common(60):
            print(f"{count:6}  {there} -> {here}")


if __name__ == "__main__":
    main()
