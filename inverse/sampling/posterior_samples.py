"""The public calls: sample a posterior, step through the loop, simulate a measurement, restore, evaluate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from inverse.errors import InputError, RecipeError
from inverse.numerics.defaults import independent, own_defaults, stepwise
from inverse.numerics.linalg import Vector, parts, scale
from inverse.numerics.rng import Rng, require_seed
from inverse.operators.observation import observed
from inverse.posterior.evidence import Changes
from inverse.posterior.posterior import Cost, Posterior
from inverse.sampling.arguments import checked_images, checked_names
from inverse.sampling.given import as_array, from_array, measured_shape
from inverse.sampling.loop import Step
from inverse.sampling.problem import Problem, Request, peak_bytes, prepare

__all__ = ["sample", "simulate", "steps"]

#: Misfit from which samples explain nothing.
MISFIT = 3.0


def steps(
    y: Vector,
    physics: Any,
    prior: Any,
    *,
    method: str = "diffpir",
    samples: int | range = 1,
    steps: int | None = None,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    items: Sequence[str] | None = None,
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    **params: Any,
) -> Iterator[Step]:
    """The sampling loop itself: a generator of :class:`Step`, all items and samples in one batch.

    Arguments as :func:`sample`. The state of a step is (B K, C, *S), the samples of an item next to each other.

    Raises:
        RecipeError: items that need different noise levels (their noise differs): step through them one by one.
    """
    y = _given(y, physics, shape)
    request = Request(method, samples, steps, seed, shape, items, "auto", device, dtype, params)
    with own_defaults():
        problem, indices = prepare(y, physics, prior, request), request.indices
        batches = list(problem.batches(indices, problem.observation.batch * len(indices)))
        if len(batches) > 1:
            raise RecipeError("the items have different noise levels", "step through them one by one, or set sigma_min")
        return stepwise(problem.steps(batches[0]))


@independent
def sample(  # noqa: PLR0913  a public call: its keywords are the interface
    y: Vector,
    physics: Any,
    prior: Any,
    *,
    method: str = "diffpir",
    samples: int | range = 4,
    steps: int | None = None,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    items: Sequence[str] | None = None,
    batch: int | str = "auto",
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    progress: bool | Callable[[Step], object] = False,
    antithetic: bool = False,
    **params: Any,
) -> Posterior:
    """Draw samples of the posterior of ``x`` given ``y = A x + noise``.

    Args:
        y: Measurements (B, ...), float32 or float64, real or complex, or a deepinv ``TensorList``; or numpy, images
            with the channel last; not changed.
        physics: The deepinv physics that made them, with Gaussian noise of a known level; not changed.
        prior: Name of a prior, or a denoiser ``D(x, sigma)`` in data units (:func:`inverse.open_prior`).
        method: ``inverse list methods``.
        samples: Samples of each item, or a range of sample indices (sample k is the same whichever range it is drawn
            in).
        steps: Noise levels; default the method's.
        seed: Seed; a result is a function of (seed, item name, sample index) alone.
        shape: (C, *S) or (d,) of the unknown, where ``physics.A_adjoint(y)`` cannot tell it.
        items: Names of the items, which key their noise; default "0", "1", ...
        batch: Items times samples evaluated together, or "auto".
        device: "auto" (where ``y`` is) or a device.
        dtype: Compute precision of a network prior: "auto", "float32", "bfloat16".
        progress: True for a progress bar, or a function of each :class:`Step`; an exception it raises ends the
            sampling.
        antithetic: Draw samples in pairs of opposite noise: the mean of one pair is as good as that of eight
            independent samples (blur, super-resolution, inpainting). Their spread is told by ``std``, not by theirs.
        **params: Parameters of the method (``inverse show method NAME``).

    Returns:
        The samples with their statistics, evidence and cost.

    Raises:
        RecipeError: unknown method or parameter, or an operator the method cannot use.
        InputError: a measurement that is not finite or does not fit.
        PriorError: a prior that is missing or does not fit.
    """
    y = _given(y, physics, shape)
    request = Request(method, samples, steps, seed, shape, items, batch, device, dtype, params, antithetic=antithetic)
    indices = request.indices  # a wrong number is told before the prior is opened
    problem = prepare(y, physics, prior, request)
    post = draw(problem, indices, batch=request.batch, progress=progress)
    if problem.card.kind == "callable":
        _require_sense(post)
    return post


def _given(y: Any, physics: Any, shape: Sequence[int] | None) -> Any:
    """The measurement, as tensors where it was numpy."""
    if not isinstance(y, np.ndarray):
        return y
    return from_array(y, measured_shape(physics, tuple(shape) if shape is not None else None), "a measurement")


def _require_sense(post: Posterior) -> None:
    """Name samples of a prior without a card that do not explain their measurement: it may be no denoiser."""
    misfit = float(post.misfit.mean())
    known = bool((post.observation.sigma > 0).all())
    if known and not misfit < MISFIT:
        logging.getLogger("inverse").warning(
            "the samples do not explain the measurement: misfit %.3g, expected 1: is the prior a denoiser, D(x, sigma) "
            "= E[x0 | x0 + sigma n = x], for these data?",
            misfit,
        )


def draw(
    problem: Problem, indices: Sequence[int], *, batch: int | str, progress: bool | Callable[[Step], object] = False
) -> Posterior:
    """Draw samples of a problem that was checked; arguments as of `sample`."""
    counter, observation = problem.observation.counter, problem.observation
    began = time.perf_counter()
    result = observation.empty().new_empty((len(indices), observation.batch, *observation.shape))
    diagnostics: dict[str, Tensor] = {}
    batches = list(problem.batches(indices, problem.batch_size(batch)))
    with _reporting(progress, sum(len(problem.levels[pairs[0][0]]) - 1 for pairs in batches)) as report:
        for pairs in batches:
            changes, said = Changes(len(pairs)), dict[str, Tensor]()
            for step in problem.steps(pairs):
                report(step)
                changes.note(step.mean)
                said |= step.info
            for row, (item, index) in enumerate(pairs):
                place = indices.index(index), item
                result[place] = step.x[row]
                for name, value in {**said, **changes.said}.items():
                    whole = value.new_zeros((*result.shape[:2], *value.shape[1:]))
                    diagnostics.setdefault(name, whole)[place] = value[row]
    share = 1.0 / observation.batch
    cost = Cost(
        forward=counter.forward * share,
        vjp=counter.vjp * share,
        a=counter.a * share,
        at=counter.at * share,
        seconds=(time.perf_counter() - began) * share,
        peak_bytes=peak_bytes(result.device),
    )
    return Posterior(
        states=result,
        observation=observation,
        prior_mean=problem.prior_mean,
        data_var=problem.card.data_var,
        cost=cost,
        items=problem.items,
        method={"kind": problem.spec.name, **problem.params},
        label=problem.label,
        levels=problem.levels,
        diagnostics=diagnostics,
        antithetic=problem.antithetic,
    )


@contextmanager
def _reporting(progress: bool | Callable[[Step], object], total: int) -> Iterator[Callable[[Step], object]]:
    """The caller's function, one that moves a bar, or none, for each step."""
    if callable(progress):
        yield progress
    elif progress is True:
        with tqdm(total=total, unit="step") as bar:
            yield lambda step: bar.update()
    else:
        yield lambda step: None


