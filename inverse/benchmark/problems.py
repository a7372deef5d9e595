r"""Problems with posteriors in closed form as tasks of a suite: Gaussian ones (`inverse.exact.gaussian`), and the mixture (`inverse.exact.mixture`).

Coverage is that of the exact posterior, no truth drawn: for intervals :math:`[l_i, h_i]` and exact marginals of distribution function
:math:`F_i` it is the mean of :math:`F_i(h_i) - F_i(l_i)`, 0.9 for an exact method up to the error of quantiles of so many samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from inverse.sampling.method_spec import method_spec

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.benchmark.suite import Row

    Ends = tuple[Tensor, Tensor] | None
    Judge = Callable[[Tensor, Ends], dict[str, float]]
    Draw = Callable[..., Any]
    Clock = Callable[[], float]

__all__ = ["measure_problem", "problem_names"]

_PRIORS = ("white", "coloured")
_OPERATORS = (
    "mask", "blur", "downsample", "free-blur", "mri", "multicoil-mri", "stacked", "composed", "composed-mask",
)  # fmt: skip
_MIXTURE = "mixture"
_CELLS = tuple(f"{_MIXTURE}-{d}-{measured}" for d in (8, 80, 800) for measured in (1, 2, 4))
_DIRECTIONS = 2000
"""Of the sliced distance: its error is far below that of 400 samples."""


def problem_names() -> tuple[str, ...]:
    """Gaussian problems by prior and operator, mixtures by the sizes of unknown and measurement."""
    return (*(f"{prior}-{operator}" for prior in _PRIORS for operator in _OPERATORS), *_CELLS)


def measure_problem(name: str, row: Row, *, clock: Clock, cpu: Clock) -> dict[str, Any]:
    """How far a method's samples are from the exact posterior, and what they cost.

    Args:
        name: One of `problem_names`.
        row: The method; of its parameters those that are given, so that gates may reduce the others.
        clock: Wall seconds.
        cpu: Processor seconds.

    Raises:
        PeerError: a peer cannot do it.
    """
    if row.peer is not None:
        return _peer(name, row, clock, cpu)
    method = row.recipe.method
    given = method.model_dump(include=method.model_fields_set - {"kind"})
    options = {"samples": row.recipe.run.samples, "seed": row.recipe.run.seed} | given
    kind = str(method.model_dump()["kind"])
    draw, judge = _mixture(name) if name.startswith(_MIXTURE) else _gaussian(name)
    began, busy = clock(), cpu()
    post = draw(kind, **options)
    times = {"seconds": clock() - began, "cpu": cpu() - busy}
    ends = None if method_spec(kind).point_estimate else (post.quantile(0.05), post.quantile(0.95))
    count = len(post.samples)
    costs = {"F": post.cost.forward / count, "V": post.cost.vjp / count, "samples": count}
    return {**judge(post.samples, ends), **costs, **times}


def _peer(name: str, row: Row, clock: Clock, cpu: Clock) -> dict[str, Any]:
    """The last result of a sampler on a Gaussian problem: without a truth there is nothing to choose by."""
    import torch

    from inverse.benchmark.cells import PeerError, results
    from inverse.benchmark.peers.setting import Counted, Setting
    from inverse.exact import gaussian as gates
    from inverse.numerics.linalg import parts
    from inverse.numerics.statistics import interval_quantile

    peer, run = row.peer, row.recipe.run
    assert peer is not None
    if reason := peer.missing:
        raise PeerError(reason)
    if not peer.samples or peer.chosen > 1 or name.startswith(_MIXTURE):
        raise PeerError("is not for this problem: samplers, on the Gaussian ones")
    given = gates.problem(name)
    if len(list(parts(given.y))) > 1:
        raise PeerError("is not for stacked measurements")
    left, s, _ = torch.linalg.svd(gates.matrix(given.physics, given.shape), full_matrices=False)
    setting = Setting(
        y=given.y, physics=given.physics, shape=given.shape, sigma=gates.NOISE, denoise=Counted(given.prior),
        mean=float(given.prior.mean), data_var=given.prior.card.data_var, samples=run.samples, evaluations=row.evaluations,
        spectrum=(left.float(), s.float()), seed=run.seed,
    )  # fmt: skip
    every = results(peer, setting, clock, cpu)
    if not every:
        raise PeerError("no result that is finite")
    found = every[0]
    samples = found.samples.reshape(run.samples, 1, *given.shape)
    ends = interval_quantile(samples, 0.05), interval_quantile(samples, 0.95)
    costs = {"F": found.forward / run.samples, "V": found.vjp / run.samples, "samples": run.samples}
    return {**_gaussian(name)[1](samples, ends), **costs, "seconds": found.seconds, "cpu": found.cpu}


def _gaussian(name: str) -> tuple[Draw, Judge]:
    import torch

    from inverse.exact import gaussian as gates

    problem = gates.problem(name)
    spread = problem.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        found: Tensor = torch.special.ndtr((value.reshape(-1).double() - problem.mean) / spread)
        return found

    def judge(samples: Tensor, ends: Ends) -> dict[str, float]:
        bias, eigen = problem.bias(samples), problem.eigen_ratios(samples)
        return {**asdict(bias), "eigen": eigen.deviation, **_coverage(ends, exact)}

    return partial(gates.draw, name), judge


def _mixture(name: str) -> tuple[Draw, Judge]:
    import torch

    from inverse.exact.mixture import mixture_problem

    _, d, measured = name.split("-")
    problem = mixture_problem(int(d), int(measured), 0)
    posterior = problem.posterior
    spread = posterior.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        offset = value.reshape(1, -1).double() - posterior.means
        found: Tensor = (posterior.weights[:, None] * torch.special.ndtr(offset / spread)).sum(0)
        return found

    def judge(samples: Tensor, ends: Ends) -> dict[str, float]:
        score = problem.score(samples, directions=_DIRECTIONS)
        floor = problem.floor(samples=len(samples), directions=_DIRECTIONS)
        distances = {"wasserstein": score.wasserstein, "wasserstein_floor": floor.wasserstein}
        return {**distances, "weights": score.total_variation, **_coverage(ends, exact)}

    return problem.draw, judge


def _coverage(ends: Ends, exact: Callable[[Tensor], Tensor]) -> dict[str, float]:
    if ends is None:
        return {}
    low, high = ends
    return {"coverage90": float((exact(high) - exact(low)).mean())}
