"""Predictions compared with truths: arrays, files, folders or a run folder in, a table of one row an image out.

Files are matched by relative path, then by path without suffix, then by a stem unique on both sides; never by sorted
position. What has no partner is listed, on both sides, and nothing stops at the first bad item: it is a failure with
its reason, and the others are compared.
"""

from __future__ import annotations

import html
import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from inverse.errors import Failure, InputError, InverseError, UsageError, exit_code
from inverse.evaluation.pairs import Pair, Pairing, pairs_of_arrays
from inverse.evaluation.pairs_files import is_folder, pairs_of_files, pairs_of_run
from inverse.evaluation.protocols import Protocol, ProtocolSettings, Scores
from inverse.evaluation.protocols import protocol as named
from inverse.metrics.registry import metric
from inverse.metrics.registry import metrics as all_metrics
from inverse.numerics.defaults import independent
from inverse.numerics.statistics import mean_interval
from inverse.runs.folder import RunFolder
from inverse.storage.files import csv_bytes, plain, write_bytes

__all__ = ["Table", "evaluate"]

LEVEL = 0.95


@independent
def evaluate(
    prediction: Any,
    truth: Any,
    *,
    metrics: Sequence[str] | str | None = None,
    protocol: str = "default",
    data_range: float | str | None = None,
    crop: int = 0,
    scale: float | None = None,
    mask: Any = None,
    ms: Any = None,
    pan: Any = None,
    samples: Any = None,
    items: Sequence[str] | None = None,
) -> Table:
    """Compare predictions with truths.

    Args:
        prediction: numpy (H, W), (H, W, C) or (B, H, W, C); torch (C, H, W) or (B, C, *S); or a file,
            ``FILE.h5::NAME``, folder or run folder, which stands for what it restored.
        truth: The same kind of thing.
        metrics: Names of metrics (``inverse list metrics``), or ``all`` for those that can be computed; default: the
            protocol's.
        protocol: Whose convention: ``default``, ``skimage``, ``fastmri`` or ``sr-y``.
        data_range: White minus black in stored units, or ``max``, the truth's largest value; None: by the type, see
            `inverse.evaluation.pairs`.
        crop: Pixels of the border that are left out.
        scale: Scale factor, for ERGAS and ``sr-y``; None: the run's own, if it has one.
        mask: Pixels that count are not 0: a file or folder, or an array like the images (any channels).
        ms: For D_lambda and QNR the multispectral image of low resolution: a file or folder, or an array.
        pan: For QNR the panchromatic image: a file or folder, or an array.
        samples: With tensors: (K, B, C, H, W), for CRPS, energy score and coverage.
        items: Names of the images of arrays.

    Returns:
        One row an image; of ``fastmri`` one a volume.

    Raises:
        UsageError: If a metric or a protocol is unknown or cannot be computed here, or arrays are compared with files.
        InputError: If nothing matches; or, of two single files or of arrays, if they cannot be compared.
    """
    if crop < 0:
        raise UsageError(f"crop {crop}", "give 0 or more pixels")
    if data_range is not None and data_range != "max" and not _positive(data_range):
        raise UsageError(f"data range {data_range!r}", "allowed: a number more than 0, max")
    if metrics is not None and (not isinstance(metrics, Iterable) or not metrics):
        raise UsageError(f"metrics {metrics!r}", "allowed: names of metrics, or all (inverse list metrics)")
    how = named(protocol)
    files = [isinstance(value, str | Path) for value in (prediction, truth)]
    if any(files) and not all(files):
        raise UsageError("a file cannot be compared with an array", "give two paths, or two arrays")
    beside = {role: value for role, value in {"mask": mask, "ms": ms, "pan": pan}.items() if value is not None}
    if all(files):
        if any(not isinstance(value, str | Path) for value in beside.values()) or samples is not None:
            raise UsageError("files are compared with files", "give mask, ms and pan as paths, or everything as arrays")
        paired = _paired(Path(prediction), Path(truth), {role: Path(value) for role, value in beside.items()})
        strict = len(paired.groups) == 1 and not any(is_folder(Path(path)) for path in (prediction, truth))
    else:
        paired, strict = pairs_of_arrays(prediction, truth, beside, samples, items), True
    names, left_out = _chosen(metrics, how, set(beside), paired.no_samples)
    settings = ProtocolSettings(data_range, crop, paired.ratio if scale is None else scale)
    return _compared(paired, how, names, settings, left_out=left_out, strict=strict)


def _positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) < math.inf


def _paired(prediction: Path, truth: Path, beside: Mapping[str, Path]) -> Pairing:
    if (prediction / "run.json").is_file():
        return pairs_of_run(RunFolder.open(prediction), truth, beside)
    return pairs_of_files(prediction / "restored" if (prediction / "restored").is_dir() else prediction, truth, beside)


