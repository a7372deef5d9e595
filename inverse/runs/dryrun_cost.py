"""A short run of one item, somewhere else, to know what a whole one takes: its sampling in a few evaluations, and all that comes before and after.

What a scene of tiles would take: its first and last step are taken on one window, in a folder that is removed again.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inverse.recipes.recipe import Recipe, load
from inverse.restoration.plan import Item, Plan, Terms, Unit
from inverse.restoration.truth import Truths
from inverse.runs.ledger import Ledger
from inverse.runs.progress import Progress
from inverse.runs.unit import sampling_arguments
from inverse.scenes.job import SceneJob
from inverse.storage.files import read_json

__all__ = ["SceneEstimate", "Trial", "estimate_scene", "trial"]

STEPS = 2
QUICK = 15.0
"""Seconds of a trial below which it is made again: the first one also imports what it needs."""


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Attributes:
        sampling: Seconds of drawing.
        rest: Seconds of reading, preparing, statistics, the figure and writing.
        imports: Seconds that only the first item of a process takes.
        samples: That were drawn.
        params: Parameters of the method, with fewer steps.
    """

    sampling: float
    rest: float
    imports: float
    samples: int
    params: dict[str, Any]


class _Silent(Progress):
    def say(self, line: str, *, level: int = 0) -> None:
        """What is said of an item is said when it is run."""


def trial(recipe: Recipe, prior: Any, terms: Terms, item: Item, path: Path) -> Trial | None:
    """Run an item with two steps and the samples of one block; nothing is left of it.

    Returns:
        None where the number of steps is not the recipe's, as with a budget or a closed form.
    """
    from inverse.runs.unit import Solver

    if terms.evaluations is not None or not isinstance(recipe.params.get("steps"), int):
        return None
    short = load(recipe, [f"method.steps={min(STEPS, recipe.params['steps'])}"])
    count = min(item.block, terms.samples)
    plan = Plan(replace(terms, samples=count), (replace(item, block=count),))
    paths, off = {item.source: path}, _Silent(0, "off")
    made = Trial(0.0, 0.0, 0.0, count, short.params)
    for first in (True, False):
        with tempfile.TemporaryDirectory(prefix="inverse-trial-") as folder:
            ledger = Ledger.of(Path(folder), plan.terms)
            solver = Solver(Path(folder), plan, short, prior, paths, ledger, Truths({}), off, strict=True)
            began = time.perf_counter()
            solver(Unit(item.item, 0, count))
            whole = time.perf_counter() - began
            (marker,) = (read_json(done) for done in ledger.done.glob("*.json"))
        drawn = float((marker or {})["row"]["seconds"])
        if first and whole > QUICK:
            return replace(made, sampling=drawn, rest=whole - drawn)
        if first:
            made = replace(made, imports=whole)
    made = replace(made, sampling=drawn, rest=whole - drawn, imports=max(0.0, made.imports - whole))
    return made


@dataclass(frozen=True)
class SceneEstimate:
    """What a scene would take.

    Attributes:
        tiles: How many, of which size, in words.
        forward: Network evaluations of the whole scene.
        vjp: Vector-Jacobian products.
        seconds: Of all samples.
        state_bytes: On disk while it runs.
    """

    tiles: str
    forward: int
    vjp: int
    seconds: float
    state_bytes: int


def estimate_scene(item: Item, path: Path, recipe: Recipe, prior: Any, terms: Terms) -> SceneEstimate:
    """Estimate a scene that was planned with tiles.

    Raises:
        InverseError: it cannot be solved by tiles.
    """
    from inverse.scenes.coupled import lay_out, passes

    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job = SceneJob(
            out, item, path, recipe, prior, terms, None,
            lambda shape: sampling_arguments(recipe, prior, terms, item, shape), lambda line: None, lambda count: None,
        )  # fmt: skip
        scene = job.read(stack)
        if item.independent:
            return _blocks(job, scene)
        layout = lay_out(scene, item=item.item, tile=item.tile, halo="auto", head=scene.head, **job.given(scene))
        steps = passes(scene, layout, out / "state", samples=terms.samples, item=item.item)
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
    from inverse.restoration.case import forward_seconds, method_kind
    from inverse.runs.dryrun import VJP_COST
    from inverse.sampling.method_spec import method_spec
    from inverse.scenes.independent import axes

    terms, item = job.terms, job.item
    rows, columns = axes(scene.size, item.tile)
    factor, channels = scene.lies.factor, scene.lies.shape[0]
    sides = (factor * (rows.stops[0] - rows.starts[0]), factor * (columns.stops[0] - columns.starts[0]))
    once = forward_seconds(job.prior, (channels, *sides), dtype=terms.dtype, device=terms.device)
    pixels = factor**2 * sum(b - a for a, b in _ends(rows)) * sum(b - a for a, b in _ends(columns))
    forward, vjp = (terms.samples * count for count in method_spec(method_kind(job.recipe)).cost(job.recipe.params))
    seconds = once * pixels / (sides[0] * sides[1]) * (forward + VJP_COST * vjp)
    layers = 4 + 3 * ("quantiles" in terms.keep) + terms.samples * ("samples" in terms.keep)
    said = f"{len(rows) * len(columns)} independent ones of {item.tile} x {item.tile} pixels (approximate)"
    return SceneEstimate(said, forward, vjp, seconds, 4 * layers * channels * pixels)


def _ends(axis: Any) -> list[tuple[int, int]]:
    return list(zip(axis.starts, axis.stops, strict=True))


def _values(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1] * shape[2]
