r"""The inner product of measurements that are complex while the unknown is real.

MRI operators map real images (two channels for a complex one) to complex samples. Such an ``A`` is linear over the
reals alone, and measurements are a real space, :math:`\mathbb C^m = \mathbb R^{2m}`, with the inner product

.. math:: \langle y, z \rangle = \mathrm{Re} \sum_i \bar y_i z_i

so the adjoint is what makes :math:`\mathrm{Re}\langle A u, v \rangle = \langle u, A^T v \rangle`. deepinv's
``adjointness_test`` takes the complex product of measurements, whose imaginary part has nothing to be compared with: it
answers 0.2 to 1 for adjoints that are right to rounding. Of real measurements both are the same.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from deepinv.physics import LinearPhysics
from deepinv.physics.forward import ComposedLinearPhysics, StackedLinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

__all__ = ["RealComposed", "RealInner", "RealStacked"]


class RealInner:
    """The adjointness test and the combinations of a linear physics, mixed in before deepinv's class."""

    def adjointness_test(
        self,
        u: Tensor | None = None,
        img_size: tuple[int, ...] | None = None,
        num_samples: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Relative error of the adjoint, about the rounding of the precision where it is right.

        As deepinv's, root mean squares over random pairs (the same in each call), but with the real inner product of
        the module's first lines: what complex measurements have where ``A`` is linear over the reals.

        Args:
            u: An unknown (B, C, *S), for its shape, device and precision.
            img_size: The shape instead; None: the physics' own.
            num_samples: Random pairs.
            device: Where to compute.
            dtype: In which precision.
            kwargs: For ``A`` and ``A_adjoint``.

        Raises:
            ValueError: No shape is known.
        """
        physics = cast("LinearPhysics", self)
        shape = img_size or physics.img_size if u is None else u.shape[1:]
        if shape is None:
            raise ValueError("Either img_size or u must be provided for the adjointness test.")
        device = device if device is not None else "cpu" if u is None else u.device
        dtype = dtype if dtype is not None else torch.float32 if u is None else u.dtype
        generator = torch.Generator(device).manual_seed(0)
        given = torch.randn(num_samples, *shape, device=device, dtype=dtype, generator=generator)
        measured = physics.A(given, **kwargs)
        drawn = _like(measured, generator)
        ahead, back = _inner(drawn, measured), _inner(given, physics.A_adjoint(drawn, **kwargs))
        error: Tensor = (ahead - back).square().mean().sqrt() / ahead.square().mean().sqrt()
        return error

    def stack(self, other: Any) -> Any:
        """The stack of two physics; of linear ones the adjointness test is that of this class."""
        if isinstance(other, LinearPhysics):
            return RealStacked([cast("LinearPhysics", self), other])
        return cast("Any", super()).stack(other)

    def __mul__(self, other: Any, **kwargs: Any) -> Any:
        """The product of two physics, `other` acting first; of linear ones with the adjointness test of this class."""
        if not isinstance(other, LinearPhysics):
            return cast("Any", super()).__mul__(other, **kwargs)
        physics = cast("LinearPhysics", self)
        return RealComposed(other, physics, **{"max_iter": physics.max_iter, "tol": physics.tol, **kwargs})


class RealStacked(RealInner, StackedLinearPhysics):
    """deepinv's stack of linear physics whose measurements may be complex."""


class RealComposed(RealInner, ComposedLinearPhysics):
    """deepinv's product of linear physics whose measurements may be complex."""


def _like(measured: Any, generator: torch.Generator) -> Any:
    """Normal numbers of the kind and shape of a measurement."""
    if isinstance(measured, TensorList | tuple | list):
        return TensorList([_like(part, generator) for part in measured])
    return torch.randn(measured.shape, device=measured.device, dtype=measured.dtype, generator=generator)


def _inner(one: Any, other: Any) -> Tensor:
    """(B,) real inner products; of several parts their sum."""
    if isinstance(one, TensorList | tuple | list):
        return torch.stack([_inner(a, b) for a, b in zip(one, other, strict=True)]).sum(0)
    product: Tensor = (one.conj() * other).real.reshape(len(one), -1).sum(-1)
    return product