@independent
def simulate(x: Any, physics: Any, *, seed: int = 0, items: Sequence[str] | None = None) -> Any:
    """A measurement ``A x + sigma n`` of known images, its noise keyed by (seed, item).

    Args:
        x: Images (B, C, *S), or numpy with the channel last; not changed.
        physics: A deepinv physics with Gaussian noise; not changed, and its own random draw not used.
        seed: Seed of the noise.
        items: Names of the items, which key their noise; default "0", "1", ...

    Returns:
        ``y`` (B, ...), zero where the physics observes nothing; numpy for numpy, images with the channel last.
    """
    if isinstance(x, np.ndarray):
        known = getattr(physics, "img_size", None)
        return as_array(simulate(from_array(x, known and tuple(known), "images"), physics, seed=seed, items=items))
    require_seed(seed)
    x, physics = checked_images(x, physics)
    names = checked_names(items, x.shape[0])
    rng = Rng(seed, names, [0] * len(names))
    try:
        clean = physics.A(x)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"images of shape {tuple(x.shape)} do not fit the physics: {reason}") from error

    def noisy(part: Tensor, model: Any, own: Any, draw: int) -> Tensor:
        sigma = torch.as_tensor(model.sigma, device=part.device).to(
            part.real.dtype if part.is_complex() else part.dtype
        )
        unit = rng.normal(part, step=0, stream="measurement", draw=draw)
        noise: Tensor = scale(unit, sigma.reshape(-1).expand(part.shape[0]))
        weight = observed(own, part)
        return part + (noise if weight is None else noise * weight)

    if isinstance(clean, Tensor):
        return noisy(clean, physics.noise_model, physics, 0)
    return type(clean)([noisy(p, physics[i].noise_model, physics[i], i) for i, p in enumerate(parts(clean))])
