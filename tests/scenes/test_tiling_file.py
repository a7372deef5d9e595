"""A GeoTIFF restored by tiles, as `inverse restore --tile` does, is the one restored at once.

The same are values, gaps, place on Earth, and evidence.
"""

from __future__ import annotations

import csv
import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from scene_runs import RECIPE, SIZE, cropped, read, run

from inverse.cli.main import cli
from inverse.io.tiling import Window
from inverse.recipes.calibration_file import licence
from inverse.restoration.options import Options
from inverse.runs.run import restore

rasterio = pytest.importorskip("rasterio")

AREA = {**RECIPE, "operator": {"kind": "downsample", "factor": 2}, "data": {"scale": "auto"}}
BLUR = {**RECIPE, "operator": {"kind": "gaussian-blur", "sigma": 0.8, "boundary": "free"}, "data": {"scale": "auto"}}
SENSOR = {
    **RECIPE,
    "operator": {"kind": "sensor", "factor": 2},
    "data": {"scale": "auto"},
    "noise": {"kind": "gaussian", "sigma": 0.05},
}
DRAFT = {**RECIPE, "method": {"kind": "auto", "quality": "draft"}, "data": {"scale": [0, 20000]}}
CROPPED = {"area": (70, 90), "blur": (100, 140), "sensor": (70, 90)}
RECIPES = {"gaps": RECIPE, "area": AREA, "blur": BLUR, "draft": DRAFT, "sensor": SENSOR}


def arrays(out):
    with h5py.File(out / "items" / "scene.tif" / "posterior.h5") as file:
        return {name: np.asarray(file[name]) for name in file}, dict(file.attrs)


@pytest.mark.parametrize("name", RECIPES)
def test_by_windows_as_at_once(name, scene, tmp_path):
    scene = cropped(scene, *CROPPED[name]) if name in CROPPED else scene
    first = run(RECIPES[name], scene, tmp_path / "a")
    second = run(RECIPES[name], scene, tmp_path / "b", tile=64, **({"keep": None} if name == "gaps" else {}))
    for folder, tolerance in (("restored", 1), ("std", 2)):
        (whole, profile, bands), (tiled, other, own) = (read(tmp_path / run / folder / "scene.tif") for run in "ab")
        assert np.array_equal(np.isnan(whole), np.isnan(tiled))
        assert np.array_equal(whole == 0, tiled == 0)
        assert np.nanmax(np.abs(whole - tiled)) <= tolerance
        for key in ("crs", "transform", "dtype", "height", "width"):
            assert profile[key] == other[key]
        assert np.array_equal(profile["nodata"], other["nodata"], equal_nan=True)
        assert bands == own
        assert other["tiled"]
        assert other["compress"] == "deflate"
    assert second["tiles"] == "coupled, 64"
    for key in ("height", "width", "channels", "samples", "method", "noise_sigma", "noise_estimated"):
        assert first[key] == second[key]
    for key, tolerance in (("misfit", 1e-3), ("data_share", 0.01), ("whiteness", 0.05), ("clipped", 0)):
        assert second[key] == pytest.approx(first[key], rel=tolerance, abs=1e-6), key
    (whole, said), (tiled, told) = arrays(tmp_path / "a"), arrays(tmp_path / "b")
    assert set(whole) - set(tiled) == {"convergence"}
    estimated = {"data_share"} if name in CROPPED else set()  # by probes of its own in each window
    for key in set(tiled) - estimated:
        assert whole[key].shape == tiled[key].shape
        # invented of a deconvolution ends a solve at 1e-4 of its right-hand side
        assert np.abs(whole[key] - tiled[key]).max() < (2e-3 if key in ("residual", "invented", "misfit") else 1e-4), (
            key
        )
    assert np.abs(whole["data_share"] - tiled["data_share"]).mean() < 0.02
    assert set(told) == set(said)
    assert name != "gaps" or (tmp_path / "b" / "items" / "scene.tif" / "figure.png").stat().st_size > 10_000
    assert not any((tmp_path / "b" / ".inverse" / "scene").iterdir())


