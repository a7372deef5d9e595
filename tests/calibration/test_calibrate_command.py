"""`inverse calibrate`, and runs that apply what it saved: through the command line, then the written files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

import inverse
from inverse.cli.main import cli
from inverse.recipes.calibration_file import opened_calibration, read_calibration
from inverse.recipes.recipe import load
from inverse.restoration.prior import open_recipe_prior

RECIPE = """\
schema: 1
operator: {kind: random-mask, missing: 0.4, seed: 5}
noise: {sigma: 0.05}
prior: {name: gaussian}
method: {kind: ddrm, steps: 8}
run: {samples: 4, seed: 0}
"""


KEEP = "--keep=samples,mean,std,quantiles,data_share,misfit,observed,residual"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def kept(run: Path, item: str = "p0.tif") -> dict[str, np.ndarray]:
    with h5py.File(run / "items" / item / "posterior.h5") as file:
        return {name: np.asarray(file[name]) for name in file} | {
            f"@{name}": value for name, value in file.attrs.items()
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures drawn from the prior, measured, restored by a method that is too sure, and a calibration."""
    folder = tmp_path_factory.mktemp("calibrate")
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for index in range(9):
        truth = 0.5 + 0.25 * rng.standard_normal((20, 20, 3))
        tifffile.imwrite(folder / "pictures" / f"p{index}.tif", truth.astype(np.float32), photometric="rgb")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call("simulate", "r.yaml", "pictures", "-o", "sim").exit_code == 0
        assert call("restore", "r.yaml", "sim/measured", "-o", "run", KEEP).exit_code == 0
        done = call("calibrate", "run", "sim/truth", "--save", "c.json")
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_the_report_has_its_schema_its_words_and_its_figure(place: Path) -> None:
    done = call("calibrate", "run", "sim/truth", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads((place / "run" / "calibration.json").read_text())
    assert json.loads(done.stdout) == found
    assert found["schema"] == 1
    assert found["items"] == 9 == len(found["per_item"])
    assert found["says"][0].startswith("overconfident: 90 % intervals hold")
    held = found["coverage"][found["levels"].index(0.9)]
    low, high = (found[f"coverage_{end}"][found["levels"].index(0.9)] for end in ("low", "high"))
    assert low < held < high < 0.9
    assert len(found["tarp"]["levels"]) == len(found["tarp"]["coverage"])
    assert len(found["sbc"]["counts"]) == 5
    assert sum(found["sbc"]["counts"]) == pytest.approx(5 * found["sbc"]["expected"])
    assert len(found["spread_skill"]["spread"]) == len(found["spread_skill"]["error"]) == 10
    assert found["chi2"]["expected"] == 1
    assert found["chi2"]["mean"] > 0
    assert 0 < found["chi2"]["mean_expected"] < 1
    assert found["range_null"]["kind"] == "data share"
    assert found["z_std"] > 1
    assert (place / "run" / "calibration.png").read_bytes().startswith(b"\x89PNG")
    spoken = call("calibrate", "run", "sim/truth").stdout
    assert spoken.startswith("overconfident")
    assert "90 %" in spoken


def test_a_saved_calibration_is_applied_recorded_and_said(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="inverse")
    done = call(
        "restore", "r.yaml", "sim/measured", "-o", "again", "--truth", "sim/truth", "-s", "calibration=c.json", KEEP
    )
    assert done.exit_code == 0, done.output
    file, raw, new = read_calibration(place / "c.json"), kept(place / "run"), kept(place / "again")
    assert np.array_equal(raw["samples"], new["samples"])
    assert np.array_equal(raw["mean"], new["mean"])
    assert np.allclose(new["std"], file.map.std(raw["std"], raw["data_share"]), rtol=1e-5)
    half = file.map.factor(0.9) * new["std"]
    assert np.allclose(new["quantiles"], np.stack([new["mean"] - half, new["mean"], new["mean"] + half]), atol=1e-5)
    assert np.allclose(tifffile.imread(place / "again" / "std" / "p0.tif"), np.moveaxis(new["std"], 0, -1), rtol=1e-5)
    assert new["@calibration"] == file.says()
    assert "@calibration" not in raw
    with (place / "again" / "items.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["calibrated"] for row in rows} == {"True"}
    truth = np.moveaxis(tifffile.imread(place / "sim" / "truth" / "p0.tif"), -1, 0)
    inside = (truth >= new["quantiles"][0]) & (truth <= new["quantiles"][2])
    assert float(rows[0]["coverage90"]) == pytest.approx(inside.mean(), abs=1e-3)
    facts = json.loads((place / "again" / "run.json").read_text())["calibration"]
    assert facts["applied"]
    assert facts["file"] == "c.json"
    assert facts["says"] == file.says()
    assert "intervals recalibrated on 9 images: they hold" in caplog.text
    assert call("calibrate", "again", "sim/truth").exit_code == 0
    found = json.loads((place / "again" / "calibration.json").read_text())
    assert found["recalibrated"]
    assert found["coverage"][17] == pytest.approx(0.9, abs=0.04)
    refused = call("calibrate", "again", "sim/truth", "--save", "d.json")
    assert refused.exit_code == 4
    assert "recalibrated already" in refused.stderr
    exists = call("calibrate", "run", "sim/truth", "--save", "c.json")
    assert exists.exit_code == 7


def test_a_run_whose_operator_is_a_file_is_fitted_from_anywhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(place / "mask.npy", np.random.default_rng(1).random((20, 20)) > 0.4)
    own = ["-s", "operator.kind=file-mask", "-s", "operator.file=mask.npy"]
    assert call("restore", "r.yaml", "sim/measured", "-o", "masked", KEEP, *own).exit_code == 0
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    done = call("calibrate", "../masked", "../sim/truth", "--save", "m.json")
    assert done.exit_code == 0, done.output
    assert read_calibration(place / "elsewhere" / "m.json").licence.operator == "file-mask"


def test_arrays_are_recalibrated_too(place: Path) -> None:
    image = tifffile.imread(place / "sim" / "measured" / "p0.tif")
    raw = inverse.restore("r.yaml", image)
    new = inverse.restore("r.yaml", image, overrides=["calibration=c.json"])
    file = read_calibration(place / "c.json")
    assert np.allclose(new.std.numpy(), file.map.std(raw.std.numpy(), raw.data_share.numpy()), rtol=1e-5)
    assert np.allclose((new.quantile(0.95) - new.mean).numpy(), file.map.factor(0.9) * new.std.numpy(), rtol=1e-4)
    assert np.allclose((new.quantile(0.05) + new.quantile(0.95)).numpy(), 2 * new.mean.numpy(), atol=1e-5)
    assert inverse.restore("r.yaml", image, overrides=["calibration=none"]).calibration is None


@pytest.mark.parametrize(
    "change", ["run.samples=5", "method.steps=5", "method.kind=diffpir", "prior.name=photo", "operator.kind=denoise"]
)
def test_a_calibration_that_does_not_fit_is_refused(change: str) -> None:
    done = call("restore", "r.yaml", "sim/measured", "-o", "no", "-s", "calibration=c.json", "-s", change)
    assert done.exit_code == 3, done.output
    assert "does not fit this run" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_check_says_whether_the_calibration_fits() -> None:
    def intervals(*arguments: str) -> dict[str, object]:
        done = call("check", "r.yaml", "--json", *(part for text in arguments for part in ("-s", text)))
        found = json.loads(done.stdout)
        rows = found if isinstance(found, list) else found["checks"]
        return next((row for row in rows if row["name"] == "intervals"), {})

    assert intervals() == {}
    assert intervals("calibration=c.json")["verdict"] == "ok"
    assert "they hold" in str(intervals("calibration=c.json")["value"])
    bad = intervals("calibration=c.json", "method.steps=5")
    assert (bad["verdict"], bad["code"]) == ("fail", 3)


def test_a_missing_file_is_an_error_of_the_recipe() -> None:
    done = call("restore", "r.yaml", "sim/measured", "-o", "no", "-s", "calibration=nowhere.json")
    assert done.exit_code == 3
    assert "calibration nowhere.json: cannot be read" in done.stderr


def test_a_shipped_calibration_is_left_out_where_its_licence_ends(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inverse")
    fast = ["-s", "prior.name=gaussian", "-s", "method.steps=2", "-s", "operator.kind=denoise"]
    done = call("restore", "deblur", "sim/measured/p0.tif", "-o", "shipped", *fast)
    assert done.exit_code == 0, done.output
    assert (
        "intervals are not recalibrated: the recipe's calibration does not fit, it is of operator gaussian-blur"
        in caplog.text
    )
    facts = json.loads((place / "shipped" / "run.json").read_text())
    assert facts["calibration"]["applied"] is False
    with (place / "shipped" / "items.csv").open(newline="") as stream:
        assert next(csv.DictReader(stream))["calibrated"] == "False"
    off = call("restore", "deblur", "sim/measured/p0.tif", "-o", "off", *fast, "-s", "calibration=none")
    assert off.exit_code == 0
    assert json.loads((place / "off" / "run.json").read_text())["calibration"] is None


def test_the_hash_of_a_recipe_follows_the_content_of_its_calibration(place: Path) -> None:
    plain, first = load("r.yaml"), load("r.yaml", ["calibration=c.json"])
    assert "calibration" not in plain.resolved()
    assert first.resolved()["calibration"] == "c.json"
    (place / "copy.json").write_bytes((place / "c.json").read_bytes())
    assert load("r.yaml", ["calibration=copy.json"]).hash == first.hash != plain.hash
    (place / "copy.json").write_text("{}")
    assert load("r.yaml", ["calibration=copy.json"]).hash != first.hash
    assert load(first, ["calibration=none"]).hash == plain.hash
    (place / "deblur.yaml").write_text(load("deblur").to_yaml())
    assert load("deblur.yaml").hash == load("deblur").hash


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in Path(__file__).parents[2].glob("recipes/calibrations/*.json"))
)
def test_a_shipped_calibration_fits_its_recipe_and_was_checked(name: str) -> None:
    recipe = load(name)
    used, why = opened_calibration(recipe, open_recipe_prior(recipe).card)
    assert used is not None
    assert not why
    assert used.after is not None
    assert used.images >= 25
    assert used.after.images >= 25


def test_items_that_cannot_be_compared_are_named(place: Path, tmp_path: Path) -> None:
    truths = tmp_path / "truth"
    truths.mkdir()
    for index in range(3):
        (truths / f"p{index}.tif").write_bytes((place / "sim" / "truth" / f"p{index}.tif").read_bytes())
    tifffile.imwrite(truths / "p3.tif", np.zeros((9, 9, 3), np.float32), photometric="rgb")
    done = call("calibrate", "run", truths)
    assert done.exit_code == 1
    found = json.loads((place / "run" / "calibration.json").read_text())
    assert found["items"] == 3
    assert [left["item"] for left in found["left_out"]] == ["p3.tif"]
    assert "sizes differ" in found["left_out"][0]["reason"]
    assert call("calibrate", "run", tmp_path / "none").exit_code == 4
    assert call("calibrate", tmp_path, truths).exit_code == 4


def test_complex_images_beside_an_array_a_scan_and_a_magnitude(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32), indexing="ij")
    image = np.where(rows**2 + columns**2 < 0.6, 1 + 0.3 * rows, 0) * np.exp(0.5j * columns)
    full = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
    noisy = full + 0.02 * (rng.standard_normal((32, 32)) + 1j * rng.standard_normal((32, 32)))
    np.save(tmp_path / "k.npy", noisy[None].astype(np.complex64))
    chosen = [
        "method.steps=10",
        "run.samples=2",
        "operator.pattern=equispaced",
        "operator.acceleration=2",
        "calibration=none",
    ]
    run = tmp_path / "run"
    assert inverse.restore("mri-cartesian", tmp_path / "k.npy", out=run, overrides=chosen).exit_code == 0
    scale = kept(run, "k.npy")["@scale"]
    error = {}
    for name, truth in (("array", image), ("magnitude", np.abs(image)), ("scan", noisy[None])):
        (tmp_path / name).mkdir()
        path = tmp_path / name / ("k.npy" if name != "magnitude" else "k.tif")
        if name == "magnitude":
            tifffile.imwrite(path, truth.astype(np.float32))
        else:
            np.save(path, truth.astype(np.complex64))
        done = call("calibrate", run, tmp_path / name)
        assert done.exit_code == 0, done.output
        found = json.loads((run / "calibration.json").read_text())
        error[name] = found["per_item"][0]["rmse"] / scale, " ".join(found["says"])
    assert error["array"][0] < 0.2
    assert error["scan"][0] == pytest.approx(error["array"][0], rel=0.3)
    assert "magnitude" not in error["array"][1]
    assert "those of the samples are compared" in error["magnitude"][1]
    assert "own noise counts as error" in error["scan"][1]
    assert "magnitudes" not in error["scan"][1]
