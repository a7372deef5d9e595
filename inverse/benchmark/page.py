"""A suite carried out from beginning to end: its cells are measured, its tables and its page are written.

The page holds the tables with pictures of the first image: one HTML file that loads nothing and runs no script.
"""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup, escape

from inverse.benchmark.cells import Bench
from inverse.benchmark.peers.registry import PEERS
from inverse.benchmark.run import run_suite
from inverse.benchmark.suite import Suite
from inverse.benchmark.table import PICTURES, SuiteTable, make_table, shown, to_csv, to_json, to_markdown
from inverse.io.pages import template
from inverse.restoration.provenance import versions
from inverse.storage.files import write_bytes

__all__ = ["benchmark_suite", "to_html"]

_PEERS = ("scikit-image", "bm3d", "azula")


def to_html(table: SuiteTable) -> str:
    """The page of a suite's tables."""
    return template("inverse.benchmark", "page.html").render(
        table=table,
        title=table.title or table.name,
        tasks=[_task(table, name) for name in table.tasks],
        columns=table.columns(),
        strong=_strong,
    )


def _strong(text: str) -> Markup:
    """Text with the parts between double asterisks in bold."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text)))


def _task(table: SuiteTable, name: str) -> dict[str, Any]:
    """The part of the page on one task: its verdicts, its table and the pictures of its first image."""
    lines, columns = table.of(name), table.columns(name)
    first = [done for done in table.cells if done.cell.task.name == name and done.cell.first]
    pictures = [(label, done.numbers[label]) for label in PICTURES[1:] for done in first if label in done.numbers]
    pictures += [
        (f"{done.cell.row.name}, {done.numbers['psnr']:.2f} dB", done.numbers["picture"])
        for done in first
        if "picture" in done.numbers
    ]
    return {
        "name": name,
        "images": max(line.images for line in lines),
        "verdicts": table.verdicts[name],
        "columns": columns,
        # the mean plain, what comes behind it smaller
        "rows": [(line, [shown(line, column).partition(" ")[::2] for column in columns]) for line in lines],
        "image": first[0].cell.image if first else "",
        "pictures": pictures,
    }


def benchmark_suite(suite: Suite, out: Path, *, limit: int | None = None, bench: Bench | None = None) -> SuiteTable:
    """Measure what is not measured yet, and write ``table.md``, ``table.csv``, ``table.json`` and ``page.html``.

    Arguments and errors are those of `inverse.benchmark.run.run_suite`.
    """
    table = make_table(suite, run_suite(suite, out, limit=limit, bench=bench), _facts(suite))
    texts = {"table.md": to_markdown(table), "table.json": to_json(table), "page.html": to_html(table)}
    for name, content in {"table.csv": to_csv(table), **{name: text.encode() for name, text in texts.items()}}.items():
        write_bytes(out / name, content)
    return table


def _facts(suite: Suite) -> dict[str, str]:
    """Versions of what takes part, and the number of threads."""
    facts = {"suite": suite.name}
    facts |= {name: version for name, version in versions().items() if name in ("inverse", "deepinv", "torch")}
    used = {row.peer.package for task in suite.tasks for row in task.rows if row.peer is not None}
    for name in _PEERS:
        if name in used or (name == "scikit-image" and "skimage" in used):
            try:
                facts[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    if "bart" in used and not PEERS["bart-l1"].missing:
        version = subprocess.run(["bart", "version"], check=False, capture_output=True, text=True)
        facts["BART"] = version.stdout.strip()
    return {**facts, "threads": str(torch.get_num_threads())}
