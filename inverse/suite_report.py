"""A suite from beginning to end: cells measured, tables and page written."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from inverse.provenance import versions
from inverse.store import write_bytes
from inverse.suite import Suite
from inverse.suite_cells import Bench
from inverse.suite_page import to_html
from inverse.suite_run import run_suite
from inverse.suite_table import Table, make_table, to_csv, to_json, to_markdown

__all__ = ["benchmark_suite"]

_PEERS = ("scikit-image", "bm3d", "azula")


def benchmark_suite(suite: Suite, out: Path, *, limit: int | None = None, bench: Bench | None = None) -> Table:
    """Measure what is not measured yet, and write ``table.md``, ``table.csv``, ``table.json`` and ``page.html``.

    Args:
        suite: The suite.
        out: The folder.
        limit: Only so many images of each task.
        bench: What measures.

    Raises:
        InverseError: As `inverse.suite_run.run_suite`.
    """
    table = make_table(suite, run_suite(suite, out, limit=limit, bench=bench), _facts(suite))
    texts = {"table.md": to_markdown(table), "table.csv": to_csv(table), "table.json": to_json(table)}
    for name, text in {**texts, "page.html": to_html(table)}.items():
        write_bytes(out / name, text.encode())
    return table


def _facts(suite: Suite) -> dict[str, str]:
    import torch

    from inverse.suite_peers import PEERS

    found = {"suite": suite.name}
    found |= {name: version for name, version in versions().items() if name in ("inverse", "deepinv", "torch")}
    used = {row.peer.package for task in suite.tasks for row in task.rows if row.peer is not None}
    for name in _PEERS:
        if name in used or (name == "scikit-image" and "skimage" in used):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    if "bart" in used and not PEERS["bart-l1"].missing:
        import subprocess

        said = subprocess.run(["bart", "version"], check=False, capture_output=True, text=True)
        found["BART"] = said.stdout.strip()
    return {**found, "threads": str(torch.get_num_threads())}
