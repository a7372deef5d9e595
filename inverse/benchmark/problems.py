r"""Problems with posteriors in closed form as tasks of a suite: Gaussian ones and the mixture of `inverse.exact`.

Coverage is that of the exact posterior, no truth drawn: for intervals :math:`[l_i, h_i]` and exact marginals of
distribution function :math:`F_i` it is the mean of :math:`F_i(h_i) - F_i(l_i)`, 0.9 for an exact method up to the error
of quantiles of so many samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from inverse.benchmark.cells import Clock, PeerError, results
from inverse.benchmark.peers.setting import Counted, Setting
from inverse.benchmark.suite import MIXTURE, MethodRow
from inverse.exact import gaussian
from inverse.exact.mixture import mixture_problem
from inverse.numerics.linalg import parts
from inverse.numerics.statistics import interval_quantile
from inverse.sampling.methods import method_spec

__all__ = ["measure_problem"]

Ends = tuple[Tensor, Tensor] | None
Judge = Callable[[Tensor, Ends], dict[str, float]]
Draw = Callable[..., Any]

#: Of the sliced distance: its error is far below that of 400 samples.
_DIRECTIONS = 2000


def measure_problem(name: str, row: MethodRow, *, clock: Clock, cpu: Clock) -> dict[str, Any]:
    """How far a method's samples are from the exact posterior of one of `suite.problem_names`, and what they cost.

    Of the method's parameters those count that are given, so that gates may reduce the others.

    Raises:
        PeerError: a peer cannot do it.
    """
    if row.peer is not None:
        return _peer(name, row, clock, cpu)
    method = row.recipe.method
    given = method.model_dump(include=method.model_fields_set - {"kind"})
    options = {"samples": row.recipe.run.samples, "seed": row.recipe.run.seed} | given
    kind = str(method.model_dump()["kind"])
    draw, judge = _mixture(name) if name.startswith(MIXTURE) else _gaussian(name)
    began, busy = clock(), cpu()
    post = draw(kind, **options)
    times = {"seconds": clock() - began, "cpu": cpu() - busy}
    ends = None if method_spec(kind).point_estimate else (post.quantile(0.05), post.quantile(0.95))
    count = len(post.samples)
    costs = {"F": post.cost.forward / count, "V": post.cost.vjp / count, "samples": count}
    return {**judge(post.samples, ends), **costs, **times}


def _peer(name: str, row: MethodRow, clock: Clock, cpu: Clock) -> dict[str, Any]:
    """The last result of a sampler on a Gaussian problem: without a truth there is nothing to choose by."""
    peer, run = row.peer, row.recipe.run
    assert peer is not None
    if not peer.samples or peer.chosen > 1 or name.startswith(MIXTURE):
        raise PeerError("is not for this problem: samplers, on the Gaussian ones")
    if reason := peer.missing:
        raise PeerError(reason)
    problem = gaussian.problem(name)
    if len(list(parts(problem.y))) > 1:
        raise PeerError("is not for stacked measurements")
    left, s, _ = torch.linalg.svd(gaussian.matrix(problem.physics, problem.shape), full_matrices=False)
    setting = Setting(
        y=problem.y, physics=problem.physics, shape=problem.shape, sigma=gaussian.NOISE, denoise=Counted(problem.prior),
        mean=float(problem.prior.mean), data_var=problem.prior.card.data_var, samples=run.samples,
        evaluations=row.evaluations, spectrum=(left.float(), s.float()), seed=run.seed,
    )  # fmt: skip
    every = results(peer, setting, clock, cpu)
    if not every:
        raise PeerError("no result that is finite")
    result = every[0]
    samples = result.samples.reshape(run.samples, 1, *problem.shape)
    ends = interval_quantile(samples, 0.05), interval_quantile(samples, 0.95)
    costs = {"F": result.forward / run.samples, "V": result.vjp / run.samples, "samples": run.samples}
    return {**_gaussian(name)[1](samples, ends), **costs, "seconds": result.seconds, "cpu": result.cpu}


def _gaussian(name: str) -> tuple[Draw, Judge]:
    problem = gaussian.problem(name)
    spread = problem.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        probability: Tensor = torch.special.ndtr((value.reshape(-1).double() - problem.mean) / spread)
        return probability

    def judge(samples: Tensor, ends: Ends) -> dict[str, float]:
        bias, eigen = problem.bias(samples), problem.eigen_ratios(samples)
        return {**asdict(bias), "eigen": eigen.deviation, **_coverage(ends, exact)}

    return problem.draw, judge


def _mixture(name: str) -> tuple[Draw, Judge]:
    _, d, measured = name.split("-")
    problem = mixture_problem(int(d), int(measured), 0)
    posterior = problem.posterior
    spread = posterior.covariance.diagonal().sqrt()

    def exact(value: Tensor) -> Tensor:
        offset = value.reshape(1, -1).double() - posterior.means
        probability: Tensor = (posterior.weights[:, None] * torch.special.ndtr(offset / spread)).sum(0)
        return probability

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
