"""Compare predictions with truths: arrays, files or folders in, one row an image out.

Files are matched by relative path, then by path without suffix, then by a stem unique on both sides; never by sorted
position. What has no partner is listed, on both sides.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from inverse.errors import InputError, UsageError
from inverse.inputs import find, match
from inverse.metrics import measure, metric

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Table", "evaluate"]

METRICS = ("psnr", "ssim")


@dataclass(frozen=True)
class Table:
    """Metrics of a set of images.

    Attributes:
        rows: One an image: ``item``, then the metrics.
        metrics: Their names.
        definitions: What exactly each one computes.
        unmatched_predictions: Predictions without a truth.
        unmatched_truths: Truths without a prediction.
    """

    rows: tuple[dict[str, Any], ...]
    metrics: tuple[str, ...]
    definitions: Mapping[str, str]
    unmatched_predictions: tuple[str, ...] = ()
    unmatched_truths: tuple[str, ...] = ()

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, median and standard deviation of each metric over the images, those that are not finite left out."""
        found = {}
        for name in self.metrics:
            values = [row[name] for row in self.rows if math.isfinite(row[name])]
            spread = stdev(values) if len(values) > 1 else math.nan
            found[name] = {
                "mean": fmean(values) if values else math.nan,
                "median": median(values) if values else math.nan,
                "std": spread,
                "count": len(values),
            }
        return found

    def to_csv(self, path: str | Path | None = None) -> str:
        """The rows as CSV, each with the definitions of its metrics; written to `path` if one is given."""
        from inverse.store import write_bytes

        columns = ["item", *(key for name in self.metrics for key in (name, f"{name}_definition"))]
        stream = io.StringIO()
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        extra = {f"{name}_definition": text for name, text in self.definitions.items()}
        writer.writerows({**row, **extra} for row in self.rows)
        if path is not None:
            write_bytes(Path(path), stream.getvalue().encode())
        return stream.getvalue()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; values that are not finite are None."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {
            "rows": [{key: plain(value) for key, value in row.items()} for row in self.rows],
            "summary": {n: {k: plain(v) for k, v in values.items()} for n, values in self.summary().items()},
            "definitions": dict(self.definitions),
            "unmatched_predictions": list(self.unmatched_predictions),
            "unmatched_truths": list(self.unmatched_truths),
        }


def evaluate(
    prediction: Any,
    truth: Any,
    *,
    metrics: Sequence[str] = METRICS,
    data_range: float = 1.0,
    items: Sequence[str] | None = None,
) -> Table:
    """Compare predictions with truths.

    Args:
        prediction: numpy (H, W), (H, W, C) or (B, H, W, C); torch (C, H, W) or (B, C, *S); or a file or folder. A run
            folder stands for its ``restored/``.
        truth: The same kind of thing.
        metrics: Names of metrics (``inverse list metrics``).
        data_range: Difference of white and black, in the images' units.
        items: Names of the images of arrays.

    Returns:
        One row an image.

    Raises:
        UsageError: If a metric is unknown, or arrays are compared with files.
        InputError: If nothing matches, a file cannot be read, or sizes differ; the message names both.
    """
    names = tuple(metrics)
    definitions = {name: metric(name).definition.format(range=f"{data_range:g}") for name in names}
    files = [isinstance(value, str | Path) for value in (prediction, truth)]
    if all(files):
        rows, alone = _files(Path(prediction), Path(truth), names, data_range)
        return Table(tuple(rows), names, definitions, *alone)
    if any(files):
        raise UsageError("a file cannot be compared with an array", "give two paths, or two arrays")
    pairs = list(zip(_batch(prediction), _batch(truth), strict=False))
    if len(_batch(prediction)) != len(_batch(truth)):
        raise InputError(f"{len(_batch(prediction))} predictions, {len(_batch(truth))} truths", "give as many of each")
    labels = [str(i) for i in range(len(pairs))] if items is None else list(items)
    rows = [
        {"item": label, **measure(first, second, names, data_range=data_range, item=label)}
        for label, (first, second) in zip(labels, pairs, strict=True)
    ]
    return Table(tuple(rows), names, definitions)


def _batch(value: Any) -> Tensor:
    """An array or tensor as (B, C, *S)."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu()[None] if value.ndim == 3 else value.detach().cpu()
    array = np.asarray(value)
    if array.ndim == 2:
        array = array[..., None]
    image = torch.from_numpy(np.moveaxis(array, -1, 0 if array.ndim == 3 else 1).copy())
    return image[None] if array.ndim == 3 else image


def _files(
    prediction: Path, truth: Path, names: tuple[str, ...], data_range: float
) -> tuple[list[dict[str, Any]], tuple[tuple[str, ...], tuple[str, ...]]]:
    from inverse.truth import load_image

    if (prediction / "restored").is_dir():
        prediction = prediction / "restored"
    for path in (prediction, truth):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder", "check the spelling and the current folder")
    given = {source.item: source.path for source in find([prediction])}
    known = {source.item: source.path for source in find([truth])}
    single = prediction.is_file() and truth.is_file()
    pairs = dict(zip(given, known, strict=True)) if single else match(given, known)
    if not pairs:
        raise InputError(
            f"none of the {len(given)} predictions is named like one of the {len(known)} truths",
            "name the files alike: relative paths or stems are compared",
        )
    rows = []
    for name in given:
        if name in pairs:
            first, second = load_image(given[name]), load_image(known[pairs[name]])
            rows.append({"item": name, **measure(first, second, names, data_range=data_range, item=name)})
    taken = set(pairs.values())
    return rows, (tuple(n for n in given if n not in pairs), tuple(n for n in known if n not in taken))
