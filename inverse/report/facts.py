"""The words of the report: what a run was, how it went and how to repeat it, as escaped HTML; and the facts of an item, as data."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inverse.posterior.words import evidence
from inverse.recipes.yaml_layers import dump
from inverse.report.verdicts import Verdicts, cost_in_words
from inverse.runs.folder import RunFolder

__all__ = ["calibration_in_words", "item_facts", "provenance", "summary"]

Row = Mapping[str, Any]

_CALIBRATED = {
    "coverage90": "share of the truth in 90 % intervals (0.9 expected)",
    "stretch90": "factor that the std is too small by for them (1 expected)",
    "z_std": "standard deviation of the truth's normal scores (1 expected)",
    "rmse": "root mean square error, data units",
    "misfit": "misfit (1 expected)",
}


def summary(folder: RunFolder, verdicts: Verdicts) -> str:
    """The top of the page: how many, how well, what failed and why."""
    counts = folder.facts.get("counts", {})
    done, failed, pending = (int(counts.get(state, 0)) for state in ("done", "failed", "pending"))
    total = done + failed + pending
    told = [f"{failed} failed" if failed else "none failed"] + ([f"{pending} still to do"] if pending else [])
    lines = [f'<p class="lead">{done} of {total} items restored, {", ".join(told)}.</p>', _tiles(folder, verdicts)]
    says = [*verdicts.summary, calibration_in_words(folder)]
    lines.append('<ul class="says">' + "".join(f"<li>{_sentence(text)}</li>" for text in says) + "</ul>")
    return "\n".join(lines) + _failures(folder.failures)


def _tiles(folder: RunFolder, verdicts: Verdicts) -> str:
    """The few numbers a reader looks for first."""
    from inverse.metrics.registry import metrics

    found = []
    for name in verdicts.metrics[:2]:
        values = [float(row[name]) for row in verdicts.rows if isinstance(row.get(name), int | float)]
        unit = metrics()[name].unit if name in metrics() else ""
        ends = f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
        found.append((name.upper(), f"{sum(values) / len(values):.4g}", unit, ends))
    misfits = [float(row["misfit"]) for row in verdicts.rows if isinstance(row.get("misfit"), int | float)]
    if misfits:
        ends = f"{min(misfits):.2f} to {max(misfits):.2f}, " if len(misfits) > 1 else ""
        found.append(("Misfit", f"{sum(misfits) / len(misfits):.2f}", "", f"{ends}expected 1"))
    covers = [float(row["coverage90"]) for row in verdicts.rows if isinstance(row.get("coverage90"), int | float)]
    if covers:
        found.append(("90 % intervals hold", f"{100 * sum(covers) / len(covers):.0f}", "%", "of the true values"))
    shares = [float(row["data_share"]) for row in verdicts.rows if isinstance(row.get("data_share"), int | float)]
    if shares:
        found.append(("Data share", f"{100 * sum(shares) / len(shares):.0f}", "%", "the prior decided the rest"))
    boxes = (
        f"<div><dt>{_text(name)}</dt><dd><b>{_text(value)}</b> {_text(unit)}<span>{_text(more)}</span></dd></div>"
        for name, value, unit, more in found
    )
    return f'<dl class="tiles">{"".join(boxes)}</dl>' if found else ""


def _failures(failures: Sequence[Row]) -> str:
    if not failures:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_text(row.get("item", ""))}</th><td>{_text(row.get("stage", ""))}</td>'
        f"<td>{_text(row.get('reason', ''))}</td><td>{_text(row.get('hint', ''))}</td></tr>"
        for row in failures
    )
    open_now = " open" if len(failures) <= 10 else ""
    return (
        f'<details class="failures"{open_now}><summary>{len(failures)} failed, and why</summary><div class="wide"><table>'
        '<thead><tr><th scope="col">Item</th><th scope="col">While</th><th scope="col">Reason</th><th scope="col">To try</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def calibration_in_words(folder: RunFolder) -> str:
    """Whether the run's intervals were recalibrated, and whether they were checked against truths."""
    known = folder.facts.get("calibration") or {}
    if known.get("applied"):
        told = f"the uncertainties are recalibrated by {Path(str(known['file'])).name}: {known['says']}"
    elif known.get("says"):
        told = str(known["says"])
    else:
        told = "the uncertainties are the sampler's own, not recalibrated"
    if (folder.path / "calibration.json").is_file():
        return f"{told}; how they compare with truths is below, under Calibration"
    return f"{told}; 'inverse calibrate RUN TRUTH' compares them with truths"


