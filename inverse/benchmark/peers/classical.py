"""Classical reconstructions of scikit-image, and BM3D: each with the true operator and its best parameter by the truth.

Every function takes a `Setting` and yields ``(option, estimate (1, C, H, W))``. Images are on [0, 1], nothing is
clipped. Blur has circular boundaries here, which is what Wiener filters assume; Richardson-Lucy gets an image continued
round its edges. BM3D is the authors' package bm3d, free for non-commercial use only; it is told the true noise level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage import restoration
from skimage.transform import resize
from torch import Tensor

from inverse.benchmark.peers.setting import Setting
from inverse.operators.blur.kernels import gaussian_kernel, line_kernel

__all__ = [
    "bicubic", "biharmonic", "bm3d_blur", "bm3d_noise", "measured", "non_local_means", "richardson_lucy",
    "total_variation", "unsupervised_wiener", "wavelets", "wiener",
]  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
Estimates = Iterator[tuple[str, Tensor]]


def _planes(image: Array, function: Callable[[Array], Array]) -> Tensor:
    return _tensor(np.stack([function(plane) for plane in image]))


def _tensor(image: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).float()[None]


def _array(setting: Setting) -> Array:
    image: Array = setting.y[0].double().numpy()
    return image


def _kernel(setting: Setting) -> Array:
    operator = setting.operator
    if operator["kind"] == "motion-blur":
        return line_kernel(operator["length"], operator["angle"])
    return gaussian_kernel(operator["sigma"])


def measured(setting: Setting) -> Estimates:
    """What anyone has without a method: the adjoint's image, of a blur and of noise the measurement itself."""
    same = setting.y.shape[1:] == setting.shape and not setting.y.is_complex()
    yield "", setting.y if same else setting.physics.A_adjoint(setting.y)


def wiener(setting: Setting) -> Estimates:
    """`skimage.restoration.wiener`, its Laplacian regularisation in 25 strengths."""
    y, kernel = _array(setting), _kernel(setting)
    for balance in np.logspace(-4, 0, 25):
        planes = [restoration.wiener(plane, kernel, balance, clip=False) for plane in y]
        yield f"balance {balance:.2g}", _tensor(np.stack(planes))


def unsupervised_wiener(setting: Setting) -> Estimates:
    """`skimage.restoration.unsupervised_wiener` (Orieux et al. 2010): it finds its own regularisation."""
    y, kernel = _array(setting), _kernel(setting)

    def filtered(plane: Array) -> Array:
        image: Array = restoration.unsupervised_wiener(
            plane, kernel, clip=False, rng=np.random.default_rng(setting.seed)
        )[0]
        return image

    yield "", _planes(y, filtered)


def richardson_lucy(setting: Setting) -> Estimates:
    """`skimage.restoration.richardson_lucy`, nine numbers of iterations."""
    kernel = _kernel(setting)
    margin = kernel.shape[0]
    wrapped = np.pad(np.clip(_array(setting), 1e-3, None), ((0, 0), (margin, margin), (margin, margin)), mode="wrap")
    inner = np.s_[margin:-margin, margin:-margin]
    for count in (2, 3, 5, 7, 10, 15, 20, 30, 50):
        planes = [restoration.richardson_lucy(plane, kernel, num_iter=count, clip=False)[inner] for plane in wrapped]
        yield f"{count} iterations", _tensor(np.stack(planes))


def total_variation(setting: Setting) -> Estimates:
    """`skimage.restoration.denoise_tv_chambolle`, six weights."""
    y = np.moveaxis(_array(setting), 0, -1)
    for factor in (0.4, 0.7, 1.0, 1.4, 2.0, 3.0):
        image = restoration.denoise_tv_chambolle(y, factor * setting.sigma, max_num_iter=300, channel_axis=-1)
        yield f"weight {factor:g} sigma", _tensor(np.moveaxis(image, -1, 0))


def non_local_means(setting: Setting) -> Estimates:
    """`skimage.restoration.denoise_nl_means` told the noise level, four strengths."""
    y = np.moveaxis(_array(setting), 0, -1)
    for factor in (0.4, 0.6, 0.8, 1.0):
        image = restoration.denoise_nl_means(y, 5, 6, h=factor * setting.sigma, sigma=setting.sigma, channel_axis=-1)
        yield f"h {factor:g} sigma", _tensor(np.moveaxis(image, -1, 0))


def wavelets(setting: Setting) -> Estimates:
    """`skimage.restoration.denoise_wavelet` (BayesShrink), in luma and chroma where the image is one of colour."""
    y = _array(setting)
    if len(y) == 3:
        image = restoration.denoise_wavelet(
            np.moveaxis(y, 0, -1), setting.sigma, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True
        )
        yield "", _tensor(np.moveaxis(image, -1, 0))
    else:
        yield "", _planes(y, lambda plane: restoration.denoise_wavelet(plane, setting.sigma, rescale_sigma=True))


def biharmonic(setting: Setting) -> Estimates:
    """`skimage.restoration.inpaint_biharmonic`; what was measured is kept as it is."""
    mask = setting.physics.mask.expand(1, *setting.shape)[0].numpy() < 0.5
    y = _array(setting)
    planes = [restoration.inpaint_biharmonic(plane, hole) for plane, hole in zip(y, mask, strict=True)]
    yield "", _tensor(np.stack(planes))


def bicubic(setting: Setting) -> Estimates:
    """`skimage.transform.resize`, cubic, aligned by area; smoothed first by four widths of a Gaussian, 0 among them."""
    y, size = _array(setting), setting.shape[-2:]
    for width in (0.0, 0.3, 0.5, 0.7):
        smooth = y if not width else np.stack([gaussian_filter(plane, width) for plane in y])
        yield (
            f"smoothed by {width:g}",
            _planes(smooth, lambda plane: resize(plane, size, order=3, mode="symmetric", clip=False)),
        )


def bm3d_noise(setting: Setting) -> Estimates:
    """CBM3D, of other images BM3D band by band (Dabov et al. 2007, Mäkinen et al. 2020)."""
    import bm3d

    y = _array(setting)
    if len(y) == 3:
        yield "", _tensor(np.moveaxis(bm3d.bm3d_rgb(np.ascontiguousarray(np.moveaxis(y, 0, -1)), setting.sigma), -1, 0))
    else:
        yield "", _planes(y, lambda plane: bm3d.bm3d(plane, setting.sigma))


def bm3d_blur(setting: Setting) -> Estimates:
    """BM3D deblurring (Dabov et al. 2008): regularised inverse, then BM3D for its coloured noise; band by band."""
    import bm3d

    kernel = _kernel(setting)

    def restored(plane: Array) -> Array:
        # bm3d 4.0.3 takes one band with a last axis here and no more, and calls np.trapz, which numpy 2.4 renamed
        with patch.object(np, "trapz", np.trapezoid, create=True):
            image: Array = bm3d.bm3d_deblurring(plane[..., None], setting.sigma, kernel)
        return image

    yield "", _planes(_array(setting), restored)
