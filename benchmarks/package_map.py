"""Draws the map of the packages from their imports: ``docs/packages.svg``, and the table in CONTRIBUTING.md.

Every import counts, those inside functions too, as in ``tests/structure/test_layers.py``, whose layers these are.
Imports between two packages are one arrow, and an arrow that others imply (a package may import what its imports
import) is not drawn.
"""

from __future__ import annotations

import argparse
import ast
import re
import runpy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line
from scipy.optimize import isotonic_regression

ROOT = Path(__file__).resolve().parents[1]
GUIDE, PICTURE = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "packages.svg"
START, END = "<!-- packages: benchmarks/package_map.py -->", "<!-- end of packages -->"
#: Width of a box and the gap beside it, in heights of a floor.
ACROSS = 2.6
#: What the layers are about, each with the first package of its colour.
SUBJECTS = {
    "numerics": ("numbers and files", "#dfe7ef"),
    "operators": ("what was measured, what is known", "#dcefe2"),
    "calibration": ("what follows", "#fdf0cf"),
    "recipes": ("what to solve: an item, a scene, a run", "#fbe0d3"),
    "evaluation": ("judging it", "#eadcf2"),
    "api": ("the two doors", "#e4e4e4"),
}


@dataclass(frozen=True)
class Package:
    """One layer: a package, or a module of the root."""

    name: str
    summary: str  # first sentence of its docstring
    modules: int
    lines: int
    imports: frozenset[str]  # all packages it imports
    arrows: tuple[str, ...]  # those of them that the others do not imply


def packages() -> list[Package]:
    """The packages from bottom to top, read from the sources."""
    walls: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "structure" / "test_layers.py"))
    layers, layer, sources = walls["LAYERS"], walls["layer"], walls["sources"]()
    imports: dict[str, set[str]] = {name: set() for name in layers}
    for module in sources:
        here = layer(module)
        if here is not None:
            imports[here] |= {there for there in map(layer, walls["imported"](module)) if there not in (None, here)}
    reach = {name: _reach(name, imports) for name in layers}
    rows = []
    for name in layers:
        paths = [path for module, path in sources.items() if layer(module) == name]
        doc = ast.get_docstring(ast.parse(sources[f"inverse.{name}"].read_text(encoding="utf-8"))) or ""
        implied = {far for near in imports[name] for far in reach[near]}
        rows.append(
            Package(
                name=name,
                summary=re.sub(r"\s+", " ", re.split(r"(?<=\.)\s|\n\n", doc)[0]).replace("|", r"\|"),
                modules=sum(path.name != "__init__.py" for path in paths),
                lines=sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths),
                imports=frozenset(imports[name]),
                arrows=tuple(sorted(imports[name] - implied, key=layers.index)),
            )
        )
    return rows


def _reach(name: str, imports: Mapping[str, set[str]]) -> set[str]:
    """Packages that a package imports, and those that these import, and so on."""
    return imports[name].union(*(_reach(near, imports) for near in imports[name]))


def table(rows: list[Package]) -> str:
    """The packages from top to bottom, as Markdown."""
    lines = ["| package | modules | lines | stands on | what it is |", "|---|--:|--:|---|---|"]
    for row in reversed(rows):
        amount = round(row.lines, -2) or row.lines
        lines.append(f"| `{row.name}` | {row.modules} | {amount} | {', '.join(row.arrows)} | {row.summary} |")
    return "\n".join(lines)


def floors(rows: list[Package]) -> dict[str, int]:
    """The floor of each package: one above the highest that it imports."""
    levels: dict[str, int] = {}
    for row in rows:
        levels[row.name] = max((levels[name] + 1 for name in row.imports), default=0)
    return levels


