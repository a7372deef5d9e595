r"""Have the chains of a Markov chain sampler met, and how many independent draws are they worth?

From K chains of length n, each with its own mean :math:`m_k` and variance :math:`s_k^2` of a value: with
:math:`W = \overline{s_k^2}`, :math:`V = \mathrm{Var}_k(m_k)` and :math:`\hat v = \frac{n - 1}{n} W + V`,

* :math:`\hat R = \sqrt{\hat v / W}` (Gelman & Rubin 1992, "Inference from iterative simulation using multiple
  sequences", Statistical Science 7): 1 where chains from scattered starts agree. Vehtari et al. 2021
  ("Rank-normalization, folding, and localization: an improved R-hat", Bayesian Analysis 16) ask for 1.01 or less, of 4
  chains or more; their ranks and split halves need every state of the chains, which are not kept: a trend that all
  chains share is not seen here.
* :math:`K \hat v / V`, at most K n: the effective number of draws (Gelman et al., Bayesian Data Analysis, 2nd edition,
  equation 11.4), as the spread of the means tells it: uncertain by a factor of about :math:`1 \pm \sqrt{2 / (K - 1)}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import Tensor

from inverse.errors import UsageError

__all__ = ["ess", "in_numbers", "r_hat"]

#: Share of the values that may be worse than what `in_numbers` says.
WORST = 0.05


def _pooled(diagnostics: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Length, within-chain variance, variance of the means, pooled variance, each (B, C, *S)."""
    if "chain_mean" not in diagnostics:
        raise UsageError("these samples are not chains", "use method='pnp-dm'")
    mean, within = diagnostics["chain_mean"].double(), diagnostics["chain_var"].double()
    length = diagnostics["chain_length"].double()[0]
    if len(mean) < 2 or bool((length < 2).any()):
        raise UsageError(
            f"{len(mean)} chains of {int(length.min())} cycles after the ladder",
            "use samples=4 or more, and more steps",
        )
    length = length.reshape(-1, *[1] * (mean.ndim - 2))
    within, between = within.mean(0), mean.var(0)
    return length.expand_as(within), within, between, (length - 1) / length * within + between


def r_hat(diagnostics: Mapping[str, Tensor]) -> Tensor:
    """R-hat of each value (B, C, *S); 1 where the chains are constant and equal.

    Of `Posterior.diagnostics` it takes ``chain_mean`` and ``chain_var`` (K, B, C, *S), ``chain_length`` (K, B).

    Raises:
        UsageError: these are not chains, there is one only, or they have less than two states.
    """
    _, within, between, pooled = _pooled(diagnostics)
    ratio = (pooled / torch.where(within > 0, within, 1.0)).sqrt()
    still = torch.where(between > 0, torch.inf, 1.0)
    return torch.where(within > 0, ratio, still).to(diagnostics["chain_mean"].dtype)


def ess(diagnostics: Mapping[str, Tensor]) -> Tensor:
    """Effective number of draws in all the chains together, of each value (B, C, *S), at most the number of states.

    Raises:
        UsageError: as `r_hat`.
    """
    count = len(diagnostics["chain_mean"]) if "chain_mean" in diagnostics else 0
    length, _, between, pooled = _pooled(diagnostics)
    number = count * pooled / torch.where(between > 0, between, 1.0)
    whole = count * length
    return torch.where(between > 0, torch.minimum(number, whole), whole).to(diagnostics["chain_mean"].dtype)


def in_numbers(diagnostics: Mapping[str, Tensor]) -> dict[str, float]:
    """What is known of the draws of one item by its `Posterior.diagnostics`, a number each.

    Of chains: ``r_hat``, which 95 % of the values stay below, and ``ess``, which 95 % of them exceed; none for chains
    too few or too short to tell. Of particles: ``log_evidence``, of the mean of the populations' estimates of p(y);
    ``particles``, the effective number at the end, averaged, and ``particles_lowest``, the smallest on the way. Of
    networks: ``surprise``, the largest of the samples (`inverse.priors.mismatch`).
    """
    numbers = {}
    if "chain_mean" in diagnostics:
        with suppress(UsageError):
            numbers = {
                "r_hat": float(r_hat(diagnostics).double().quantile(1 - WORST, interpolation="lower")),
                "ess": float(ess(diagnostics).double().quantile(WORST, interpolation="higher")),
            }
    if "log_evidence" in diagnostics:
        each = diagnostics["log_evidence"].double()
        numbers["log_evidence"] = float(each.logsumexp(0) - math.log(len(each)))
        numbers["particles"] = float(diagnostics["ess"].double().mean())
        numbers["particles_lowest"] = float(diagnostics["ess_lowest"].double().min())
    if "surprise" in diagnostics:
        numbers["surprise"] = float(diagnostics["surprise"].double().max())
    return numbers
