"""Restore files into a run folder: plan, resume, shard, and the exit code that tells how it went.

Running the same command again resumes it. What is done and unchanged is skipped; a changed input, a truncated or edited
output, or a failure is done again. See ``DESIGN.md`` section 6 for the folder and the exit codes.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inverse.errors import InputError, InverseError, OutputError, RecipeError
from inverse.io.read_write import read
from inverse.io.sidecars import input_hash
from inverse.io.sources import Source, find
from inverse.operators.build import result_shape
from inverse.recipes.calibration_file import opened_calibration, recorded
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.frame import count, frame_shape, of_content
from inverse.restoration.options import Options
from inverse.restoration.plan import (
    BLOCK_PIXELS,
    CLOSED_FORM_PIXELS,
    Compute,
    Item,
    Job,
    Plan,
    Terms,
    block_size,
    units,
)
from inverse.restoration.prior import forward_seconds, open_recipe_prior
from inverse.restoration.provenance import versions
from inverse.restoration.truth import Truths
from inverse.restoration.write_item import KEEP, parse_keep
from inverse.runs.executors import opened_executor, parse_shard
from inverse.runs.ledger import Ledger, Schedule
from inverse.runs.merge import assemble
from inverse.runs.progress import Progress
from inverse.runs.summary import Run, collect, write_summary
from inverse.runs.unit import Solver
from inverse.sampling.auto import evaluations_in
from inverse.sampling.methods import method_spec
from inverse.scenes.job import sweep
from inverse.scenes.tile_size import Tiles
from inverse.storage.locks import hold, run_lock
from inverse.storage.paths import output_folder

__all__ = ["Options", "Run", "make_plan", "prepare_run", "restore"]

#: Bytes of samples of a whole run above which they are dropped unless ``--keep`` asks for them; and of the other arrays
#: of one scene of tiles.
SAMPLES_LIMIT = 10**9
IMAGES = 10
LEAN = ("misfit", "figure")
NOT_KEPT = "samples are not kept: they would pass 1 GB for the whole run (--keep samples,mean,... keeps them)"
NOT_KEPT_SCENE = (
    "posterior.h5 without images, they would pass 1 GB (--keep mean,data_share,... keeps them); "
    "restored and std are files of their own"
)


def restore(
    recipe: str | Path | Recipe | dict[str, Any],
    inputs: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    truth: str | Path | None = None,
    options: Options | None = None,
) -> Run:
    """Restore image files into a run folder.

    Args:
        recipe: Name, path, mapping, or a loaded recipe.
        inputs: Files, folders, globs, ``@`` lists.
        out: The run folder; an interrupted run there is resumed.
        overrides: ``key=value`` changes of the recipe.
        truth: A file or folder of truths, for scores and figures only.
        options: How the run is carried out.

    Returns:
        What happened; ``exit_code`` says it in one number.

    Raises:
        InverseError: If nothing could be started, or at the first failure with ``strict``.
    """
    options = options or Options()
    arguments = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    recipe = load(recipe, overrides)
    options.check(recipe)
    shard, run_on, folder = parse_shard(options.shard), opened_executor(options), output_folder(out)
    sources = find(arguments, exclude=folder)
    truths = Truths.find(truth, [source.item for source in sources])
    prior = open_recipe_prior(recipe)
    calibration, unused = opened_calibration(recipe, prior.card)
    progress = Progress(0, options.progress)
    state = folder / ".inverse"
    try:
        _claim(folder, overwrite=options.overwrite)
        with run_lock(state, shard=shard):
            with hold(state / "plan.lock"):
                plan = prepare_run(folder, recipe, sources, prior, options, progress)
            job = Job(folder, plan.terms, recipe, prior, calibration, options.strict)
            ledger = Ledger.of(folder, plan.terms)
            paths = {source.item: source.path for source in sources}
            given = {item.item for item in plan.items if item.source in paths}
            schedule = Schedule(plan, ledger, (unit for unit in units(plan, shard) if unit.item in given))
            if (state / "scene").is_dir():
                sweep(folder, schedule.done)
            progress = Progress(schedule.samples, options.progress)
            if schedule.done:
                progress.say(f"{len(schedule.done)} of {len(given)} items are done already")
            if unused:
                progress.say(unused)
            solver = Solver(job, plan, paths, truths, progress)
            with _threads(plan.terms.threads), closing(run_on.map(solver, schedule.take)) as ended:
                for unit in ended:
                    schedule.ended(unit)
            with hold(state / "merge.lock"):
                for sentence in assemble(job, plan, paths, ledger):
                    progress.say(sentence)
                run = collect(folder, plan, ledger)
                write_summary(run, plan, recipe, prior.card, calibrated=recorded(recipe, calibration, unused))
    finally:
        progress.close()
    for item in truths.missing(paths):
        progress.say(f"no truth for {item}")
    return run


def _claim(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds what no run wrote; make it otherwise."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: cannot be written: it is a file", "choose another folder with -o")
    if overwrite or (folder / ".inverse").is_dir():
        return
    foreign = [name for name in ("restored", "std", "items", "run.json") if (folder / name).exists()]
    if foreign:
        raise OutputError(
            f"the output folder already holds {', '.join(foreign)}, not made by a run that can be resumed",
            "choose another folder with -o, or replace its content with --overwrite",
        )


def _erase(folder: Path) -> None:
    for name in (
        "restored",
        "std",
        "items",
        "figures",
        *(f".inverse/{part}" for part in ("done", "failed", "parts", "claims", "scene")),
    ):
        shutil.rmtree(folder / name, ignore_errors=True)
    said = ("calibration.json", "calibration.png", "report.html")
    for name in (".inverse/plan.json", "run.json", "items.csv", "failures.csv", *said):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """The plan's number of threads, and the caller's again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare_run(
    folder: Path, recipe: Recipe, sources: Sequence[Source], prior: Any, options: Options, progress: Progress
) -> Plan:
    """The plan of a run folder: made, or read back and brought up to date.

    Raises:
        RecipeError: If the folder belongs to another recipe or prior.
    """
    if options.overwrite:
        _erase(folder)
    old = Plan.load(folder / ".inverse")
    fresh = make_plan(recipe, sources, prior, options, old)
    if old is None:
        if "samples" not in fresh.terms.keep and options.keep is None:
            progress.say(NOT_KEPT_SCENE if fresh.terms.keep == LEAN else NOT_KEPT)
        fresh.save(folder / ".inverse")
        return fresh
    old.require(fresh.terms)
    if old.terms.device.split(":")[0] != fresh.terms.device.split(":")[0]:
        raise RecipeError(
            f"the run in the output folder was started on {old.terms.device}, this is {fresh.terms.device}",
            "resume it there, choose another folder with -o, or start again with --overwrite",
        )
    if old.terms.versions != fresh.terms.versions:
        progress.say("resuming a run of other versions: the rest agrees to rounding, not byte for byte")
    if options.keep is not None and old.terms.keep != fresh.terms.keep:
        progress.say(f"resuming: --keep stays {','.join(old.terms.keep)}")
    if options.threads is not None and options.threads != old.terms.threads:
        progress.say(f"resuming: --threads stays {old.terms.threads}")
    plan = replace(old, terms=replace(old.terms, device=fresh.terms.device)).extended(fresh.items)
    if plan != old:
        plan.save(folder / ".inverse")
    return plan


