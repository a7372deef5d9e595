"""Protocols: which convention a number follows. Tables of different fields differ by it in the third digit and more.

* ``default``: the metrics of `inverse.metrics`, an image at a time.
* ``skimage``: `skimage.metrics` with its defaults (``peak_signal_noise_ratio``, ``structural_similarity``: uniform 7 x 7
  windows, sample covariance, borders left out; ``normalized_root_mse``: Euclidean; ``mean_squared_error``), on values as stored
  where both are stored alike.
* ``fastmri``: fastMRI's evaluation (Zbontar et al. 2018, arXiv:1811.08839, section 5): a volume is one item, centre-cropped to
  the square of the truth's width; the data range is the largest value of the truth's volume; SSIM is scikit-image's, slice by
  slice, averaged.
* ``sr-y``: super-resolution papers: 8 bit, luma of ITU-R BT.601 as MATLAB's ``rgb2ycbcr`` gives it, rounded to 8 bit, as many pixels
  of the border left out as the scale factor, PSNR with peak 255, SSIM with Wang's Gaussian window on windows inside the image.

Pixels without a value are left out everywhere; of SSIM, windows that hold one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inverse.comparands import Comparison
from inverse.errors import UsageError, did_you_mean
from inverse.protocol_default import by_default
from inverse.protocol_parts import Row, Settings
from inverse.protocol_published import by_fastmri, by_luma, by_skimage

__all__ = ["PROTOCOLS", "Protocol", "Row", "Settings", "protocol"]


@dataclass(frozen=True)
class Protocol:
    """A convention.

    Attributes:
        name: As given to ``--protocol``.
        summary: What it is.
        metrics: What it defines; empty: every metric.
        usual: What it computes unless told otherwise.
        volumes: Whether an item is all slices of a file.
        compute: Compares the images of an item.
    """

    name: str
    summary: str
    metrics: tuple[str, ...]
    usual: tuple[str, ...]
    volumes: bool
    compute: Callable[[Sequence[Comparison], Sequence[str], Settings], Row]


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{name}'", did_you_mean(name, PROTOCOLS))
    return PROTOCOLS[name]


PROTOCOLS: dict[str, Protocol] = {
    one.name: one
    for one in (
        Protocol("default", "the definitions of 'inverse list metrics'", (), ("psnr", "ssim"), False, by_default),
        Protocol(
            "skimage", "scikit-image's functions with their defaults",
            ("psnr", "ssim", "nrmse", "mse"), ("psnr", "ssim", "nrmse"), False, by_skimage,
        ),
        Protocol(
            "fastmri", "fastMRI's evaluation of whole volumes",
            ("nmse", "psnr", "ssim", "mse"), ("nmse", "psnr", "ssim"), True, by_fastmri,
        ),
        Protocol(
            "sr-y", "super-resolution: 8-bit luma without a border",
            ("psnr", "ssim"), ("psnr", "ssim"), False, by_luma,
        ),
    )
}  # fmt: skip
