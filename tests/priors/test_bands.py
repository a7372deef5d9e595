"""A colour prior on images with other numbers of bands."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import inverse
from inverse.cli.main import cli
from inverse.operators.observation import Counter
from inverse.priors.channels import BandPrior
from inverse.priors.models.gaussian import GaussianPrior
from inverse.restoration.prior import fit_prior
from inverse.sampling.denoiser import Denoise


class Colour(GaussianPrior):
    @property
    def card(self):  # type: ignore[no-untyped-def]
        return super().card.model_copy(update={"channels": 3})


@pytest.mark.parametrize("bands", [2, 4, 5, 6, 13])
def test_groups_are_colour_images_and_left_over_bands_grey_ones(bands) -> None:
    """The mean of three independent N(0.5, c) channels is N(0.5, c / 3): what a left-over band must be denoised by."""
    prior = BandPrior(Colour(variance=0.09), bands)
    x = torch.rand(2, bands, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = bands // 3 * 3
    for sigma in (torch.tensor(0.1), torch.tensor([0.05, 0.4])):
        answer = prior(x, sigma)
        torch.testing.assert_close(answer[:, :whole], GaussianPrior(variance=0.09)(x[:, :whole], sigma))
        torch.testing.assert_close(answer[:, whole:], GaussianPrior(variance=0.03)(x[:, whole:], sigma))
    assert prior.card.channels == bands
    assert prior.evaluations == bands // 3 + bands % 3


def test_a_band_depends_on_its_group_alone() -> None:
    prior = fit_prior(_photo(), 6, dtype="float32", device="cpu")
    x = torch.rand(1, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, 3:] = 0.5
    with torch.no_grad():
        assert torch.allclose(prior(x, 0.1)[:, :3], prior(other, 0.1)[:, :3], atol=1e-6)


def _photo():  # type: ignore[no-untyped-def]
    return inverse.open_prior("photo")


def test_evaluations_of_all_groups_are_counted() -> None:
    counter = Counter()
    denoise = Denoise(BandPrior(Colour(), 7), counter)
    denoise.estimate(torch.zeros(2, 7, 4, 4), 0.1)
    assert counter.forward == 2 * 3


def test_six_bands_in_six_bands_out_and_it_is_said(tmp_path) -> None:
    rng = np.random.default_rng(0)
    base = np.repeat(np.repeat(rng.random((8, 8, 6)), 5, 0), 5, 1)
    np.save(tmp_path / "scene.npy", (base + 0.05 * rng.standard_normal(base.shape)).astype(np.float32))
    arguments = [
        "restore",
        "denoise",
        str(tmp_path / "scene.npy"),
        "-o",
        str(tmp_path / "out"),
        "-s",
        "noise.sigma=0.05",
    ]
    result = CliRunner().invoke(
        cli, [*arguments, "-s", "method.kind=diffpir", "-s", "method.steps=4", "--samples", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "trained on RGB photographs in [0, 1]; these data are 6 bands" in result.output
    restored = np.load(tmp_path / "out" / "restored" / "scene.npy")
    assert restored.shape == base.shape
    assert np.square(restored - base).mean() < 0.05**2
    with open(tmp_path / "out" / "items.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert float(row["forward"]) == 4 * 2
    assert "6 bands" in row["mismatch"]
