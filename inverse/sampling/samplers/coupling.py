r"""The likelihood half of the split methods: a draw of the image given the measurement and a centre.

.. math::
    z \sim \exp\left(-\frac{\lVert z - m \rVert^2}{2 r^2} - \frac{\lVert A z - y \rVert^2}{2 \sigma_y^2}\right)

* Decomposable operators, each coordinate: mean by `Observation.gain`, standard deviation
  :math:`r \sigma_y / \sqrt{\sigma_y^2 + r^2 s^2}`.
* Other linear operators, perturb and solve (Papandreou & Yuille 2010): :math:`z_0 = m + r n`, then
  :math:`z = z_0 + r^2 A^T (r^2 A A^T + \sigma_y^2)^{-1} (y + \sigma_y e - A z_0)`.
* Nonlinear operators, underdamped Langevin dynamics by the BAOAB splitting (Leimkuhler & Matthews 2013), whose
  positions have no discretisation bias for a Gaussian: step :math:`1 / \sqrt L` from the curvature
  :math:`L = 1/r^2 + s_{max}^2/\sigma_y^2` at the start, friction :math:`2/r`. A move whose energy error is above a
  tenth of the dimension is not made, and the item's step halved: a guard where the curvature grows, not a correction.
  So many moves cannot resolve noise below ``s_max r / moves``; there that is taken, which matters at high levels
  alone.

``deflate`` (B,) takes :math:`\rho^2 A A^T` from the likelihood's covariance as far as it stays positive
(`inverse.sampling.samplers.pnpdm`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse.numerics.linalg import Vector, expand, inner, largest_eigenvalue, parts, scale, square_root
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation, observed

__all__ = ["draw", "measurement_noise"]

ROOTS = 4
#: Share of sigma_y^2 that deflation leaves where there is no closed form: the square root then takes 4 products.
KEPT = 0.5
CURVATURE_STEPS = 8


def measurement_noise(observation: Observation, rng: Rng, *, step: int, stream: str) -> Vector:
    """Unit noise with the measurement's shape, zero where nothing was observed."""
    y, rng = observation.y, rng.coarser(observation.factor)
    noisy = []
    for i, part in enumerate(parts(y)):
        unit = rng.normal(part, step=step, stream=stream, draw=i)
        weight = observed(observation.physics if isinstance(y, Tensor) else observation.physics[i], part)
        noisy.append(unit if weight is None else unit * weight)
    return noisy[0] if isinstance(y, Tensor) else type(y)(noisy)


def draw(
    observation: Observation, centre: Tensor, radius: Tensor, rng: Rng, *, step: int, moves: int, deflated: bool = False
) -> Tensor:
    r"""A draw (B, C, *S) given the measurement and a centre ``m``; ``r`` of each item (B,) is above 0, data units.

    ``step`` keys the noise, of streams ``likelihood-...``; ``moves`` are the Langevin steps for a nonlinear operator.
    Deflated, the likelihood's covariance is :math:`\sigma_y^2 - r^2 A A^T`, as far as that is positive.
    """
    if not observation.linear:
        return _langevin(observation, centre, radius, rng, step, moves)
    noise = rng.normal(centre, step=step, stream="likelihood")
    if observation.spectral:
        return _spectral(observation, centre, radius, noise, deflated)
    power = observation.sigma**2
    taken = torch.zeros_like(power)
    if deflated:
        taken = torch.minimum(radius**2, (1 - KEPT) * power / observation.s_max**2)
    unit = measurement_noise(observation, rng, step=step, stream="likelihood-data")
    if deflated:
        share = taken / power.clamp_min(1e-30)

        def covariance(v: Vector) -> Vector:
            return v - scale(observation.A(observation.AT(v)), share)

        unit = square_root(covariance, unit, iterations=ROOTS)
    start = centre + expand(radius, centre) * noise
    right = observation.residual(start) + scale(unit, observation.sigma)
    left = radius**2 - taken
    solved = observation.gram_solve(right, left)
    drawn: Tensor = start + scale(observation.AT(solved), radius**2)
    return drawn


def _spectral(observation: Observation, centre: Tensor, radius: Tensor, noise: Tensor, deflated: bool) -> Tensor:
    s = observation.physics.mask
    coordinates = observation.physics.V_adjoint(centre)
    wide = expand(radius, coordinates)
    seen = wide**2 * s.abs().square()
    rest = expand(observation.sigma**2, coordinates).expand_as(coordinates.real)
    rest = (rest - seen).clamp_min(0.0) if deflated else rest
    total = seen + rest
    safe = torch.where(total > 0, total, 1.0)
    gain = torch.where(total > 0, wide**2 / safe, 0.0) * s.conj()
    # what the measurement takes from the spread; written as a difference, as V need not be complete
    narrower = torch.where(total > 0, wide * ((rest / safe).sqrt() - 1), 0.0)
    move = gain * (observation.projected() - s * coordinates) + narrower * observation.physics.V_adjoint(noise)
    moved: Tensor = observation.physics.V(move).to(centre.dtype)
    return centre + expand(radius, centre) * noise + moved


def _langevin(observation: Observation, centre: Tensor, radius: Tensor, rng: Rng, step: int, moves: int) -> Tensor:
    wide = expand(radius, centre)
    state = centre + wide * rng.normal(centre, step=step, stream="likelihood")
    tangent = observation.linearised(state)
    start = rng.normal(centre, step=step, stream="likelihood-power")
    largest = largest_eigenvalue(lambda v: tangent.AT(tangent.A(v)), start, iterations=CURVATURE_STEPS)
    largest = torch.maximum(largest, observation.s_max**2)
    power = torch.maximum(observation.sigma**2, largest * (radius / moves) ** 2).clamp_min(1e-30)
    width = 1 / (1 / radius**2 + largest / power).sqrt()
    momentum = rng.normal(centre, step=step, stream="likelihood-momentum")

    def landscape(z: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (B,) and force (B, C, *S)."""
        residual, away = observation.residual(z), (z - centre) / wide
        energy = 0.5 * (inner(residual, residual) / power + inner(away, away))
        return energy, observation.pull(z, scale(residual, 1 / power)) - away / wide

    energy, push = landscape(state)
    allowed = 10 + 0.1 * centre[0].numel()
    for move in range(moves):
        half = expand(0.5 * width, centre)
        ahead = momentum + half * push
        before = energy + 0.5 * inner(momentum, momentum)
        middle = state + half * ahead
        kept = expand(torch.exp(-2 / radius * width), centre)
        unit = rng.normal(centre, step=step, stream="likelihood-langevin", draw=move)
        turned = kept * ahead + (1 - kept**2).sqrt() * unit
        tried = middle + half * turned
        energy_tried, push_tried = landscape(tried)
        arrived = turned + half * push_tried
        # what the bath gave in the middle is no error of the step
        given = 0.5 * (inner(turned, turned) - inner(ahead, ahead))
        fine = energy_tried + 0.5 * inner(arrived, arrived) - before - given < allowed
        there = expand(fine, centre)
        state, push = torch.where(there, tried, state), torch.where(there, push_tried, push)
        energy, momentum = torch.where(fine, energy_tried, energy), torch.where(there, arrived, unit)
        width = torch.where(fine, width, 0.5 * width)
    return state
