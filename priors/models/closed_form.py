r"""The form of a prior whose posterior is known: a weighted set of Gaussians, each diagonal in a known real basis.

:math:`\Sigma = T^T R\, \mathrm{diag}(\lambda)\, R^T T` with :math:`T` the identity, the orthonormal DCT-II or the
Hartley transform of each channel, and :math:`R` an orthonormal rotation of the channels at each frequency. So any
function of :math:`\Sigma` costs one transform pair.

A prior with a method ``closed_form(shape, device=)`` has one: the Gaussian and mixture priors of this package, fitted
ones, and what lies over them: another data range (:math:`x = u / g + o`), or the mean of three channels for a grey
image (of a Gaussian again a Gaussian, with covariance :math:`\frac19 \sum_{ab} \Sigma_{ab}`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from scipy.fft import dctn, idctn
from torch import Tensor

from inverse.errors import PriorError
from inverse.numerics.transforms import dct2, dct_squared, hartley2, hartley_squared, idct2

__all__ = ["Gaussian", "Weighted", "closed_form"]


def _dct(x: Tensor) -> Tensor:
    """`dct2`; by scipy where no gradient is asked for, in less than half the time."""
    if x.requires_grad or x.device.type != "cpu":
        return dct2(x)
    return torch.from_numpy(dctn(x.numpy(), axes=(-2, -1), norm="ortho"))


def _idct(x: Tensor) -> Tensor:
    """`idct2`, as `_dct`."""
    if x.requires_grad or x.device.type != "cpu":
        return idct2(x)
    return torch.from_numpy(idctn(x.numpy(), axes=(-2, -1), norm="ortho"))


FORWARD: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: x, "dct": _dct, "hartley": hartley2}
BACKWARD: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: x, "dct": _idct, "hartley": hartley2}
SQUARED: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: x, "dct": dct_squared, "hartley": hartley_squared}


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian whose covariance is diagonal in a basis."""

    mean: Tensor  # broadcasts against (B, C, *S)
    values: Tensor  # eigenvalues; broadcasts against (C, *S)
    basis: str = "pixels"  # ``pixels``, ``dct`` or ``hartley``
    #: channel eigenvectors of each frequency (C, C, H, W), the second axis counts the eigenvalues; None where
    #: channels are independent
    rotation: Tensor | None = None

    @property
    def white(self) -> bool:
        """Whether all eigenvalues are one number, so that it is diagonal in any basis."""
        return self.values.numel() == 1

    def coordinates(self, x: Tensor) -> Tensor:
        """Coordinates (B, C, *S) in which the covariance is ``diag(values)``, of an image without the mean."""
        return self.rotated(FORWARD[self.basis](x))

    def image(self, coordinates: Tensor) -> Tensor:
        """The inverse (the transpose) of `coordinates`."""
        return BACKWARD[self.basis](self.unrotated(coordinates))

    def rotated(self, turned: Tensor) -> Tensor:
        """Coordinates from the transform of each channel (B, C, H, W)."""
        return turned if self.rotation is None else (self.rotation.to(turned) * turned[:, :, None]).sum(1)

    def unrotated(self, coordinates: Tensor) -> Tensor:
        """The inverse of `rotated`."""
        if self.rotation is None:
            return coordinates
        return (self.rotation.to(coordinates) * coordinates[:, None]).sum(2)

    def apply(self, v: Tensor, weight: Tensor) -> Tensor:
        """``v`` (B, C, *S) times the function of the covariance with eigenvalues ``weight``."""
        return self.image(self.coordinates(v) * weight)

    def covariance(self, v: Tensor) -> Tensor:
        """``Sigma v``."""
        return self.apply(v, self.values.to(v))

    def draw(self, noise: Tensor) -> Tensor:
        """A draw without its mean, from white noise (B, C, *S)."""
        return self.apply(noise, self.values.to(noise).sqrt())

    def diagonal(self, weight: Tensor) -> Tensor:
        """Diagonal of the function of the covariance with eigenvalues ``weight`` (B, C, *S), in pixels."""
        if self.rotation is not None:
            weight = torch.einsum("cjhw,bjhw->bchw", self.rotation.to(weight).square(), weight)
        return SQUARED[self.basis](weight)

    def scaled(self, scale: float, offset: float) -> Gaussian:
        """The law of ``x / scale + offset``."""
        return replace(self, mean=self.mean / scale + offset, values=self.values / scale**2)

    def grey(self) -> Gaussian:
        """The law of the mean of the channels."""
        mean = self.mean.mean(-3, keepdim=True) if self.mean.ndim >= 3 else self.mean
        if self.rotation is None:
            values = self.values.mean(0, keepdim=True) / 3 if self.values.ndim >= 3 else self.values / 3
            return replace(self, mean=mean, values=values)
        share = self.rotation.mean(0).square()
        return Gaussian(mean, (share * self.values).sum(0, keepdim=True), self.basis)


@dataclass(frozen=True)
class Weighted:
    """A mixture of K Gaussians."""

    log_weights: Tensor  # (K,), normalised, float64
    parts: Sequence[Gaussian]


def closed_form(prior: Any, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
    """The Gaussians that a prior consists of, for one unknown of ``shape`` (C, *S) or (d,), float64.

    Raises:
        PriorError: it has no closed form: a network, a patch prior, or any callable without a method of this name.
    """
    method = getattr(prior, "closed_form", None)
    if method is not None:
        weighted: Weighted = method(shape, device=device)
        return weighted
    name = getattr(getattr(prior, "card", None), "name", None) or type(prior).__name__
    raise PriorError(
        f"prior '{name}' has no closed-form posterior; method 'exact' takes priors of kind gaussian and mixture",
        "fit one to images like yours: inverse prior fit FOLDER --name mine; or choose another method",
    )
