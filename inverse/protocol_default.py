"""The default protocol: the metrics of `inverse.metrics`, an image at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inverse.comparands import Comparison, scaled
from inverse.errors import InputError
from inverse.protocol_parts import Image, Row, Settings, cropped, left_out

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["by_default"]


def by_default(pairs: Sequence[Comparison], names: Sequence[str], settings: Settings) -> Row:
    """The metrics of one image, its samples and its sources; of metrics of sets the image itself."""
    import torch

    from inverse.metrics import RATIO, measure, measure_samples, metric

    pair = cropped(pairs[0], settings.crop)
    found = scaled(pair, settings.data_range)
    known = [metric(name) for name in names]
    white = found.width(pair.item) if any(one.ranged or one.kind == "set" for one in known) else found.data_range
    prediction, truth = (torch.from_numpy(_floats(values)) for values in (found.prediction, found.truth))
    mask = pair.valid()
    valid = None if mask is None else torch.from_numpy(np.require(mask, None, ["C", "W"]))
    ratio = RATIO if settings.scale is None else settings.scale
    images = [one.name for one in known if one.kind == "image"]
    values = measure(prediction, truth, images, data_range=white or 1.0, item=pair.item, valid=valid, ratio=ratio)
    notes = [one.unfit(tuple(truth.shape), masked=valid is not None) for one in known]
    drawn = [one.name for one in known if one.kind == "samples"]
    if drawn and pair.samples is not None:
        draws = pair.samples()
        values |= measure_samples(draws, truth, drawn, valid=valid)
        notes.append("one sample: no crps, energy or coverage90" if len(draws) < 2 else "")
    for one in known:
        if one.kind == "source":
            values[one.name] = float("nan")
            if not one.unfit(tuple(truth.shape), masked=valid is not None):
                values[one.name] = _of_source(one, pair, prediction, found.unit)
    sets = white is not None and any(one.kind == "set" and not one.unfit(tuple(truth.shape)) for one in known)
    unit = ((prediction / white).clamp(0, 1), (truth / white).clamp(0, 1)) if white is not None and sets else None
    border = f", crop={settings.crop}" if settings.crop else ""
    windows = ("ssim", "ms-ssim", "uqi", "vif", "scc")
    return Row(
        {name: values[name] for name in names if name in values},
        {
            one.name: one.define(found.words if found.data_range is not None else "unknown", ratio=settings.scale)
            + border
            + left_out(mask, windows=one.name in windows)
            for one in known
        },
        tuple(note for note in dict.fromkeys(notes) if note),
        unit,
    )


def _floats(values: Image) -> Image:
    kind = np.float32 if values.dtype in (np.float32, np.float16, np.uint8, np.uint16) else np.float64
    return np.require(values, kind, ["C", "W"])


def _of_source(one: Any, pair: Comparison, prediction: Tensor, unit: Callable[[Image], Image]) -> float:
    """D_lambda or QNR.

    Raises:
        InputError: The multispectral or the panchromatic image does not fit.
    """
    import torch

    assert pair.ms is not None
    parts = {"ms": pair.ms} | ({} if pair.pan is None else {"pan": pair.pan})
    given = {role: torch.from_numpy(_floats(unit(image.values))) for role, image in parts.items()}
    low, pan = given["ms"], given.get("pan")
    height, width = prediction.shape[-2:]
    fits = low.shape[0] == prediction.shape[0] and height % low.shape[-2] == 0 and width % low.shape[-1] == 0
    if not fits or (pan is not None and tuple(pan.shape) != (1, height, width)):
        sizes = ", ".join(f"{role} {image.size}" for role, image in {"prediction": pair.prediction, **parts}.items())
        raise InputError(
            f"{pair.item}: sizes do not fit: {sizes}",
            "ms has the prediction's bands and a whole fraction of its size, pan one band and its size",
        )
    return float(one.compute(prediction[None], ms=low[None], pan=None if pan is None else pan[None])[0])
