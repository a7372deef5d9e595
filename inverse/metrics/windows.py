"""Metrics of sliding windows: SSIM, MS-SSIM, UQI, VIF, SCC.

torchmetrics computes them. Where pixels have no value, a window that holds one is left out of the mean: of SSIM and UQI
torchmetrics gives the map, of the others `inverse.metrics.windows_masked` has the formula again.

* SSIM: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing 2004.
* MS-SSIM: Wang, Simoncelli and Bovik, Asilomar 2003.
* UQI: Wang and Bovik, IEEE Signal Processing Letters 2002; here with SSIM's Gaussian window, as torchmetrics has it.
* VIF: the pixel version of Sheikh and Bovik, IEEE Trans. Image Processing 2006. Its noise variance of 2 is of values up
  to 255, to which the images are brought.
* SCC: Zhou, Civco and Silander, Int. J. Remote Sensing 1998: correlation of Laplacians.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MS_SSIM_SIDE", "SCC_WINDOW", "SSIM_WINDOW", "VIF_SIDE", "ms_ssim", "scc", "ssim", "unspoilt", "uqi", "vif"]

SSIM_WINDOW = 11
MS_SSIM_SIDE = 176
VIF_SIDE = 41
SCC_WINDOW = 8
VISUAL_NOISE = 2.0
STRIP = 64
"""Rows of UQI at a time."""


def unspoilt(valid: Tensor, size: int) -> Tensor:
    """Which windows hold no pixel without a value: (..., H, W) bool to (..., H - size + 1, W - size + 1)."""
    from torch.nn.functional import max_pool2d

    return max_pool2d((~valid).float(), size, stride=1) == 0


def _blank(image: Tensor, valid: Tensor) -> Tensor:
    return image.where(valid, image.new_zeros(()))


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Mean of each image over what is inside, (B,); NaN where nothing is."""
    inside = inside.expand_as(values)
    total = values.where(inside, values.new_zeros(())).flatten(1).sum(1)
    return (total / inside.flatten(1).sum(1)).float()


def ssim(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Structural similarity of each image, averaged over channels.

    Args:
        prediction: (B, C, H, W).
        truth: (B, C, H, W).
        data_range: The range, in the images' units.
        valid: (B, 1 or C, H, W) bool, False where a pixel is left out; None: none is.

    Returns:
        (B,); NaN where the image is smaller than the window, or no window is without a pixel left out.
    """
    from torch.nn.functional import pad
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        prediction, truth = _blank(prediction, valid), _blank(truth, valid)
    found = structural_similarity_index_measure(
        prediction.float(),
        truth.float(),
        sigma=1.5,
        data_range=data_range,
        reduction="none",
        return_full_image=valid is not None,
    )
    if valid is None:
        values: Tensor = found
        return values.reshape(-1)
    edge = SSIM_WINDOW // 2
    inside = unspoilt(pad(valid.float(), [edge] * 4, mode="reflect") > 0, SSIM_WINDOW)
    return _mean(found[1], inside)


def ms_ssim(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Multi-scale structural similarity of each image; arguments as those of `ssim`; NaN below `MS_SSIM_SIDE` pixels."""
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    if min(truth.shape[-2:]) < MS_SSIM_SIDE:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        from inverse.metrics.windows_masked import ms_ssim as masked

        return masked(prediction, truth, data_range=data_range, valid=valid)
    values: Tensor = multiscale_structural_similarity_index_measure(
        prediction.float(), truth.float(), sigma=1.5, data_range=data_range, reduction="none"
    )
    return values.reshape(-1)


def uqi(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Universal quality index of each image; arguments as those of `ssim`.

    It divides variances, so it is computed in float64, and in strips of rows, because float64 convolutions take memory.
    """
    import torch
    from torchmetrics.functional.image import universal_image_quality_index

    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        prediction, truth = _blank(prediction, valid), _blank(truth, valid)
    strips = []
    for first in range(0, truth.shape[-2] - SSIM_WINDOW + 1, STRIP):
        rows = slice(first, first + STRIP + SSIM_WINDOW - 1)
        one, other = (image[..., rows, :].double() for image in (prediction, truth))
        strips.append(universal_image_quality_index(one, other, reduction="none"))
    found = torch.cat(strips, -2)
    return found.flatten(1).mean(1).float() if valid is None else _mean(found, unspoilt(valid, SSIM_WINDOW))


def vif(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Visual information fidelity of each image, mean over channels; arguments as those of `ssim`; NaN below `VIF_SIDE` pixels."""
    from torchmetrics.functional.image import visual_information_fidelity

    if min(truth.shape[-2:]) < VIF_SIDE:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        from inverse.metrics.windows_masked import vif as masked

        return masked(
            *(image.double() * (255 / data_range) for image in (prediction, truth)), valid=valid, noise=VISUAL_NOISE
        )
    one, other = (image.float() * (255 / data_range) for image in (prediction, truth))
    values: Tensor = visual_information_fidelity(one, other, sigma_n_sq=VISUAL_NOISE, reduction="none")
    return values.reshape(-1)


def scc(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Spatial correlation coefficient of each image, mean over windows and channels; arguments as those of `ssim`."""
    from torchmetrics.functional.image import spatial_correlation_coefficient

    if min(truth.shape[-2:]) < SCC_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        from inverse.metrics.windows_masked import scc as masked

        return masked(prediction, truth, valid=valid, window=SCC_WINDOW)
    values: Tensor = spatial_correlation_coefficient(
        prediction.float(), truth.float(), window_size=SCC_WINDOW, reduction="none"
    )
    return values.reshape(-1)
