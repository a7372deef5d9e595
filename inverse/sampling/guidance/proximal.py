r"""Type II guidance with an isotropic model of :math:`p(x_0 | x)`: no gradient of the network.

**DiffPIR** (Zhu et al. 2023, CVPR NTIRE):

.. math::
    \hat x = \arg\min_z \lVert y - A z \rVert^2 + \rho \lVert z - D \rVert^2, \quad \rho = \lambda \sigma_y^2 / \sigma^2

that is :math:`D + C A^T (A C A^T + \sigma_y^2)^{-1}(y - A D)` with :math:`C = (\sigma^2 / \lambda) I`; then the
zeta-mix kernel. Closed form for decomposable physics, else conjugate gradients of each item's own, complex and stacked
physics included. Deviations from the paper's code: nothing is clamped to [-1, 1], and without a closed form the problem
is solved, not descended by one gradient step.

**DDS** (Chung et al. 2024, "Decomposed diffusion sampler", ICLR): the same problem,
:math:`(I + \gamma A^T A) z = D + \gamma A^T y`, left after a few conjugate gradient steps from ``D``, which keep
``z`` near the images; then DDIM. Deviations: the paper's :math:`\gamma` is a constant of the data set; here
:math:`\gamma = r^2 / \sigma_y^2` with PiGDM's :math:`r^2`, and the inner products are each item's (upstream's run over
the batch).

**MPGD** (He et al. 2024, "Manifold preserving guided diffusion", ICLR): one gradient step from ``D``, any
differentiable operator: :math:`\hat x = D + w J_A^T (y - A D)`. Deviation: the paper's rate is a constant of the task;
here :math:`w = r^2 / (\sigma_y^2 + s_{max}^2 r^2)`, the step that solves the proximal problem along the operator's
largest singular value.

Cost: 1 F a step, and the solve's A and A^T.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inverse.numerics.linalg import conjugate_gradients, expand
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.guidance.covariance import prior_variance
from inverse.sampling.kernels import kernel as reverse_kernel
from inverse.sampling.kernels import zeta_mix
from inverse.sampling.loop import Context, GuidedMethod

__all__ = ["dds", "diffpir", "mpgd"]


def diffpir(context: Context, *, lam: float, zeta: float) -> GuidedMethod:
    """Compose DiffPIR for a prior and an operator."""
    del context

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        mean = denoise.estimate(x, sigma).mean
        variance = torch.full_like(observation.sigma, sigma**2 / lam)
        return mean + observation.gain(lambda: observation.residual(mean), variance, x=mean)

    return GuidedMethod(guidance, partial(zeta_mix, zeta=zeta))


def dds(context: Context, *, iterations: int, kernel: str, eta: float) -> GuidedMethod:
    """Compose DDS for a prior and an operator."""

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        mean = denoise.estimate(x, sigma).mean
        # divided by gamma, so that measurements without noise are no special case
        ridge = expand(observation.sigma**2 / prior_variance(sigma, context.data_var), x)
        move = conjugate_gradients(
            lambda v: ridge * v + observation.ATA(v),
            observation.AT(observation.residual(mean)),
            tolerance=1e-6,
            iterations=iterations,
        )
        moved: Tensor = mean + move
        return moved

    return GuidedMethod(guidance, reverse_kernel(kernel, eta=eta))


def mpgd(context: Context, *, kernel: str, eta: float) -> GuidedMethod:
    """Compose MPGD for a prior and an operator."""

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        mean = denoise.estimate(x, sigma).mean
        variance = prior_variance(sigma, context.data_var)
        weight = variance / (observation.sigma**2 + observation.s_max**2 * variance)
        return mean + expand(weight, x) * observation.pull(mean, observation.residual(mean))

    return GuidedMethod(guidance, reverse_kernel(kernel, eta=eta))
