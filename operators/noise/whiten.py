r"""Whitening: noise of any covariance brought to white noise of one level.

:math:`y' = W y` and :math:`A' = W A` with :math:`W \Sigma_y W^T = \sigma^2 I`.

The engine then sees a Gaussian of one :math:`\sigma`, and its :math:`\chi^2`, likelihood and pseudo-inverse are those
of the whitened rows: weighted least squares.

* `whitened`: diagonal W, weights at each measured value. An operator whose U only picks coordinates (noise alone,
  masks, factors, mosaics, block means, cosine coefficients: :math:`W U = U\,\mathrm{diag}(U^T w)`) stays spectral, its
  singular values times the weights (`WeightedSpectrum`); others become `Whitened`.
* `filtered`: W diagonal in the orthonormal DCT-II, for noise of one spectrum (`Filtered`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepinv.physics import DecomposablePhysics, LinearPhysics, Physics
from torch import Tensor

from inverse.numerics.transforms import dct2_filter
from inverse.operators.base import Cloned, Linear, Spectral

__all__ = ["Filtered", "WeightedSpectrum", "Whitened", "WhitenedNonlinear", "filtered", "whitened"]


class WeightedSpectrum(Spectral):
    """A spectral operator whose U picks coordinates, its measured values weighted.

    Args:
        physics: The operator.
        weights: Positive, shaped as its measurement (1, c, h, w).

    Attributes:
        mask: Singular values times the weights of what they are measured as.
    """

    def __init__(self, physics: DecomposablePhysics, weights: Tensor) -> None:
        mask = physics.mask * physics.U_adjoint(weights)
        super().__init__(mask, shape=tuple(physics.img_size), noise_model=physics.noise_model)
        self.inner = physics

    def V_adjoint(self, x: Tensor) -> Tensor:
        """That of the operator."""
        coordinates: Tensor = self.inner.V_adjoint(x)
        return coordinates

    def V(self, coordinates: Tensor) -> Tensor:
        """That of the operator."""
        x: Tensor = self.inner.V(coordinates)
        return x

    def U(self, coordinates: Tensor) -> Tensor:
        """That of the operator."""
        y: Tensor = self.inner.U(coordinates)
        return y

    def U_adjoint(self, y: Tensor) -> Tensor:
        """That of the operator."""
        coordinates: Tensor = self.inner.U_adjoint(y)
        return coordinates

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """That of the operator."""
        diagonal: Tensor = self.inner.basis_squared(spectrum)
        return diagonal


class Whitened(Linear):
    """A linear operator, its measured values weighted.

    Args:
        physics: The operator.
        weights: Positive, broadcasts against its measurement.
    """

    weights: Tensor

    def __init__(self, physics: LinearPhysics, weights: Tensor) -> None:
        super().__init__(shape=tuple(physics.img_size), noise_model=physics.noise_model)
        self.inner = physics
        self.register_buffer("weights", weights)
        self.output_crop = getattr(physics, "output_crop", None)
        if hasattr(physics, "precondition_gram"):
            self.precondition_gram = self._precondition_gram

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to the weighted measurement."""
        image: Tensor = self.inner.A(x)
        return self.weights * image

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        image: Tensor = self.inner.A_adjoint(self.weights * y)
        return image

    def _precondition_gram(self, alpha: Tensor, beta: Tensor) -> Callable[[Tensor], Tensor]:
        """``W^-1 P W^-1`` with P the operator's own for the mean of ``alpha W^-2``."""
        solve = self.inner.precondition_gram((1 / self.weights.square()).mean() * alpha, beta)
        return lambda r: solve(r / self.weights) / self.weights


class WhitenedNonlinear(Cloned, Physics):
    """An operator that is not linear, its measured values weighted; arguments as `Whitened`."""

    weights: Tensor

    def __init__(self, physics: Physics, weights: Tensor) -> None:
        super().__init__(noise_model=physics.noise_model)
        self.inner = physics
        self.register_buffer("weights", weights)
        self.output_crop = getattr(physics, "output_crop", None)

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to the weighted measurement."""
        image: Tensor = self.inner.A(x)
        return self.weights * image


class Filtered(Linear):
    """A linear operator, its measurement filtered: ``W = C^T diag(gains) C``, C the orthonormal DCT-II of images.

    Args:
        physics: The operator.
        gains: Positive, (1, 1, h, w) at the frequencies of the measurement.
    """

    gains: Tensor

    def __init__(self, physics: LinearPhysics, gains: Tensor) -> None:
        super().__init__(shape=tuple(physics.img_size), noise_model=physics.noise_model)
        self.inner = physics
        self.register_buffer("gains", gains)
        self.output_crop = getattr(physics, "output_crop", None)

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to the filtered measurement."""
        return dct2_filter(self.inner.A(x), self.gains)

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        image: Tensor = self.inner.A_adjoint(dct2_filter(y, self.gains))
        return image


def whitened(physics: Any, weights: Tensor, *, observed: Tensor | None = None) -> Any:
    """A physics of the measurement times ``weights``.

    Args:
        physics: Any.
        weights: Positive, of the shape of its measurement with a batch axis of 1.
        observed: What of the measurement was observed, 0 and 1, which the weights do not change; None: all of it.

    Returns:
        A physics with the same noise model; spectral where the given one is and its basis allows.
    """
    if getattr(physics, "picks", False):
        weighted: Any = WeightedSpectrum(physics, weights)
    elif isinstance(physics, LinearPhysics):
        weighted = Whitened(physics, weights)
    else:
        weighted = WhitenedNonlinear(physics, weights)
    if observed is not None:
        weighted.register_buffer("observed_mask", observed)
    return weighted


def filtered(physics: LinearPhysics, gains: Tensor) -> Filtered:
    """A physics of the measurement filtered by ``gains`` in the DCT-II."""
    return Filtered(physics, gains)
