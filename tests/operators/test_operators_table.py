"""The tables of docs/operators.md are those of the catalogue."""

from __future__ import annotations

import runpy
from pathlib import Path

from inverse.operators.catalogue import OPERATORS

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_are_current() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "operators_table.py"))
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    written = page.split(script["START"])[1].split(script["END"])[0].strip()
    assert written == script["tables"](), "run python benchmarks/operators_table.py"
    assert all(f"| `{kind}` |" in written for kind in OPERATORS)
