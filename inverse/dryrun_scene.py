"""What a scene of tiles would take: its first and last step are taken on one window, in a folder that is removed again."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverse.plan import Item, Terms
from inverse.recipe import Recipe
from inverse.scene_run import SceneJob
from inverse.solve import sampling_arguments

__all__ = ["SceneEstimate", "estimate_scene"]


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
    from inverse.scene import lay_out, passes

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
    from inverse.case import forward_seconds, method_kind
    from inverse.dryrun import VJP_COST
    from inverse.methods import method_spec
    from inverse.scene_independent import axes

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
