"""``inverse report RUN --figures png|pdf``: a figure of each item and of the calibration, in ``RUN/figures``.

They are drawn from ``posterior.h5``, so that a run that kept no figures has them too. In a PDF the text is text and
lines are lines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from inverse.errors import InputError
from inverse.report.items import Subject
from inverse.report.verdicts import cost_in_words
from inverse.restoration.figure import INK, MUTED, Panels, draw, saved
from inverse.runs.folder import RunFolder
from inverse.storage.files import read_json, write_bytes

__all__ = ["draw_calibration", "write_figures"]


def write_figures(run: str | Path, *, kind: str = "png", truth: str | Path | None = None) -> Iterator[Path]:
    """Draw the figures of a run as ``png`` or ``pdf``, one after the other; `truth` is a file or folder of truths.

    Yields:
        The path of each: ``figures/<item>.<kind>``, and, with a ``calibration.json``, ``figures/calibration.<kind>``.

    Raises:
        InputError: it is no run folder, or an item's arrays cannot be read.
        OutputError: a file cannot be written.
    """
    folder = RunFolder.open(run)
    truths = {} if truth is None else folder.truths(truth)
    for row in folder.done:
        item = str(row["item"])
        path = folder.path / "figures" / f"{item}.{kind}"
        panels = _panels(folder, row, truths.get(item))
        if panels is not None:
            write_bytes(path, draw(panels, kind=kind))
            yield path
    calibration = read_json(folder.path / "calibration.json")
    if calibration is not None:
        path = folder.path / "figures" / f"calibration.{kind}"
        write_bytes(path, draw_calibration(calibration, kind=kind))
        yield path


def _panels(folder: RunFolder, row: Mapping[str, Any], truth: Path | None) -> Panels | None:
    """The panels of an item's figure; None where the run did not keep enough."""
    item = str(row["item"])
    kept = folder.kept(item)
    known = None
    if truth is not None:
        with contextlib.suppress(InputError):
            known = folder.truth(item, truth, kept).numpy()
    subject, arrays = Subject.of(folder, item, kept, known), kept.arrays
    image = subject.image
    if image is None or image.ndim != 3 or not {"measurement", "data_share", "invented"} <= set(arrays):
        return None
    share = arrays["data_share"]
    return Panels(
        title=item,
        measurement=subject.shown(arrays["measurement"]),
        restored=subject.shown(image),
        observed=arrays.get("observed"),
        std=subject.visible(arrays["std"]) if "std" in arrays else None,
        data_share=share.mean(0, keepdims=True) if subject.complex else share,
        invented=subject.visible(arrays["invented"]),
        truth=None if known is None else subject.shown(known),
        data_range=subject.window,
        facts=_facts(folder, row),
        misfit=float(row["misfit"]),
        shown="posterior mean" if "mean" in arrays else "one posterior sample",
    )


def _facts(folder: RunFolder, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    operator = folder.facts["recipe"]["operator"]["kind"]
    sigma = row.get("noise_sigma")
    lines = [
        ("method", str(row.get("method", ""))),
        ("operator", str(operator)),
        ("noise", "" if sigma is None else f"{float(sigma):.4g}{' (estimated)' if row.get('noise_estimated') else ''}"),
        ("prior", str((folder.facts.get("prior") or {}).get("name", ""))),
        ("samples", f"{row.get('samples')}, seed {folder.facts.get('seed')}"),
        ("cost", cost_in_words(row).split(",")[0]),
        ("data share", f"{100 * float(row['data_share']):.0f} % on average" if "data_share" in row else ""),
    ]
    scores = [(name.upper(), f"{row[name]:.4g}") for name in folder.facts.get("metrics", {}) if name in row]
    return [line for line in lines if line[1]] + scores


def draw_calibration(calibration: Mapping[str, Any], *, kind: str = "png") -> bytes:
    """Coverage, TARP, ranks and error against uncertainty, side by side, as far as ``calibration.json`` has them."""
    drawn = [name for name in ("levels", "tarp", "sbc", "spread_skill") if calibration.get(name)]
    figure = Figure(figsize=(3.6 * max(len(drawn), 1), 3.5), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(drawn):
        axis = figure.add_subplot(1, len(drawn), place + 1)
        axis.tick_params(labelsize=8, colors=MUTED)
        axis.spines[["top", "right"]].set_visible(False)
        _CHARTS[name](axis, calibration)
    return saved(figure, kind)


def _shares(axis: Any, levels: Any, coverage: Any, title: str) -> None:
    axis.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
    axis.plot(levels, coverage, color="#0a6288", linewidth=1.8)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_title(title, fontsize=10, color=INK)


def _coverage(axis: Any, content: Mapping[str, Any]) -> None:
    if content.get("coverage_low"):
        axis.fill_between(
            content["levels"], content["coverage_low"], content["coverage_high"], color="#0a6288", alpha=0.15
        )
    _shares(axis, content["levels"], content["coverage"], "Coverage of intervals")
    axis.set_xlabel("content of the interval", fontsize=9, color=MUTED)
    axis.set_ylabel("share of true values inside", fontsize=9, color=MUTED)


def _tarp(axis: Any, content: Mapping[str, Any]) -> None:
    _shares(axis, content["tarp"]["levels"], content["tarp"]["coverage"], "TARP")
    axis.set_xlabel("credibility level", fontsize=9, color=MUTED)


def _ranks(axis: Any, content: Mapping[str, Any]) -> None:
    data = content["sbc"]
    axis.bar(np.arange(len(data["counts"])), data["counts"], color="#0a6288", alpha=0.8)
    if data.get("band"):
        axis.axhspan(*data["band"], color="#c2570c", alpha=0.15)
    axis.axhline(data["expected"], color=MUTED, linestyle="--", linewidth=1)
    axis.set_title("Ranks of the truth", fontsize=10, color=INK)
    axis.set_xlabel("rank among the samples", fontsize=9, color=MUTED)


def _spread_skill(axis: Any, content: Mapping[str, Any]) -> None:
    data = content["spread_skill"]
    top = 1.05 * max(*data["spread"], *data["error"], 1e-12)
    axis.plot([0, top], [0, top], "--", color=MUTED, linewidth=1)
    axis.plot(data["spread"], data["error"], color="#0a6288", linewidth=1.8, marker="o", markersize=3)
    axis.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    axis.set_title("Error against uncertainty", fontsize=10, color=INK)
    axis.set_xlabel("uncertainty (data units)", fontsize=9, color=MUTED)
    axis.set_ylabel("error (data units)", fontsize=9, color=MUTED)


_CHARTS = {"levels": _coverage, "tarp": _tarp, "sbc": _ranks, "spread_skill": _spread_skill}
