r"""The root sum of squares (RSS) of coil images of a full measurement: what scanners display, and fastMRI's target.

.. math:: \mathrm{RSS} = \Bigl(\sum_c \bigl|F^H k_c\bigr|^2\Bigr)^{1/2}

Of each posterior sample ``x`` the full k-space is completed as the model says: samples that were taken are kept as
measured, noise and all; the others are :math:`F S_c x + n_c`, a draw of the posterior predictive distribution. Mean and
standard deviation over draws. So it has the noise floor of a full measurement, which ``|x|`` has not: where there is no
signal about :math:`\sqrt{2 C} \sigma` for C coils.

Coils that were whitened or compressed are turned back to the file's own before they are summed (what compression
dropped stays out).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inverse.numerics.rng import Rng
from inverse.operators.mri.cartesian import MultiCoil, RowCoils, fourier, to_complex

__all__ = ["predicted_rss"]

DRAWS = 32
"""Completions of k-space in all, at least: their noise is averaged."""


def predicted_rss(
    physics: RowCoils | MultiCoil, states: Tensor, y: Tensor, sigma: float, *, item: str = ""
) -> tuple[Tensor, Tensor]:
    """RSS of the coil images of full k-space, given what was measured of it.

    Args:
        physics: Its operator.
        states: (K, 2, H, W) posterior samples.
        y: (1, coils, H, W) or with one channel more, complex; the measurement.
        sigma: Its noise level, of each real component.
        item: What the noise is keyed by, beside the sample.

    Returns:
        Mean and standard deviation (1, H, W), in the units of ``states``. Of one sample the latter is the noise's
        alone.
    """
    coils, size = physics.maps.shape[1], physics.maps.shape[2:]
    measured, like = y[:, :coils], states.new_zeros(1, 2 * coils, *size)
    images = []
    for sample, state in enumerate(states):
        predicted = fourier(physics.maps * to_complex(state[None]))
        rng = Rng(0, (item,), (sample,))
        for draw in range(math.ceil(DRAWS / len(states))):
            noise = sigma * rng.normal(like, step=0, stream="predictive", draw=draw)
            completed = predicted + torch.complex(noise[:, :coils], noise[:, coils:])
            images.append(_combined(torch.where(physics.pattern > 0, measured, completed), physics.mixing))
    drawn = torch.cat(images)
    return drawn.mean(0, keepdim=True), drawn.std(0, keepdim=True)


def _combined(kspace: Tensor, mixing: Tensor | None) -> Tensor:
    """(1, H, W) of (1, coils, H, W)."""
    images = fourier(kspace, inverse=True)
    if mixing is not None:
        images = torch.einsum("ab,zbhw->zahw", mixing, images)
    return images.abs().square().sum(1).sqrt()
