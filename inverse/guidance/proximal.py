r"""Type II guidance with an isotropic model of :math:`p(x_0 | x)`: DiffPIR (Zhu et al. 2023, CVPR NTIRE).

.. math::
    \hat x = \arg\min_z \lVert y - A z \rVert^2 + \rho \lVert z - D \rVert^2, \quad \rho = \lambda \sigma_y^2 / \sigma^2

that is :math:`D + C A^T (A C A^T + \sigma_y^2)^{-1}(y - A D)` with :math:`C = (\sigma^2 / \lambda) I`; then the zeta-mix kernel.
Closed form for decomposable physics, else conjugate gradients of each item's own, complex and stacked physics included.

Deviations from the paper's code: nothing is clamped to [-1, 1], and without a closed form the problem is solved, not descended by one gradient step.
Cost: 1 F a step, and the solve's A and A^T.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inverse.context import Context
from inverse.denoise import Denoise
from inverse.observation import Observation
from inverse.samplers.kernels import zeta_mix
from inverse.samplers.reverse import GuidedMethod

__all__ = ["diffpir"]


def diffpir(context: Context, *, lam: float, zeta: float) -> GuidedMethod:
    """Compose DiffPIR for a prior and an operator."""
    del context

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        mean = denoise.estimate(x, sigma).mean
        variance = torch.full_like(observation.sigma, sigma**2 / lam)
        return mean + observation.gain(lambda: observation.residual(mean), variance, x=mean)

    return GuidedMethod(guidance, partial(zeta_mix, zeta=zeta))