def provenance(folder: RunFolder) -> str:
    """How the run was made, and the command that repeats it."""
    facts = folder.facts
    recipe, prior = facts["recipe"], facts.get("prior") or {}
    rows = [
        ("Recipe", f"{recipe.get('title') or ''}"),
        ("Recipe hash", f"sha256 {facts.get('recipe_hash', '')}"),
        ("Prior", f"{prior.get('name', '')}: {prior.get('title', '')}"),
        ("Prior weights", f"sha256 {prior['sha256']}" if prior.get("sha256") else "no weights"),
        ("Licence of the prior", prior.get("licence") or "not stated"),
        ("Training data", prior.get("data") or "not stated"),
        ("Samples, seed", f"{facts.get('samples')} samples of each item, seed {facts.get('seed')}"),
        (
            "Computed",
            f"in {facts.get('dtype')} on {facts.get('device')}, {facts.get('threads')} thread{'' if facts.get('threads') == 1 else 's'}",
        ),
        ("Cost", cost_in_words(facts.get("cost", {}))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())),
    ]
    body = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in rows)
    yaml = _text(dump(recipe))
    command = _text("inverse restore recipe.yaml INPUT... -o AGAIN")
    return (
        f'<dl class="facts">{body}</dl><h3>To repeat it</h3><p>Save the recipe below as recipe.yaml, then:</p>'
        f'<div class="code"><pre tabindex="0" aria-label="Command">{command}</pre><button type="button" class="copy">Copy</button></div>'
        f'<h3>Recipe, every default filled in</h3><div class="code"><pre tabindex="0" aria-label="Recipe as YAML">{yaml}</pre>'
        '<button type="button" class="copy">Copy</button></div>'
    )


def item_facts(folder: RunFolder, verdicts: Verdicts, row: Row, calibration: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of an item: faults, evidence, scores, and how it was made; `calibration` is the content of ``calibration.json``."""
    facts = folder.facts
    item, prior = str(row["item"]), facts.get("prior") or {}
    faults = verdicts.faults(row)
    told = evidence(row) if "method" in row and "data_share" in row else []
    against = {fault.sentence for fault in faults}
    place = verdicts.place(row)
    source = str(row.get("restored", "")).removeprefix("restored/")
    source = source if source and item.startswith(f"{source}/") else item
    sigma = row.get("noise_sigma")
    estimated = "estimated from the measurement" if row.get("noise_estimated") else "given"
    made = [
        ("Method", str(row.get("method", ""))),
        (
            "Size",
            f"{row.get('width')} x {row.get('height')} pixels, {row.get('channels')} channel{'' if row.get('channels') == 1 else 's'}",
        ),
        ("Noise level", "" if sigma is None else f"{float(sigma):.4g} data units, {estimated}"),
        ("Prior", str(prior.get("name", ""))),
        ("Samples, seed", f"{row.get('samples')} samples, seed {facts.get('seed')}"),
        ("Cost", cost_in_words(row)),
        ("Input", f"sha256 {facts['inputs'][item]}" if item in facts.get("inputs", {}) else ""),
        ("Restored file", str(row.get("restored", ""))),
        ("Restored file is", f"sha256 {row['sha256']}" if row.get("sha256") else ""),
        ("Intervals", str((facts.get("calibration") or {}).get("says") or "the sampler's own, not recalibrated")),
    ]
    return {
        "item": item,
        "place": place,
        "faults": [[fault.level, fault.badge, fault.sentence] for fault in faults],
        "evidence": [text for text in told if text not in against],
        "notes": [str(row["note"])] if row.get("note") else [],
        "scores": _scores(verdicts, row),
        "calibration": _calibrated(calibration, item),
        "made": [pair for pair in made if pair[1]],
        "command": f"inverse restore recipe.yaml {shlex.quote(source)} -o AGAIN",
    }


def _scores(verdicts: Verdicts, row: Row) -> list[dict[str, Any]]:
    """Metrics of an item: of the mean, averaged over the samples, with their definitions in the shared block."""
    found = []
    for name in verdicts.metrics:
        if isinstance(row.get(name), int | float):
            found.append({"name": name, "value": row[name], "sample": row.get(f"{name}_sample")})
    return found


def _calibrated(calibration: Mapping[str, Any], item: str) -> list[tuple[str, float]]:
    """The numbers that ``calibration.json`` holds of an item."""
    own: Mapping[str, Any] = next((entry for entry in calibration.get("per_item", ()) if entry.get("item") == item), {})
    return [(_CALIBRATED.get(name, str(name)), float(v)) for name, v in own.items() if isinstance(v, int | float)]


def _sentence(text: str) -> str:
    capital = text[:1].upper() + text[1:]
    return _text(capital if re.search(r"[.!?]$", capital) else capital + ".")


def _text(value: object) -> str:
    return html.escape(str(value))
