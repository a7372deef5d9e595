"""The cost of an item before it is run, measured in a folder that is removed again.

Of an item in memory a short run: its sampling in a few evaluations, and all that comes before and after. Of a scene of
tiles the first and the last step on one window.
"""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inverse.recipes.recipe import Recipe, load
from inverse.restoration.plan import Item, Job, Plan, Terms, Unit
from inverse.restoration.prior import forward_seconds
from inverse.restoration.truth import Truths
from inverse.runs.progress import Progress
from inverse.runs.unit import Solver
from inverse.sampling.method_spec import VJP_SECONDS
from inverse.sampling.methods import method_spec
from inverse.scenes.coupled import lay_out, scene_steps
from inverse.scenes.independent import blocks_of
from inverse.scenes.job import SceneJob
from inverse.storage.files import read_json

__all__ = ["SceneEstimate", "Trial", "estimate_scene", "trial"]

STEPS = 2
#: Seconds of a trial below which it is made again: the first one also imports what it needs.
QUICK = 15.0


@dataclass(frozen=True)
class Trial:
    """What was measured."""

    sampling: float  # seconds of drawing
    rest: float  # seconds of reading, preparing, statistics, the figure and writing
    imports: float  # seconds that only the first item of a process takes
    samples: int  # that were drawn
    params: dict[str, Any]  # parameters of the method, with fewer steps


def trial(recipe: Recipe, prior: Any, terms: Terms, item: Item, path: Path) -> Trial | None:
    """Run an item with two steps and the samples of one block; nothing is left of it.

    Returns:
        None where the number of steps is not the recipe's, as with a budget or a closed form.
    """
    if terms.evaluations is not None or not isinstance(recipe.params.get("steps"), int):
        return None
    short = load(recipe, [f"method.steps={min(STEPS, recipe.params['steps'])}"])
    count = min(item.block, terms.samples)
    plan = Plan(replace(terms, samples=count), (replace(item, block=count),))
    silent = Progress(tell=lambda kind, content: None)  # what is said of an item is said when it is run
    made = Trial(0.0, 0.0, 0.0, count, short.params)
    for first in (True, False):
        with tempfile.TemporaryDirectory(prefix="inverse-trial-") as folder:
            job = Job(Path(folder), plan.terms, short, prior, strict=True)
            solver = Solver(job, plan, {item.source: path}, Truths({}), silent)
            began = time.perf_counter()
            solver(Unit(item.item, 0, count))
            whole = time.perf_counter() - began
            (marker,) = (read_json(done) for done in solver.ledger.done.glob("*.json"))
        if "seconds" not in (marker or {})["row"]:  # an empty slice
            return None
        drawn = float((marker or {})["row"]["seconds"])
        if first and whole > QUICK:
            return replace(made, sampling=drawn, rest=whole - drawn)
        if first:
            made = replace(made, imports=whole)
    made = replace(made, sampling=drawn, rest=whole - drawn, imports=max(0.0, made.imports - whole))
    return made


@dataclass(frozen=True)
class SceneEstimate:
    """What a scene would take."""

    tiles: str  # how many, of which size, in words
    forward: int  # network evaluations of the whole scene
    vjp: int  # vector-Jacobian products
    seconds: float  # of all samples
    state_bytes: int  # on disk while it runs


def estimate_scene(item: Item, path: Path, recipe: Recipe, prior: Any, terms: Terms) -> SceneEstimate:
    """Estimate a scene that was planned with tiles.

    Raises:
        InverseError: it cannot be solved by tiles.
    """
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = Job(out, terms, recipe, prior)
        job = SceneJob(run, item, path, prior, lambda line: None, lambda count: None)
        scene = job.read(stack)
        if item.independent:
            return _blocks(job, scene)
        layout = lay_out(scene, *job.request(scene), tile=item.tile, head=scene.head)
        steps = scene_steps(scene, layout, out / "state", samples=terms.samples)
        stack.callback(steps.state.close)
        seconds = terms.samples * steps.timed()
    forward, vjp = layout.problem.spec.cost(layout.problem.params)
    forward += steps.products if steps.two_phase else 0
    images = 2 + terms.samples + steps.two_phase
    return SceneEstimate(
        f"{len(layout.tiling)} of {item.tile} x {item.tile} pixels, each with a halo of {layout.halo}",
        terms.samples * forward, terms.samples * vjp, seconds, 4 * images * _values(scene.lies.shape),
    )  # fmt: skip


def _blocks(job: SceneJob, scene: Any) -> SceneEstimate:
    terms, recipe, item = job.job.terms, job.job.recipe, job.item
    blocks = blocks_of(scene.size, item.tile)
    factor, channels = scene.lies.factor, scene.lies.shape[0]
    sides = blocks.window(0, 0).scaled(factor).size
    once = forward_seconds(job.prior, (channels, *sides), terms.compute)
    pixels = sum(math.prod(blocks.window(*place).scaled(factor).size) for place in blocks)
    forward, vjp = (terms.samples * count for count in method_spec(recipe.method_kind).cost(recipe.params))
    seconds = once * pixels / (sides[0] * sides[1]) * (forward + VJP_SECONDS * vjp)
    layers = 4 + 3 * ("quantiles" in terms.keep) + terms.samples * ("samples" in terms.keep)
    said = f"{len(blocks)} independent ones of {item.tile} x {item.tile} pixels (approximate)"
    return SceneEstimate(said, forward, vjp, seconds, 4 * layers * channels * pixels)


def _values(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1] * shape[2]
