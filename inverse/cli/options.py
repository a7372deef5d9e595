"""Registry of the flags that verbs share: each is a decorator that fixes a flag's name, type and help once.

A verb's function receives the flag under the decorator's name, except that of `json`, which it receives as ``as_json``.

===============  ======================  =====================================================================
decorator        flag                    verbs
===============  ======================  =====================================================================
batch            --batch auto|N          restore
device           --device DEVICE         check, prior train, restore, tune
dry_run          --dry-run               benchmark, restore
executor         --executor EXECUTOR     restore
json             --json                  benchmark, calibrate, check, compare, evaluate, info, list, prior fit,
                                         prior list, prior show, prior verify, recipe resolve, recipe validate,
                                         restore, show, simulate, tune
gsd              --gsd METRES            check, restore
keep             --keep A,B              restore
mask             --mask FILE             check, restore, simulate
max_evaluations  --max-evaluations N     restore
method           --method NAME           check, restore
noise            --noise X|auto          check, restore, simulate
output           -o, --output DIR        restore, simulate, tune
overrides        -s, --set KEY=VALUE     check, recipe resolve, recipe validate, restore, simulate, tune
overwrite        --overwrite             prior add, prior convert, prior export, prior fit, prior train,
                                         recipe new, report, restore, simulate
progress         --progress KIND         restore
quality          --quality LEVEL         restore
samples          --samples K             restore, tune
seed             --seed N                restore, simulate, tune
shard            --shard I/N             restore
sigma            --sigma X|auto          check, restore, simulate
strict           --strict                restore
threads          --threads N             restore
tile             --tile auto|off|N|...   restore
time_budget      --time-budget TIME      restore
truth            --truth PATH            compare, report, restore
workers          --workers N             restore
===============  ======================  =====================================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from inverse.errors import did_you_mean

__all__ = [
    "batch", "chosen", "device", "dry_run", "executor", "gsd", "json", "keep", "mask", "max_evaluations", "method",
    "noise", "output", "overrides", "overwrite", "progress", "quality", "recipe_names", "samples", "seed", "shard",
    "sigma", "strict", "threads",
    "tile", "time_budget", "truth", "workers",
]  # fmt: skip

#: What ``--keep`` takes: `inverse.restoration.write_item.KEEP`, whose module loads torch.
KEPT = (
    "samples", "mean", "std", "quantiles", "data_share", "invented", "misfit", "r_hat", "ess", "measurement",
    "observed", "residual", "convergence", "figure",
)  # fmt: skip


def chosen(overrides: tuple[str, ...], **values: int | None) -> list[str]:
    """Changes of a recipe: those of ``-s``, then ``run.NAME=VALUE`` for each shared flag that was given."""
    return [*overrides, *(f"run.{name}={value}" for name, value in values.items() if value is not None)]


def recipe_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes a recipe by: the shipped ones, and files."""
    from inverse import recipes

    names = [name for name in recipes.shipped() if name.startswith(incomplete)]
    return [*map(CompletionItem, names), *([] if names else [CompletionItem(incomplete, type="file")])]


class NamedPath(click.Path):
    """A path; an empty text, as of a shell's variable that is not set, is none, and not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse."""
        if value == "":
            self.fail("the path is empty: is a variable of the shell not set? the current folder is .", param, ctx)
        return super().convert(value, param, ctx)