def test_a_calibration_is_of_the_scene_not_of_its_windows(scene, tmp_path, monkeypatch):
    """The factor of an image follows its mean data share.

    The gaps are not spread evenly, so a window's would make steps in the std.
    """
    monkeypatch.setattr("inverse.scenes.results.SIDE", 64)
    recipe = {**RECIPE, "noise": {"kind": "gaussian", "sigma": 0.05}}
    run(recipe, scene, tmp_path / "raw")
    facts = json.loads((tmp_path / "raw" / "run.json").read_text())
    licensed = licence(facts["recipe"], facts["prior"]).model_dump()
    factors = {"levels": [0.5, 0.9], "applied": "point", "factors": [0.7, 1.7], "factors_point": [0.7, 1.7]}
    std = {"raw": [0.01, 0.1], "calibrated": [0.02, 0.15], "prior_raw": [0.01, 0.1], "prior_calibrated": [0.05, 0.3]}
    made = {
        "inverse_calibration": 1, "title": "t", "licence": licensed, "noise": None, "truths": "none",
        "varied": "nothing", "images": 9, "split": "none", "assumes": [], "meaning": {},
        "std": {**std, "image": {"scale": 1.1, "power": -0.4, "shares": [0.1, 0.99]}},
        "intervals": {**factors, "factors_guaranteed": [None, None], "factors_image": [None, None]},
        "before": None, "after": None,
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(made))
    known = {**recipe, "calibration": str(tmp_path / "c.json")}
    assert run(known, scene, tmp_path / "a")["calibrated"]
    assert run(known, scene, tmp_path / "b", tile=64)["calibrated"]
    raw, whole, tiled = (arrays(tmp_path / name)[0] for name in ("raw", "a", "b"))
    assert np.abs(whole["std"] - tiled["std"]).max() < 1e-5
    assert np.abs(whole["quantiles"] - tiled["quantiles"]).max() < 1e-4
    assert np.abs(whole["std"] - raw["std"]).max() > 0.01


def test_the_file_is_never_read_whole(scene, tmp_path, monkeypatch):
    from inverse.scenes.source import FileScene

    seen, whole = [], FileScene.picture

    def counted(self, window):
        seen.append(window.size[0] * window.size[1])
        return whole(self, window)

    def refuse(*_, **__):
        raise AssertionError("read whole")

    monkeypatch.setattr(FileScene, "picture", counted)
    monkeypatch.setattr("inverse.io.read", refuse)  # before its module's: the facade keeps what it finds there
    monkeypatch.setattr("inverse.io.read_write.read", refuse)
    monkeypatch.setattr("inverse.scenes.source.STRIP", 16)
    monkeypatch.setattr("inverse.scenes.source.HEAD", 64)
    monkeypatch.setattr("inverse.scenes.results.SIDE", 64)
    monkeypatch.setattr("inverse.scenes.write.FOOTPRINT", 64)
    recipe = {**RECIPE, "noise": {"kind": "gaussian", "sigma": 0.02}}
    run(recipe, scene, tmp_path / "a", tile=64)
    assert len(seen) > 100
    assert max(seen) <= SIZE[0] * SIZE[1] // 1.5


@pytest.mark.parametrize(
    ("changes", "said", "code"),
    [
        (["operator={kind: destripe}"], "not an operator that measures each part", 3),
        (["method={kind: pnp-dm}"], "no coupled tiles", 3),
        (["noise={kind: poisson}"], "noise of kind poisson", 3),
        (["operator={kind: gaussian-blur, sigma: 1, boundary: circular}"], "no coupled tiles", 3),
    ],
)
def test_refused_with_the_reason(changes, said, code, scene, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(RECIPE))
    settings = [part for change in changes for part in ("-s", change)]
    given = ["restore", path, scene, "-o", tmp_path / "a", "--tile", "64", "--progress", "off", *settings]
    found = CliRunner().invoke(cli, [str(part) for part in given])
    assert found.exit_code == code, found.output
    with (tmp_path / "a" / "failures.csv").open() as file:
        (failure,) = csv.DictReader(file)
    assert said in failure["reason"]
    assert failure["hint"]


def test_pictures_that_are_not_read_by_windows_are_refused(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "a.png")
    made = restore(RECIPE, tmp_path / "a.png", out=tmp_path / "out", options=Options(progress="off", tile=64))
    assert made.exit_code == 4
    assert "GeoTIFF" in made.failures[0].reason


