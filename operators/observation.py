r"""A measurement together with the physics that made it: the likelihood side of every method.

:math:`y = A x + \sigma_y n`. All quantities are per item: residual, :math:`\chi^2`, log-likelihood, and the two solves
the methods need,

.. math::
    \text{gain}(r, c) = c A^T (c A A^T + \sigma_y^2)^{-1} r, \qquad
    \text{solve: } x = D + \text{gain}(y - A D, c),

in closed form where the physics is decomposable (:math:`A = U\,\mathrm{diag}(s)\,V^T`), else by conjugate gradients on
:math:`(c A A^T + \sigma_y^2) v = r` with per-item inner products, and the physics' own preconditioner if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from deepinv.physics import MRI, DecomposablePhysics, Denoising, GaussianNoise, Inpainting, LinearPhysics, Physics
from deepinv.physics.forward import ComposedPhysics
from deepinv.physics.noise import NoiseModel
from torch import Tensor

from inverse.errors import InputError
from inverse.numerics.linalg import Damped, Vector, conjugate_gradients, expand, inner, largest_eigenvalue, parts, scale
from inverse.numerics.rng import Rng
from inverse.operators.base import Tangent, of_items, per_item
from inverse.operators.noise.clipped import unclipped_square
from inverse.operators.noise.stabilise import Stabilised

__all__ = ["Counter", "Observation", "observed"]

#: Tolerance of solves in measurement space: at 1e-4 one sample, solved in other windows, was 5e-4 apart.
GAIN = 1e-5


@dataclass
class Counter:
    """Applications counted while sampling; network calls count once for each batch entry."""

    forward: int = 0  # network evaluations
    vjp: int = 0  # vector-Jacobian products of the network
    a: int = 0  # applications of the operator
    at: int = 0  # applications of its adjoint


def observed(physics: Physics, y: Tensor) -> Tensor | None:
    """Which entries of a measurement were observed: 0 and 1 that broadcast against ``y``, or None for all of them.

    The ``mask`` of a decomposable physics is its spectrum; it tells what was observed only where the measurement keeps
    the unknown's own grid (inpainting) or is a masked Fourier transform (MRI). An attribute ``observed_mask`` goes
    first.
    """
    if isinstance(physics, ComposedPhysics):
        return observed(physics.physics_list[-1], y)
    stated = getattr(physics, "observed_mask", None)
    if isinstance(stated, Tensor):
        return stated.to(y.real.dtype)
    mask = getattr(physics, "mask", None)
    if not isinstance(mask, Tensor) or mask.is_complex() or mask.ndim > y.ndim:
        return None
    if isinstance(physics, DecomposablePhysics) and not isinstance(physics, Inpainting | MRI):
        return None
    try:
        fits = torch.broadcast_shapes(mask.shape, y.shape) == y.shape  # type: ignore[no-untyped-call]
    except RuntimeError:
        return None
    return mask.to(y.real.dtype) if fits and bool(((mask == 0) | (mask == 1)).all()) else None


def _physics_parts(physics: Physics, y: Vector) -> list[tuple[Physics, Tensor]]:
    return [(physics, y)] if isinstance(y, Tensor) else [(physics[i], part) for i, part in enumerate(y)]


@dataclass(frozen=True)
class Observation:
    """A batch of measurements and their physics.

    Attributes:
        y: Measurements (B, ...), real, complex or a ``TensorList``.
        physics: A deepinv physics: linear, or for the methods that do not need it any that autograd differentiates.
        sigma: Standard deviation of the noise of each item (B,).
        shape: Shape (C, *S) or (d,) of one unknown.
        counter: Where applications are counted.
        point: Where a nonlinear operator is linearised for its size (1, C, *S); None for a linear one.
        factor: Pixels of the unknown for one of the measurement, along each axis; read for windows of a scene only.
    """

    y: Vector
    physics: Any
    sigma: Tensor
    shape: tuple[int, ...]
    counter: Counter = field(default_factory=Counter)
    point: Tensor | None = None
    factor: int = 1

    @classmethod
    def create(cls, y: Vector, physics: Physics, *, shape: Sequence[int] | None = None) -> Observation:
        """Check a measurement against its physics.

        Args:
            y: (B, ...) or a ``TensorList`` of such.
            physics: Its physics, with a Gaussian ``noise_model``.
            shape: (C, *S) or (d,) of the unknown, where ``physics.A_adjoint(y)`` cannot tell it.

        Raises:
            InputError: values that are not finite, a noise model without ``sigma``, or a shape that does not fit.
        """
        tensors = parts(y)
        batch = tensors[0].shape[0]
        for tensor in tensors:
            bad = int((~torch.isfinite(torch.view_as_real(tensor) if tensor.is_complex() else tensor)).sum())
            if bad:
                why = f"the measurement has {bad} values that are not finite"
                raise InputError(why, "mask them (file-mask) or remove them")
        model = physics.noise_model if isinstance(y, Tensor) else physics[0].noise_model
        sigma = getattr(model, "sigma", None)
        if sigma is None or (isinstance(model, NoiseModel) and not isinstance(model, GaussianNoise)):
            why = f"the physics' noise model is {type(model).__name__}; allowed: Gaussian noise with a sigma"
            hint = "pass noise=0.02 to build_operator, or set physics.noise_model = deepinv.physics.GaussianNoise(0.02)"
            raise InputError(why, hint)
        real = tensors[0].real.dtype if tensors[0].is_complex() else tensors[0].dtype
        sigma = torch.as_tensor(sigma, dtype=real, device=tensors[0].device).reshape(-1)
        if sigma.numel() not in (1, batch) or bool((~torch.isfinite(sigma)).any()) or bool((sigma < 0).any()):
            hint = f"allowed: one finite level from 0, or one for each of {batch} items"
            raise InputError(f"noise levels {sigma.tolist()}", hint)
        if not isinstance(y, Tensor):
            for i in range(1, len(y)):
                other = torch.as_tensor(physics[i].noise_model.sigma).to(sigma).reshape(-1)
                if not torch.equal(other.expand(batch), sigma.expand(batch)):
                    why = "stacked measurements with different noise levels"
                    raise InputError(why, "scale each to one noise level first")
        if shape is None:
            if not isinstance(physics, LinearPhysics):
                raise InputError("the shape of the unknown is not known", "pass shape=(C, H, W)")
            shape = tuple(physics.A_adjoint(y).shape[1:])
        return cls(y, physics, sigma.expand(batch), tuple(shape))

    @property
    def batch(self) -> int:
        """Number of items."""
        return len(self.sigma)

    @property
    def spectral(self) -> bool:
        """Whether the physics is decomposable, so that solves are closed form."""
        return isinstance(self.physics, DecomposablePhysics) and isinstance(self.y, Tensor)

    @property
    def linear(self) -> bool:
        """Whether the operator is linear, so that it has an adjoint."""
        return isinstance(self.physics, LinearPhysics) or not isinstance(self.y, Tensor)

    @property
    def identity(self) -> bool:
        """Whether the measurement is the unknown with white noise on every value, as it is or once stabilised."""
        plain = getattr(self.physics, "identity", False) or isinstance(self.physics, Denoising)
        plain = plain or self.stabilised is not None
        return bool(plain and isinstance(self.y, Tensor) and not self.y.is_complex() and (self.sigma > 0).all())

    @property
    def stabilised(self) -> Stabilised | None:
        """The measurement as an image with white noise of one level, where it is one with noise of photons."""
        found: Stabilised | None = getattr(self.physics, "stabilised", None)
        return found

    def select(self, index: Tensor) -> Observation:
        """The observation of the items ``index`` (may repeat), sharing the counter."""
        y = self.y[index] if isinstance(self.y, Tensor) else type(self.y)([part[index] for part in self.y])
        return replace(self, y=y, physics=of_items(self.physics, index, self.batch), sigma=self.sigma[index])

    def empty(self) -> Tensor:
        """Zeros with the shape, real dtype and device of a batch of unknowns (B, C, *S)."""
        first = parts(self.y)[0]
        dtype = first.real.dtype if first.is_complex() else first.dtype
        return torch.zeros(self.batch, *self.shape, dtype=dtype, device=first.device)

    def A(self, x: Tensor) -> Vector:
        """Apply the operator to (B, C, *S)."""
        self.counter.a += self.batch
        image: Vector = self.physics.A(x)
        return image

    def AT(self, r: Vector) -> Tensor:
        """Apply the adjoint to a measurement-shaped batch."""
        self.counter.at += self.batch
        image: Tensor = self.physics.A_adjoint(r)
        return image

    def ATA(self, x: Tensor) -> Tensor:
        """Both, one after the other, by the operator's own way where it has one."""
        self.counter.a += self.batch
        self.counter.at += self.batch
        image: Tensor = self.physics.A_adjoint_A(x)
        return image

    def pull(self, x: Tensor, r: Vector) -> Tensor:
        """Transposed Jacobian of the operator at ``x`` (B, C, *S), applied to ``r``: the adjoint where it is linear."""
        if self.linear:
            return self.AT(r)
        self.counter.at += self.batch
        with torch.enable_grad():
            state = x.detach().requires_grad_(True)
            (image,) = torch.autograd.grad(self.physics.A(state), state, r)
        return image

    def linearised(self, x: Tensor) -> Observation:
        """The linear problem with the Jacobian at ``x`` (B, C, *S), counted apart; itself where it is linear."""
        if self.linear:
            return self
        return replace(self, physics=Tangent(self.physics, x.detach()), counter=Counter(), point=None)

    def residual(self, x: Tensor) -> Vector:
        """``y - A x``; zero where a bound of the physics is kept (`inverse.operators.clipping`)."""
        residual, bounds = self.y - self.A(x), getattr(self.physics, "bounds", None)
        return residual if bounds is None else torch.where(bounds * residual < 0, 0.0, residual)

    def count(self) -> Tensor:
        """Number of observed real values of each item (B,); a complex value counts as two."""
        total = torch.zeros(self.batch, dtype=torch.float64)
        for physics, part in _physics_parts(self.physics, self.y):
            twice = 2 if part.is_complex() else 1
            weight = observed(physics, part)
            if weight is None:
                total += twice * part[0].numel()
            else:
                total += twice * weight.expand(part.shape).flatten(1).sum(1, dtype=torch.float64).cpu()
        return total

    def excess(self, residual: Vector) -> Tensor:
        """``(|r|^2 - m sigma_y^2) / |A|_F^2`` of each item (B,): the variance of the unknown that a residual shows."""
        power: Tensor = inner(residual, residual) - self.count().to(self.sigma) * self.sigma**2
        return power / self.row_power

    def chi2(self, x: Tensor) -> Tensor:
        """``|y - A x|^2 / sigma_y^2`` of each item (B,); infinite without noise unless the residual is zero."""
        r = self.residual(x)
        return inner(r, r) / self.sigma**2

    def misfit(self, x: Tensor) -> Tensor:
        """``chi^2`` over the number of observed real values, of each item (B,), of what was measured alone.

        What a physics only assumes (its ``measured_mask`` is 0) is left out; beside clipped values only noise that did
        not clip them is expected.
        """
        measured = getattr(self.physics, "measured_mask", None)
        if measured is None or not isinstance(self.y, Tensor):
            return self.chi2(x) / self.count().to(self.sigma)
        seen = observed(self.physics, self.y)
        weight = measured.expand(self.y.shape) if seen is None else measured * seen.expand(self.y.shape)
        image, bounds = self.A(x), getattr(self.physics, "bounds", None)
        weight = weight if bounds is None else weight * unclipped_square(image, self.y, bounds, self.sigma)
        residual, values = (self.y - image) * measured, (2 if self.y.is_complex() else 1) * weight.flatten(1).sum(1)
        misfit: Tensor = inner(residual, residual) / self.sigma**2 / values
        return misfit

    def log_likelihood(self, x: Tensor) -> Tensor:
        """``log N(y; A x, sigma_y^2)`` of each item (B,)."""
        m = self.count().to(self.sigma)
        return -0.5 * self.chi2(x) - 0.5 * m * torch.log(2 * torch.pi * self.sigma**2)

    @property
    def s_max(self) -> Tensor:
        """Largest singular value of each item's operator (B,): from the spectrum, else by keyed power iteration."""
        return self._cached("_s_max", self._largest_singular_values)

    @property
    def row_power(self) -> Tensor:
        """``|A|_F^2``, each item's own (B,): from the spectrum, else from 8 keyed Rademacher probes."""
        return self._cached("_row_power", self._frobenius)

    def _cached(self, name: str, compute: Callable[[], Tensor]) -> Tensor:
        if name not in self.__dict__:
            object.__setattr__(self, name, compute())
        value: Tensor = self.__dict__[name]
        return value

    def _representative(self) -> tuple[Observation, Rng]:
        """The items that differ in their operator (one, where all share it) and a generator for probes of them."""
        if not self.linear:
            point = self.empty() if self.point is None else self.empty() + self.point
            return self.linearised(point), Rng(0, ("",) * self.batch, (0,) * self.batch)
        own = per_item(self.physics, self.batch)
        index = torch.arange(self.batch if own else 1, device=self.sigma.device)
        return self.select(index), Rng(0, ("",) * len(index), (0,) * len(index))

    def _largest_singular_values(self) -> Tensor:
        if self.spectral:
            largest = self._spectrum().abs().flatten(1).amax(1)
        else:
            own, rng = self._representative()
            start = rng.normal(own.empty(), step=0, stream="power")
            largest = largest_eigenvalue(lambda v: own.AT(own.A(v)), start).sqrt()
        return largest.to(self.sigma).expand(self.batch)

    def _frobenius(self) -> Tensor:
        if self.spectral:
            power = self._spectrum().abs().square().flatten(1).sum(1)
        else:
            own, rng = self._representative()
            images = [own.A(rng.signs(own.empty(), step=0, stream="probe", draw=i)) for i in range(8)]
            power = torch.stack([inner(image, image) for image in images]).mean(0)
        return power.to(self.sigma).expand(self.batch)

    def _spectrum(self) -> Tensor:
        coordinates = self.physics.V_adjoint(self.empty()[:1])
        mask: Tensor = self.physics.mask
        return mask.expand(torch.broadcast_shapes(mask.shape, coordinates.shape))  # type: ignore[no-untyped-call]

    def gain(self, residual: Callable[[], Vector], variance: Tensor, *, x: Tensor) -> Tensor:
        """``c A^T (c A A^T + sigma_y^2)^-1 (y - A x)``: the correction of ``x`` by the measurement.

        Args:
            residual: Computes ``y - A x``; called only where there is no closed form.
            variance: ``c`` of each item (B,).
            x: Where the correction is made (B, C, *S).

        Returns:
            (B, C, *S).
        """
        if self.spectral:
            s, coordinates = self.physics.mask, self.physics.V_adjoint(x)
            c, power = expand(variance, coordinates), expand(self.sigma**2, coordinates)
            weight = c * s.conj() / (c * (s.conj() * s) + power)
            weight = torch.where(s == 0, 0.0, weight) if bool((self.sigma == 0).any()) else weight
            correction: Tensor = self.physics.V(weight * (self.projected() - s * coordinates)).to(x.dtype)
            return correction
        own = getattr(self.physics, "solve_unknown", False)
        return self.pulled(residual(), variance) if own else self.pulled(residual(), variance, tolerance=GAIN)

    def pulled(self, right: Vector, variance: Tensor, *, tolerance: float = 1e-4) -> Tensor:
        """``c A^T (c A A^T + sigma_y^2)^-1 right``, ``c`` of each item (B,).

        Where the physics says that its unknown is smaller than its measurement (``solve_unknown``) it is ``(A^T A +
        sigma_y^2 / c)^-1 A^T right``, the same by the push-through identity, by conjugate gradients on the unknown:
        fewer iterations, each of them cheaper.
        """
        if not getattr(self.physics, "solve_unknown", False):
            solved: Tensor = scale(self.AT(self.gram_solve(right, variance, tolerance=tolerance)), variance)
            return solved
        ratio = self.sigma**2 / variance
        correction: Tensor = conjugate_gradients(
            lambda x: self.ATA(x) + scale(x, ratio), self.AT(right), tolerance=min(tolerance, 1e-3)
        )
        return correction

    def projected(self) -> Tensor:
        """``U^T y``, computed once."""

        def compute() -> Tensor:
            self.counter.at += self.batch
            projected: Tensor = self.physics.U_adjoint(self.y)
            return projected

        return self._cached("_projected", compute)

    def gram_solve(self, right: Vector, variance: Tensor, *, tolerance: float = 1e-4) -> Vector:
        """``(c A A^T + sigma_y^2)^-1 right`` in the range of ``A``, ``c`` of each item (B,).

        In closed form, or by preconditioned conjugate gradients: an item stops when its residual is below ``tolerance``
        of its right-hand side. In measurement space there is no direction that the measurement does not see, so a
        preconditioner built from the operator's spectrum is close to the inverse; on the unknown it is not, and takes
        several times the iterations.
        """
        power = self.sigma**2
        if self.spectral:
            coordinates = self.physics.U_adjoint(right)
            c, noise = expand(variance, coordinates), expand(power, coordinates)
            total = c * self.physics.mask.abs().square() + noise
            solved: Vector = self.physics.U(
                torch.where(total > 0, coordinates / torch.where(total > 0, total, 1.0), 0.0)
            )
            return solved

        custom = getattr(self.physics, "precondition_gram", None)
        precondition = None if custom is None else custom(power, variance)
        gram = Damped(self.physics.A_A_adjoint, variance, power)
        found = conjugate_gradients(gram, right, precondition=precondition, tolerance=tolerance)
        self.counter.a += self.batch * gram.applied
        self.counter.at += self.batch * gram.applied
        return found