def places(rows: list[Package]) -> tuple[dict[str, float], dict[tuple[str, str], list[tuple[float, int]]]]:
    """Where the boxes and the bends of the arrows lie across, in widths of a box, so that no arrow runs behind a box.

    An arrow over several floors has a bend on each floor between. On a floor everything is in the order of the mean of
    its neighbours above and below, and as near to that mean as its width lets it (least squares), in turn until at
    rest.
    """
    levels, beside = floors(rows), defaultdict[str, list[str]](list)
    bends: dict[tuple[str, str], list[str]] = {}
    storeys: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        storeys[levels[row.name]].append(row.name)
        for other in row.arrows:
            between = range(levels[row.name] - 1, levels[other], -1)
            bends[row.name, other] = [row.name, *(f"{row.name}>{other}@{level}" for level in between), other]
            for level, name in zip(between, bends[row.name, other][1:-1], strict=True):
                storeys[level].append(name)
            for upper, lower in pairwise(bends[row.name, other]):
                beside[upper].append(lower)
                beside[lower].append(upper)
    x = {name: float(i - len(names) / 2) for names in storeys.values() for i, name in enumerate(names)}
    for sweep in range(60):
        for level in sorted(storeys, reverse=sweep % 2 == 0):
            names = storeys[level]
            pull = {name: sum(x[other] for other in beside[name]) / len(beside[name]) for name in names}
            names.sort(key=lambda name: pull[name])
            steps = [0.36 + 0.27 * (("@" not in a) + ("@" not in b)) for a, b in pairwise(names)]
            offsets = [sum(steps[:i]) for i in range(len(names))]
            free = isotonic_regression([pull[name] - offset for name, offset in zip(names, offsets, strict=True)]).x
            x.update({name: float(start + offset) for name, start, offset in zip(names, free, offsets, strict=True)})
    floor = {name: level for level, names in storeys.items() for name in names}
    return x, {arrow: [(x[name], floor[name]) for name in names] for arrow, names in bends.items()}


def draw(rows: list[Package]) -> Figure:
    """The picture."""
    across, bends = places(rows)
    levels, most = floors(rows), max(row.lines for row in rows)
    figure = Figure(figsize=(9.0, 11.5))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    for points in bends.values():
        (x, y), *rest = [(ACROSS * x, float(y)) for x, y in points]
        path, codes = [(x, y - 0.3)], [Line.MOVETO]
        for i, (there, floor) in enumerate(rest):
            end = floor + (0.31 if i == len(rest) - 1 else 0.0)
            start = path[-1]
            reach = 0.45 * (start[1] - end)
            path += [(start[0], start[1] - reach), (there, end + reach), (there, end)]
            codes += [Line.CURVE4] * 3
        axes.add_patch(
            FancyArrowPatch(path=Line(path, codes), arrowstyle="-|>", mutation_scale=11, color="#7a8490", zorder=1)
        )
    colour = "#f2f2f2"
    for row in rows:
        subject, colour = SUBJECTS.get(row.name, ("", colour))
        x, y, width = ACROSS * across[row.name], levels[row.name], 1.35 + 1.1 * (row.lines / most) ** 0.5
        box = FancyBboxPatch((x - width / 2, y - 0.26), width, 0.52, boxstyle="round,pad=0.02,rounding_size=0.1")
        box.set(facecolor=colour, edgecolor="#4a525c", zorder=2)
        axes.add_patch(box)
        axes.text(x, y + 0.08, row.name, ha="center", va="center", fontsize=11, weight="bold", zorder=3)
        axes.text(x, y - 0.14, f"{row.lines:,} lines", ha="center", va="center", fontsize=8, color="#4a525c", zorder=3)
    left, right = (end(ACROSS * x for points in bends.values() for x, _ in points) for end in (min, max))
    for i, (subject, colour) in enumerate(SUBJECTS.values()):
        axes.text(
            left - 1.2, 0.25 * i - 0.3, subject, fontsize=9, va="center", bbox={"fc": colour, "ec": "none", "pad": 2}
        )
    axes.set(xlim=(left - 1.4, right + 1.4), ylim=(-0.6, max(levels.values()) + 0.5))
    return figure


def main() -> None:
    """Write the picture and the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = packages()
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "packages", "font.family": "sans-serif"})
    draw(rows).savefig(PICTURE, metadata={"Date": None})
    text = GUIDE.read_text(encoding="utf-8")
    head, tail = text.split(START)[0], text.split(END)[1]
    GUIDE.write_text(f"{head}{START}\n\n{table(rows)}\n\n{END}{tail}", encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}, and the table in {GUIDE.name}")


if __name__ == "__main__":
    main()
