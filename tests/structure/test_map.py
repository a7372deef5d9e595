"""The map of the packages in CONTRIBUTING.md and docs/packages.svg is that of the imports."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run python benchmarks/package_map.py"
#: Lines of a package may drift by this share before the map is made again.
DRIFT = 0.2


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "package_map.py"))


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(" | ")] for line in table.strip().splitlines()[2:]]


def test_the_table_is_current(script) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    written = rows(guide.split(script["START"])[1].split(script["END"])[0])
    current = rows(script["table"](script["packages"]()))
    for before, now in zip(written, current, strict=True):
        assert before[:2] + before[3:] == now[:2] + now[3:], AGAIN
        assert int(before[2]) == pytest.approx(int(now[2]), rel=DRIFT, abs=100), AGAIN


def test_the_picture_is_of_the_table(script) -> None:
    """Every package with its lines; the picture is written together with the table."""
    picture = (ROOT / "docs" / "packages.svg").read_text(encoding="utf-8")
    for row in script["packages"]():
        assert f">{row.name}</text>" in picture, AGAIN
