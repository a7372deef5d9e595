r"""Gates of a sampling method: its samples against exact posteriors, and a batch against its items alone.

The Monte-Carlo errors are those of an exact sampler with K independent samples. With R the correlation matrix of the
posterior along the singular directions compared, the pooled variance ratio has variance
:math:`2 \overline{R^2} / (K - 1)`, the pooled squared error of the mean :math:`2 \overline{R^2} / K^2` around 1 / K.
With :math:`S = A P A^T / \sigma^2` and the residual r of the exact mean in noise levels, the misfit has variance
:math:`2\,\mathrm{tr}\,S^2 + 4 r^T S r`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inverse.exact.gaussian import NOISE, Bias, GaussianProblem, flatten, matrix, problem
from inverse.operators.build import build_operator
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.loop import Method
from inverse.sampling.methods import method_spec
from inverse.sampling.posterior_samples import draw, sample, simulate
from inverse.sampling.problem import Request, prepare

__all__ = ["MonteCarlo", "assert_batch_invariant", "assert_exact", "monte_carlo"]

#: Standard errors that a number may be off by chance.
ERRORS = 4.0


@dataclass(frozen=True)
class MonteCarlo:
    """Standard errors of the numbers of `inverse.exact.gaussian.Bias`, of an exact sampler."""

    std_range: float  # of a standard deviation ratio in the range of the adjoint
    std_null: float  # and in the null space
    mean_range: float  # of the squared error of the mean, whose expectation is 1 / samples
    mean_null: float
    chi2: float  # of the misfit over its expectation


def monte_carlo(given: GaussianProblem, samples: int) -> MonteCarlo:
    """Standard errors of an exact sampler's bias on a problem, from ``samples`` samples."""
    covariance = given.basis.T @ given.covariance @ given.basis
    scale = covariance.diagonal().sqrt()
    squares = (covariance / (scale[:, None] * scale)).square()
    seen, unseen = squares[: given.rank, : given.rank].mean(), squares[given.rank :, given.rank :].mean()
    operator = matrix(given.physics, given.shape)
    spread = operator @ given.covariance @ operator.T / NOISE**2
    residual = (flatten(given.y).double() - operator @ given.mean) / NOISE
    misfit = 2 * spread.square().sum() + 4 * residual @ spread @ residual
    null = given.rank < len(scale)
    return MonteCarlo(
        std_range=math.sqrt(float(seen) / (2 * (samples - 1))),
        std_null=math.sqrt(float(unseen) / (2 * (samples - 1))) if null else 0.0,
        mean_range=math.sqrt(2 * float(seen)) / samples,
        mean_null=math.sqrt(2 * float(unseen)) / samples if null else 0.0,
        chi2=math.sqrt(float(misfit) / samples) / given.chi2,
    )


def assert_exact(
    method: str | Method,
    *,
    problems: Sequence[str] = ("white-mask", "coloured-blur"),
    samples: int = 100,
    seed: int = 0,
    std: float = 0.0,
    mean: float = 0.0,
    chi2: float = 0.0,
    **params: Any,
) -> dict[str, Bias]:
    """Assert that a method's samples are those of the exact posterior, but for a bias you allow.

    Args:
        method: Registry name, or a composed `inverse.sampling.Method`.
        problems: Of `inverse.exact.gaussian.PROBLEMS`.
        samples: How many are drawn of each posterior, 2 or more.
        seed: Of the samples.
        std: Allowed distance of a standard deviation ratio from 1, beside the Monte-Carlo error.
        mean: Allowed error of the posterior mean, in posterior standard deviations, likewise.
        chi2: Allowed distance of the misfit over its expectation from 1, likewise.
        **params: The method's parameters; of a composed method ``steps``, ``sigma_max``, ``sigma_min``, ``levels``.

    Returns:
        The measured bias by problem.

    Raises:
        AssertionError: A number is further off than allowed plus four standard errors; the message has all of them.
        RecipeError: The method cannot use a problem's operator.
    """
    biases, wrong = {}, []
    for name in problems:
        given = problem(name)
        bias = biases[name] = given.bias(_samples(given, method, samples, seed, params))
        rows = _limits(given, bias, samples, {"std": std, "mean": mean, "chi2": chi2})
        said = ", ".join(
            f"{what} is off by {gap:.3g}, allowed {most:.3g}" for what, gap, most in rows if not gap <= most
        )
        wrong += [f"{name}: {said}; {bias}"] if said else []
    if wrong:
        label = method if isinstance(method, str) else type(method).__name__
        raise AssertionError(f"method {label}, {samples} samples: " + "\n".join(wrong))
    return biases


