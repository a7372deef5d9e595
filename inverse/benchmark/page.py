"""The page of a suite: its tables with pictures of the first image, one HTML file that loads nothing and runs no script.

A suite from beginning to end: cells measured, tables and page written.
"""

from __future__ import annotations

import re
from html import escape
from importlib import metadata
from pathlib import Path

from inverse.benchmark.cells import Bench
from inverse.benchmark.run import run_suite
from inverse.benchmark.suite import Suite
from inverse.benchmark.table import COLUMNS, Table, make_table, shown, to_csv, to_json, to_markdown
from inverse.restoration.provenance import versions
from inverse.storage.files import write_bytes

__all__ = ["benchmark_suite", "to_html"]

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--good:#0a7d3c;--bad:#b3261e;--soft:#8882}
@media(prefers-color-scheme:dark){:root{--good:#5fd08f;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{margin-top:2.2rem;border-top:1px solid var(--line);padding-top:.8rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
td.note{white-space:normal;min-width:14rem}tbody th{font-weight:400}tr.ours th{font-weight:650}small{opacity:.75}
tr.failed td{opacity:.75}li.lost::marker{color:var(--bad)}li.lost strong{color:var(--bad)}li.won::marker{color:var(--good)}
.strip{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}figure{margin:0;width:132px}
figure img{width:132px;image-rendering:pixelated;display:block;background:var(--soft)}
figcaption{font-size:12px;line-height:1.25;padding-top:.2rem;overflow-wrap:anywhere}
.lead{background:var(--soft);padding:.6rem .9rem;border-radius:.4rem}dt{font-weight:600;float:left;clear:left;margin-right:.5rem}
"""


def to_html(table: Table) -> str:
    """The page."""
    title = escape(table.title or table.name)
    facts = escape(", ".join(f"{key} {value}" for key, value in table.facts.items()))
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body><main>',
        f"<h1>{title}</h1><p><small>{facts}.</small></p>",
        f'<p class="lead">{escape(table.overall)}</p>' if table.overall else "",
        *(_section(table, task) for task in table.tasks),
        _definitions(table),
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _section(table: Table, task: str) -> str:
    columns, lines = table.columns(task), table.of(task)
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in columns)
    rows = []
    for line in lines:
        cells = "".join(f"<td>{_number(shown(line, column))}</td>" for column in columns)
        kind = "failed" if not line.values else "ours" if line.ours else "peer"
        rows.append(
            f'<tr class="{kind}"><th scope="row">{escape(line.row)}</th>{cells}<td class="note"><small>{escape(line.note)}</small></td></tr>'
        )
    said = "".join(f'<li class="{one.result}">{_strong(escape(one.sentence))}</li>' for one in table.verdicts[task])
    images = max(line.images for line in lines)
    return (
        f"<section><h2>{escape(task)}</h2><p>{images} image{'s' * (images != 1)}; means, [95 % intervals over images], (relative to the first row).</p>"
        f'<ul>{said}</ul><div class="wide"><table><thead><tr><th scope="col">method</th>{head}<th scope="col">note</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{_pictures(table, task)}</section>"
    )


def _number(text: str) -> str:
    """The mean plain, what comes behind it smaller."""
    mean, _, rest = text.partition(" ")
    return f"{escape(mean)} <small>{escape(rest)}</small>" if rest else escape(mean)


def _strong(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)


def _pictures(table: Table, task: str) -> str:
    cells = [one for one in table.cells if one.cell.task.name == task and one.cell.first]
    shots = [(label, one.numbers[label]) for label in ("truth", "measurement") for one in cells if label in one.numbers]
    for one in cells:
        if "picture" in one.numbers:
            psnr = one.numbers["psnr"]
            shots.append((f"{one.cell.row.name}, {psnr:.2f} dB", one.numbers["picture"]))
    if not shots:
        return ""
    figures = "".join(
        f'<figure><img alt="{escape(label)}" src="data:image/jpeg;base64,{data}"><figcaption>{escape(label)}</figcaption></figure>'
        for label, data in shots
    )
    return f'<p><small>{escape(cells[0].cell.image)}</small></p><div class="strip">{figures}</div>'


def _definitions(table: Table) -> str:
    used = {column.key for task in table.tasks for column in table.columns(task)}
    rows = "".join(f"<dt>{escape(c.title)}</dt><dd>{escape(c.definition)}</dd>" for c in COLUMNS if c.key in used)
    return f"<section><h2>What the columns are</h2><dl>{rows}</dl></section>"


_PEERS = ("scikit-image", "bm3d", "azula")


def benchmark_suite(suite: Suite, out: Path, *, limit: int | None = None, bench: Bench | None = None) -> Table:
    """Measure what is not measured yet, and write ``table.md``, ``table.csv``, ``table.json`` and ``page.html``.

    Args:
        suite: The suite.
        out: The folder.
        limit: Only so many images of each task.
        bench: What measures.

    Raises:
        InverseError: As `inverse.benchmark.run.run_suite`.
    """
    table = make_table(suite, run_suite(suite, out, limit=limit, bench=bench), _facts(suite))
    texts = {"table.md": to_markdown(table), "table.csv": to_csv(table), "table.json": to_json(table)}
    for name, text in {**texts, "page.html": to_html(table)}.items():
        write_bytes(out / name, text.encode())
    return table


def _facts(suite: Suite) -> dict[str, str]:
    import torch

    from inverse.benchmark.peers.registry import PEERS

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
