"""``inverse compare`` and ``inverse evaluate`` on run folders: what is paired, what differs, and what got worse."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from scipy.stats import wilcoxon

from inverse.cli.main import cli
from inverse.errors import InputError, UsageError
from inverse.evaluation.compare_runs import compare, sign_flip
from inverse.evaluation.evaluate import evaluate
from inverse.storage.files import csv_bytes, write_hdf5, write_json


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


TRUTHS = {f"{name}.png": np.random.default_rng(i).integers(30, 220, (18, 20, 3)) for i, name in enumerate("abcdef")}


def make_run(place: Path, noise: dict[str, float], *, scores: bool, **recipe: Any) -> Path:
    """A run folder with what evaluate and compare read: errors of a known size."""
    rows = []
    for item, level in noise.items():
        rng = np.random.default_rng(len(item) + int(100 * level))
        error = rng.choice([-level, level], TRUTHS[item].shape)
        path = place / "restored" / item
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((TRUTHS[item] + error).astype(np.uint8)).save(path)
        truth = np.moveaxis(TRUTHS[item], -1, 0) / 255
        draws = truth + rng.normal(0, level / 255, (3, *truth.shape))
        described = {"": {"span": (0.0, 1.0), "transfer": "srgb"}}
        write_hdf5(place / "items" / item / "posterior.h5", {"samples": draws.astype(np.float32)}, described)
        score = {"psnr": 20 * np.log10(255 / level)} if scores else {}
        facts = {"misfit": 1 + level / 100, "data_share": 0.5, "forward": 80.0, "seconds": 2.0}
        rows.append({"item": item, "status": "done", "restored": f"restored/{item}", **facts, **score, "note": ""})
    (place / "items.csv").write_bytes(csv_bytes(rows, list(rows[0])))
    plain = {"operator": {"kind": "denoise"}, "prior": {"name": "photo"}, "data": {"range": [0.0, 1.0]}}
    plain |= {"noise": {"kind": "gaussian"}, "method": {"kind": "diffpir"}, **recipe}
    own = {"metrics": {"psnr": "PSNR as recorded"}} if scores else {}
    write_json(place / "run.json", {"recipe": plain, "prior": {"name": "photo"}, "versions": {}, "seed": 0, **own})
    return place


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path, Path]:
    first = dict.fromkeys(list(TRUTHS)[:5], 8.0)
    second = {"a.png": 4.0, "b.png": 4.0, "c.png": 16.0, "d.png": 4.0, "e.png": 24.0, "f.png": 4.0}
    for item, image in TRUTHS.items():
        (tmp_path / "t").mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "t" / item)
    one = make_run(tmp_path / "one", first, scores=True, method={"kind": "diffpir", "steps": 20})
    two = make_run(tmp_path / "two", second, scores=True, method={"kind": "ddrm", "steps": 20})
    return one, two, tmp_path / "t"


def test_recorded_scores_are_paired(runs: Any, tmp_path: Path) -> None:
    one, two, _ = runs
    done = call("compare", one, two, "--json", "--csv", tmp_path / "all.csv")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["items"] == list(TRUTHS)[:5]
    assert found["unpaired"] == {"two": ["f.png"]}
    assert found["recipes"] == {"method.kind": {"one": "diffpir", "two": "ddrm"}}
    rows = {row["metric"]: row for row in found["differences"]}
    octave = 20 * np.log10(2)
    expected = np.array([octave, octave, -octave, octave, -20 * np.log10(3)])
    psnr = rows["psnr"]
    assert psnr["difference"] == pytest.approx(expected.mean())
    assert psnr["mean"] - psnr["reference_mean"] == pytest.approx(expected.mean())
    assert psnr["low"] < expected.mean() < psnr["high"]
    assert [row["item"] for row in psnr["worse"]] == ["e.png", "c.png"]
    assert psnr["worse"][0]["difference"] == pytest.approx(-20 * np.log10(3))
    assert psnr["better"] == 3
    assert rows["misfit"]["difference"] == pytest.approx(np.mean([-0.04, -0.04, 0.08, -0.04, 0.16]))
    assert rows["misfit"]["better"] is None
    assert rows["forward"]["difference"] == 0
    with (tmp_path / "all.csv").open(newline="") as stream:
        written = [row for row in csv.DictReader(stream) if row["metric"] == "psnr"]
    assert [float(row["difference"]) for row in written] == pytest.approx(expected)
    text = call("compare", one, two).stdout
    assert "got worse in psnr, worst first: e.png (-9.54), c.png (-6.02)" in text
    assert "method.kind  diffpir -> ddrm" in text


def test_scores_computed_afresh(runs: Any, tmp_path: Path) -> None:
    one, two, truth = runs
    (truth / "d.png").unlink()
    done = call("compare", one, two, "--truth", truth, "-m", "mae,crps", "--json")
    assert done.exit_code == 1, "d.png has no truth"
    found = json.loads(done.stdout)
    assert found["items"] == ["a.png", "b.png", "c.png", "e.png"]
    rows = {row["metric"]: row for row in found["differences"]}
    assert rows["mae"]["difference"] == pytest.approx(np.mean([-4, -4, 8, 16]) / 255, abs=1e-6)
    assert [row["item"] for row in rows["crps"]["worse"]] == ["e.png", "c.png"]
    assert "psnr" not in rows
    assert "d.png" in done.stderr


def test_without_scores_evidence_and_cost_are_compared(tmp_path: Path) -> None:
    noise = dict.fromkeys(TRUTHS, 5.0)
    first, second = (make_run(tmp_path / where / "run", noise, scores=False) for where in ("x", "y"))
    found = compare([first, second])
    assert found.runs == ("x/run", "y/run")
    assert [one.metric for one in found.differences] == ["misfit", "data_share", "forward", "seconds"]
    assert all(one.p == 1 for one in found.differences)
    with pytest.raises(UsageError, match="no scores 'psnr'"):
        compare([first, second], metrics=["psnr"])
    with pytest.raises(UsageError, match="nothing to be compared"):
        compare([first])
    with pytest.raises(InputError, match="not a run folder"):
        compare([first, tmp_path])


def test_the_sign_flip_test_is_exact_and_like_wilcoxon() -> None:
    assert sign_flip([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 32)
    rng = np.random.default_rng(0)
    values = rng.normal(0.4, 1, 40)
    assert sign_flip(values) == pytest.approx(wilcoxon(values).pvalue, abs=0.02)
    under = [sign_flip(rng.normal(size=8)) < 0.1 for _ in range(200)]
    assert 0.03 < np.mean(under) < 0.17


def test_a_run_folder_is_evaluated_with_its_samples(runs: Any) -> None:
    one, _, truth = runs
    table_ = evaluate(one, truth, metrics=["psnr", "crps", "coverage90"])
    assert [row["item"] for row in table_.rows] == list(TRUTHS)[:5]
    assert table_.unmatched_truths == ("f.png",)
    assert table_.exit_code == 0
    for row in table_.rows:
        assert row["psnr"] == pytest.approx(20 * np.log10(255 / 8), abs=1e-3)
        assert row["crps"] == pytest.approx(8 / 255 / np.sqrt(np.pi) * (np.sqrt(2) - 1), rel=0.15)
    arrays = {"mean": np.zeros((3, 18, 20), np.float32)}
    write_hdf5(one / "items" / "a.png" / "posterior.h5", arrays, {"": {"span": (0.0, 1.0)}})
    with pytest.raises(UsageError, match="kept none"):
        evaluate(one, truth, metrics=["crps"])
    assert "kept none" in evaluate(one, truth, metrics="all").left_out["energy"]
    (one / "items" / "a.png" / "posterior.h5").unlink()
    broken = evaluate(one, truth, metrics=["psnr", "crps"])
    assert [failure.item for failure in broken.failures] == ["a.png"]
    assert len(broken.rows) == 4