def _chosen(
    wanted: Sequence[str] | str | None, how: Protocol, have: set[str], no_samples: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The metrics to compute; of ``all`` also those that cannot be, with the reason.

    Raises:
        UsageError: One that was named cannot be computed.
    """
    names = [wanted] if isinstance(wanted, str) else list(how.usual if wanted is None else wanted)
    if "all" not in names:
        for name in names:
            metric(name)
            reason, hint = _refused(name, how, have, no_samples)
            if reason:
                raise UsageError(reason, hint)
        return tuple(dict.fromkeys(names)), {}
    possible = how.metrics or tuple(all_metrics())
    refused = {name: _refused(name, how, have, no_samples) for name in possible}
    left_out = {name: f"{reason}; {hint}" if hint else reason for name, (reason, hint) in refused.items() if reason}
    return tuple(name for name in possible if name not in left_out), left_out


def _refused(name: str, how: Protocol, have: set[str], no_samples: str) -> tuple[str, str]:
    """Why a metric cannot be computed of what is given, and what to do about it."""
    one = metric(name)
    if how.metrics and name not in how.metrics:
        return f"the protocol {how.name} does not define {name}", f"it defines {', '.join(how.metrics)}"
    if one.kind == "samples" and no_samples:
        return (
            f"{name} needs samples of the posterior: {no_samples}",
            "leave it out, or give the run folder of -o of 'inverse restore'",
        )
    lacks = [role for role in one.sources if role not in have]
    if lacks:
        what = {"ms": "the multispectral image of low resolution", "pan": "the panchromatic image"}
        return f"{name} needs {' and '.join(what[role] for role in lacks)}", "give " + " ".join(
            f"--{role} PATH" for role in lacks
        )
    return one.missing()


def _compared(
    paired: Pairing,
    how: Protocol,
    names: tuple[str, ...],
    settings: ProtocolSettings,
    *,
    left_out: Mapping[str, str],
    strict: bool,
) -> Table:
    """Every item in turn; `strict` raises what would be a failure."""
    rows: list[tuple[str, Scores]] = []
    failures = [
        Failure(item, "match", "InputError", "no truth of that name", "name the files alike", InputError.exit_code)
        for item in paired.predictions
    ]

    def attempt(name: str, pairs: Sequence[Pair]) -> None:
        try:
            if not how.volumes:
                pairs[0].check()
            rows.append((name, how.compute(pairs, names, settings)))
        except UsageError:
            raise
        except InverseError as error:
            if strict:
                raise
            failures.append(Failure.of(name, "compare", error))

    for group in paired.groups:
        try:
            pairs = group.load()
        except InverseError as error:
            if strict:
                raise
            failures.append(Failure.of(group.name, "read", error))
            continue
        if how.volumes:
            attempt(group.name, pairs)
        else:
            for pair in pairs:
                attempt(pair.item, [pair])
    singles = tuple(name for name in names if metric(name).kind != "set")
    return Table(
        rows=tuple({"item": item, **row.values, **_note(row)} for item, row in rows),
        metrics=singles,
        definitions=_common(names, [row for _, row in rows]),
        row_definitions=tuple(dict(row.definitions) for _, row in rows),
        unmatched_predictions=paired.predictions,
        unmatched_truths=paired.truths,
        failures=tuple(failures),
        protocol=how.name,
        sets=_sets(names, rows),
        left_out=dict(left_out),
    )


def _note(row: Scores) -> dict[str, str]:
    return {"note": "; ".join(row.notes)} if row.notes else {}


def _common(names: Sequence[str], rows: Sequence[Scores]) -> dict[str, str]:
    """Definitions that all rows share; where they differ, the first one's and in how many ways."""
    shared = {}
    for name in names:
        texts = list(dict.fromkeys(row.definitions[name] for row in rows))
        if texts:
            more = f" (and {len(texts) - 1} more: each row has its own)" if len(texts) > 1 else ""
            shared[name] = f"{texts[0]}{more}"
    return shared


def _sets(names: Sequence[str], rows: Sequence[tuple[str, Scores]]) -> dict[str, float]:
    """Metrics of all images together."""
    chosen = [metric(name) for name in names if metric(name).kind == "set"]
    images = [row.images for _, row in rows if row.images is not None]
    return {
        metric.name: float(metric.compute([pair[0] for pair in images], [pair[1] for pair in images]))
        for metric in chosen
    }


@dataclass(frozen=True)
class Table:
    """Metrics of a set of images.

    Attributes:
        rows: One an image: ``item``, then the metrics, and ``note`` where one has no value.
        metrics: Their names.
        definitions: What exactly each one computes.
        row_definitions: The same for each row: the data range, or the share of pixels left out, can differ.
        unmatched_predictions: Predictions without a truth; they are failures too.
        unmatched_truths: Truths without a prediction.
        failures: Items that could not be compared, and why.
        protocol: Whose convention.
        sets: Metrics of all images together.
        left_out: Metrics that ``all`` could not compute, and why.
    """

    rows: tuple[dict[str, Any], ...]
    metrics: tuple[str, ...]
    definitions: Mapping[str, str]
    unmatched_predictions: tuple[str, ...] = ()
    unmatched_truths: tuple[str, ...] = ()
    row_definitions: tuple[Mapping[str, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    protocol: str = "default"
    sets: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all compared, 1 some failed; where all failed for one cause, that cause's code."""
        return exit_code(len(self.rows), self.failures)

    def values(self, name: str) -> list[float]:
        """The finite values of a metric, by row."""
        return [row[name] for row in self.rows if name in row and math.isfinite(row[name])]

    def summary(self) -> dict[str, dict[str, float]]:
        """Of each metric over the images: mean, median, std, 95 % bootstrap interval of the mean (low, high), count.

        Values that are not finite are left out: ``count`` says how many there are.
        """
        statistics = {}
        for name in self.metrics:
            values = self.values(name)
            low, high = mean_interval(values, level=LEVEL)
            statistics[name] = {
                "mean": fmean(values) if values else math.nan,
                "median": median(values) if values else math.nan,
                "std": stdev(values) if len(values) > 1 else math.nan,
                "low": low,
                "high": high,
                "count": len(values),
            }
        return statistics

    def __str__(self) -> str:
        """The rows as a table of text, the mean over the images last."""
        lines = [("item", *self.metrics)]
        lines += [(str(row["item"]), *(_shown(row.get(name)) for name in self.metrics)) for row in self.rows]
        if len(self.rows) > 1:
            means = {name: values["mean"] for name, values in self.summary().items()}
            lines.append(("mean", *(_shown(means[name]) for name in self.metrics)))
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        text = []
        for line in lines:
            cells = [f"{cell:>{wide}}" for cell, wide in zip(line, widths, strict=True)]
            text.append("  ".join([f"{line[0]:{widths[0]}}", *cells[1:]]).rstrip())
        text += [f"not compared: {failure.line}" for failure in self.failures]
        return "\n".join(text)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        cells = [["item", *self.metrics]]
        cells += [[str(row["item"]), *(_shown(row.get(name)) for name in self.metrics)] for row in self.rows]
        first, *others = ("".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in cells)
        return f"<table><tr>{first}</tr>{''.join(f'<tr>{line}</tr>' for line in others)}</table>"

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame, one an image, by ``item``.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise UsageError("pandas is not installed", "pip install pandas, or use to_csv()") from None
        columns = ["item", *self.metrics, *(["note"] if any("note" in row for row in self.rows) else [])]
        return pandas.DataFrame([dict(row) for row in self.rows], columns=columns).set_index("item")

    def to_csv(self, path: str | Path | None = None) -> str:
        """The rows as CSV, each with the definitions of its metrics; written to `path` if one is given."""
        notes = ["note"] if any("note" in row for row in self.rows) else []
        columns = ["item", *(key for name in self.metrics for key in (name, f"{name}_definition")), *notes]
        rows = [
            row | {f"{name}_definition": text for name, text in definitions.items()}
            for row, definitions in zip(
                self.rows, self.row_definitions or [self.definitions] * len(self.rows), strict=True
            )
        ]
        content = csv_bytes(rows, columns)
        if path is not None:
            write_bytes(Path(path), content)
        return content.decode()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; values that are not finite are None."""
        rows: list[dict[str, Any]] = [dict(row) for row in self.rows]
        shared = self.definitions
        for row, definitions in zip(rows, self.row_definitions, strict=False):
            different = {name: text for name, text in definitions.items() if shared.get(name) != text}
            row |= {"definitions": different} if different else {}
        content = {
            "protocol": self.protocol,
            "rows": rows,
            "failures": [asdict(failure) for failure in self.failures],
            "summary": self.summary(),
            "sets": dict(self.sets),
            "definitions": dict(shared),
            "left_out": dict(self.left_out),
            "unmatched_predictions": list(self.unmatched_predictions),
            "unmatched_truths": list(self.unmatched_truths),
            "exit_code": self.exit_code,
        }
        return {key: plain(value) for key, value in content.items()}


def _shown(value: Any) -> str:
    """A number with four significant digits; nothing for what has none."""
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else ""
