"""What a run would do and take, without doing it: nothing is written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from inverse.errors import RecipeError
from inverse.io.sources import Source, find
from inverse.posterior.words import seconds_in_words
from inverse.priors.card import prior_facts
from inverse.priors.download import no_downloads
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.options import Options
from inverse.restoration.plan import Item, Plan, Terms, Unit, item_name, units
from inverse.restoration.prior import forward_seconds, open_recipe_prior
from inverse.runs.dryrun_cost import estimate_scene, trial
from inverse.runs.executors import opened_executor, parse_shard
from inverse.runs.ledger import Ledger
from inverse.runs.processes import default_workers
from inverse.runs.run import make_plan
from inverse.sampling.method_spec import VJP_SECONDS
from inverse.sampling.methods import method_spec
from inverse.sampling.problem import peak_bytes
from inverse.storage.paths import output_folder

__all__ = ["Estimate", "estimate"]

#: Seconds that a process takes before its first item, to import torch and deepinv.
START = 5.0


@dataclass(frozen=True)
class Estimate:
    """What a run would take."""

    items: tuple[dict[str, Any], ...]  # id, size and samples of each item; an item that cannot be read has no size
    recipe_hash: str  # of the resolved recipe
    prior: dict[str, Any]  # name, licence, hash
    evaluations: int  # network forward passes
    vjps: int  # vector-Jacobian products
    seconds: float  # from a short run of the largest item on this machine
    memory_bytes: int  # peak resident memory of that run, in all workers
    disk_bytes: int  # of the outputs
    disk_free: int  # on the output's file system
    keep: tuple[str, ...]  # what would be kept
    scenes: dict[str, str] = field(default_factory=dict)  # item id to how its scene is cut, in words
    done: int = 0  # items that are done already, of which nothing is counted
    shard: str | None = None  # "I/N" where only that part is counted
    units: tuple[int, int] = (0, 0)  # units that are left, and all of the items, where they are a shard's
    where: str = "this machine"  # on what the seconds are

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        rows = [f"{row['item']}  {row['size'] or 'cannot be read or does not fit'}" for row in self.items]
        licence = self.prior.get("licence", "unknown licence")
        return [
            *rows,
            f"items        {len(rows)}" + (f", of which {self.done} done already" if self.done else ""),
            *self._of_shard(),
            f"prior        {self.prior.get('name', 'unnamed')}, {licence}",
            *(f"tiles        {item}: {said}" for item, said in self.scenes.items()),
            f"evaluations  {self.evaluations} forward, {self.vjps} vjp",
            f"time         about {seconds_in_words(self.seconds, 0)} on {self.where}",
            f"memory       about {self.memory_bytes / 2**30:.1f} GiB",
            f"disk         about {self.disk_bytes / 1e6:.0f} MB of {self.disk_free / 1e9:.0f} GB free",
            f"kept         {', '.join(self.keep)}",
            "nothing was written",
        ]

    def _of_shard(self) -> list[str]:
        if self.shard is None:
            return []
        shared = ", and of shared scenes the tiles that other shards leave: at most all" if self.scenes else ""
        return [f"shard        {self.shard}: {self.units[0]} of {self.units[1]} units{shared}"]


def estimate(
    recipe: str | Path | Recipe | dict[str, Any],
    inputs: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    options: Options | None = None,
) -> Estimate:
    """Estimate a run; arguments as `inverse.runs.run.restore`."""
    options = options or Options()
    recipe = load(recipe, overrides)
    options.check(recipe)
    opened_executor(options)
    sources = find([inputs] if isinstance(inputs, str | Path) else list(inputs), exclude=output_folder(out))
    with no_downloads():
        prior = open_recipe_prior(recipe)
    plan, ledger = _resumed(recipe, sources, prior, options, Path(out))
    spec, terms, shard = method_spec(recipe.method_kind), plan.terms, parse_shard(options.shard)
    budget = {} if terms.evaluations is None else {"max_evaluations": terms.evaluations}
    forward, vjp = spec.cost({**recipe.params, **budget})
    cost = terms.samples * (forward + VJP_SECONDS * vjp)
    left, done = _left(plan, ledger, shard)
    samples = {name: sum(unit.stop - unit.start for unit in some) for name, some in left.items()}
    everything = [item for item in plan.items if item.shape and item.item in left]
    paths = {source.item: source.path for source in sources}
    scenes = {
        item.item: estimate_scene(item, paths[item.source], recipe, prior, terms) for item in everything if item.tile
    }
    fitting = [item for item in everything if not item.tile]
    part = {item.item: samples[item.item] / terms.samples if not item.tile else 1.0 for item in everything}
    workers = _workers(options, terms.device)
    pixels = {item.shape: torch.Size(item.shape).numel() for item in fitting}
    seconds = 0.0
    if fitting:
        largest = max(fitting, key=lambda item: pixels[item.shape])
        start, once = _item_seconds(recipe, prior, terms, largest, paths[largest.source], cost)
        seconds = sum(part[item.item] * once * pixels[item.shape] / pixels[largest.shape] for item in fitting) / min(
            workers, len(fitting)
        )
        seconds += start * (1 if options.executor == "serial" else 2)
    drawn = sum(samples[item.item] for item in fitting)
    here = isinstance(options.executor, str) and not options.executor.startswith("dask:")
    return Estimate(
        items=tuple(_row(item, terms.samples) for item in plan.items),
        recipe_hash=terms.recipe,
        prior=prior_facts(prior.card),
        evaluations=drawn * forward + sum(one.forward for one in scenes.values()),
        vjps=drawn * vjp + sum(one.vjp for one in scenes.values()),
        seconds=seconds + sum(one.seconds / min(workers, len(left[name])) for name, one in scenes.items()),
        memory_bytes=workers * peak_bytes(torch.device(terms.device))
        + max((8 * 4 * n for n in pixels.values()), default=0),
        disk_bytes=sum(
            round(part[item.item] * _disk(_values(item.shape, prior.card), terms.samples, terms.keep))
            for item in everything
        )
        + max((one.state_bytes for one in scenes.values()), default=0),
        disk_free=shutil.disk_usage(_existing(Path(out))).free,
        keep=terms.keep,
        scenes={name: one.tiles for name, one in scenes.items()},
        done=done,
        shard=None if shard is None else f"{shard[0]}/{shard[1]}",
        units=(sum(map(len, left.values())), len(units(plan))),
        where="this machine" if here else "one worker like this machine",
    )


def _resumed(
    recipe: Recipe, sources: Sequence[Source], prior: Any, options: Options, out: Path
) -> tuple[Plan, Ledger | None]:
    """The plan as the run would go on with it, and what is done; None where it would start, or be refused."""
    old = None if options.overwrite else Plan.load(out / ".inverse")
    if old is not None:
        plan = make_plan(recipe, sources, prior, options, old)
        try:
            old.require(plan.terms)
        except RecipeError:
            pass
        else:
            terms = replace(old.terms, device=plan.terms.device)
            return Plan(terms, plan.items), Ledger.of(out, terms)
    return make_plan(recipe, sources, prior, options), None


def _left(plan: Plan, ledger: Ledger | None, shard: tuple[int, int] | None) -> tuple[dict[str, list[Unit]], int]:
    """The units that are left of the plan, or of a shard, by item; and how many items are done."""

    def valid(name: str, item: Item) -> bool:
        return ledger is not None and ledger.valid(name, item.sha256) is not None

    items = {item.item: item for item in plan.items if not valid(item_name(item.item), item)}
    left: dict[str, list[Unit]] = {}
    for unit in units(plan, shard):
        if unit.item in items and not valid(unit.name, items[unit.item]):
            left.setdefault(unit.item, []).append(unit)
    return left, len(plan.items) - len(items)


def _item_seconds(recipe: Recipe, prior: Any, terms: Terms, item: Item, path: Path, cost: float) -> tuple[float, float]:
    """Seconds to start a process, and of a whole item, by a short run.

    Where its steps are not the recipe's, by the cost of all samples, in forward passes.
    """
    tried = trial(recipe, prior, terms, item, path)
    if tried is None:
        return START, forward_seconds(prior, item.shape, terms.compute) * cost
    forward, vjp = method_spec(recipe.method_kind).cost(tried.params)
    return START + tried.imports, tried.sampling * cost / (tried.samples * (forward + VJP_SECONDS * vjp)) + tried.rest


def _workers(options: Options, device: str) -> int:
    """Processes of this machine that share the work."""
    if options.executor not in ("processes", "dask"):
        return 1
    return options.workers or default_workers(device)


def _row(item: Item, samples: int) -> dict[str, Any]:
    size = " x ".join(str(n) for n in (*item.shape[1:], item.shape[0])) if item.shape else None
    return {"item": item.item, "size": size, "samples": samples, "batch": item.block}


def _values(shape: tuple[int, ...], card: Any) -> int:
    """Of an unknown; that of several coils is one complex image."""
    channels = 2 if card is not None and card.channels == 2 else shape[0]
    return channels * math.prod(shape[1:])


def _disk(values: int, samples: int, keep: Sequence[str]) -> int:
    """Bytes: float32 data sets, the std map and the restored picture."""
    counts = {
        "samples": samples,
        "quantiles": 3,
        "figure": 0,
        "misfit": 0,
        "convergence": 0,
        "r_hat": 0,
        "ess": 0,
        "observed": 0,
    }
    return 4 * values * (sum(counts.get(name, 1) for name in keep) + 1) + values


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())
