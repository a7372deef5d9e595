"""Run folders for the report.

A real one of tiny pictures restored without a network, and larger ones made of its items.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inverse

NASTY = 'it\'s <script>alert(1)<b> & "quoted" $items.png'
RECIPE = {
    "title": "Holes in <b>tiny</b> pictures & $items",
    "operator": {"kind": "random-mask", "missing": 0.5, "seed": 0},
    "noise": {"sigma": 0.05},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4},
    "run": {"samples": 3, "seed": 3},
}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """Three restored pictures with truths, the dullest of them without much to restore, and a broken one."""
    folder = tmp_path_factory.mktemp("report")
    rows = np.linspace(0, 1, 40)[:, None, None]
    for seed, name in enumerate(("a.png", "sub/b.png", NASTY)):
        rng = np.random.default_rng(seed)
        image = 0.5 + 0.3 * np.sin(8 * rows + rng.uniform(0, 6, 3)) * np.cos(9 * np.linspace(0, 1, 32)[:, None])
        image += 0.15 * seed * rng.standard_normal(image.shape)
        path = folder / "photos" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.uint8(255 * image.clip(0, 1))).save(path)
    (folder / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    run = inverse.restore(RECIPE, folder / "photos", out=folder / "run", truth=folder / "photos")
    assert [row["status"] for row in run.rows].count("done") == 3
    return folder / "run"


@pytest.fixture
def nasty() -> str:
    """The item whose name is markup."""
    return NASTY


@pytest.fixture
def fabricate(run_folder, tmp_path):
    """A run folder of so many items, made of links to those of the real one, scores and misfits spread out."""

    def make(count: int, name: str = "many") -> Path:
        out = tmp_path / name
        facts = json.loads((run_folder / "run.json").read_text())
        facts["counts"] = {"done": count, "failed": 0, "pending": 0}
        with (run_folder / "items.csv").open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["status"] == "done"]
        made = []
        for i in range(count):
            row = dict(rows[i % len(rows)])
            old, row["item"] = row["item"], f"part {i // 500}/{i:05d}.png"
            row["psnr"], row["misfit"] = str(20 + (i * 7919 % 1000) / 100), str(0.95 + (i * 104729 % 100) / 1000)
            (out / "items" / row["item"]).mkdir(parents=True)
            os.link(run_folder / "items" / old / "posterior.h5", out / "items" / row["item"] / "posterior.h5")
            made.append(row)
        with (out / "items.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, made[0])
            writer.writeheader()
            writer.writerows(made)
        (out / "run.json").write_text(json.dumps(facts))
        return out

    return make


@pytest.fixture
def copied(run_folder, tmp_path) -> Path:
    """A copy of the real run folder, to be written in."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))
