"""Metrics of images, one value an image, each with the definition it was computed by.

torchmetrics does the computing where it can. Its defaults depend on the batch (SSIM takes the range of the batch, PSNR
pools the squared error of a data set), so every choice is made here and spelled out beside the number: tables of
different tools disagree by tenths of a decibel for no other reason. Other packages add theirs by the entry point group
``inverse.metrics``.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inverse.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METRICS", "RATIO", "Metric", "Network", "measure", "measure_samples", "metric", "metrics", "size"]

#: Pixel size of the low over that of the high resolution, where none is given.
RATIO = 4.0
SSIM_WINDOW = 11
MS_SSIM_SIDE = 176
VIF_SIDE = 41
SCC_WINDOW = 8

Kind = Literal["image", "samples", "source", "set"]


@dataclass(frozen=True)
class Network:
    """What a metric of a trained network needs: a package, a file of weights in torch's folder, and where to get it."""

    package: str
    file: str
    source: str


@dataclass(frozen=True)
class Metric:
    """A metric: its function, and all that the package knows of it.

    ``compute`` is by kind. ``image``: ``(prediction, truth, data_range=) -> (B,)`` of (B, C, H, W) images; ``samples``:
    ``(samples, truth) -> (B,)`` with (K, B, C, H, W) samples; ``source``: ``(prediction, ms=, pan=) -> (B,)``; ``set``:
    ``(predictions, truths) -> float`` of two lists of (C, H, W) images in [0, 1].
    """

    name: str  # as given to ``-m``
    compute: Callable[..., Any]
    unit: str
    higher_is_better: bool | None  # which way is good; None: neither
    definition: str  # what exactly is computed; ``{range}`` stands for the data range
    kind: Kind = "image"
    accepts: frozenset[str] = frozenset()  # ``valid``, a mask of the pixels that count, and ``ratio``, the scale factor
    ranged: bool = True  # whether its value depends on the data range
    side: int = 1  # the smallest side of an image it can be computed of
    bands: tuple[int, float] = (1, float("inf"))  # lowest and highest number of channels it can be computed of
    windowed: bool = False  # whether a pixel that is left out takes the windows that hold it along
    sources: tuple[str, ...] = ()  # of kind ``source``, the images it needs beside the prediction: ``ms``, ``pan``
    network: Network | None = None

    def define(self, data_range: str | float = 1.0, *, ratio: float | None = None) -> str:
        """The definition, with the data range and the scale factor it was computed with."""
        shown = data_range if isinstance(data_range, str) else f"{data_range:g}"
        own = f", ratio={RATIO if ratio is None else ratio:g}" if "ratio" in self.accepts else ""
        return self.definition.format(range=shown) + own

    def unfit(self, shape: tuple[int, ...], *, masked: bool = False) -> str:
        """Why it has no value for an image (..., C, H, W); "" where it has one."""
        low, high = self.bands
        if min(shape[-2:]) < self.side:
            return f"{self.name} needs {self.side} pixels a side, there are {min(shape[-2:])}"
        if not low <= shape[-3] <= high:
            wanted = f"{low} or more" if high == float("inf") else f"at most {high:g}"
            return f"{self.name} needs {wanted} channels, there {'are' if shape[-3] > 1 else 'is'} {shape[-3]}"
        if masked and "valid" not in self.accepts:
            return f"{self.name} cannot leave out pixels, and some have no value"
        return ""

    def missing(self) -> tuple[str, str]:
        """Why it cannot be computed here, and what to do; two empty strings where it can. Imports no torch."""
        if self.network is None:
            return "", ""
        package, file = self.network.package.replace("_", "-"), self.network.file
        if find_spec(self.network.package) is None:
            return f"{self.name} needs the package {package}, which is not installed", (
                f"pip install {package}, and put {file} into torch's folder of weights"
            )
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
        if not (home / "hub" / "checkpoints" / file).is_file():
            return (
                f"{self.name} needs {file}, which is not in TORCH_HOME/hub/checkpoints; nothing is downloaded here",
                f"fetch it once ({self.network.source})",
            )
        return "", ""


def _call(dotted: str, *args: Any, **settings: Any) -> Any:
    return pkgutil.resolve_name(dotted)(*args, **settings)


def _at(place: str) -> Callable[..., Any]:
    """A function ``module:name`` of this package, imported (with torch) when it is called."""
    return partial(_call, f"inverse.metrics.{place}")


