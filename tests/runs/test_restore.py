from __future__ import annotations

import csv
import getpass
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from inverse.errors import OutputError, RecipeError, UsageError
from inverse.posterior.words import doubts
from inverse.runs.run import Options, restore

KEPT = "samples,mean,std,quantiles,data_share,invented,misfit"
QUIET = Options(progress="off", keep=KEPT)


def datasets(folder: Path) -> dict[str, bytes]:
    """The bytes of every data set and restored file of a run."""
    found = {}
    for path in sorted((folder / "items").rglob("posterior.h5")):
        with h5py.File(path) as file:
            found |= {f"{path.relative_to(folder)}:{name}": np.asarray(data).tobytes() for name, data in file.items()}
    for part in ("restored", "std"):
        found |= {str(path.relative_to(folder)): path.read_bytes() for path in (folder / part).rglob("*.*")}
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_the_run_folder(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    run = restore(make_recipe(), photos, out=out, options=Options(progress="off"))
    assert run.exit_code == 0
    ids = ["a.png", "b.png", "sub/a.png", "sub/c.png"]
    for item in ids:
        with Image.open(out / "restored" / item) as restored:
            assert (restored.format, restored.size, restored.mode) == ("PNG", (32, 32), "RGB")
            assert restored.text["inverse:run"].startswith("inverse ")
            pixels = np.asarray(restored)
        assert tifffile.imread(out / "std" / f"{item}.tif").dtype == np.float32
        with h5py.File(out / "items" / item / "posterior.h5") as file:
            assert file["samples"].shape == (4, 3, 32, 32)
            assert file["misfit"].shape == (4,)
            assert {"mean", "std", "quantiles", "data_share", "invented"} < set(file)
            np.testing.assert_allclose(file["quantiles"].attrs["q"], [0.05, 0.5, 0.95])
            assert (file["measurement"].shape, file["residual"].shape) == ((3, 32, 32), (3, 32, 32))
            assert file["convergence"].shape == (4, 3)
            left = (np.asarray(file["measurement"]) - np.asarray(file["mean"])) / 0.1
            np.testing.assert_allclose(file["residual"], left, atol=1e-4)
            np.testing.assert_allclose(np.mean(file["samples"], 0), file["mean"], atol=1e-6)
            np.testing.assert_allclose(np.std(file["samples"], 0, ddof=1), file["std"], atol=1e-6)
            expected = np.rint(np.clip(np.moveaxis(np.asarray(file["mean"]), 0, -1), 0, 1) * 255)
            np.testing.assert_array_equal(pixels, expected)
        with Image.open(out / "items" / item / "figure.png") as figure:
            assert figure.format == "PNG"
    assert [row["item"] for row in rows(out / "items.csv")] == ids
    assert all(row["status"] == "done" for row in rows(out / "items.csv"))
    assert rows(out / "failures.csv") == []
    facts = json.loads((out / "run.json").read_text())
    assert set(facts["evidence"]) == set(ids)
    assert all("misfit" in said[0] and "whiteness" in said[1] for said in facts["evidence"].values())
    assert all(float(row["whiteness"]) > 0 for row in rows(out / "items.csv"))
    assert facts["recipe"]["method"]["steps"] == 4
    assert facts["cost"]["forward"] == 4 * 4 * 4
    assert facts["prior"]["licence"]
    assert facts["noise"]["a.png"] == {"sigma": 0.1, "estimated": False}
    assert (out / ".inverse" / "plan.json").is_file()
    assert len(list((out / ".inverse" / "done").iterdir())) == 4


def test_nothing_written_names_a_place_or_a_person(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    (photos / "broken.png").write_text("not an image")
    restore(make_recipe(), [photos, tmp_path / "gone.png"], out=out, truth=photos / "a.png", options=QUIET)
    for path in out.rglob("*"):
        if path.is_file() and not path.name.startswith("lock"):
            content = path.read_bytes()
            assert str(tmp_path).encode() not in content, path
            assert b"/tmp/" not in content, path
            assert getpass.getuser().encode() not in content.replace(b"root mean", b""), path


def test_running_again_does_nothing(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    restore(make_recipe(), photos, out=out, options=QUIET)
    before = {path: path.stat().st_mtime_ns for path in (out / "items").rglob("*") if path.is_file()}
    run = restore(make_recipe(), photos, out=out, options=QUIET)
    assert run.exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_tampered_truncated_and_missing_output_is_redone(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    restore(make_recipe(), photos, out=out, options=QUIET)
    expected = datasets(out)
    target = out / "items" / "a.png" / "posterior.h5"
    target.write_bytes(target.read_bytes()[:1000])
    (out / "restored" / "b.png").write_bytes(b"edited")
    (out / "std" / "sub" / "a.png.tif").unlink()
    restore(make_recipe(), photos, out=out, options=QUIET)
    assert datasets(out) == expected


def test_a_changed_input_is_redone_and_the_rest_is_not(
    photos: Path, tmp_path: Path, make_recipe: Any, make_picture: Any
) -> None:
    out = tmp_path / "run"
    restore(make_recipe(), photos, out=out, options=QUIET)
    kept = (out / "restored" / "b.png").stat().st_mtime_ns
    old = (out / "restored" / "a.png").read_bytes()
    make_picture(photos / "a.png", 99)
    make_picture(photos / "new.png", 98)
    run = restore(make_recipe(), photos, out=out, options=QUIET)
    assert {row["item"] for row in run.rows} == {"a.png", "b.png", "new.png", "sub/a.png", "sub/c.png"}
    assert (out / "restored" / "a.png").read_bytes() != old
    assert (out / "restored" / "b.png").stat().st_mtime_ns == kept


def test_a_folder_of_another_recipe_is_refused(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    restore(make_recipe(), photos / "a.png", out=out, options=QUIET)
    other = make_recipe(noise={"sigma": 0.2})
    with pytest.raises(RecipeError, match="another recipe") as caught:
        restore(other, photos / "a.png", out=out, options=QUIET)
    assert caught.value.exit_code == 3
    assert restore(other, photos / "b.png", out=out, options=Options(progress="off", overwrite=True)).exit_code == 0
    assert [path.name for path in (out / "restored").iterdir()] == ["b.png"]


def test_a_folder_of_something_else_is_refused(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    (out / "restored").mkdir(parents=True)
    with pytest.raises(OutputError, match="already holds restored"):
        restore(make_recipe(), photos / "a.png", out=out, options=QUIET)


def test_sample_blocks_change_nothing(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    restore(make_recipe(), photos / "a.png", out=whole, options=QUIET)
    restore(make_recipe(), photos / "a.png", out=parts, options=Options(progress="off", keep=KEPT, batch=3))
    assert not list((parts / ".inverse" / "parts").iterdir())
    with h5py.File(whole / "items/a.png/posterior.h5") as a, h5py.File(parts / "items/a.png/posterior.h5") as b:
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_allclose(a[name], b[name], atol=1e-4)
    assert json.loads((parts / "run.json").read_text())["cost"]["forward"] == 16


@pytest.mark.parametrize("batch", ["auto", 1])
def test_shards_are_serial(batch: Any, photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    serial, sharded = tmp_path / "serial", tmp_path / "sharded"
    restore(make_recipe(), photos, out=serial, options=Options(progress="off", keep=KEPT, batch=batch))
    for i in (2, 3, 1):
        run = restore(
            make_recipe(), photos, out=sharded, options=Options(progress="off", keep=KEPT, batch=batch, shard=f"{i}/3")
        )
        assert run.exit_code == 0
        if i == 2:
            assert run.pending
    assert run.pending == ()
    assert datasets(serial) == datasets(sharded)


def test_estimated_noise_is_recorded(tmp_path: Path, make_recipe: Any) -> None:
    clean = np.linspace(0, 0.5, 64, dtype=np.float32)[:, None] * np.ones((64, 64, 3), np.float32)
    noisy = clean + 0.05 * np.random.default_rng(0).standard_normal((64, 64, 3)).astype(np.float32)
    np.save(tmp_path / "y.npy", noisy)
    run = restore(make_recipe(noise={"sigma": "auto"}), tmp_path / "y.npy", out=tmp_path / "run", options=QUIET)
    assert run.rows[0]["noise_estimated"] is True
    assert run.rows[0]["noise_sigma"] == pytest.approx(0.05, rel=0.1)
    assert np.load(tmp_path / "run/restored/y.npy").dtype == np.float32


def test_truth_is_scored_and_never_used(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    blind, scored = tmp_path / "blind", tmp_path / "scored"
    restore(make_recipe(), photos / "a.png", out=blind, options=QUIET)
    run = restore(make_recipe(), photos / "a.png", out=scored, truth=photos, options=QUIET)
    assert datasets(blind) == datasets(scored)
    row = run.rows[0]
    assert row["psnr"] > row["psnr_sample"] > 5
    assert 0 <= row["coverage90"] <= 1
    assert float(rows(scored / "items.csv")[0]["ssim"]) == pytest.approx(row["ssim"])


def test_a_truth_of_another_size_fails_nothing(
    photos: Path, tmp_path: Path, make_recipe: Any, make_picture: Any
) -> None:
    truth = make_picture(tmp_path / "truth" / "a.png", 0, (40, 32))
    run = restore(make_recipe(), photos / "a.png", out=tmp_path / "run", truth=truth, options=QUIET)
    assert run.exit_code == 0
    assert "32 x 32 x 3, truth 40 x 32 x 3" in run.rows[0]["note"]


def test_one_sample_has_no_uncertainty(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    restore(make_recipe(run={"samples": 1}), photos / "a.png", out=out, truth=photos, options=QUIET)
    assert not (out / "std").exists()
    with h5py.File(out / "items/a.png/posterior.h5") as file:
        assert set(file) == {"samples", "mean", "data_share", "invented", "misfit"}


def test_keep(photos: Path, tmp_path: Path, make_recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    restore(make_recipe(), photos / "a.png", out=tmp_path / "k", options=Options(progress="off", keep="mean,misfit"))
    with h5py.File(tmp_path / "k/items/a.png/posterior.h5") as file:
        assert set(file) == {"mean", "misfit"}
    assert not (tmp_path / "k/items/a.png/figure.png").exists()
    with pytest.raises(UsageError, match="samples"):
        restore(make_recipe(), photos / "a.png", out=tmp_path / "x", options=Options(keep="sampels"))
    monkeypatch.setattr("inverse.runs.run.SAMPLES_LIMIT", 1000)
    restore(make_recipe(), photos / "a.png", out=tmp_path / "d", options=Options(progress="off"))
    with h5py.File(tmp_path / "d/items/a.png/posterior.h5") as file:
        assert "samples" not in file
        assert "mean" in file


def test_a_draw_instead_of_the_mean(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    restore(make_recipe(output="sample"), photos / "a.png", out=out, options=QUIET)
    with h5py.File(out / "items/a.png/posterior.h5") as file:
        first = np.moveaxis(np.asarray(file["samples"][0]), 0, -1)
    with Image.open(out / "restored/a.png") as restored:
        np.testing.assert_array_equal(np.asarray(restored), np.rint(np.clip(first, 0, 1) * 255).astype(np.uint8))


def test_grey_pictures_stay_grey(tmp_path: Path, make_recipe: Any, make_picture: Any) -> None:
    make_picture(tmp_path / "g.png", channels=1)
    run = restore(make_recipe(), tmp_path / "g.png", out=tmp_path / "run", options=QUIET)
    assert run.rows[0]["channels"] == 1
    with Image.open(tmp_path / "run/restored/g.png") as restored:
        assert restored.mode == "L"


def test_what_is_not_there_yet_says_so(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    for settings in (
        {"tile": 100},
        {"executor": "ray"},
        {"workers": 2},
        {"threads": 0},
        {"shard": "1/2", "overwrite": True},
        {"device": "cuda:7"},
    ):
        with pytest.raises(UsageError):
            restore(make_recipe(), photos, out=tmp_path / "run", options=Options(**settings))


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ({"kind": "pnp-dm", "steps": 12}, ("r_hat", "ess")),
        ({"kind": "smc", "steps": 5, "particles": 3}, ("log_evidence", "particles", "particles_lowest")),
    ],
)
def test_what_a_method_says_of_its_samples_survives_blocks(
    method: dict[str, Any], names: tuple[str, ...], tmp_path: Path, make_recipe: Any, make_picture: Any
) -> None:
    one = make_picture(tmp_path / "a.png", channels=1)
    found = []
    for batch in (4, 2):
        out = tmp_path / f"run{batch}"
        done = restore(make_recipe(method=method), [one], out=out, options=Options(batch=batch, progress="off"))
        found.append(done.rows[0])
        (line,) = rows(out / "items.csv")
        assert float(line[names[0]]) == found[-1][names[0]]
    for name in names:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-4)
    with h5py.File(tmp_path / "run2" / "items" / "a.png" / "posterior.h5") as file:
        assert ("r_hat" in file) == ("r_hat" in names)
    assert any("chains have not mixed" in doubt.sentence for doubt in doubts(found[0])) == (method["kind"] == "pnp-dm")
