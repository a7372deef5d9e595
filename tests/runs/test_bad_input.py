"""Whatever a folder holds: a reason and a code for what is wrong, and the rest of it restored."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from inverse.errors import InputError, InverseError, OutputError
from inverse.runs.run import Options, restore

KEPT = "samples,mean,std,quantiles,data_share,invented,misfit"
QUIET = Options(progress="off", keep=KEPT)


@pytest.fixture
def corpus(photos: Path) -> Path:
    """Two good pictures in sub/, and one of each kind of bad file."""
    (photos / "text.png").write_text("this is not an image\n" * 10)
    whole = (photos / "a.png").read_bytes()
    (photos / "truncated.png").write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite(photos / "whole.tif", np.zeros((32, 32, 3), np.uint16))
    tiff = (photos / "whole.tif").read_bytes()
    (photos / "whole.tif").unlink()
    (photos / "truncated.tif").write_bytes(tiff[: len(tiff) // 2])
    np.save(photos / "nan.npy", np.full((32, 32, 3), np.nan, np.float32))
    np.save(photos / "empty.npy", np.zeros((0, 32, 3), np.float32))
    (photos / "zero.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(photos / "tiny.png")
    Image.new("RGB", (20000, 1)).save(photos / "line.png")
    np.save(photos / "five.npy", np.zeros((32, 32, 5), np.float32))
    return photos


BAD = {
    "text.png": "text",
    "truncated.png": "",
    "truncated.tif": "",
    "nan.npy": "NaN",
    "empty.npy": "empty",
    "zero.png": "empty",
    "tiny.png": "1 x 1 pixels",
    "line.png": "20000 x 1 pixels",
}


def test_every_bad_file_is_named_and_the_rest_is_restored(corpus: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    (corpus / "five.npy").unlink()
    run = restore(make_recipe(), [corpus, tmp_path / "missing.png"], out=out, options=QUIET)
    assert run.exit_code == 1
    done = {row["item"] for row in run.rows if row["status"] == "done"}
    assert done == {"a.png", "b.png", "sub/a.png", "sub/c.png"}
    with (out / "failures.csv").open() as stream:
        failures = {row["item"]: row for row in csv.DictReader(stream)}
    assert set(failures) == {*BAD, "missing.png"}
    for item, words in BAD.items():
        assert failures[item]["code"] == "4", failures[item]
        assert words in failures[item]["reason"], failures[item]
        assert failures[item]["error"] == "InputError"
        assert "\n" not in failures[item]["reason"] + failures[item]["hint"]
    assert str(tmp_path) not in (out / "failures.csv").read_text()


@pytest.mark.parametrize("name", [*BAD, "missing.png"])
def test_all_failed_for_one_cause_is_that_cause(name: str, corpus: Path, tmp_path: Path, make_recipe: Any) -> None:
    run = restore(make_recipe(), corpus / name, out=tmp_path / "run", options=QUIET)
    assert run.exit_code == 4
    assert len(run.failures) == 1


def test_strict_stops_at_the_first_with_its_code(corpus: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    with pytest.raises(InputError):
        restore(make_recipe(), [corpus / "text.png", corpus / "b.png"], out=out, options=Options(strict=True))
    assert not (out / "restored" / "b.png").exists()


def test_a_failure_that_was_mended_is_forgotten(corpus: Path, tmp_path: Path, make_recipe: Any) -> None:
    out = tmp_path / "run"
    inputs = [corpus / "text.png", corpus / "b.png"]
    assert restore(make_recipe(), inputs, out=out, options=QUIET).exit_code == 1
    (corpus / "text.png").write_bytes((corpus / "a.png").read_bytes())
    run = restore(make_recipe(), inputs, out=out, options=QUIET)
    assert run.exit_code == 0
    assert run.failures == ()


def test_channels_that_the_prior_does_not_take(corpus: Path, tmp_path: Path, make_recipe: Any) -> None:
    recipe = make_recipe(prior={"name": "mri"})
    run = restore(recipe, corpus / "five.npy", out=tmp_path / "run", options=QUIET)
    assert run.exit_code == 4
    assert "5 channels, the prior takes 2 channels" in run.failures[0].reason


def test_a_mask_of_another_size(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    Image.new("L", (40, 40), 255).save(tmp_path / "mask.png")
    recipe = make_recipe(operator={"kind": "file-mask", "file": str(tmp_path / "mask.png")})
    run = restore(recipe, photos / "a.png", out=tmp_path / "run", options=QUIET)
    assert run.exit_code == 4
    assert "40" in run.failures[0].reason
    assert "32" in run.failures[0].reason


def test_an_output_that_cannot_be_written(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError) as caught:
            restore(make_recipe(), photos / "a.png", out=out, options=QUIET)
        assert caught.value.exit_code == 7


def test_a_full_disk_ends_the_run_and_is_resumable(
    photos: Path, tmp_path: Path, make_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(path: Path, data: bytes, **_: Any) -> None:
        if path.name == "posterior.h5" and "b.png" in str(path):
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        original(path, data, **_)

    from inverse.storage import files as store

    original = store.atomic_bytes
    with monkeypatch.context() as patch:
        patch.setattr(store, "atomic_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            restore(make_recipe(), photos, out=tmp_path / "run", options=QUIET)
    run = restore(make_recipe(), photos, out=tmp_path / "run", options=QUIET)
    assert run.exit_code == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": {"sigma": -1}}, "noise.sigma"),
        ({"operator": {"kind": "denoise", "sgima": 2}}, "sgima"),
        ({"methd": {}}, "methd"),
        ({"method": {"kind": "diffpri"}}, "diffpri"),
    ],
)
def test_a_bad_recipe_is_refused_before_anything_is_written(
    changes: dict[str, Any], words: str, photos: Path, tmp_path: Path, make_recipe: Any
) -> None:
    with pytest.raises(InverseError, match=words) as caught:
        restore(make_recipe(**changes), photos, out=tmp_path / "run", options=QUIET)
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) <= 3
    assert not (tmp_path / "run").exists()


def test_a_tampered_weight_file_is_refused(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    from safetensors.torch import save_file

    from inverse.priors.models.unet import UNet, UNetConfig

    shape = {"channels": [8, 8], "blocks": [1, 1]}
    with torch.random.fork_rng():
        network = UNet(UNetConfig(channels=(8, 8), blocks=(1, 1)))
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, tmp_path / "w.safetensors")
    good = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    (tmp_path / "card.yaml").write_text(
        f"name: mine\ntitle: t\nkind: network\nlicence: MIT\nchannels: 3\ndata_var: 0.06\nsigma_min: 0.01\n"
        f"sigma_max: 10.0\nsigma_data: 0.5\nnetwork: {shape}\nweights: w.safetensors\nsha256: {good}\n"
    )
    recipe = make_recipe(prior={"name": str(tmp_path / "card.yaml")}, run={"samples": 1})
    assert restore(recipe, photos / "a.png", out=tmp_path / "run", options=QUIET).exit_code == 0
    content = bytearray((tmp_path / "w.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(bytes(content))
    with pytest.raises(InverseError, match="sha256") as caught:
        restore(recipe, photos / "a.png", out=tmp_path / "run", options=QUIET)
    assert caught.value.exit_code == 5


def test_a_picture_solved_sample_by_sample_fails_once(
    tmp_path: Path, make_recipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "bright.npy", np.full((512, 512, 3), 200, np.float32))
    run = restore(make_recipe(), tmp_path / "bright.npy", out=tmp_path / "run", options=Options(progress="auto"))
    assert run.exit_code == 4
    assert sum("where the recipe and its prior mean" in record.getMessage() for record in caplog.records) == 1
