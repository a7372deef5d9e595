"""Ours against deepinv, scikit-image, BM3D, BART: the shipped suites in one run, written to ``benchmarks/peers.md``.

    python benchmarks/peers.py [--suite photo-small] [--limit N] [--out build/peers]

Interrupt it at will: finished cells stay in ``build/peers``, and the same command goes on. Same images, measurements,
operators, noise levels and, where a peer takes one, the same prior in the same precision; see ``docs/benchmarks.md``
for what is fair in it and what is not.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from inverse.benchmark.page import benchmark_suite
from inverse.benchmark.suite import load_suite, shipped_suites
from inverse.benchmark.table import to_markdown

TARGET = Path(__file__).with_name("peers.md")
ORDER = ("photo-small", "mri-small", "satellite-small", "exact")


@click.command()
@click.option("--suite", "names", multiple=True, type=click.Choice(list(shipped_suites())), help="Only these.")
@click.option("--limit", type=int, help="Only the first N images.")
@click.option("--out", default=Path("build/peers"), show_default=True, type=click.Path(path_type=Path))
@click.option("--threads", default=1, show_default=True)
def main(names: tuple[str, ...], limit: int | None, out: Path, threads: int) -> None:
    """Run, and write the tables; of some suites or images only, print them."""
    torch.set_num_threads(threads)
    chosen = names or ORDER
    tables = []
    for name in chosen:
        table = benchmark_suite(load_suite(name), out / name, limit=limit)
        tables.append(table)
        click.echo(f"{name}: {table.overall}", err=True)
    text = "\n".join(to_markdown(table, level=2) for table in tables)
    if names or limit:
        click.echo(text)
        return
    overall = "\n".join(f"* {table.title}: {table.overall}" for table in tables if table.overall)
    head = (
        "Made by `python benchmarks/peers.py`; not edited by hand. "
        "What is fair in it and what is not: [docs/benchmarks.md](../docs/benchmarks.md)."
    )
    TARGET.write_text(f"{head}\n\n# Beside other packages\n\n{overall}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
