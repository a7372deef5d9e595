"""Image metrics, one value an image, each with the definition it was computed by.

torchmetrics does the computing. Its defaults depend on the batch (SSIM takes the range of the batch, PSNR pools the
squared error of a data set), so every choice is made here and spelled out beside the number: tables of different tools
disagree by tenths of a decibel for no other reason. Other packages add theirs by the entry point group
``inverse.metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from inverse.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METRICS", "Metric", "coverage", "measure", "metric", "metrics", "psnr", "ssim"]

SSIM_WINDOW = 11


def psnr(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each image, in dB.

    Args:
        prediction: (B, C, H, W).
        truth: (B, C, H, W).
        data_range: The peak, in the images' units.

    Returns:
        (B,); infinite where they are equal.
    """
    error = (prediction.double() - truth.double()).square().flatten(1).mean(1)
    return (10 * (data_range**2 / error).log10()).float()


def ssim(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Structural similarity of each image (Wang et al. 2004), averaged over channels.

    Args:
        prediction: (B, C, H, W).
        truth: (B, C, H, W).
        data_range: The range, in the images' units.

    Returns:
        (B,); NaN where the image is smaller than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    values: Tensor = structural_similarity_index_measure(
        prediction.float(), truth.float(), sigma=1.5, data_range=data_range, reduction="none"
    )
    return values.reshape(-1)


def coverage(samples: Tensor, truth: Tensor, *, level: float = 0.9) -> Tensor:
    """Share of values of each image that lie in their central credible interval.

    The interval is `inverse.posterior.interval_quantile`'s: empirical where the samples hold it, else Student's t.

    Args:
        samples: (K, B, C, H, W) with K >= 2.
        truth: (B, C, H, W).
        level: Content of the interval; an honest posterior covers that share.

    Returns:
        (B,).
    """
    from inverse.posterior import interval_quantile

    low, high = interval_quantile(samples, (1 - level) / 2), interval_quantile(samples, (1 + level) / 2)
    return ((truth >= low) & (truth <= high)).float().flatten(1).mean(1)


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: As given to ``-m``.
        compute: ``(prediction, truth, data_range=) -> (B,)`` of (B, C, H, W) images.
        unit: Of its values.
        higher_is_better: Which way is good.
        definition: What exactly is computed; ``{range}`` stands for the data range.
    """

    name: str
    compute: Callable[..., Tensor]
    unit: str
    higher_is_better: bool
    definition: str


METRICS: Mapping[str, Metric] = {
    "psnr": Metric(
        "psnr", psnr, "dB", True, "PSNR per image over all pixels and channels, data_range={range}, no crop, RGB"
    ),
    "ssim": Metric(
        "ssim",
        ssim,
        "",
        True,
        "SSIM per image (torchmetrics), gaussian window sigma=1.5 size=11, k1=0.01 k2=0.03, "
        "data_range={range}, mean over channels, borders included, RGB",
    ),
}


@cache
def metrics() -> Mapping[str, Metric]:
    """All metrics: ours, then those of other packages."""
    found = dict(METRICS)
    for entry in metadata.entry_points(group="inverse.metrics"):
        found.setdefault(entry.name, entry.load())
    return found


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UsageError: If there is none.
    """
    found = metrics().get(name)
    if found is None:
        raise UsageError(f"unknown metric '{name}'", did_you_mean(name, metrics()))
    return found


def measure(
    prediction: Tensor, truth: Tensor, names: Iterable[str], *, data_range: float = 1.0, item: str = "the image"
) -> dict[str, float]:
    """The metrics of one image (C, H, W) against its truth.

    Raises:
        InputError: If the sizes differ; the message names both.
    """
    if prediction.shape != truth.shape:
        raise InputError(
            f"{item}: sizes differ, prediction {size(prediction)}, truth {size(truth)}",
            "evaluate compares images of one size and number of channels",
        )
    return {
        name: float(metric(name).compute(prediction[None], truth[None], data_range=data_range)[0]) for name in names
    }


def size(image: Tensor) -> str:
    """``512 x 480 x 3``: height, width, channels."""
    return " x ".join(str(n) for n in (*image.shape[-2:], *image.shape[:-2]))


def __getattr__(name: str) -> object:
    """``evaluate`` and ``Table`` live in `inverse.evaluation`, which imports this module."""
    if name in ("Table", "evaluate"):
        import inverse.evaluation

        return getattr(inverse.evaluation, name)
    raise AttributeError(f"module 'inverse.metrics' has no attribute '{name}'")