def test_a_mask_of_the_whole_scene_is_cut(scene, tmp_path):
    slits, strokes = {"kind": "gap-mask", "pattern": "slc-off"}, {"kind": "stroke-mask", "missing": 0.3}
    for operator in (slits, strokes, {"kind": "random-mask", "missing": 0.3}):
        recipe = {**RECIPE, "operator": operator}
        name = operator["kind"]
        run(recipe, scene, tmp_path / name / "a")
        run(recipe, scene, tmp_path / name / "b", tile=64)
        whole, tiled = (read(tmp_path / name / out / "restored/scene.tif")[0] for out in "ab")
        assert np.abs(whole - tiled).max() <= 1


def test_windows_of_a_window():
    assert Window(2, 3, 5, 9).inside(Window(1, 1, 9, 9)) == (slice(1, 4), slice(2, 8))


def test_independent_tiles_are_close_and_called_approximate(scene, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("inverse.scenes.tile_size.CAP", 64)
    whole = run(RECIPE, scene, tmp_path / "a")
    with caplog.at_level("INFO", "inverse"):
        row = run(RECIPE, scene, tmp_path / "b", tile="independent")
    assert "approximate" in caplog.text
    assert row["tiles"] == "independent, 64 (approximate)"
    assert "approximate" in json.loads((tmp_path / "b" / "run.json").read_text())["tiles"]["scene.tif"]
    assert "approximate" in row["note"]
    (first, profile, _), (second, other, _) = (read(tmp_path / out / "restored/scene.tif") for out in "ab")
    assert profile["transform"] == other["transform"]
    assert np.array_equal(first == 0, second == 0)
    # a prior that sees one pixel and the scene's noise at its place: nothing is lost
    assert np.abs(first - second).max() <= 2
    assert row["misfit"] == pytest.approx(whole["misfit"], rel=0.05)
    assert row["data_share"] == pytest.approx(whole["data_share"], rel=0.01)


def test_independent_tiles_take_what_has_no_coupled_ones(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("inverse.scenes.tile_size.CAP", 64)
    recipe = {**SENSOR, "method": {"kind": "mmps", "steps": 2}}
    scene = cropped(scene, 70, 90)
    assert run(recipe, scene, tmp_path / "a", tile="independent", keep="mean")["height"] == 140
    with rasterio.open(tmp_path / "a" / "restored" / "scene.tif") as file, rasterio.open(scene) as given:
        assert file.res == (15.0, 15.0)
        assert file.bounds == given.bounds


@pytest.mark.parametrize("tile", ["64", "independent"])
def test_a_dry_run_says_what_happens(tile, scene, tmp_path, monkeypatch):
    from inverse.scenes.state import State

    monkeypatch.setattr("inverse.scenes.tile_size.CAP", 64)
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(RECIPE))
    settings = ["--keep", "mean,std,misfit", "--tile", tile, "--dry-run", "--json"]
    found = CliRunner().invoke(cli, ["restore", str(path), str(scene), "-o", str(tmp_path / "a"), *settings])
    assert found.exit_code == 0, found.output
    said = json.loads(found.output)
    sizes, close = [], State.close

    def counted(self):
        sizes.append(sum(part.stat().st_size for part in self.folder.iterdir()))
        close(self)

    monkeypatch.setattr(State, "close", counted)
    row = run(RECIPE, scene, tmp_path / "a", tile=int(tile) if tile.isdigit() else tile, keep="mean,std,misfit")
    assert ("12 of 64 x 64" if tile == "64" else "independent") in said["scenes"]["scene.tif"]
    assert said["evaluations"] == 6
    if tile == "64":
        assert said["evaluations"] == row["forward"]
        written = sum(part.stat().st_size for part in (tmp_path / "a").rglob("*") if part.is_file())
        assert said["disk_bytes"] == pytest.approx(sizes[-1] + written, rel=0.5)
        assert 0 < said["seconds"] < 60


def test_a_truth_is_for_the_evaluation(scene, tmp_path):
    made = restore(RECIPE, scene, out=tmp_path / "a", truth=scene, options=Options(progress="off", tile=64))
    assert "inverse evaluate" in made.rows[0]["note"]
    assert "psnr" not in made.rows[0]
    found = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "a"), str(scene)])
    assert found.exit_code == 0, found.output
    assert "psnr" in found.output