def make_plan(recipe: Recipe, sources: Sequence[Source], prior: Any, options: Options, old: Plan | None = None) -> Plan:
    """Read every input once, and fix what the run computes; unchanged items of an old plan are taken over."""
    samples, block = recipe.run.samples, options.block(recipe)
    if old is not None and old.terms.samples != samples:
        old = None
    compute = options.compute(recipe, prior)
    tiles = Tiles.of(options, recipe, dtype=compute.dtype, device=compute.device)
    items = tuple(item for source in sources for item in _items(source, recipe, samples, block, old, tiles))
    keep = parse_keep(options.keep) or _kept(items, samples)
    terms = Terms(
        recipe=recipe.hash,
        prior=(prior.card.sha256 or "") if prior.card else "",
        samples=samples,
        keep=keep,
        dtype=compute.dtype,
        device=compute.device,
        threads=options.threads or opened_executor(options).threads or torch.get_num_threads(),
        versions=versions(),
        evaluations=old.terms.evaluations if old else _affordable(recipe, prior, items, options, compute),
    )
    return Plan(terms, items)


def _kept(items: Sequence[Item], samples: int) -> tuple[str, ...]:
    """What is kept where nobody said."""
    sizes = [4 * math.prod(item.shape) for item in items if item.shape]
    if any(item.tile and IMAGES * 4 * math.prod(item.shape) > SAMPLES_LIMIT for item in items):
        return LEAN
    return KEEP if samples * sum(sizes) <= SAMPLES_LIMIT else KEEP[1:]


def _affordable(recipe: Recipe, prior: Any, items: Sequence[Item], options: Options, compute: Compute) -> int | None:
    """Evaluations a sample that the time budget pays for, by one timed forward pass; None without a budget."""
    shapes = [item.shape for item in items if item.shape]
    seconds = recipe.params.get("time_budget")
    if options.time_budget is not None:
        seconds = options.time_budget / max(1, len(shapes) * recipe.run.samples)
    if seconds is None or not shapes:
        return None
    largest = max(shapes, key=math.prod)
    once = forward_seconds(prior, largest, compute)
    mean = sum(math.prod(shape) for shape in shapes) / (len(shapes) * math.prod(largest))
    return evaluations_in(seconds, once * mean)


def _items(
    source: Source, recipe: Recipe, samples: int, block: int | None, old: Plan | None, tiles: Tiles
) -> tuple[Item, ...]:
    """The frames of a file: itself, or one item a slice; a scene that is solved by tiles is not read."""
    try:
        digest = input_hash(source.path)
    except InputError:
        return (Item(source.item, "", (), samples),)
    known = old.frames(source.item) if old is not None else ()
    if known and all(item.sha256 == digest and tiles.agrees(item) for item in known):
        return known
    if (cut := tiles.cut(source.path)) is not None:
        side, shape = cut
        return (Item(source.item, digest, shape, samples, tile=side, independent=tiles.independent),)
    limit = CLOSED_FORM_PIXELS if method_spec(recipe.method_kind).closed_form else BLOCK_PIXELS
    try:
        content = read(source.path)
        operator = of_content(recipe.located()["operator"], content)
        shapes = [result_shape(operator, frame_shape(content, index)) for index in range(count(content))]
    except InverseError:
        return (Item(source.item, digest, (), samples),)
    sizes = [block_size(shape, samples, block, limit=limit) for shape in shapes]
    if len(shapes) == 1:
        return (Item(source.item, digest, shapes[0], sizes[0], tile=tiles.missed(shapes[0])),)
    return tuple(
        Item(
            f"{source.item}/{index:04d}",
            digest,
            shape,
            size,
            file=source.item,
            frame=index,
            tile=tiles.missed(shape),
        )
        for index, (shape, size) in enumerate(zip(shapes, sizes, strict=True))
    )