def _limits(
    given: GaussianProblem, bias: Bias, samples: int, allowed: Mapping[str, float]
) -> list[tuple[str, float, float]]:
    """Each number's name, distance from exact, and the largest distance allowed."""
    errors = monte_carlo(given, samples)
    rows = [("chi2", abs(bias.chi2 - 1), allowed["chi2"] + ERRORS * errors.chi2)]
    for space in ("range", "null")[: 1 if given.rank == len(given.mean) else 2]:
        ratio, offset = getattr(bias, f"std_{space}"), getattr(bias, f"mean_{space}")
        chance = 1 / samples + ERRORS * getattr(errors, f"mean_{space}")
        rows.append((f"std_{space}", abs(ratio - 1), allowed["std"] + ERRORS * getattr(errors, f"std_{space}")))
        rows.append((f"mean_{space}", offset, math.sqrt(allowed["mean"] ** 2 + chance)))
    return rows


def _samples(given: GaussianProblem, method: str | Method, count: int, seed: int, params: Mapping[str, Any]) -> Tensor:
    """``count`` samples (K, 1, *shape) of a registered or a composed method."""
    if isinstance(method, str):
        return given.draw(method, samples=count, seed=seed, **params).samples
    # mpgd keeps the levels as they are and asks nothing of the operator
    base = prepare(
        given.y, given.physics, given.prior, Request(method="mpgd", seed=seed, shape=given.shape, params=params)
    )
    resolved = float(base.observation.sigma / base.observation.s_max)
    levels = method.schedule(base.levels[0], resolved=resolved, linear=True)
    return draw(replace(base, method=method, levels=(levels,)), range(count), batch="auto").samples


def assert_batch_invariant(
    method: str,
    *,
    operator: str = "random-mask",
    operator_params: Mapping[str, Any] | None = None,
    shape: tuple[int, int, int] = (1, 24, 20),
    items: int = 4,
    tolerance: float = 1e-4,
    **params: Any,
) -> float:
    """Assert that a batch of items is the items one by one, in any order and in batches of any size.

    Args:
        method: Registry name.
        operator: Registry name of the operator the items are measured by.
        operator_params: Its parameters.
        shape: (C, H, W) of an item.
        items: How many.
        tolerance: Largest difference allowed, data units.
        **params: The method's parameters; ``steps`` is 6 where it is not given.

    Returns:
        The largest difference.

    Raises:
        AssertionError: It is above ``tolerance``.
    """
    generator = torch.Generator().manual_seed(3)
    prior = MixturePrior(
        torch.rand(4, *shape, generator=generator, dtype=torch.float32),
        torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float32),
        torch.full((4,), 0.01, dtype=torch.float32),
    )
    given = operator_params or ({"missing": 0.5} if operator == "random-mask" else {})
    physics = build_operator(operator, shape=shape, noise=0.05, **given)
    names = [f"item-{index}" for index in range(items)]
    y = simulate(torch.rand(items, *shape, generator=generator, dtype=torch.float32), physics, items=names)
    chosen = params if method_spec(method).closed_form else {"steps": 6, **params}

    def drawn(order: Sequence[int], batch: int | str = "auto") -> Tensor:
        return sample(
            y[list(order)],
            physics,
            prior,
            method=method,
            items=[names[index] for index in order],
            samples=2,
            shape=shape,
            batch=batch,
            **chosen,
        ).samples

    together, order = drawn(range(items)), [*reversed(range(items))]
    others = {
        "one by one": torch.cat([drawn([index]) for index in range(items)], 1),
        "in reverse order": drawn(order)[:, order],
        "in batches of 3": drawn(range(items), batch=3),
    }
    gaps = {name: float((together - other).abs().max()) for name, other in others.items()}
    wrong = [f"{name} they differ by {gap:.3g}" for name, gap in gaps.items() if not gap <= tolerance]
    if wrong:
        raise AssertionError(f"method {method}, {items} items: {'; '.join(wrong)}; allowed {tolerance:g}")
    return max(gaps.values())
