"""Assertion about a metric: one value an image, best where prediction and truth agree, in the units it says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inverse.metrics.registry import Metric, metric

__all__ = ["assert_metric"]


def assert_metric(
    metric_or_name: Metric | str, *, side: int = 48, channels: int = 3, tolerance: float = 1e-4
) -> Tensor:
    """Assert that a metric of images or of samples keeps what tables and runs rely on.

    Args:
        metric_or_name: A `inverse.metrics.Metric` of kind ``image`` or ``samples``, or the name of a registered one.
        side: Height and width of the images.
        channels: Of the images.
        tolerance: Relative difference allowed between a value alone and in a batch, and between images and their
            multiples, where the metric takes the data range.

    Returns:
        Values (4,) of four noisy images, the noise growing.

    Raises:
        AssertionError: Not one finite value an image; an image's value depends on the batch; more noise is better or no
            worse, against ``higher_is_better``; the value does not follow the data range; an argument was changed; or
            its definition does not name the data range it depends on.
    """
    spec = metric(metric_or_name) if isinstance(metric_or_name, str) else metric_or_name
    label = f"metric {spec.name}"
    if spec.kind not in ("image", "samples"):
        raise TypeError(f"{label} is of kind {spec.kind}; image and samples are allowed")
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, channels, side, side, generator=generator, dtype=torch.float32).expand(4, -1, -1, -1).clone()
    noise = torch.randn(
        *((6,) if spec.kind == "samples" else ()), 4, channels, side, side, generator=generator, dtype=torch.float32
    )
    prediction = truth + torch.tensor([0.01, 0.03, 0.1, 0.3], dtype=torch.float32).reshape(4, 1, 1, 1) * noise
    kept = prediction.clone(), truth.clone()
    values = _values(spec, prediction, truth)
    _require(torch.equal(prediction, kept[0]) and torch.equal(truth, kept[1]), f"{label}: it changed its arguments")
    _require(values.shape == (4,), f"{label}: values of shape {tuple(values.shape)} for 4 images, expected (4,)")
    _require(bool(torch.isfinite(values).all()), f"{label}: values {values.tolist()} are not all finite")
    items = [prediction[..., i : i + 1, :, :, :] for i in range(4)]
    alone = torch.cat([_values(spec, item, truth[i : i + 1]) for i, item in enumerate(items)])
    _close(f"{label}: images alone and in a batch", alone, values, tolerance)
    if spec.higher_is_better is not None:
        worse = -values.diff() if spec.higher_is_better else values.diff()
        _require(bool((worse > 0).all()), f"{label}: values {values.tolist()} of noise 0.01 to 0.3 do not get worse")
    if spec.ranged and spec.kind == "image":
        scaled = _values(spec, 255 * prediction, 255 * truth, data_range=255.0)
        _close(f"{label}: images and 255 times them, data_range 1 and 255", scaled, values, tolerance)
        _require("{range}" in spec.definition, f"{label}: its definition does not say {{range}}: {spec.definition}")
    return values


def _values(spec: Metric, prediction: Tensor, truth: Tensor, data_range: float = 1.0) -> Tensor:
    settings: dict[str, Any] = {"data_range": data_range} if spec.kind == "image" else {}
    values = spec.compute(prediction, truth, **settings)
    return torch.as_tensor(values).double().reshape(-1) if torch.as_tensor(values).ndim == 0 else values.double()


def _close(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    gap = float(((found - expected).abs() / expected.abs().clamp_min(1e-6)).max())
    _require(gap <= tolerance, f"{what} differ by {gap:.3g} of the value, allowed {tolerance:g}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
