"""The words of the report as plain data: what a run was, how it went and how to repeat it, and the facts of an item."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inverse.metrics.registry import metrics
from inverse.recipes.yaml_layers import dump
from inverse.report.verdicts import Row, Verdicts, cost_in_words
from inverse.restoration.result import ItemResult
from inverse.runs.folder import RunFolder

__all__ = ["calibration_in_words", "item_facts", "provenance", "summary"]

_CALIBRATED = {
    "coverage90": "share of the truth in 90 % intervals (0.9 expected)",
    "stretch90": "factor that the std is too small by for them (1 expected)",
    "z_std": "standard deviation of the truth's normal scores (1 expected)",
    "rmse": "root mean square error, data units",
    "misfit": "misfit (1 expected)",
}


def summary(folder: RunFolder, verdicts: Verdicts) -> dict[str, Any]:
    """The top of the page: how many items are restored (``lead``), a few numbers (``tiles``), sentences (``says``)."""
    counts = folder.facts.get("counts", {})
    done, failed, pending, lost = (int(counts.get(state, 0)) for state in ("done", "failed", "pending", "unusable"))
    others = [f"{lost} with an unusable result"] if lost else []
    others += [f"{failed} failed" if failed else "none failed"] + ([f"{pending} still to do"] if pending else [])
    return {
        "lead": f"{done} of {done + failed + pending + lost} items restored, {', '.join(others)}.",
        "tiles": _tiles(verdicts),
        "says": [_sentence(text) for text in (*verdicts.summary, calibration_in_words(folder))],
    }


def _tiles(verdicts: Verdicts) -> list[dict[str, str]]:
    """The few numbers a reader looks for first."""

    def column(name: str) -> list[float]:
        return [float(row[name]) for row in verdicts.rows if isinstance(row.get(name), int | float)]

    tiles = []
    for name in verdicts.metrics[:2]:
        values = column(name)
        unit = metrics()[name].unit if name in metrics() else ""
        ends = f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
        tiles.append((name.upper(), f"{sum(values) / len(values):.4g}", unit, ends))
    if misfits := column("misfit"):
        ends = f"{min(misfits):.2f} to {max(misfits):.2f}, " if len(misfits) > 1 else ""
        tiles.append(("Misfit", f"{sum(misfits) / len(misfits):.2f}", "", f"{ends}expected 1"))
    for name, title, more in (
        ("coverage90", "90 % intervals hold", "of the true values"),
        ("data_share", "Data share", "the prior decided the rest"),
    ):
        if values := column(name):
            tiles.append((title, f"{100 * sum(values) / len(values):.0f}", "%", more))
    return [dict(zip(("name", "value", "unit", "more"), tile, strict=True)) for tile in tiles]


def calibration_in_words(folder: RunFolder) -> str:
    """Whether the run's intervals were recalibrated, and whether they were checked against truths."""
    applied = folder.facts.get("calibration") or {}
    if applied.get("applied"):
        text = f"the uncertainties are recalibrated by {Path(str(applied['file'])).name}: {applied['says']}"
    else:
        text = str(applied.get("says") or "the uncertainties are the sampler's own, not recalibrated")
    if (folder.path / "calibration.json").is_file():
        return f"{text}; how they compare with truths is below, under Calibration"
    return f"{text}; 'inverse calibrate RUN TRUTH' compares them with truths"


def provenance(folder: RunFolder) -> dict[str, Any]:
    """How the run was made (``facts``: name and value), its ``recipe`` as YAML, and the ``command`` that repeats it."""
    facts = folder.facts
    recipe, prior = facts["recipe"], facts.get("prior") or {}
    threads = facts.get("threads")
    rows = [
        ("Recipe", f"{recipe.get('title') or ''}"),
        ("Recipe hash", f"sha256 {facts.get('recipe_hash', '')}"),
        ("Prior", f"{prior.get('name', '')}: {prior.get('title', '')}"),
        ("Prior weights", f"sha256 {prior['sha256']}" if prior.get("sha256") else "no weights"),
        ("Licence of the prior", prior.get("licence") or "not stated"),
        ("Training data", prior.get("data") or "not stated"),
        ("Samples, seed", f"{facts.get('samples')} samples of each item, seed {facts.get('seed')}"),
        ("Computed", f"in {facts.get('dtype')} on {facts.get('device')}, {threads} thread{'s' * (threads != 1)}"),
        ("Cost", cost_in_words(facts.get("cost", {}))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())),
    ]
    return {"facts": rows, "recipe": dump(recipe), "command": "inverse restore recipe.yaml INPUT... -o AGAIN"}


def item_facts(folder: RunFolder, verdicts: Verdicts, row: Row, calibration: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of an item: faults, evidence, scores, what ``calibration.json`` says of it, and how it was made."""
    facts = folder.facts
    item, prior = str(row["item"]), facts.get("prior") or {}
    faults = verdicts.faults(row)
    against = {fault.sentence for fault in faults}
    sentences = ItemResult.from_row(row).evidence if "method" in row and "data_share" in row else []
    source = str(row.get("restored", "")).removeprefix("restored/")
    head, _, tail = item.rpartition("/")
    source = head if head and tail.isdigit() and f"{source}.".startswith(f"{head}.") else item
    sigma, channels = row.get("noise_sigma"), row.get("channels")
    estimated = "estimated from the measurement" if row.get("noise_estimated") else "given"
    made = [
        ("Method", str(row.get("method", ""))),
        ("Size", f"{row.get('width')} x {row.get('height')} pixels, {channels} channel{'' if channels == 1 else 's'}"),
        ("Noise level", "" if sigma is None else f"{float(sigma):.4g} data units, {estimated}"),
        ("Prior", str(prior.get("name", ""))),
        ("Samples, seed", f"{row.get('samples')} samples, seed {facts.get('seed')}"),
        ("Cost", cost_in_words(row)),
        ("Input", f"sha256 {facts['inputs'][item]}" if item in facts.get("inputs", {}) else ""),
        ("Restored file", str(row.get("restored", ""))),
        ("Restored file is", f"sha256 {row['sha256']}" if row.get("sha256") else ""),
        ("Intervals", str((facts.get("calibration") or {}).get("says") or "the sampler's own, not recalibrated")),
    ]
    checked: Row = next((entry for entry in calibration.get("per_item", ()) if entry.get("item") == item), {})
    return {
        "item": item,
        "place": verdicts.place(row),
        "faults": [[fault.level, fault.badge, fault.sentence] for fault in faults],
        "evidence": [text for text in sentences if text not in against],
        "notes": [str(row["note"])] if row.get("note") else [],
        "scores": [
            {"name": name, "value": row[name], "sample": row.get(f"{name}_sample")}
            for name in verdicts.metrics
            if isinstance(row.get(name), int | float)
        ],
        "calibration": [
            (_CALIBRATED.get(name, str(name)), float(value))
            for name, value in checked.items()
            if isinstance(value, int | float)
        ],
        "made": [pair for pair in made if pair[1]],
        "command": f"inverse restore recipe.yaml {shlex.quote(source)} -o AGAIN",
    }


def _sentence(text: str) -> str:
    capital = text[:1].upper() + text[1:]
    return capital if re.search(r"[.!?]$", capital) else f"{capital}."
