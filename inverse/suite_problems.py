r"""Problems with posteriors in closed form as tasks of a suite: Gaussian ones (`inverse.gates`), and the mixture (`inverse.mixture_gate`).

Coverage is that of the exact posterior, no truth drawn: for intervals :math:`[l_i, h_i]` and exact marginals of distribution function
:math:`F_i` it is the mean of :math:`F_i(h_i) - F_i(l_i)`, 0.9 for an exact method up to the error of quantiles of so many samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.posterior import Posterior
    from inverse.suite import Row

__all__ = ["measure_problem", "problem_names"]

_PRIORS = ("white", "coloured")
_OPERATORS = (
    "mask", "blur", "downsample", "free-blur", "mri", "multicoil-mri", "stacked", "composed", "composed-mask",
)  # fmt: skip
_MIXTURE = "mixture"
_CELLS = tuple(f"{_MIXTURE}-{d}-{measured}" for d in (8, 80, 800) for measured in (1, 2, 4))


def problem_names() -> tuple[str, ...]:
    """Gaussian problems by prior and operator, mixtures by the sizes of unknown and measurement."""
    return (*(f"{prior}-{operator}" for prior in _PRIORS for operator in _OPERATORS), *_CELLS)


def measure_problem(name: str, row: Row) -> dict[str, Any]:
    """How far a method's samples are from the exact posterior, and what they cost.

    Args:
        name: One of `problem_names`.
        row: The method; of its parameters those that are given, so that gates may reduce the others.
    """
    method = row.recipe.method
    given = method.model_dump(include=method.model_fields_set - {"kind"})
    options = {"samples": row.recipe.run.samples, "seed": row.recipe.run.seed} | given
    kind = str(method.model_dump()["kind"])
    return _mixture(name, kind, options) if name.startswith(_MIXTURE) else _gaussian(name, kind, options)


def _gaussian(name: str, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    import torch

    from inverse import gates

    problem = gates.problem(name)
    post = gates.draw(name, kind, **options)
    bias, eigen = problem.bias(post.samples), problem.eigen_ratios(post.samples)
    spread = problem.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        return torch.special.ndtr((value.reshape(-1).double() - problem.mean) / spread)

    return {
        "std_range": bias.std_range,
        "std_null": bias.std_null,
        "mean_range": bias.mean_range,
        "mean_null": bias.mean_null,
        "chi2": bias.chi2,
        "eigen": eigen.deviation,
        **_coverage(post, exact),
        **_cost(post),
    }


def _mixture(name: str, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    import torch

    from inverse.mixture_gate import mixture_problem

    _, d, measured = name.split("-")
    problem = mixture_problem(int(d), int(measured), 0)
    post = problem.draw(kind, **options)
    score, floor = problem.score(post.samples), problem.floor(samples=options["samples"])
    exact_posterior = problem.posterior
    spread = exact_posterior.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        offset = value.reshape(1, -1).double() - exact_posterior.means
        return (exact_posterior.weights[:, None] * torch.special.ndtr(offset / spread)).sum(0)

    return {
        "wasserstein": score.wasserstein,
        "wasserstein_floor": floor.wasserstein,
        "weights": score.total_variation,
        **_coverage(post, exact),
        **_cost(post),
    }


def _coverage(post: Posterior, exact: Any) -> dict[str, float]:
    from inverse.methods import method_spec

    if method_spec(str(post.method["kind"])).point_estimate:
        return {}
    return {"coverage90": float((exact(post.quantile(0.95)) - exact(post.quantile(0.05))).mean())}


def _cost(post: Posterior) -> dict[str, float]:
    count = len(post.samples)
    return {"F": post.cost.forward / count, "V": post.cost.vjp / count, "samples": count}
