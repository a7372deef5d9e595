"""The corpus of malformed files: a clear message of three lines and exit code 4.

Nothing executed, nothing exhausted, the rest of a folder done.
"""

import csv
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("nibabel")
pytest.importorskip("rasterio")
pytest.importorskip("zarr")
pytest.importorskip("pydicom")

import corpus_containers  # noqa: F401  registers its kinds
from corpus import BAD, MARK

from inverse.cli.main import cli
from inverse.runs.run import Options, restore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    for name, (_, make) in BAD.items():
        make(path / name)
    return path


@pytest.mark.parametrize("name", BAD)
def test_a_clear_message_and_exit_code_4(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    start = time.perf_counter()
    done = CliRunner().invoke(cli, ["info", name], prog_name="inverse")
    assert done.exit_code == 4, (done.output, done.exception)
    assert done.stdout == ""
    lines = done.stderr.rstrip().splitlines()
    assert lines[0].startswith(f"error: {name}: ")
    assert len(lines) <= 3
    assert all(len(line) <= 300 for line in lines)
    assert "Traceback" not in done.stderr
    assert BAD[name][0] in done.stderr
    assert time.perf_counter() - start < 5
    assert not os.path.exists(MARK)


def test_there_are_many_kinds():
    assert len(BAD) >= 100


def test_memory_and_time_are_bounded(folder):
    script = (
        "import resource, sys, time\n"
        "import inverse.io as iio\n"
        "from inverse.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))\n"
        "for name in sys.argv[1:]:\n"
        "    try: iio.read(name)\n"
        "    except InputError: continue\n"
        "    raise SystemExit(name)\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *sorted(BAD)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert int(done.stdout) < 700_000  # kB
    assert time.perf_counter() - start < 60
    assert not os.path.exists(MARK)


def test_a_folder_of_them_leaves_the_good_ones_done(folder, tmp_path):
    for name in ("good.npy", "sub/good.npy"):
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, np.random.default_rng(0).random((32, 32, 3)).astype(np.float32))
    recipe = {
        "operator": {"kind": "denoise"},
        "noise": {"sigma": 0.1},
        "prior": {"name": "gaussian"},
        "method": {"kind": "diffpir", "steps": 2},
        "run": {"samples": 2, "seed": 0},
    }
    out = tmp_path / "run"
    run = restore(recipe, [folder], out=out, options=Options(progress="off"))
    assert run.exit_code == 1
    with open(out / "failures.csv", newline="") as file:
        failed = {row["item"] for row in csv.DictReader(file)}
    assert failed == set(BAD)
    for part in ("restored", "std", "items"):
        assert sorted(path.name for path in (out / part).iterdir()) == ["good.npy", "sub"]
    assert not os.path.exists(MARK)
