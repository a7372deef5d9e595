"""The embedded network prior: sizes, precision, batches, its card's claims, and damaged weights."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.io import imread, imsave

import inverse
from inverse.errors import PriorError
from inverse.priors.card import embedded
from inverse.priors.catalogue import card_path


@pytest.fixture(scope="module")
def photo():
    return inverse.open_prior("photo")


def _images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (100, 70)])
def test_any_size_from_32_pixels_in_both_precisions(photo, size) -> None:
    x = 0.5 + 0.2 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    full = photo(x, 0.2)
    half = photo.compute(dtype=torch.bfloat16, device="cpu")(x, 0.2)
    assert full.shape == half.shape == x.shape
    assert half.dtype == torch.float32
    # bfloat16 keeps 8 bits, 0.4 % of an activation, and the network answers on the scale of the noise: 0.4 % of 0.2,
    # five times over (measured: 1.2 times)
    assert float((full - half).square().mean().sqrt()) < 5 * 2**-8 * 0.2


def test_a_batch_is_its_items_and_each_has_its_own_level(photo) -> None:
    x, sigma = _images(3, 3, 40, 40), torch.tensor([0.05, 0.2, 0.8])
    together = photo(x, sigma)
    alone = torch.cat([photo(x[i : i + 1], sigma[i : i + 1]) for i in range(3)])
    assert (together - alone).abs().max() < 1e-4


def test_no_noise_is_the_identity_and_grey_stays_grey(photo) -> None:
    ramp = torch.linspace(0.2, 0.8, 48).expand(1, 3, 48, 48)
    assert (photo(ramp, photo.card.sigma_min) - ramp).abs().max() < 3 * photo.card.sigma_min
    grey = photo(torch.full((1, 3, 64, 64), 0.5), 0.05)
    assert float((grey - 0.5).abs().max()) < 0.02
    assert float((grey - grey.mean(1, keepdim=True)).abs().max()) < 0.02


def test_grey_noise_is_restored_without_a_tint(photo) -> None:
    noise = torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    for sigma in (0.05, 0.2):
        restored = photo(0.5 + sigma * noise, sigma)
        # the tint of a channel is its mean's distance from the three's: 8-bit files cannot show less than 1 / 255
        tint = restored.mean((-1, -2)) - restored.mean()
        assert float(tint.abs().max()) < 2 / 255
        assert float((restored - restored.mean(1, keepdim=True)).square().mean().sqrt()) < 0.25 * sigma


def test_the_card_s_stride_and_receptive_field_are_true(photo) -> None:
    stride, reach = photo.card.stride, photo.card.receptive_field
    x = _images(1, 3, 2 * reach + 64, 64)
    far, near = x.clone(), x.clone()
    far[..., 0, :] += 1.0
    near[..., reach - 32, :] += 1.0
    row = reach + stride
    assert torch.equal(photo(far, 0.2)[..., row:, :], photo(x, 0.2)[..., row:, :])
    assert not torch.equal(photo(near, 0.2)[..., row, :], photo(x, 0.2)[..., row, :])
    shifted = photo(x[..., stride:, :], 0.2)
    inner = slice(reach, -reach)
    assert torch.allclose(photo(x, 0.2)[..., stride:, :][..., inner, :], shifted[..., inner, :], atol=1e-5)


def test_another_data_range_is_the_same_prior(photo) -> None:
    wide = inverse.open_prior("photo", data_range=(0, 255))
    x = _images(1, 3, 32, 32)
    assert torch.allclose(wide(255 * x, 51.0) / 255, photo(x, 0.2), atol=1e-5)
    assert wide.card.sigma_start == pytest.approx(255 * photo.card.sigma_start)


@pytest.mark.slow
def test_it_denoises_as_its_card_says(photo, shared) -> None:
    level, found = 25 / 255, []
    for path in sorted((shared / "photo").glob("cbsd_*.png")):
        image = imread(path)
        top, left = ((size - 256) // 2 for size in image.shape[:2])
        crop = image[top : top + 256, left : left + 256]
        clean = torch.from_numpy(np.moveaxis(crop, -1, 0).copy())[None].float() / 255
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        error = photo(clean + level * noise, level) - clean
        found.append(float(-10 * error.square().mean().log10()))
    assert len(found) == 23
    # the photographs are the card's, the noise is not: its PSNR moves by under 0.05 dB a crop of 196,608 values
    assert np.mean(found) == pytest.approx(photo.card.psnr["25"], abs=0.1)


def _copy(tmp_path: Path) -> tuple[Path, Path]:
    card, weights = tmp_path / "photo.yaml", tmp_path / "photo.safetensors"
    shutil.copy(card_path("photo"), card)
    shutil.copy(card_path("photo").parent.parent / "weights" / "photo.safetensors", weights)
    return card, weights


def test_changed_missing_or_foreign_weights_are_refused(tmp_path) -> None:
    card, weights = _copy(tmp_path)
    assert inverse.open_prior(str(card)).card.name == "photo"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(PriorError, match="its card says") as caught:
        inverse.open_prior(str(card))
    assert caught.value.exit_code == 5
    assert len(str(caught.value).splitlines()) <= 3
    weights.unlink()
    with pytest.raises(PriorError, match="are missing"):
        inverse.open_prior(str(card))


@pytest.mark.parametrize("damage", ["tampered", "missing"])
def test_the_command_line_says_so_in_three_lines(tmp_path, damage) -> None:
    card, weights = _copy(tmp_path)
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    imsave(tmp_path / "a.png", np.full((32, 32, 3), 90, np.uint8), check_contrast=False)
    command = [
        sys.executable,
        "-c",
        "from inverse.cli.main import main; main()",
        "restore",
        "denoise",
        "a.png",
        "-o",
        "out",
        "-s",
        f"prior.name={card}",
        "-s",
        "noise.sigma=0.1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in done.stderr


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    card, weights = _copy(tmp_path)
    state = load_file(weights)
    state.pop("head.weight")
    save_file(state, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card.write_text(card.read_text().replace(str(embedded()["photo"].sha256), digest))
    with pytest.raises(PriorError, match="does not fit the network"):
        inverse.open_prior(str(card))
