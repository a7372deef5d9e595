"""Writes the tables of docs/operators.md from the catalogue of operators: kind, formula, what it is, source."""

from __future__ import annotations

import argparse
from pathlib import Path

from inverse.operators.catalogue import OPERATORS
from inverse.operators.spec import OperatorSpec

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
START, END = "<!-- operators: benchmarks/operators_table.py -->", "<!-- end of operators -->"
#: Package of the factory, and the heading of its table.
FAMILIES = {
    "image": "Photography and microscopy",
    "blur": "Blur",
    "projection": "Coefficients, magnitudes and projections",
    "mri": "Magnetic resonance imaging ([mri.md](mri.md))",
    "satellite": "Remote sensing ([remote-sensing.md](remote-sensing.md))",
    "chain": "Several operators",
}


def row(spec: OperatorSpec) -> str:
    """An operator's line of the table."""
    cells = (f"`{spec.kind}`", spec.formula, spec.capabilities, spec.source)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_") for cell in cells) + " |"


def tables() -> str:
    """The tables, one a family."""
    parts = []
    for family, heading in FAMILIES.items():
        rows = [row(spec) for spec in OPERATORS.values() if spec.factory.split(".")[2].partition(":")[0] == family]
        parts.append("\n".join([f"### {heading}", "", "| kind | formula | is | source |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts)


def main() -> None:
    """Write the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.split(START)[0], text.split(END)[1]
    PAGE.write_text(f"{head}{START}\n\n{tables()}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
