r"""Sequences of noise levels, from the first to zero.

``karras``: :math:`\sigma_i = (\sigma_{max}^{1/\rho} + i/(N-1) (\sigma_{min}^{1/\rho} - \sigma_{max}^{1/\rho}))^\rho`,
:math:`\rho = 7` (Karras et al. 2022, equation 5); ``log``: equal ratios. Both end with 0, so ``N`` levels are ``N`` evaluations.
"""

from __future__ import annotations

from inverse.errors import RecipeError

__all__ = ["noise_levels"]


def noise_levels(kind: str, *, sigma_max: float, sigma_min: float, steps: int) -> tuple[float, ...]:
    """``steps`` decreasing levels from ``sigma_max`` to ``sigma_min``, then 0; data units.

    Raises:
        RecipeError: the two ends are not in order.
    """
    if not 0 < sigma_min <= sigma_max:
        raise RecipeError(
            f"noise levels from sigma_max = {sigma_max:g} to sigma_min = {sigma_min:g}",
            "allowed: 0 < sigma_min <= sigma_max",
        )
    if steps == 1:
        return (sigma_max, 0.0)
    rho = 7.0
    if kind == "karras":
        first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
        inner = [(first + i / (steps - 1) * (last - first)) ** rho for i in range(steps)]
    else:
        inner = [sigma_max * (sigma_min / sigma_max) ** (i / (steps - 1)) for i in range(steps)]
    return (*inner, 0.0)
