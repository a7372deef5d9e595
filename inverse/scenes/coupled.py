r"""Coupled tiles: one state of a scene, every step of a method taken tile by tile, all tiles of a step before the next.

A step on a window (tile and halo) is the same code as on the scene; only the tile is kept. The halo is the radius
beyond which the prior does not see, twice it where its Jacobian is taken, and what a deconvolution takes. Noise is
keyed by where it lies in the scene. So the tiles are the untiled result cut up, not posteriors of their own that are
blended. What belongs to the whole is the scene's: levels, orientation, the start's interpolation, and PiGDM's residual
variance, summed over all tiles in a pass before each step (one evaluation more where the Jacobian follows).

Methods: those whose `MethodSpec.tiles` says so. Others take inner products over the scene inside their solve (mmps,
tmpd, dps), or hold more than one state (daps, pnp-dm, smc).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import PriorError, RecipeError, UsageError
from inverse.io.tiling import Tiling, Window
from inverse.numerics.defaults import independent
from inverse.operators.image.masks import Restricted
from inverse.operators.local import Local, local
from inverse.operators.observation import Observation
from inverse.posterior.posterior import Cost
from inverse.sampling.methods import method_spec
from inverse.sampling.problem import Problem, Request, peak_bytes, prepare
from inverse.scenes.passes import BLOCK, Layout, Report, SceneSteps
from inverse.scenes.results import ScenePosterior
from inverse.scenes.source import HEAD, MeasuredScene, Scene
from inverse.scenes.state import State
from inverse.scenes.windowed import PROBE, support

__all__ = ["lay_out", "require_tiles", "sample_scene", "scene_steps", "solve_scene"]

TILE, TILE_GRADIENT = 512, 256


@independent
def sample_scene(  # noqa: PLR0913  a public call: its keywords are the interface
    y: Tensor,
    physics: Any,
    prior: Any,
    *,
    folder: str | Path,
    tile: int | str = "auto",
    halo: int | str = "auto",
    method: str = "diffpir",
    samples: int = 4,
    steps: int | None = None,
    seed: int = 0,
    item: str = "0",
    dtype: torch.dtype | str = "auto",
    keep_samples: bool = False,
    progress: Report | None = None,
    antithetic: bool = False,
    **params: Any,
) -> ScenePosterior:
    """Draw samples of one scene tile by tile: what `inverse.sample` draws, to 1e-4 in float32, in the memory of a tile.

    Args:
        y: Measurement (1, C, h, w).
        physics: Its physics, one that is local (`inverse.scenes.windowed`).
        prior: As of `inverse.sample`; its card says how far it sees.
        folder: The state; a run that was interrupted is gone on with there.
        tile: Side in pixels of the unknown, or "auto": 512, and 256 where the method takes gradients.
        halo: Pixels around a tile, or "auto", by the card and the operator.
        method: One with coupled tiles (`MethodSpec.tiles`), or "auto".
        samples: How many.
        steps: Noise levels; default the method's.
        seed: Seed.
        item: Name that keys the noise.
        dtype: Compute precision of the network.
        keep_samples: Keep each sample in the folder, not just their mean and spread.
        progress: Called after each tile of each pass with how many are done, and how many there are.
        antithetic: As of `inverse.sample`.
        **params: Parameters of the method.

    Raises:
        RecipeError: an operator or a method that has no coupled tiles.
        PriorError: a prior that does not say how far it sees.
        UsageError: a tile that does not fit.
    """
    if y.shape[0] != 1:
        raise UsageError(f"{y.shape[0]} scenes in one call", "allowed: 1")
    request = Request(method, samples, steps, seed, items=[item], dtype=dtype, params=params, antithetic=antithetic)
    scene = Scene(y, physics, local(physics))
    return solve_scene(
        scene, prior, request, Path(folder), tile=tile, halo=halo, keep_samples=keep_samples, progress=progress
    )


def lay_out(
    source: MeasuredScene,
    prior: Any,
    request: Request,
    *,
    tile: int | str,
    halo: int | str = "auto",
    head: Window | None = None,
) -> Layout:
    """What is solved and on which windows; arguments as of `solve_scene`.

    Raises:
        RecipeError: an operator or a method that has no coupled tiles.
        PriorError: a prior that does not say how far it sees.
        UsageError: a tile that does not fit.
    """
    lies = source.lies
    first = head or Window(0, 0, HEAD, HEAD).clipped(*lies.shape[-2:])
    y, physics = source.observe(first, alone=True)
    shape = (lies.shape[0], *first.size)
    request = replace(request, shape=shape, admits=lambda name, values: _chosen(name, values, lies))
    problem = prepare(y, physics, prior, request)
    require_tiles(problem.spec.name, problem.params, lies)
    if problem.prior_mean.numel() != 1:
        raise PriorError(f"prior '{problem.card.name}' has a mean that varies over the image: no coupled tiles")
    align = math.lcm(problem.card.stride, lies.factor)
    solve = _support(problem, source)
    reach = _radius(problem) + solve if halo == "auto" else int(halo)
    wide = "grad" in problem.spec.needs_for(problem.params)
    side = (TILE_GRADIENT if wide else TILE) if tile == "auto" else int(tile)
    unit = math.lcm(align, BLOCK)
    if side % unit:
        raise UsageError(f"tile {side}", f"allowed here: a multiple of {unit}")
    return Layout(problem, Tiling(lies.shape[-2:], side, align), reach, solve)


def scene_steps(
    source: MeasuredScene,
    layout: Layout,
    folder: Path,
    *,
    samples: int,
    keep_samples: bool = True,
    progress: Report | None = None,
    key: Mapping[str, Any] | None = None,
) -> SceneSteps:
    """The passes over a scene, on its state in a folder; arguments as of `solve_scene`."""
    problem, tiling, lies = layout.problem, layout.tiling, source.lies
    (item,) = problem.items
    about = {
        "shape": list(lies.shape), "tile": tiling.side, "halo": layout.halo, "samples": samples, "item": item,
        "seed": problem.seed, "antithetic": problem.antithetic, "keep_samples": keep_samples,
        "method": problem.spec.name,
        "params": {name: str(value) for name, value in problem.params.items()}, "levels": list(problem.levels[0]),
        "dtype": str(problem.dtype), "prior": problem.card.sha256 or problem.card.name,
        "noise": float(problem.observation.sigma[0]), **(key or {}),
    }  # fmt: skip
    state = State(folder, lies.shape, tiling, about)
    return SceneSteps(source, layout, state, samples, keep_samples, progress)


def solve_scene(
    source: MeasuredScene,
    prior: Any,
    request: Request,
    folder: Path,
    *,
    tile: int | str,
    halo: int | str = "auto",
    keep_samples: bool = True,
    progress: Report | None = None,
    head: Window | None = None,
    key: Mapping[str, Any] | None = None,
) -> ScenePosterior:
    """As `sample_scene`, for a scene in memory or in a file; the request's one item keys the noise.

    ``head`` is the part of the unknown that decides the method, ``key`` what else the state depends on.
    """
    layout, samples = lay_out(source, prior, request, tile=tile, halo=halo, head=head), len(request.indices)
    problem, tiling = layout.problem, layout.tiling
    steps = scene_steps(source, layout, folder, samples=samples, keep_samples=keep_samples, progress=progress, key=key)
    for index in range(samples):
        steps.sample(index)
    state = steps.state
    chi2 = state.numbers("chi2", samples * len(tiling), 2).get().reshape(samples, -1, 2).sum(1)
    forward, vjp = problem.spec.cost(problem.params)
    extra = steps.products if steps.two_phase else 0
    cost = Cost(
        forward=float(samples * (forward + extra)), vjp=float(samples * vjp), a=float(problem.observation.counter.a),
        at=float(problem.observation.counter.at), seconds=float(state.numbers("seconds", len(tiling)).get().sum()),
        peak_bytes=peak_bytes(problem.observation.sigma.device),
    )  # fmt: skip
    misfit = chi2[:, 0] / np.maximum(chi2[:, 1], 1)
    return ScenePosterior(source, layout, state, samples, misfit, cost, keep_samples)


def require_tiles(name: str, params: Mapping[str, Any], lies: Local) -> None:
    """Refuse a method, with all of its parameters, that has no coupled tiles for an operator that lies so on the scene.

    Raises:
        RecipeError: it takes numbers of the whole scene in each step.
    """
    instead = "with tiles: diffpir (any local operator), ddnm, pigdm with covariance=residual"
    tiles = method_spec(name).tiles
    if tiles is False:
        raise RecipeError(
            f"method '{name}' takes numbers of the whole scene in each step; it has no coupled tiles", instead
        )
    if params.get("kernel", "ancestral") in ("heun", "dpmpp", "corrected"):
        raise RecipeError(f"kernel '{params['kernel']}' has no coupled tiles", "allowed: ddim, ancestral, renoise")
    if callable(tiles) and (reason := tiles(params, lies.diagonal)):
        raise RecipeError(reason, instead)


def _chosen(name: str, params: Mapping[str, Any], lies: Local) -> bool:
    """Whether ``auto`` may choose a method; arguments as of `require_tiles`."""
    try:
        require_tiles(name, params, lies)
    except RecipeError:
        return False
    return method_spec(name).tiles_auto


def _radius(problem: Problem) -> int:
    """How far a step of the method sees through the prior."""
    card = problem.card
    radius = card.receptive_field if card.effective_radius is None else card.effective_radius
    if radius is None:
        raise PriorError(
            f"the card of prior '{card.name}' does not say how far it sees", "pass halo=, or restore the whole"
        )
    return problem.spec.reach_for(problem.params) * radius


def _support(problem: Problem, source: MeasuredScene) -> int:
    """How far the solve with the operator sees: not at all where it is diagonal.

    Where values are missing it sees no further (interlacing eigenvalues).
    """
    lies = source.lies
    if lies.diagonal:
        return 0
    place = Window(0, 0, PROBE, PROBE).clipped(*lies.shape[-2:])
    y, physics = source.observe(place, alone=True)
    while isinstance(physics, Restricted):
        physics = physics.whole
    shape = (lies.shape[0], *place.size)
    observation = Observation(y, physics, problem.observation.sigma, shape)
    return support(observation, problem.card.data_var, reach=lies.reach)
