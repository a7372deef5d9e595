"""Metrics of values, pixel by pixel: PSNR, MSE, RMSE, MAE, NMSE, NRMSE.

Every one is of one image alone, in float64; torchmetrics pools the squared error of all it was given, so it is given
one image at a time. Pixels without a value are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error

__all__ = ["each", "mae", "mse", "nmse", "nrmse", "pairs", "psnr", "rmse"]


def pairs(prediction: Tensor, truth: Tensor, valid: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """The compared values of each image of a batch, (n,) float64, both."""
    for index in range(truth.shape[0]):
        image, true = prediction[index].double(), truth[index].double()
        if valid is None:
            yield image.flatten(), true.flatten()
        else:
            inside = valid[index].bool().expand_as(true)
            yield image[inside], true[inside]


def each(
    compute: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, truth: Tensor, valid: Tensor | None
) -> Tensor:
    """A function of the compared values of each image, (B,) float32; NaN where none is left."""
    values = [compute(p, t) if t.numel() else t.new_tensor(float("nan")) for p, t in pairs(prediction, truth, valid)]
    return torch.stack([value.reshape(()) for value in values]).float()


def psnr(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each image (B, C, H, W), ``10 log10(range^2 / mse)``, in dB, infinite of equals.

    ``valid`` is (B, 1 or C, H, W) bool, False where a pixel is left out; None: none is.
    """
    return each(lambda p, t: peak_signal_noise_ratio(p, t, data_range=data_range), prediction, truth, valid)


def mse(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Mean squared error of each image, squared data units; arguments as those of `psnr`."""
    return each(mean_squared_error, prediction, truth, valid)


def rmse(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Root of the mean squared error of each image, data units; arguments as those of `psnr`."""
    return each(lambda p, t: mean_squared_error(p, t, squared=False), prediction, truth, valid)


def mae(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Mean absolute error of each image, data units; arguments as those of `psnr`."""
    return each(mean_absolute_error, prediction, truth, valid)


def nmse(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """``||prediction - truth||^2 / ||truth||^2`` of each image; arguments as those of `psnr`."""
    return each(lambda p, t: (p - t).square().sum() / t.square().sum(), prediction, truth, valid)


def nrmse(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """``||prediction - truth|| / ||truth||`` of each image; arguments as those of `psnr`."""
    return nmse(prediction, truth, valid=valid).sqrt()