class AutoInt(click.ParamType):  # type: ignore[type-arg]
    """A whole number, or one of a few words."""

    def __init__(self, *words: str, low: int) -> None:
        self.words, self.low = words, low
        self.name = "|".join([*words, "N"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Parse."""
        if value in self.words:
            return str(value)
        if re.fullmatch(r"\d+", str(value)) and int(value) >= self.low:
            return int(value)
        return self.fail(f"'{value}' is not allowed; {', '.join(self.words)}, or a number >= {self.low}", param, ctx)


class Shard(click.ParamType):  # type: ignore[type-arg]
    """``I/N``: part I of N, counted from 1."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)/(\d+)", str(value))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"'{value}' is not allowed; I/N with I from 1 to N, such as 1/4", param, ctx)
        return int(match[1]), int(match[2])


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds from ``90s``, ``10m``, ``2h``."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", str(value).strip())
        if match is None or float(match[1]) == 0:
            self.fail(f"'{value}' is not allowed; a number and a unit, such as 90s, 10m, 2h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


class Pattern(click.ParamType):  # type: ignore[type-arg]
    """A text of a given form."""

    def __init__(self, name: str, pattern: str, allowed: str) -> None:
        self.name, self.pattern, self.allowed = name, pattern, allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Parse."""
        if not re.fullmatch(self.pattern, str(value)):
            self.fail(f"'{value}' is not allowed; {self.allowed}", param, ctx)
        return str(value)


class Names(click.ParamType):  # type: ignore[type-arg]
    """Comma-separated names of a fixed set."""

    name = "A,B,..."

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in self.allowed:
                self.fail(f"'{name}': {did_you_mean(name, self.allowed)}", param, ctx)
        if not names:
            self.fail(f"empty; allowed: {', '.join(self.allowed)}", param, ctx)
        return names


output = click.option(
    "-o", "--output", type=NamedPath(path_type=Path), required=True, metavar="DIR", help="Folder of the results."
)
overrides = click.option(
    "-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe value: -s method.steps=50."
)
mask = click.option(
    "--mask",
    type=NamedPath(path_type=Path),
    metavar="FILE",
    help="Which pixels were observed: white (.npy: not 0) observed, black not.",
)
sigma = click.option("--sigma", metavar="X|auto", help="Width of the blur in pixels, or estimated from the picture.")
gsd = click.option(
    "--gsd", type=float, metavar="METRES", help="Side of the result's pixels, of a sensor whose file says its own."
)
noise = click.option("--noise", metavar="X|auto", help="Noise level in data units (of 1 = white), or estimated.")
method = click.option("--method", metavar="NAME", help="Posterior sampler (inverse list methods).")
quality = click.option(
    "--quality",
    type=click.Choice(["draft", "normal", "best"]),
    help="Let the measured table choose the method: what a sample may cost, 20, 100 or 1000 network evaluations.",
)
max_evaluations = click.option(
    "--max-evaluations", type=click.IntRange(min=1), metavar="N", help="The same, with N network evaluations a sample."
)
time_budget = click.option(
    "--time-budget", type=Duration(), metavar="TIME", help="The same, with a time for the whole run: 90s, 10m, 2h."
)
samples = click.option("--samples", type=click.IntRange(min=1), metavar="K", help="Posterior draws for each item.")
seed = click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of all noise.")
device = click.option(
    "--device",
    type=Pattern("DEVICE", r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, cuda, cuda:N or mps"),
    default="auto",
    show_default=True,
    help="Where the network runs: auto, cpu, cuda, cuda:N, mps.",
)
batch = click.option("--batch", type=AutoInt("auto", low=1), metavar="auto|N", help="States in one network call.")
tile = click.option(
    "--tile",
    type=AutoInt("auto", "off", "independent", low=64),
    metavar="auto|off|N|independent",
    help="Tiles of large scenes: coupled ones of N pixels, of a size that fits (auto), none, or independent runs "
    "(approximate).",
)
shard = click.option("--shard", type=Shard(), help="Do only part I of N, for job arrays: --shard 1/4.")
executor = click.option(
    "--executor",
    type=Pattern(
        "EXECUTOR",
        r"serial|processes|dask|dask-threads|dask://\S+:\d+|dask:[^/].*|dask:/[^/].*",
        "serial, processes, dask, dask://HOST:PORT or dask:SCHEDULER.json",
    ),
    default="serial",
    show_default=True,
    help="Who does the work: serial, processes, dask, dask://HOST:PORT, dask:SCHEDULER.json.",
)
workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worker processes on this machine, one a core by default.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads of a unit of work: 1 with workers, else all. Runs agree byte for byte with the same number.",
)
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there.")
strict = click.option("--strict", is_flag=True, help="Stop at the first item that fails, with its exit code.")
json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON on standard output.")
progress = click.option(
    "--progress",
    type=click.Choice(["auto", "json", "off"]),
    default="auto",
    show_default=True,
    help="A bar on a terminal, a line every 10 s otherwise; or JSON lines; or nothing.",
)
truth = click.option(
    "--truth", type=NamedPath(path_type=Path), metavar="PATH", help="The true picture, or a folder of them."
)
keep = click.option(
    "--keep", type=Names(KEPT), help=f"What to keep of each posterior: {', '.join(KEPT)}. Samples go first above 1 GB."
)
