"""A prior that is not one for the data: said by check and by every run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import inverse
from inverse.cli.main import cli
from inverse.posterior.words import doubts
from inverse.priors.card import embedded
from inverse.priors.mismatch import SLACK, Surprise, foreign, upper


def test_the_span_is_interpolated_in_the_logarithm_of_the_level_and_follows_the_data_range() -> None:
    card = embedded()["photo"].model_copy(update={"residual": {"0.02": (0.5, 0.6), "0.2": (0.7, 0.9)}})
    assert upper(card, 0.01) == pytest.approx(0.6)
    assert upper(card, 0.1) == pytest.approx(0.9)
    assert upper(card, 10**-1.5) == pytest.approx(0.75)
    assert upper(card, 0.001) is upper(card, 1.0) is None
    wide = card.model_copy(update={"data_range": (0.0, 255.0)})
    assert upper(wide, 25.5) == pytest.approx(0.9)


def test_the_largest_residual_is_kept_for_each_state() -> None:
    card = embedded()["photo"].model_copy(update={"residual": {"0.02": (0.5, 1.0), "2": (0.5, 1.0)}})
    surprise = Surprise(card)
    x = torch.zeros(2, 3, 4, 4)
    surprise.note(x, x + torch.tensor([0.1, 0.3])[:, None, None, None], 0.1)
    surprise.note(x, x + torch.tensor([0.2, 0.1])[:, None, None, None], 0.1)
    assert surprise.values is not None
    torch.testing.assert_close(surprise.values, torch.tensor([2.0, 3.0]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"channels": 3, "low": 0.0, "high": 1.0, "outside": 0.0}, ""),
        ({"channels": 1, "low": 0.0, "high": 1.0, "outside": 0.0}, ""),
        (
            {"channels": 6, "low": 0.0, "high": 255.0, "outside": 0.9},
            "6 bands, 0 to 255: 90 % of the values are outside",
        ),
        (
            {"channels": 4, "low": 0.0, "high": 1.0, "outside": 0.0},
            "4 bands, 0 to 1: denoised band group by band group",
        ),
    ],
)
def test_what_is_foreign_is_said_in_one_sentence(given, words) -> None:
    text = foreign(embedded()["photo"], **given)
    assert words in text
    assert bool(text) == bool(words)
    if text:
        assert text.startswith("this prior was trained on RGB photographs in [0, 1]; these data are")


def _checkerboard() -> np.ndarray:
    board = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    return np.repeat(board[..., None], 3, axis=2)


def test_a_run_says_what_the_prior_takes_for_noise(tmp_path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.linspace(0.2, 0.8, 64)[None, :, None] * np.ones((64, 1, 3)), 1, 0)
    found = {}
    for name, image in {"smooth": smooth, "board": _checkerboard()}.items():
        np.save(tmp_path / f"{name}.npy", (image + 0.05 * rng.standard_normal(image.shape)).astype(np.float32))
        run = inverse.restore(
            "denoise", str(tmp_path / f"{name}.npy"), out=tmp_path / name, samples=1, overrides=["noise.sigma=0.05"]
        )
        found[name] = run.rows[0]
    assert found["smooth"]["surprise"] < 1 + SLACK < found["board"]["surprise"]
    assert not any("may not be one for these data" in doubt.sentence for doubt in doubts(found["smooth"]))
    assert any("may not be one for these data" in doubt.sentence for doubt in doubts(found["board"]))


def test_check_warns_of_a_range_and_of_images_unlike_the_training(tmp_path) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal((64, 64, 3))
    # black or white, each pixel and colour by itself: a checkerboard the prior takes for an image at the first level
    grain = np.random.default_rng(1).integers(0, 2, (64, 64, 3))
    np.save(tmp_path / "grain.npy", (grain + noise).astype(np.float32))
    np.save(tmp_path / "counts.npy", (255 * _checkerboard() + 255 * noise).astype(np.float32))
    likeness = CliRunner().invoke(cli, ["check", "denoise", str(tmp_path / "grain.npy"), "-s", "noise.sigma=0.05"])
    assert "warn  likeness" in likeness.output, likeness.output
    ranged = CliRunner().invoke(cli, ["check", "denoise", str(tmp_path / "counts.npy"), "-s", "noise.sigma=0.05"])
    assert ranged.exit_code == 4
    assert "data.scale=auto" in ranged.output, ranged.output