_TORCHVISION = "https://download.pytorch.org/models/"
_ALEXNET, _VGG = "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth"
_INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
_FIDELITY = Network("torch_fidelity", _INCEPTION, f"https://github.com/toshas/torch-fidelity/releases, {_INCEPTION}")
_VALID = frozenset({"valid"})
_PIXELS = "per image over all pixels and channels"
_WINDOW = "gaussian window sigma=1.5 size=11"
_UNITS = f"{_PIXELS}, data units with range {{range}}"
_COLOUR = (1, 3)
_SEVERAL = (2, float("inf"))
_ENTRIES = (
    Metric("psnr", _at("pixels:psnr"), "dB", True, f"PSNR {_PIXELS}, data_range={{range}}", accepts=_VALID),
    Metric(
        "ssim", _at("windows:ssim"), "", True,
        f"SSIM per image (torchmetrics), {_WINDOW}, k1=0.01 k2=0.03, data_range={{range}}, mean over channels, borders "
        "included",
        accepts=_VALID, side=SSIM_WINDOW, windowed=True,
    ),
    Metric(
        "ms-ssim", _at("windows:ms_ssim"), "", True,
        f"MS-SSIM per image (torchmetrics), 5 scales, {_WINDOW}, k1=0.01 k2=0.03, negative terms 0, "
        "data_range={range}, mean over channels",
        accepts=_VALID, side=MS_SSIM_SIDE, windowed=True,
    ),
    Metric(
        "uqi", _at("windows:uqi"), "", True,
        f"UQI per image (torchmetrics, float64), {_WINDOW}, windows inside the image, windows flat in both images "
        "count 0, mean over channels",
        accepts=_VALID, ranged=False, side=SSIM_WINDOW, windowed=True,
    ),
    Metric(
        "vif", _at("windows:vif"), "", True,
        "VIF per image, pixel version (torchmetrics), 4 scales, noise variance 2 of values up to 255, "
        "data_range={range}, mean over channels",
        accepts=_VALID, side=VIF_SIDE, windowed=True,
    ),
    Metric(
        "scc", _at("windows:scc"), "", True,
        "SCC per image (torchmetrics): correlation of Laplacians in 8 x 8 windows, borders included, flat windows "
        "count 0, mean over channels",
        accepts=_VALID, ranged=False, side=SCC_WINDOW, windowed=True,
    ),
    Metric(
        "sam", _at("spectral:sam"), "rad", False,
        "SAM per image (torchmetrics): mean angle between spectra, pixels 0 in all bands left out",
        accepts=_VALID, ranged=False, bands=_SEVERAL,
    ),
    Metric(
        "ergas", _at("spectral:ergas"), "%", False,
        "ERGAS per image (torchmetrics): 100 / ratio sqrt(mean over bands of (rmse / mean of the truth)^2)",
        accepts=frozenset({"valid", "ratio"}), ranged=False,
    ),
    Metric(
        "rase", _at("spectral:rase"), "%", False,
        "RASE per image: 100 rmse over all bands / mean of the truth, whole image (torchmetrics' windowed one is "
        "another)",
        accepts=_VALID, ranged=False,
    ),
    Metric("mse", _at("pixels:mse"), "data units^2", False, f"MSE {_UNITS}", accepts=_VALID, ranged=False),
    Metric("rmse", _at("pixels:rmse"), "data units", False, f"RMSE {_UNITS}", accepts=_VALID, ranged=False),
    Metric("mae", _at("pixels:mae"), "data units", False, f"MAE {_UNITS}", accepts=_VALID, ranged=False),
    Metric(
        "nmse", _at("pixels:nmse"), "", False, f"NMSE {_PIXELS}: |error|^2 / |truth|^2", accepts=_VALID, ranged=False
    ),
    Metric(
        "nrmse", _at("pixels:nrmse"), "", False, f"NRMSE {_PIXELS}: |error| / |truth|", accepts=_VALID, ranged=False
    ),
    Metric(
        "lpips", _at("learned:lpips"), "", False,
        "LPIPS per image (torchmetrics), AlexNet, own size, values / {range} clipped to [0, 1]",
        side=32, bands=_COLOUR, network=Network("torchvision", _ALEXNET, _TORCHVISION + _ALEXNET),
    ),
    Metric(
        "dists", _at("learned:dists"), "", False,
        "DISTS per image (torchmetrics), VGG-16, own size, values / {range} clipped to [0, 1]",
        side=32, bands=_COLOUR, network=Network("torchvision", _VGG, _TORCHVISION + _VGG),
    ),
    Metric(
        "crps", _at("samples:crps"), "data units", False,
        "CRPS per image of the samples' marginals, fair form (pairs over K (K - 1)), mean over pixels and channels, "
        "data units with range {range}",
        kind="samples", accepts=_VALID, ranged=False,
    ),
    Metric(
        "energy", _at("samples:energy"), "data units", False,
        "energy score per image of the samples as vectors, fair form (pairs over K (K - 1)), over sqrt(number of "
        "values), data units with range {range}",
        kind="samples", accepts=_VALID, ranged=False,
    ),
    Metric(
        "coverage90", _at("samples:coverage"), "", None,
        "share of values inside their 90 % interval, honest: 0.9; Student's t for fewer than 39 samples, else "
        "quantiles of the samples",
        kind="samples", accepts=_VALID, ranged=False,
    ),
    Metric(
        "d-lambda", _at("spectral:d_lambda"), "", False,
        "D_lambda per image (torchmetrics, p=1): |UQI between bands, fused - multispectral|; no truth",
        kind="source", ranged=False, side=SSIM_WINDOW, bands=_SEVERAL, sources=("ms",),
    ),
    Metric(
        "qnr", _at("spectral:qnr"), "", True,
        "QNR per image (torchmetrics, alpha=beta=1, norms 1, 7 x 7 mean filter): (1 - D_lambda) (1 - D_s); no truth",
        kind="source", ranged=False, side=SSIM_WINDOW, bands=_SEVERAL, sources=("ms", "pan"),
    ),
    Metric(
        "fid", _at("learned:fid"), "", False,
        "FID of all images together (torchmetrics, Inception v3 of torch-fidelity, 2048 features), values / {range} "
        "clipped",
        kind="set", bands=_COLOUR, network=_FIDELITY,
    ),
    Metric(
        "kid", _at("learned:kid"), "", False,
        "KID of all images together (torchmetrics, Inception v3 of torch-fidelity), unbiased, one subset of all, "
        "values / {range} clipped",
        kind="set", bands=_COLOUR, network=_FIDELITY,
    ),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {entry.name: entry for entry in _ENTRIES}


@cache
def metrics(*, of: tuple[Kind, ...] = ("image", "samples", "source", "set")) -> Mapping[str, Metric]:
    """All metrics of some kinds: ours, then those of other packages."""
    table = dict(METRICS)
    for entry in metadata.entry_points(group="inverse.metrics"):
        table.setdefault(entry.name, entry.load())
    return {name: spec for name, spec in table.items() if spec.kind in of}


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UsageError: If there is none.
    """
    if name not in metrics():
        raise UsageError(f"unknown metric '{name}'", did_you_mean(name, metrics()))
    return metrics()[name]


def measure(
    prediction: Tensor,
    truth: Tensor,
    names: Iterable[str],
    *,
    data_range: float = 1.0,
    item: str = "the image",
    valid: Tensor | None = None,
    ratio: float = RATIO,
) -> dict[str, float]:
    """The metrics, of kind "image", of one image (C, H, W) against its truth, by name.

    NaN where a metric has no value for such an image (`Metric.unfit`). ``data_range`` is white minus black, in the
    images' units; ``item`` is what messages call the image; ``valid`` (1 or C, H, W) bool is False where a pixel is
    left out, None: none is; ``ratio`` is the scale factor, of those metrics that have one.

    Raises:
        InputError: If the sizes differ; the message names both.
        UsageError: If a metric is unknown or cannot be computed here.
    """
    if prediction.shape != truth.shape:
        raise InputError(
            f"{item}: sizes differ, prediction {size(prediction)}, truth {size(truth)}",
            "evaluate compares images of one size and number of channels",
        )
    masked = valid is not None and not bool(valid.all())
    values = {}
    for name in names:
        spec = metric(name)
        reason, hint = spec.missing()
        if reason:
            raise UsageError(reason, hint)
        if spec.unfit(tuple(truth.shape), masked=masked):
            values[name] = float("nan")
            continue
        offered = {"valid": valid[None] if masked and valid is not None else None, "ratio": ratio}
        further = {key: value for key, value in offered.items() if key in spec.accepts and value is not None}
        values[name] = float(spec.compute(prediction[None], truth[None], data_range=data_range, **further)[0])
    return values


def measure_samples(
    samples: Tensor, truth: Tensor, names: Iterable[str], *, valid: Tensor | None = None
) -> dict[str, float]:
    """The metrics of the samples (K, C, H, W) of one image against its truth (C, H, W); NaN for one sample."""
    nothing = {name: float("nan") for name in names}
    if len(samples) < 2:
        return nothing
    known = None if valid is None or bool(valid.all()) else valid[None]
    return {name: float(metric(name).compute(samples[:, None], truth[None], valid=known)[0]) for name in nothing}


def size(image: Tensor) -> str:
    """``512 x 480 x 3``: height, width, channels."""
    return " x ".join(str(n) for n in (*image.shape[-2:], *image.shape[:-2]))
