"""``inverse evaluate`` on files.

What is matched, what is named, what is left out, and whose convention the numbers follow.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from inverse.cli.main import cli
from inverse.errors import InputError, UsageError
from inverse.evaluation.evaluate import evaluate

DATA = Path("/work/shared/data")


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def picture(rng: np.random.Generator, height: int = 24, width: int = 20) -> np.ndarray[Any, Any]:
    smooth = rng.normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    return np.rint(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def noisy(image: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).round().astype(np.uint8)


def save(path: Path, image: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def pair() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    truth = picture(rng, 40, 37)
    return noisy(truth, rng), truth


def test_a_hundred_images_with_three_faults(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for index in range(100):
        truth = picture(rng)
        save(tmp_path / f"t/{index:03d}.png", truth)
        save(tmp_path / f"p/{index:03d}.png", noisy(truth, rng))
    (tmp_path / "t/041.png").unlink()
    broken = tmp_path / "p/007.png"
    broken.write_bytes(broken.read_bytes()[:200])
    save(tmp_path / "p/077.png", picture(rng, 24, 22))
    done = call("evaluate", tmp_path / "p", tmp_path / "t", "--json", "--csv", tmp_path / "rows.csv")
    assert done.exit_code == 1, done.stderr
    found = json.loads(done.stdout)
    assert len(found["rows"]) == 97
    reasons = {failure["item"]: failure["reason"] for failure in found["failures"]}
    assert reasons.keys() == {"041.png", "007.png", "077.png"}
    assert reasons["041.png"] == "no truth of that name"
    assert "truncated" in reasons["007.png"]
    assert "24 x 22 x 3, truth 24 x 20 x 3" in reasons["077.png"]
    assert all(name in done.stderr for name in reasons)
    with (tmp_path / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 97
    assert "data_range=1 (uint8 / 255)" in rows[0]["psnr_definition"]
    values = [float(row["psnr"]) for row in rows]
    summary = found["summary"]["psnr"]
    assert summary["mean"] == pytest.approx(np.mean(values))
    assert summary["median"] == pytest.approx(np.median(values))
    assert summary["std"] == pytest.approx(np.std(values, ddof=1))
    half = 1.96 * np.std(values, ddof=1) / math.sqrt(97)
    assert summary["low"] == pytest.approx(np.mean(values) - half, abs=0.3 * half)
    assert summary["high"] == pytest.approx(np.mean(values) + half, abs=0.3 * half)


def test_all_failed_for_one_cause_is_that_cause(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("a", "b"):
        save(tmp_path / f"p/{name}.png", picture(rng))
        save(tmp_path / f"t/{name}.png", picture(rng, 24, 22))
    assert call("evaluate", tmp_path / "p", tmp_path / "t").exit_code == 4
    save(tmp_path / "p/a.png", picture(rng, 24, 22))
    assert call("evaluate", tmp_path / "p", tmp_path / "t").exit_code == 1
    save(tmp_path / "p/b.png", picture(rng, 24, 22))
    assert call("evaluate", tmp_path / "p", tmp_path / "t").exit_code == 0


@pytest.mark.parametrize("depth", ["uint8", "uint16", "float32"])
def test_the_skimage_protocol_is_skimage(depth: str, pair: Any, tmp_path: Path) -> None:
    given, truth = pair
    given, truth = (x.astype(np.uint16) * 257 if depth == "uint16" else x for x in (given, truth))
    given, truth = ((x / 255).astype(np.float32) if depth == "float32" else x for x in (given, truth))
    np.save(tmp_path / "p.npy", given)
    np.save(tmp_path / "t.npy", truth)
    row = evaluate(tmp_path / "p.npy", tmp_path / "t.npy", protocol="skimage").rows[0]
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[depth]
    assert row["psnr"] == peak_signal_noise_ratio(truth, given, data_range=white)
    assert row["ssim"] == structural_similarity(truth, given, data_range=white, channel_axis=-1)
    assert row["nrmse"] == normalized_root_mse(truth, given)
    assert evaluate(given, truth, protocol="skimage").rows[0]["psnr"] == row["psnr"]


def fastmri(tmp_path: Path, truth: Any, given: Any) -> tuple[Path, Path]:
    for name, key, values in (("p", "reconstruction", given), ("t", "reconstruction_rss", truth)):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "brain.h5", "w") as file:
            file[key] = values
            if name == "t":
                file["kspace"] = np.ones((len(truth), 2, 30, 26), np.complex64)
    return tmp_path / "p", tmp_path / "t"


def test_the_fastmri_protocol_is_of_whole_volumes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    truth = np.abs(rng.normal(size=(3, 30, 26)).cumsum(1).cumsum(2)).astype(np.float32) * 1e-5
    given = (truth + rng.normal(0, 1e-5, truth.shape)).astype(np.float32)
    found = evaluate(*fastmri(tmp_path, truth, given), protocol="fastmri", metrics="all")
    assert [row["item"] for row in found.rows] == ["brain.h5"]
    t, p = (np.float64(x[:, 2:28]) for x in (truth, given))
    expected = {
        "nmse": ((t - p) ** 2).sum() / (t**2).sum(),
        "psnr": 10 * math.log10(t.max() ** 2 / ((t - p) ** 2).mean()),
        "ssim": np.mean([structural_similarity(a, b, data_range=t.max()) for a, b in zip(t, p, strict=True)]),
        "mse": ((t - p) ** 2).mean(),
    }
    assert {name: found.rows[0][name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert "largest value of the truth" in found.definitions["psnr"]
    slices = evaluate(tmp_path / "p", tmp_path / "t")
    assert [row["item"] for row in slices.rows] == ["brain.h5/0000", "brain.h5/0001", "brain.h5/0002"]
    one = 10 * math.log10(float(truth.max()) ** 2 / ((truth[1].astype(float) - given[1]) ** 2).mean())
    assert slices.rows[1]["psnr"] == pytest.approx(one, abs=1e-4), "the range is the volume's"
    named = evaluate(f"{tmp_path}/p/brain.h5::reconstruction", f"{tmp_path}/t/brain.h5::/reconstruction_rss")
    assert named.rows == slices.rows


@pytest.mark.skipif(not (DATA / "mri/brain8_fastmri.h5").is_file(), reason="the shared data are not here")
def test_a_real_fastmri_file_against_itself() -> None:
    path = DATA / "mri/brain8_fastmri.h5"
    row = evaluate(path, path, protocol="fastmri").rows[0]
    assert row["nmse"] == 0
    assert row["psnr"] == math.inf
    assert row["ssim"] == pytest.approx(1)


def test_the_super_resolution_protocol(pair: Any, tmp_path: Path) -> None:
    for name, image in zip("pt", pair, strict=True):
        save(tmp_path / f"{name}.png", image)
    paths = tmp_path / "p.png", tmp_path / "t.png"
    row = evaluate(*paths, protocol="sr-y", scale=4).rows[0]

    def luma(rgb: Any) -> Any:
        red, green, blue = np.moveaxis(rgb.astype(float), -1, 0) / 255
        return np.floor(16 + 65.481 * red + 128.553 * green + 24.966 * blue + 0.5)[4:-4, 4:-4]

    p, t = (luma(image) for image in pair)
    assert luma(np.full((9, 9, 3), 255)).max() == 235
    assert row["psnr"] == pytest.approx(10 * math.log10(255**2 / ((p - t) ** 2).mean()))
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert row["ssim"] == pytest.approx(structural_similarity(t, p, **wang))
    with pytest.raises(UsageError, match="scale factor"):
        evaluate(*paths, protocol="sr-y")
    with pytest.raises(UsageError, match="does not define vif"):
        evaluate(*paths, protocol="sr-y", scale=4, metrics=["vif"])


def test_nodata_of_either_file_is_left_out(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    rng = np.random.default_rng(3)
    truth = rng.integers(5000, 9000, (2, 30, 28)).astype(np.uint16)
    given = (truth + rng.integers(-200, 200, truth.shape)).astype(np.uint16)
    truth[:, :5], given[:, :, -4:], given[:, :5] = 0, 0, 60000
    profile = {
        "driver": "GTiff",
        "count": 2,
        "height": 30,
        "width": 28,
        "dtype": "uint16",
        "nodata": 0,
        "crs": "EPSG:32622",
    }
    profile["transform"] = rasterio.Affine(30, 0, 0, 0, -30, 0)
    for name, image in (("t", truth), ("p", given)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile) as file:
            file.write(image)
    t, p = (image[:, 5:, :-4].astype(float) for image in (truth, given))
    table = evaluate(tmp_path / "p.tif", tmp_path / "t.tif", metrics=["psnr", "rmse", "ssim", "sam", "ergas"], scale=2)
    error = ((p - t) ** 2).mean((1, 2))
    assert table.rows[0]["psnr"] == pytest.approx(10 * math.log10(65535**2 / error.mean()), abs=1e-3)
    assert table.rows[0]["ergas"] == pytest.approx(50 * np.sqrt((error / t.mean((1, 2)) ** 2).mean()), rel=1e-4)
    assert 0.9 < table.rows[0]["ssim"] <= 1
    left = f"{100 * (1 - 25 * 24 / 840):.3g} % of the pixels left out"
    assert left in table.definitions["psnr"]
    assert "every window that holds one" in table.definitions["ssim"]
    given_range = evaluate(tmp_path / "p.tif", tmp_path / "t.tif", metrics=["psnr", "rmse"], data_range=10000).rows[0]
    assert given_range["rmse"] == pytest.approx(math.sqrt(error.mean()), rel=1e-6)
    assert given_range["psnr"] == pytest.approx(10 * math.log10(10000**2 / error.mean()), abs=1e-3)
    crop = evaluate(tmp_path / "p.tif", tmp_path / "t.tif", metrics=["psnr"], crop=6)
    inner = ((p - t)[:, 1:-6, 6:-2] ** 2).mean()
    assert crop.rows[0]["psnr"] == pytest.approx(10 * math.log10(65535**2 / inner), abs=1e-3)
    assert "crop=6" in crop.definitions["psnr"]


def test_a_mask_leaves_pixels_out(pair: Any, tmp_path: Path) -> None:
    given, truth = pair
    mask = np.full(truth.shape[:2], 255, np.uint8)
    mask[:10] = 0
    for name, image in (("p", given), ("t", truth), ("m", mask), ("small", mask[:9])):
        save(tmp_path / f"{name}.png", image)
    arguments = ["evaluate", tmp_path / "p.png", tmp_path / "t.png", "--json", "-m", "mae,psnr"]
    row = json.loads(call(*arguments, "--mask", tmp_path / "m.png").stdout)["rows"][0]
    assert row["mae"] == pytest.approx(np.abs(given[10:] / 255 - truth[10:] / 255).mean(), rel=1e-5)
    for protocol in ("skimage", "sr-y", "fastmri"):
        full = evaluate(given, truth, protocol=protocol, scale=2) if protocol != "fastmri" else None
        if full is not None:
            cut = evaluate(given, truth, protocol=protocol, scale=2, mask=mask)
            assert cut.rows[0]["psnr"] != full.rows[0]["psnr"]
            assert "left out" in cut.definitions["psnr"]
    bad = call(*arguments, "--mask", tmp_path / "small.png")
    assert bad.exit_code == 4
    assert "mask 9 x 37, truth 40 x 37 x 3" in bad.stderr


@pytest.mark.parametrize(("factor", "kind"), [(257, np.uint16), (1 / 255, np.float32)])
def test_a_given_range_does_not_compare_other_units(factor: float, kind: Any, pair: Any, tmp_path: Path) -> None:
    """Stored values of 0 to 255 against those of 0 to 65535 or 0 to 1: -44 dB was the answer."""
    given, truth = pair
    np.save(tmp_path / "p.npy", (given * np.float64(factor)).astype(kind))
    np.save(tmp_path / "t.npy", truth)
    asked = call("evaluate", tmp_path / "p.npy", tmp_path / "t.npy", "--data-range", 255)
    assert asked.exit_code == 4
    assert "of other units" in asked.stderr
    alike = evaluate(tmp_path / "p.npy", tmp_path / "t.npy", metrics=["psnr"]).rows[0]["psnr"]
    assert alike == pytest.approx(evaluate(given, truth, metrics=["psnr"]).rows[0]["psnr"], abs=1e-3)


def test_a_range_nobody_knows_is_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(500, 100, (30, 30)).astype(np.float32)
    for values, reason in ((truth, "values go from"), (truth.astype(np.int16), "int16 have no defined range")):
        np.save(tmp_path / "t.npy", values)
        np.save(tmp_path / "p.npy", values + 1)
        arguments = ["evaluate", tmp_path / "p.npy", tmp_path / "t.npy"]
        asked = call(*arguments)
        assert asked.exit_code == 4
        assert reason in asked.stderr
        assert "--data-range" in asked.stderr
        assert call(*arguments, "-m", "rmse,nmse").exit_code == 0
        row = json.loads(call(*arguments, "-m", "psnr,mae", "--data-range", "max", "--json").stdout)["rows"][0]
        assert row["mae"] == 1
        assert row["psnr"] == pytest.approx(20 * math.log10(values.max()), abs=1e-4)
    assert call(*arguments, "--data-range", "white").exit_code == 2


def test_sources_come_beside(pair: Any, tmp_path: Path) -> None:
    given, truth = pair[0][:40, :36], pair[1][:40, :36]
    small = truth.reshape(20, 2, 18, 2, 3).mean((1, 3)).round().astype(np.uint8)
    for name, image in (("p/x", given), ("t/x", truth), ("ms/x", small), ("pan", truth.mean(-1).astype(np.uint8))):
        save(tmp_path / f"{name}.png", image)
    arguments = ["evaluate", tmp_path / "p", tmp_path / "t", "--json", "-m"]
    asked = call(*arguments, "qnr", "--ms", tmp_path / "ms")
    assert asked.exit_code == 2
    assert "panchromatic" in asked.stderr
    beside = ["--ms", tmp_path / "ms", "--pan", tmp_path / "pan.png"]
    row = json.loads(call(*arguments, "qnr,d-lambda", *beside).stdout)["rows"][0]
    assert 0 < row["qnr"] < 1 - row["d-lambda"] < 1
    wrong = call(*arguments, "qnr", "--ms", tmp_path / "t", "--pan", tmp_path / "p")
    assert wrong.exit_code == 4
    assert "sizes do not fit" in wrong.stderr


def test_all_is_what_can_be_computed(pair: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    table = evaluate(*pair, metrics="all")
    assert {"psnr", "uqi", "scc", "sam", "mae"} <= set(table.metrics)
    assert "samples" in table.left_out["crps"]
    assert "--ms" in table.left_out["d-lambda"]
    assert "alexnet" in table.left_out["lpips"]
    assert "176 pixels" in table.rows[0]["note"]
    with pytest.raises(UsageError, match="needs samples of the posterior"):
        evaluate(*pair, metrics=["crps"])
    draws = torch.from_numpy(np.stack([pair[0], pair[1], pair[1]])).permute(0, 3, 1, 2)[:, None].float() / 255
    tensors = (torch.from_numpy(x).permute(2, 0, 1).float() / 255 for x in pair)
    known = evaluate(*tensors, metrics=["crps", "energy", "coverage90"], samples=draws).rows[0]
    assert known["coverage90"] > 0.5
    assert known["crps"] == pytest.approx(0, abs=1e-6), "mean |x - y| = e / 3, and 2 pairs of 6 are e apart"


def test_arrays_are_checked(pair: Any) -> None:
    with pytest.raises(InputError, match="2 predictions, 1 truths"):
        evaluate(np.stack([pair[0]] * 2), pair[1])
    with pytest.raises(UsageError, match="no image"):
        evaluate(np.zeros(4), np.zeros(4))
    with pytest.raises(UsageError, match="fastmry"):
        evaluate(*pair, protocol="fastmry")


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_floats_of_0_to_255_are_not_compared_with_what_has_another_range(pair: Any, kind: Any) -> None:
    truth = pair[1].astype(np.uint8) if kind is np.uint8 else pair[1].astype(np.float32) / 255
    given = pair[0].astype(np.float32)
    with pytest.raises(InputError, match="the prediction's values go from") as caught:
        evaluate(given, truth, metrics=["psnr"])
    assert "--data-range" in caught.value.hint
    exact = evaluate(given, pair[1].astype(np.uint8), metrics=["psnr"], data_range=255)
    error = np.mean((given - pair[1].astype(np.float64)) ** 2)
    assert exact.rows[0]["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_a_prediction_with_a_few_values_far_outside_is_compared(pair: Any) -> None:
    given, truth = pair[0].astype(np.float32) / 255, pair[1].astype(np.float32) / 255
    given[0, 0] = 40
    assert evaluate(given, truth, metrics=["psnr"]).rows
