"""Classical reconstructions of scikit-image, and BM3D: each gets the true operator, and its best parameter by the truth where it has one.

Every function takes a `Setting` and yields ``(option, estimate (1, C, H, W))``. Images are on [0, 1], nothing is clipped. Blur has circular
boundaries here, which is what Wiener filters assume; Richardson-Lucy gets an image continued round its edges.
BM3D is the authors' package bm3d, free for non-commercial use only; it is told the true noise level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from inverse.benchmark.peers.setting import Setting
from inverse.operators.blur.kernels import gaussian_kernel, line_kernel

__all__ = [
    "bicubic", "biharmonic", "bm3d_blur", "bm3d_noise", "measured", "non_local_means", "richardson_lucy", "total_variation",
    "unsupervised_wiener", "wavelets", "wiener",
]  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
Found = Iterator[tuple[str, Tensor]]


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


def measured(setting: Setting) -> Found:
    """What anyone has without a method: the adjoint's image, of a blur and of noise the measurement itself."""
    same = setting.y.shape[1:] == setting.shape and not setting.y.is_complex()
    yield "", setting.y if same else setting.physics.A_adjoint(setting.y)


def wiener(setting: Setting) -> Found:
    """`skimage.restoration.wiener`, its Laplacian regularisation in 25 strengths."""
    from skimage.restoration import wiener as filtered

    y, kernel = _array(setting), _kernel(setting)
    for balance in np.logspace(-4, 0, 25):
        found = np.stack([filtered(plane, kernel, balance, clip=False) for plane in y])
        yield f"balance {balance:.2g}", _tensor(found)


def unsupervised_wiener(setting: Setting) -> Found:
    """`skimage.restoration.unsupervised_wiener` (Orieux et al. 2010): it finds its own regularisation."""
    from skimage.restoration import unsupervised_wiener as filtered

    y, kernel = _array(setting), _kernel(setting)
    yield "", _planes(y, lambda plane: filtered(plane, kernel, clip=False, rng=np.random.default_rng(setting.seed))[0])


def richardson_lucy(setting: Setting) -> Found:
    """`skimage.restoration.richardson_lucy`, nine numbers of iterations."""
    from skimage.restoration import richardson_lucy as deconvolved

    kernel = _kernel(setting)
    margin = kernel.shape[0]
    wrapped = np.pad(np.clip(_array(setting), 1e-3, None), ((0, 0), (margin, margin), (margin, margin)), mode="wrap")
    inner = np.s_[margin:-margin, margin:-margin]
    for count in (2, 3, 5, 7, 10, 15, 20, 30, 50):
        found = np.stack([deconvolved(plane, kernel, num_iter=count, clip=False)[inner] for plane in wrapped])
        yield f"{count} iterations", _tensor(found)


def total_variation(setting: Setting) -> Found:
    """`skimage.restoration.denoise_tv_chambolle`, six weights."""
    from skimage.restoration import denoise_tv_chambolle

    y = np.moveaxis(_array(setting), 0, -1)
    for factor in (0.4, 0.7, 1.0, 1.4, 2.0, 3.0):
        found = denoise_tv_chambolle(y, factor * setting.sigma, max_num_iter=300, channel_axis=-1)
        yield f"weight {factor:g} sigma", _tensor(np.moveaxis(found, -1, 0))


def non_local_means(setting: Setting) -> Found:
    """`skimage.restoration.denoise_nl_means` told the noise level, four strengths."""
    from skimage.restoration import denoise_nl_means

    y = np.moveaxis(_array(setting), 0, -1)
    for factor in (0.4, 0.6, 0.8, 1.0):
        found = denoise_nl_means(y, 5, 6, h=factor * setting.sigma, sigma=setting.sigma, channel_axis=-1)
        yield f"h {factor:g} sigma", _tensor(np.moveaxis(found, -1, 0))


def wavelets(setting: Setting) -> Found:
    """`skimage.restoration.denoise_wavelet` (BayesShrink), in luma and chroma where the image is one of colour."""
    from skimage.restoration import denoise_wavelet

    y = _array(setting)
    if len(y) == 3:
        found = denoise_wavelet(
            np.moveaxis(y, 0, -1), setting.sigma, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True
        )
        yield "", _tensor(np.moveaxis(found, -1, 0))
    else:
        yield "", _planes(y, lambda plane: denoise_wavelet(plane, setting.sigma, rescale_sigma=True))


def biharmonic(setting: Setting) -> Found:
    """`skimage.restoration.inpaint_biharmonic`; what was measured is kept as it is."""
    from skimage.restoration import inpaint_biharmonic

    mask = setting.physics.mask.expand(1, *setting.shape)[0].numpy() < 0.5
    y = _array(setting)
    yield "", _tensor(np.stack([inpaint_biharmonic(plane, hole) for plane, hole in zip(y, mask, strict=True)]))


def bicubic(setting: Setting) -> Found:
    """`skimage.transform.resize`, cubic, aligned by area; smoothed first by four widths of a Gaussian, none among them."""
    from scipy.ndimage import gaussian_filter
    from skimage.transform import resize

    y, size = _array(setting), setting.shape[-2:]
    for width in (0.0, 0.3, 0.5, 0.7):
        smooth = y if not width else np.stack([gaussian_filter(plane, width) for plane in y])
        yield (
            f"smoothed by {width:g}",
            _planes(smooth, lambda plane: resize(plane, size, order=3, mode="symmetric", clip=False)),
        )


def bm3d_noise(setting: Setting) -> Found:
    """CBM3D, of other images BM3D band by band (Dabov et al. 2007, Mäkinen et al. 2020)."""
    import bm3d

    y = _array(setting)
    if len(y) == 3:
        yield "", _tensor(np.moveaxis(bm3d.bm3d_rgb(np.ascontiguousarray(np.moveaxis(y, 0, -1)), setting.sigma), -1, 0))
    else:
        yield "", _planes(y, lambda plane: bm3d.bm3d(plane, setting.sigma))


def bm3d_blur(setting: Setting) -> Found:
    """BM3D deblurring (Dabov et al. 2008): regularised inverse, then BM3D for its coloured noise; band by band."""
    import bm3d

    kernel = _kernel(setting)

    def restored(plane: Array) -> Array:
        # bm3d 4.0.3 takes one band with a last axis here and no more, and calls np.trapz, which numpy 2.4 renamed
        with patch.object(np, "trapz", np.trapezoid, create=True):
            found: Array = bm3d.bm3d_deblurring(plane[..., None], setting.sigma, kernel)
        return found

    yield "", _planes(_array(setting), restored)
