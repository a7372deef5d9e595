"""``inverse report RUN``: the page of a run, one HTML file that loads nothing.

Style and script are inlined from ``page_assets/`` and allowed by their hashes; the content security policy forbids
everything else, so that nothing *can* load. Items are inert JSON blocks that the script reads when one is opened, worst
item first.

The page is kept under `max_megabytes`. Each item has an equal share of it; past `WORST` times two items the worst
`WORST` share one half and the others the rest. An item whose images do not fit its share is shown smaller
(`inverse.report.items.DETAILS`), with fewer samples, and the page says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from inverse.errors import InputError, OutputError
from inverse.io.pages import template
from inverse.metrics.registry import metrics
from inverse.report.facts import item_facts, provenance, summary
from inverse.report.images import LEVELS, UNOBSERVED, bars
from inverse.report.items import DETAILS, Detail, Subject, panels, thumbnail
from inverse.report.maps import charts, maps
from inverse.report.verdicts import Verdicts
from inverse.runs.folder import RunFolder
from inverse.storage.files import plain, read_json, write_bytes

__all__ = ["MEGABYTES", "WORST", "write_report"]

MEGABYTES = 28.0
#: Items of a large run that are shown large.
WORST = 16
#: Where the items go, while the rest of the page is measured; no text of a run holds it, for tags in it are escaped.
ITEMS = "<items>"
MARK = '<meta name="generator" content="inverse report">'
#: Of the images of a page, base64 included; where the search for a resolution begins.
BYTES_PER_PIXEL = 0.5
#: Bytes of the words and numbers of an item, about.
TEXT = 3000
#: Bytes that the pictures of an item take at least; with less it has none.
SMALLEST = 2500


def write_report(
    run: str | Path,  # the run folder
    *,
    out: str | Path | None = None,  # the file; default report.html in the folder
    truth: str | Path | None = None,  # a file or folder of truths: adds the truth and the error of each item with one
    max_megabytes: float = MEGABYTES,  # size that the page is kept under, as far as its text allows
    overwrite: bool = False,  # replace `out` even if it is no report; an earlier report is replaced anyway
) -> Path:
    """Write the page of a run, and say where it is.

    Raises:
        InputError: it is no run folder, or a truth cannot be found.
        OutputError: the page cannot be written, or another file is there.
    """
    folder = RunFolder.open(run)
    path = folder.path / "report.html" if out is None else Path(out)
    if path.is_file() and not overwrite and MARK.encode() not in path.read_bytes()[:4096]:
        raise OutputError(f"{path} is there and is no report", "give another -o, or --overwrite")
    page = _Page(folder, {} if truth is None else folder.truths(truth), int(max_megabytes * 1e6))
    write_bytes(path, page.content)
    return path


@dataclass(frozen=True)
class _Page:
    """The page of a run."""

    folder: RunFolder
    truths: Mapping[str, Path]  # files by item
    limit: int  # bytes

    @cached_property
    def verdicts(self) -> Verdicts:
        return Verdicts.of(self.folder.done, list(self.folder.facts.get("metrics", {})))

    @cached_property
    def calibration(self) -> Mapping[str, Any]:
        """``calibration.json``; empty where there is none."""
        return read_json(self.folder.path / "calibration.json") or {}

    @property
    def content(self) -> bytes:
        """All of the file."""
        style, script = _part("page.css"), "\n".join(_part(name) for name in ("charts.js", "item.js", "list.js"))
        listed = [self._listed(number, row) for number, row in enumerate(self.verdicts.order)]
        html = {"mark": MARK, "style": style, "script": script, "shared": _block("run", self._shared(listed))}
        page = template("inverse.report", "page_assets/page.html").render(
            {name: Markup(text) for name, text in html.items()},
            policy=Markup(_policy(style, script)),
            title=str(self.folder.facts["recipe"].get("title") or "Restored images"),
            summary=summary(self.folder, self.verdicts),
            failures=self.folder.failures,
            provenance=provenance(self.folder),
            items=Markup(ITEMS),
        )
        before, after = page.split(ITEMS)
        blocks = self._items(self.limit - len((before + after).encode()))
        return (before + "\n".join(blocks) + after).encode()

    def _shared(self, listed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known, facts = metrics(), self.folder.facts
        return {
            "items": listed,
            "orderedBy": self.verdicts.ordered_by,
            "metrics": [
                {"name": name, "unit": known[name].unit if name in known else "", "definition": facts["metrics"][name]}
                for name in self.verdicts.metrics
            ],
            "bars": bars(),
            "levels": LEVELS,
            "unobserved": bytes(UNOBSERVED).hex(),
            "calibration": {key: value for key, value in self.calibration.items() if key != "per_item"} or None,
        }

    def _listed(self, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
        names = (*self.verdicts.metrics, "misfit", "coverage90", "data_share", "whiteness")
        faults = self.verdicts.faults(row)
        return {
            "item": row["item"],
            "thumb": self._thumbnail(str(row["item"])) if number < self._thumbnails else "",
            "numbers": {name: float(f"{row[name]:.5g}") for name in names if isinstance(row.get(name), int | float)},
            "faults": [[fault.level, fault.badge] for fault in faults],
            "says": faults[0].sentence if faults else "nothing is said against it",
        }

    @property
    def _thumbnails(self) -> int:
        """How many items have one in the list: a quarter of what the text leaves, the worst in any case."""
        room = self.limit - TEXT * len(self.verdicts.rows)
        return max(WORST, room // 4 // SMALLEST)

    def _thumbnail(self, item: str) -> str:
        try:
            kept = self.folder.kept(item, ("mean",))
            return thumbnail(Subject.of(self.folder, item, kept))
        except InputError:
            return ""

    def _items(self, budget: int) -> list[str]:
        """The blocks of the items, worst first."""
        count, rate = len(self.verdicts.order), BYTES_PER_PIXEL
        blocks: list[str] = []
        spent = 0
        for number, row in enumerate(self.verdicts.order):
            first = count > 2 * WORST and number < WORST
            share = budget // 2 // WORST if first else (budget - spent) // (count - number)
            block, rate = self._item(number, row, share, rate)
            blocks.append(block)
            spent += len(block) + 1
        return blocks

    def _item(self, number: int, row: Mapping[str, Any], share: int, rate: float) -> tuple[str, float]:
        """The block of an item, the largest that fits its share in bytes, and the bytes that a pixel of it took.

        `rate` is that of the item before: where the search begins.
        """
        item, name = str(row["item"]), f"item-{number}"
        content = item_facts(self.folder, self.verdicts, row, self.calibration)
        empty = {**content, "pictures": [], "maps": [], "samples": None, "histograms": [], "convergence": None}
        bare = _block(name, empty | {"reduced": self._reduced(item)})
        if share < len(bare) + SMALLEST:
            return bare, rate
        try:
            subject, note = self._subject(item)
        except InputError as error:
            return _block(name, empty | {"reduced": f"No pictures: {error.message}."}), rate
        content |= charts(subject)
        text = len(_block(name, content))
        image = subject.image
        side = 0 if image is None else max(image.shape[-2:])
        for detail in DETAILS:
            if detail.pixels_of(side) * rate > share - text and detail is not DETAILS[-1]:
                continue
            shown = panels(subject, detail) | {"maps": maps(subject, detail)}
            shown["reduced"] = note + self._reduced(item, side, detail)
            block = _block(name, content | shown)
            rate = max((len(block) - text) / max(detail.pixels_of(side), 1), 0.01)
            if len(block) <= share:
                return block, rate
        return bare, rate

    def _subject(self, item: str) -> tuple[Subject, str]:
        kept = self.folder.kept(item)
        alone = Subject.of(self.folder, item, kept)
        path = self.truths.get(item)
        if path is None:
            return alone, ""
        try:
            return Subject.of(self.folder, item, kept, self.folder.truth(item, path, kept).numpy()), ""
        except InputError as error:
            return alone, f"The truth is not shown: {error.message.replace(str(path), 'its file')}. "

    def _reduced(self, item: str, side: int = 0, detail: Detail | None = None) -> str:
        """What the size of the page cost an item whose longest side is `side`; empty where it is nothing."""
        if detail is None:
            cost = "the pictures of this item are left out"
        else:
            kinds = (
                ("pictures", detail.picture),
                ("maps", detail.map),
                ("samples", detail.sample * min(detail.samples, 1)),
            )
            smaller = [f"{kind} at most {size} pixels wide and high" for kind, size in kinds if 0 < size < side]
            missing = [f"no {kind}" for kind, size in kinds if not size]
            cost = ", ".join(smaller + missing)
        if not cost:
            return ""
        whole = f"all of it is in items/{item}/posterior.h5"
        if detail is DETAILS[0]:
            return f"This page shows {cost}; {whole}."
        return (
            f"To keep this page of {len(self.verdicts.rows):,} items under {self.limit / 1e6:.0f} MB: {cost}; {whole}, "
            "and 'inverse report RUN --max-mb N' makes a larger page."
        )


def _part(name: str) -> str:
    return files("inverse.report").joinpath("page_assets", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Only this very style and script, and images that are in the file."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _block(name: str, content: Mapping[str, Any]) -> str:
    """Data that the browser does not read by itself; no text in it can end it."""
    text = json.dumps(plain(content), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{text}</script>'
