"""docs/extending: each page is one complete example, run as it stands, its part joined by an entry point.

A block is ```` ```LANGUAGE FILE ````; blocks without a file are what is run, in their order: Python as a script, ``sh``
as commands. What ``pip install`` makes of pyproject.toml is written beside the files, and all runs in one new
interpreter.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs" / "extending").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST = 60
WIDEST = 120

#: Runs every page in the folder of its files: what failed, and what was printed.
DRIVER = """
import contextlib, io, json, os, runpy, sys, traceback
from pathlib import Path

from inverse.cli.main import cli

results = {}
for page in json.loads(Path("pages.json").read_text()):
    os.chdir(page["folder"])
    said, error = io.StringIO(), ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for language, text in page["runs"]:
            try:
                if language == "python":
                    Path("block.py").write_text(text)
                    runpy.run_path("block.py", run_name="__main__")
                else:
                    for line in text.strip().splitlines():
                        print("$", line)
                        code = cli(line.split()[1:], standalone_mode=False)
                        assert not code, f"{line}: exit code {code}"
            except BaseException:
                error = traceback.format_exc()
                break
    os.chdir("..")
    results[page["name"]] = {"error": error, "said": said.getvalue()}
Path("results.json").write_text(json.dumps(results))
"""


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def install(folder: Path, project: str) -> None:
    """Name, version and entry points of a pyproject.toml, as an installed distribution has them."""
    facts = tomllib.loads(project)["project"]
    metadata = folder / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n"
    (metadata / "METADATA").write_text(head, encoding="utf-8")
    lines = [
        "\n".join([f"[{group}]", *(f"{name} = {place}" for name, place in entries.items())])
        for group, entries in facts["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, dict[str, str]]:
    root, pages = tmp_path_factory.mktemp("pages"), []
    noisy = np.indices((48, 40)).sum(0)[..., None] * [1, 2, 3] / 2 + np.random.default_rng(0).normal(
        60, 12, (48, 40, 3)
    )
    for page in PAGES:
        folder, found = root / page.stem, blocks(page)
        folder.mkdir()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "photo.png")
        for _, name, text in found:
            if name == "pyproject.toml":
                install(folder, text)
            elif name:
                (folder / name).write_text(text, encoding="utf-8")
        runs = [(language, text) for language, name, text in found if not name]
        pages.append({"name": page.stem, "folder": str(folder), "runs": runs})
    (root / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
    path = os.pathsep.join([page["folder"] for page in pages] + [entry for entry in sys.path if entry])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, str]] = json.loads((root / "results.json").read_text(encoding="utf-8"))
    return answer


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_runs_as_it_stands(page, results) -> None:
    assert not results[page.stem]["error"], results[page.stem]["error"] + results[page.stem]["said"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_is_short(page) -> None:
    text = page.read_text(encoding="utf-8")
    files = [block for _, name, block in blocks(page) if name.endswith((".py", ".yaml"))]
    assert 1 <= len([line for block in files for line in block.splitlines() if line.strip()]) < LONGEST
    assert max(map(len, text.splitlines())) <= WIDEST


def test_every_kind_of_part_has_its_page() -> None:
    names = {page.stem for page in PAGES}
    assert names == {"format", "method", "metric", "operator", "prior", "recipe"}


def test_parts_are_listed_where_they_are_looked_for(results) -> None:
    assert "exact for white priors and any linear operator" in results["method"]["said"]
    assert "Bias(std_range=" in results["method"]["said"]
    assert "y = (1 - s) x + s shift(x)" in results["operator"]["said"]
    assert "edge-mae" in results["metric"]["said"]
    assert re.search(r"format +farbfeld", results["format"]["said"])
