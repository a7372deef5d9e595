"""Suites carried out on 16 x 16 images with a closed-form prior.

Cells, resuming, failures as rows, and what the tables say.
"""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from inverse.benchmark.cells import Bench
from inverse.benchmark.page import benchmark_suite
from inverse.benchmark.peers.registry import PEERS
from inverse.benchmark.run import Cell, Done, cells_of
from inverse.benchmark.suite import load_suite
from inverse.benchmark.verdicts import verdicts
from inverse.cli.main import cli

SUITE = """\
schema: 1
images: pictures
run: {samples: 6, seed: 1}
evaluations: 4
priors: [gaussian]
methods:
  exact: exact
  diffpir: {kind: diffpir, steps: 4}
  estimate: {kind: red-diff, steps: 4}
peers: [skimage-wiener, bart-l1, deepinv-dpir, deepinv-ddrm]
tasks:
  blur: {operator: {kind: gaussian-blur, sigma: 0.8, boundary: circular}, noise: 0.05}
problems: [white-mask]
"""


def still() -> float:
    return 0.0


class Killed(Bench):
    """Ends after so many cells, as Ctrl-C does."""

    def __init__(self, cells: int) -> None:
        super().__init__(still, still)
        self.left = cells

    def cell(self, *args, **kwargs):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().cell(*args, **kwargs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite")
    (path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        smooth = rng.normal(128, 40, (16, 16)).clip(0, 255).astype(np.uint8)
        Image.fromarray(smooth).save(path / "pictures" / f"p{index}.png")
    (path / "tiny.yaml").write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def done(folder):
    out = folder / "whole"
    return out, benchmark_suite(load_suite(folder / "tiny.yaml"), out, bench=Bench(still, still))


def test_every_method_is_measured_on_every_image(done):
    out, table = done
    files = sorted(path.relative_to(out / "cells").as_posix() for path in (out / "cells").rglob("*.json"))
    assert len(files) == 7 * 3 + 7
    assert "blur/diffpir/p0.png.json" in files
    line = {line.row: line for line in table.of("blur")}["exact"]
    assert line.images == 3
    mean, low, high = line.values["psnr"]
    assert low < mean < high
    cells = [cell for cell in json.loads((out / "table.json").read_text())["cells"] if cell["method"] == "exact"]
    assert mean == pytest.approx(np.mean([cell["psnr"] for cell in cells if "psnr" in cell]))


def test_the_files_hold_what_the_table_says(done):
    out, table = done
    with (out / "table.csv").open(newline="") as stream:
        rows = {(row["task"], row["method"]): row for row in csv.DictReader(stream)}
    assert float(rows["blur", "deepinv DPIR"]["psnr"]) == pytest.approx(
        {line.row: line for line in table.of("blur")}["deepinv DPIR"].values["psnr"][0], rel=1e-5
    )
    assert rows["blur", "deepinv DPIR"]["note"] == "best of 6 by the truth"
    markdown, page = (out / "table.md").read_text(), (out / "page.html").read_text()
    assert "| **exact** |" in markdown
    assert page.count("<table>") == 2
    assert page.count("data:image/jpeg;base64,") == 2 + 6
    assert "<script" not in page
    assert "http" not in page


def test_a_method_that_is_exact_is_found_to_be(done):
    line = {line.row: line for line in done[1].of("white-mask")}
    assert line["exact"].values["coverage90"][0] == pytest.approx(0.9, abs=0.02)
    assert line["estimate"].values["std_range"][0] < 0.5
    assert "coverage90" not in line["estimate"].values
    assert line["deepinv DDRM"].values["coverage90"][0] < 0.8


def test_what_cannot_be_done_is_a_row_with_its_reason(done):
    line = {(line.task, line.row): line for line in done[1].lines}
    assert line["blur", "BART l1-wavelets"].note == "is for mri only"
    assert line["blur", "BART l1-wavelets"].values == {}
    assert line["white-mask", "scikit-image Wiener"].failed == 1


def test_what_was_killed_goes_on_and_ends_the_same_byte_for_byte(folder, done):
    out = folder / "killed"
    suite = load_suite(folder / "tiny.yaml")
    for cells in (0, 4, 9):
        with pytest.raises(KeyboardInterrupt):
            benchmark_suite(suite, out, bench=Killed(cells))
        assert not (out / "table.md").exists()
    counted = Killed(100)
    benchmark_suite(suite, out, bench=counted)
    # of 21 cells, 4 + 9 had been measured
    assert 100 - counted.left == 8
    for name in ("table.md", "table.csv", "table.json", "page.html"):
        assert (out / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_only_what_changed_is_measured_again(folder, done):
    out = folder / "changed"
    shutil.copytree(done[0], out)
    counted = Killed(100)
    (folder / "other.yaml").write_text(SUITE.replace("diffpir, steps: 4", "diffpir, steps: 5"))
    benchmark_suite(load_suite(folder / "other.yaml"), out, bench=counted)
    assert 100 - counted.left == 3
    (out / "cells" / "blur" / "exact" / "p1.png.json").write_text("{")
    benchmark_suite(load_suite(folder / "other.yaml"), out, bench=counted)
    assert 100 - counted.left == 4


def test_a_peer_that_is_missing_is_asked_again(folder, monkeypatch):
    suite = load_suite(folder / "tiny.yaml")
    wiener = PEERS["skimage-wiener"]
    monkeypatch.setattr(type(wiener), "missing", "not installed: pip install scikit-image")
    table = benchmark_suite(suite, folder / "missing", limit=1, bench=Bench(still, still))
    line = {line.row: line for line in table.of("blur")}["scikit-image Wiener"]
    assert line.note == "not installed: pip install scikit-image"
    assert not any(one.defect for one in table.cells)
    monkeypatch.undo()
    table = benchmark_suite(suite, folder / "missing", limit=1, bench=Bench(still, still))
    assert {line.row: line for line in table.of("blur")}["scikit-image Wiener"].images == 1


def test_peers_see_neither_the_truth_nor_the_global_generator(folder, done):
    suite = load_suite(folder / "tiny.yaml")
    before = torch.random.get_rng_state()
    row = next(row for row in suite.tasks[0].rows if row.name == "deepinv DDRM")
    bench, truth = Bench(still, still), torch.full((1, 1, 16, 16), 0.4)
    first, second = (bench.cell(row, truth, "a", picture=False) for _ in range(2))
    assert first == second
    assert first["F"] == 6 * 4
    assert torch.equal(torch.random.get_rng_state(), before)


def losing(folder):
    """Cells in which the peer is better than ours by 1 dB on each of five images, and ours is the faster."""
    task = load_suite(folder / "tiny.yaml").tasks[0]
    ours, peer = task.rows[0], next(row for row in task.rows if row.name == "deepinv DPIR")
    cells = []
    for index in range(5):
        for row, better in ((ours, 0.0), (peer, 1.0)):
            psnr = 25 + index + better + 0.01 * index * better
            numbers = {"psnr": psnr, "ssim": 0.7, "crps": 0.02 - 0.005 * better, "cpu": 1.0 + better}
            cells.append(Done(Cell(task, row, f"i{index}", None, index == 0), numbers))
    return cells


def test_where_we_lose_it_says_so(folder):
    found = {one.metric: one for one in verdicts(losing(folder))}
    assert found["PSNR"].result == "lost"
    assert (
        "**we lose**: our best, exact, 27.00 dB; the peers' best, deepinv DPIR (chosen with the truth), 28.02 dB"
        in found["PSNR"].sentence
    )
    assert found["CRPS"].result == "lost"
    assert found["SSIM"].result == "undecided"
    assert found["time"].result == "won"
    assert "2 times faster" in found["time"].sentence


def test_few_images_decide_nothing(folder):
    few = [one for one in losing(folder) if one.cell.image in ("i0", "i1", "i2")]
    found = {one.metric: one for one in verdicts(few)}
    assert found["PSNR"].result == "undecided"
    assert "too few images to decide" in found["PSNR"].sentence


def test_the_command_says_what_it_would_do_does_it_and_ends_in_its_code(folder, monkeypatch):
    monkeypatch.chdir(folder)
    said = CliRunner().invoke(cli, ["benchmark", "tiny.yaml", "-o", "cli", "--limit", "1", "--dry-run"])
    assert said.exit_code == 0, said.output
    assert "14 cells, 0 of them done, about 0 minutes" in said.output
    assert not (folder / "cli").exists()
    said = CliRunner().invoke(cli, ["-qq", "benchmark", "tiny.yaml", "-o", "cli", "--limit", "1", "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["suite"] == "tiny"
    said = CliRunner().invoke(cli, ["benchmark", "tiny.yaml", "-o", "cli", "--limit", "1", "--dry-run", "--json"])
    assert json.loads(said.stdout)["done"] == 14
    (folder / "bad.yaml").write_text(SUITE.replace("images: pictures", "imges: pictures"))
    said = CliRunner().invoke(cli, ["benchmark", "bad.yaml", "-o", "cli"])
    assert said.exit_code == 3
    assert said.stderr.splitlines() == [
        "error: bad.yaml:2: unknown key 'imges' (given 'pictures')",
        "did you mean 'images'?",
    ]
    (folder / "gone.yaml").write_text(SUITE.replace("images: pictures", "images: [skimage:chelse]"))
    said = CliRunner().invoke(cli, ["benchmark", "gone.yaml", "-o", "cli"])
    assert said.exit_code == 4
    assert "did you mean 'chelsea'?" in said.stderr


def test_cells_are_in_the_order_of_images_so_that_a_part_is_balanced(folder):
    cells = cells_of(load_suite(folder / "tiny.yaml"), limit=2)
    assert [(cell.row.name, cell.image) for cell in cells[6:9]] == [
        ("deepinv DDRM", "p0.png"),
        ("exact", "p1.png"),
        ("diffpir", "p1.png"),
    ]


def test_a_method_that_refuses_an_operator_is_a_row_and_no_failure(folder):
    text = SUITE.replace("boundary: circular", "boundary: free").replace("exact: exact", "exact: exact\n  ddrm: ddrm")
    (folder / "free.yaml").write_text(text[: text.index("problems")].replace(", deepinv-dpir, deepinv-ddrm", ""))
    said = CliRunner().invoke(
        cli, ["-qq", "benchmark", str(folder / "free.yaml"), "-o", str(folder / "free"), "--limit", "1"]
    )
    assert said.exit_code == 0, said.output
    rows = {line["row"]: line for line in json.loads((folder / "free" / "table.json").read_text())["lines"]}
    assert rows["ddrm"]["note"].startswith("method 'ddrm' needs a spectral operator")
    assert rows["scikit-image Wiener"]["note"] == "gives 10 x 10 pixels, the unknown has 16 x 16"
    assert rows["diffpir"]["values"]["psnr"][0] > 10
