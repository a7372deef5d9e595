"""One item from its case to its result.

The only place that turns a recipe into the arguments of a sampler, and a posterior into an `ItemResult`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.rng import Rng
from inverse.operators.catalogue import is_drawn
from inverse.operators.mri.rss import predicted_rss
from inverse.posterior.chains import in_numbers
from inverse.posterior.evidence import invented_region, of_samples, residual_map
from inverse.posterior.posterior import Cost, Posterior
from inverse.priors.card import Card
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import Case
from inverse.restoration.plan import Compute
from inverse.restoration.prior import fit_prior
from inverse.restoration.result import ItemResult
from inverse.restoration.truth import held, scale_factor, score
from inverse.sampling.loop import Step
from inverse.sampling.posterior_samples import draw
from inverse.sampling.problem import Problem, Request, prepare

__all__ = ["INTERVAL", "arguments", "describe", "pose", "solve", "spread", "statistics"]

#: Antithetic samples from which the spread knows what is not known of the operator: two pairs, the first is without.
KNOWING = 4
#: Quantiles that are kept.
INTERVAL = (0.05, 0.5, 0.95)


def arguments(recipe: Recipe, prior: Any, channels: int, compute: Compute) -> dict[str, Any]:
    """The prior and the request that a recipe stands for, beside the measurement.

    They are for `inverse.sampling.problem.Request` and `inverse.scenes.coupled.lay_out`.

    Args:
        recipe: The recipe.
        prior: Its prior, open.
        channels: Of the unknown.
        compute: Precision, device, and what a time budget pays for.
    """
    params = {name: value for name, value in recipe.params.items() if value is not None}
    if compute.evaluations is not None:
        params["max_evaluations"] = compute.evaluations
        params.pop("time_budget", None)
    return {
        "prior": fit_prior(prior, channels, dtype=compute.dtype, device=compute.device),
        "method": recipe.method_kind,
        "steps": params.pop("steps", None),
        "seed": recipe.run.seed,
        "antithetic": recipe.run.antithetic or is_drawn(recipe.located()["operator"]),
        "dtype": compute.dtype,
        "params": params,
    }


def pose(case: Case, prior: Any, recipe: Recipe, compute: Compute, *, items: Sequence[str] | None) -> Problem:
    """The sampling problem of a case, checked; arguments and errors as of `solve`."""
    given = arguments(recipe, prior, case.shape[0], compute)
    return prepare(case.y, case.physics, given.pop("prior"), Request(shape=case.shape, items=items, **given))


def solve(
    case: Case,
    prior: Any,
    recipe: Recipe,
    compute: Compute,
    *,
    items: Sequence[str] | None,
    samples: range | None = None,
    batch: int | str = "auto",
    progress: bool | Callable[[Step], object] = False,
) -> Posterior:
    """Draw samples of a case by a recipe, in the frame of the file (`Posterior.crop`).

    Args:
        case: The measurement and its physics.
        prior: The recipe's prior, open.
        recipe: The recipe.
        compute: Precision, device, and what a time budget pays for.
        items: Names that key the noise.
        samples: Which samples; None: all of the recipe's.
        batch: Samples evaluated together.
        progress: As of `inverse.sample`.

    Raises:
        RecipeError: The method cannot use the operator.
        InputError: The measurement is not finite or does not fit.
        PriorError: The prior does not fit.
    """
    problem = pose(case, prior, recipe, compute, items=items)
    chosen = range(recipe.run.samples) if samples is None else samples
    if case.drawn is None:
        post = draw(problem, chosen, batch=batch, progress=progress)
    else:
        posts = []
        for sample in chosen:
            normals = _operator_normals(case.unknowns, sample, recipe.run.seed, problem)
            own = pose(replace(case, physics=case.drawn(normals)), prior, recipe, compute, items=problem.items)
            drawn = draw(own, range(sample, sample + 1), batch=1, progress=progress)
            posts.append(_telling(drawn, sample) if problem.antithetic else drawn)
        post = _joined(posts, problem)
    levelled = getattr(case.physics, "levelled", None)
    return replace(post, crop=case.crop, states=post.states if levelled is None else levelled(post.states))


def _operator_normals(count: int, sample: int, seed: int, problem: Problem) -> list[float]:
    """Standard normal numbers that a sample's operator is drawn with; of the first pair of antithetic samples zeros.

    So the first pair has the operator that was estimated, and is the mean: an average over few operators, some of them
    far off, is further from the truth (1.4 dB at a blur of 1.76 +- 0.31 pixels). The other pairs are drawn further
    out by the root of 2, so that the spread of two pairs is right.
    """
    if problem.antithetic and sample < 2:
        return [0.0] * count
    rng = Rng(seed, problem.items, [sample], antithetic=problem.antithetic)
    normals = rng.normal(torch.zeros(1, count, dtype=torch.float32), step=0, stream="operator")[0]
    return [float(value) for value in normals * (math.sqrt(2) if problem.antithetic else 1.0)]


def _telling(post: Posterior, sample: int) -> Posterior:
    """A sample of the first pair says the mean, one of another none."""
    mean = post.states if sample < 2 else torch.full_like(post.states, math.nan)
    return replace(post, diagnostics={**post.diagnostics, "exact_mean": mean})


def _joined(posts: Sequence[Posterior], problem: Problem) -> Posterior:
    """Samples of an item that were drawn each with an operator of its own; their misfit is by that."""
    said = [{**post.diagnostics, "own_misfit": post.misfit} for post in posts]
    costs = [post.cost for post in posts]
    total = {key: sum(cost.as_dict()[key] for cost in costs) for key in costs[0].as_dict()}
    return replace(
        posts[0],
        states=torch.cat([post.states for post in posts]),
        observation=problem.observation,
        cost=Cost(**{**total, "peak_bytes": max(cost.peak_bytes for cost in costs)}),  # type: ignore[arg-type]
        diagnostics={name: torch.cat([each[name] for each in said]) for name in said[0]},
    )


def statistics(post: Posterior, case: Case) -> dict[str, Tensor]:
    """What a posterior says, by the names of ``posterior.h5``, without the batch axis and in the input's frame.

    Of several coils ``rss`` and ``rss_std`` too.
    """
    if post.crop != case.crop:
        post = replace(post, crop=case.crop)  # another posterior, which computes its data share again
    arrays = {"mean": post.mean[0], "data_share": post.data_share[0], "invented": post.invented[0]}
    arrays |= {"samples": post.samples[:, 0], "misfit": post.misfit[:, 0]}
    arrays |= spread(post)
    if "r_hat" in in_numbers(post.diagnostics):
        arrays |= {"r_hat": post.r_hat[0], "ess": post.ess[0]}
    residual, observed = residual_map(post), case.observed
    arrays |= {"measurement": case.picture} | ({} if residual is None else {"residual": residual})
    if observed is not None and not case.complex:
        arrays |= {"observed": observed[0]}
    if "convergence" in post.diagnostics:
        arrays |= {"convergence": post.diagnostics["convergence"][:, 0]}
    if case.coils:
        rss, deviation = predicted_rss(case.physics, post.states[:, 0], case.y, case.sigma, item=post.items[0])
        arrays |= {"rss": rss} | ({"rss_std": deviation} if "std" in arrays else {})
    return {name: value.float().cpu().contiguous() for name, value in arrays.items()}


def spread(post: Posterior) -> dict[str, Tensor]:
    """Standard deviation and quantiles of `statistics`, on the CPU; nothing where one sample does not tell them."""
    if len(post.samples) == 1 and (not post.knows_spread or "responsibility" in post.diagnostics):
        return {}
    arrays = {"std": post.std[0], "quantiles": torch.stack([post.quantile(q)[0] for q in INTERVAL])}
    return {name: value.float().cpu().contiguous() for name, value in arrays.items()}


def describe(
    post: Posterior,
    case: Case,
    arrays: dict[str, Tensor],
    *,
    recipe: Recipe,
    card: Card | None,
    truth: Tensor | None = None,
    notes: Sequence[str] = (),
) -> ItemResult:
    """The result of an item that was solved, before its files are written.

    Args:
        post: Its samples, with the calibration that they are reported by.
        case: What was solved.
        arrays: Their `statistics`.
        recipe: The recipe.
        card: Of the prior.
        truth: (C, H, W) as its file stores it, if known: the result is scored.
        notes: What else is to be said of it.
    """
    calibrated = post.calibration is not None and "std" in arrays
    if case.drawn is not None and post.antithetic and 1 < len(post.states) < KNOWING:
        notes = (*notes, f"the uncertainty is without that of the blur, which takes {KNOWING} samples")
    scores: dict[str, float] = {}
    if truth is not None:
        data = recipe.data
        scores = score(
            arrays, truth, recipe.metrics, data_range=data.range, transfer=data.transfer, ratio=scale_factor(recipe)
        )
        scores |= {"coverage90": held(arrays["quantiles"], truth, data.transfer)} if calibrated else {}
    return ItemResult.of(
        post.items[0],
        post,
        shape=tuple(arrays["mean"].shape),
        samples=len(arrays["samples"]),
        noise=(case.sigma, case.estimated),
        calibrated=calibrated,
        misfit=float(arrays["misfit"].mean()),
        data_share=float(arrays["data_share"].mean()),
        card=card,
        values=case.values(*recipe.data.range),
        notes=(*case.notes, *notes),
        regions=invented_region(arrays["data_share"].numpy()) or None,
        scores=scores,
        **in_numbers(post.diagnostics),
        **of_samples(post),
    )
