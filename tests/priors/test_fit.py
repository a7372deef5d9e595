"""Fitted priors: denoisers against dense formulas, spectra recovered, few and odd images, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import inverse
from inverse.cli.prior.fit import fit as command
from inverse.errors import InputError, InverseError, PriorError, RecipeError
from inverse.numerics.rng import Rng
from inverse.priors.models.fitted import open_weights
from inverse.priors.models.gaussian import GaussianPrior, power_law
from inverse.priors.training.fitting import fit, read_images

SMALL_PATCH = {"components": 4, "patches": 2000, "rounds": 4, "side": 6, "rank": 12}


def textures(count: int, channels: int, *, size: int = 96, exponent: float = 2.0, std: float = 0.15) -> list[Tensor]:
    """Draws of a field with a power-law spectrum, channels correlated."""
    prior = GaussianPrior(0.5, spectrum=power_law(size, size, std=std, exponent=exponent, corner=6.0))
    noise = Rng(0, [str(i) for i in range(count)], [0] * count).normal(
        torch.zeros(count, channels, size, size), step=0, stream="x"
    )
    mixing = torch.eye(channels) * 0.4 + 0.6 / channels
    return list(torch.einsum("cd,ndhw->nchw", mixing, prior.sample(noise)).float())


def opened(kind: str, images: list[Tensor], **settings: object) -> object:
    card, tensors = fit(images, name="test", kind=kind, settings=settings)
    return open_weights(card, {name: value.double() for name, value in tensors.items()})


@pytest.fixture(scope="module")
def field() -> object:
    mixed = [*textures(2, 2), *textures(2, 2, std=0.03, exponent=3.0)]
    return opened("mixture", mixed, components=2, window=16)


def test_field_denoiser_is_the_dense_formula_and_its_jacobian_the_derivative(field: object) -> None:
    shape, sigma = (2, 5, 7), 0.1
    parts = field.closed_form(shape).parts  # type: ignore[attr-defined]
    units = torch.eye(70, dtype=torch.float64).reshape(70, *shape)
    x = 0.5 + 0.1 * torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logs, means = [], []
    for part in parts:
        total = part.covariance(units).reshape(70, 70)
        assert torch.allclose(total, total.T)
        centre = part.mean.expand(shape).reshape(-1)
        noisy = total + sigma**2 * torch.eye(70)
        law = torch.distributions.MultivariateNormal(centre, noisy)
        logs.append(law.log_prob(x.flatten(1)))
        means.append(centre + (x.flatten(1) - centre) @ torch.linalg.solve(noisy, total))
    weights = field.weights.log()[:, None]  # type: ignore[attr-defined]
    share = torch.softmax(torch.stack(logs) + weights, 0)
    expected = (share[..., None] * torch.stack(means)).sum(0)
    assert torch.allclose(field(x, sigma).flatten(1), expected, atol=1e-8)  # type: ignore[operator]
    v = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    state = x.clone().requires_grad_(True)
    answer = field(state, torch.tensor([sigma, 0.2, 0.05]))  # type: ignore[operator]
    (product,) = torch.autograd.grad(answer, state, v)
    own = field.jacobian(x, v, torch.tensor([sigma, 0.2, 0.05], dtype=torch.float64))  # type: ignore[attr-defined]
    assert torch.allclose(product, own, atol=1e-6)
    # Tweedie: D - x is sigma^2 times the gradient of the log density
    flat = x.flatten(1).requires_grad_(True)
    density = torch.logsumexp(
        torch.stack(
            [
                torch.distributions.MultivariateNormal(
                    p.mean.expand(shape).reshape(-1), p.covariance(units).reshape(70, 70) + sigma**2 * torch.eye(70)
                ).log_prob(flat)
                for p in parts
            ]
        )
        + weights,
        0,
    )
    (score,) = torch.autograd.grad(density.sum(), flat)
    assert torch.allclose(expected - x.flatten(1), sigma**2 * score, atol=1e-7)


def test_mixture_tells_two_textures_apart(field: object) -> None:
    variances = field.autocovariance[:, 0, 0, 0, 0].sort().values  # type: ignore[attr-defined]
    assert len(variances) == 2
    assert float(variances[1] / variances[0]) > 5


def test_known_spectrum_is_recovered_and_kept_at_any_size() -> None:
    images = textures(12, 1, size=128, exponent=3.0)
    prior = opened("gaussian", images)
    for height, width in ((128, 128), (96, 200)):
        found = prior.closed_form((1, height, width)).parts[0].values[0]  # type: ignore[attr-defined]
        rows, columns = (torch.arange(n, dtype=torch.float64) / (2 * n) * 128 for n in (height, width))
        radius = (rows[:, None].square() + columns.square()).sqrt()
        scale = (
            0.15**2
            / (36 + (torch.fft.fftfreq(128) * 128).square()[:, None] + (torch.fft.fftfreq(128) * 128).square())
            .pow(-1.5)
            .mean()
        )
        truth = scale * (36 + radius.square()).pow(-1.5)
        for low, high in ((8, 16), (16, 30), (30, 60)):
            band = (radius > low) & (radius < high)
            # 12 fields of 128 x 128 hold hundreds of independent coefficients in each band
            assert float(found[band].mean() / truth[band].mean()) == pytest.approx(1, abs=0.12)
    drawn = prior.sample(torch.randn(40, 1, 64, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(40))  # type: ignore[attr-defined]
    assert float(drawn[..., 20:44, 20:44].std()) == pytest.approx(0.15, rel=0.2)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "patch"])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_one_image_is_enough_and_other_sizes_are_served(kind: str, channels: int) -> None:
    settings = SMALL_PATCH if kind == "patch" else {}
    card, tensors = fit(textures(1, channels), name="one", kind=kind, settings=settings)
    prior = open_weights(card, tensors)
    clean = textures(2, channels, size=60)[1][None, :, :, :41]
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    answer = prior(noisy, 0.1)
    assert answer.shape == clean.shape
    assert float((answer - clean).square().mean()) < 0.75 * float((noisy - clean).square().mean())
    assert card.channels == channels
    with pytest.raises(PriorError, match="channels"):
        prior(torch.zeros(1, channels + 1, 32, 32), 0.1)


def test_patch_denoiser_is_the_mean_of_exact_patch_posteriors() -> None:
    prior = opened("patch", textures(1, 1, size=48), **SMALL_PATCH, stride=1)
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logs, means = [], []
    identity = torch.eye(36, dtype=torch.float64)
    for vectors, values, rest in zip(prior.vectors, prior.values, prior.rest, strict=True):  # type: ignore[attr-defined]
        covariance = vectors @ torch.diag(values - rest) @ vectors.T + rest * identity
        offset = x.flatten() - prior.mean.flatten()  # type: ignore[attr-defined]
        noisy = covariance + 0.04 * identity
        logs.append(torch.distributions.MultivariateNormal(torch.zeros(36).double(), noisy).log_prob(offset))
        means.append(prior.mean.flatten() + covariance @ torch.linalg.solve(noisy, offset))  # type: ignore[attr-defined]
    share = torch.softmax(torch.stack(logs) + prior.weights.log(), 0)  # type: ignore[attr-defined]
    expected = (share[:, None] * torch.stack(means)).sum(0).reshape(1, 1, 6, 6)
    assert torch.allclose(prior(x, 0.2), expected, atol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["gaussian", "patch"])
def test_units_follow_the_range_of_the_card(kind: str) -> None:
    card, tensors = fit(textures(1, 1), name="r", kind=kind, settings=SMALL_PATCH if kind == "patch" else {})
    wide = card.model_copy(update={"data_range": (0.0, 1000.0)})
    x = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        open_weights(wide, tensors)(1000 * x, 100.0), 1000 * open_weights(card, tensors)(x, 0.1), rtol=1e-3, atol=0.5
    )


def test_the_same_images_give_the_same_prior_and_no_global_generator_moves() -> None:
    images, state = textures(2, 1), torch.get_rng_state()
    first, second = (fit(images, name="x", kind="patch", settings=SMALL_PATCH)[1] for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(state, torch.get_rng_state())


def test_bad_images_and_settings_are_refused(tmp_path: Path) -> None:
    good, bad = np.random.default_rng(0).random((32, 32, 3), np.float32), np.full((32, 32), np.nan, np.float32)
    files = {"nan": bad, "tiny": good[:8, :8], "good": good, "grey": good[..., 0]}
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for names, text in (
        (["nan.npy"], "NaN"),
        (["tiny.npy"], "at least 16"),
        (["good.npy", "grey.npy"], "1 channels, the images before it have 3"),
        (["broken.png"], "broken"),
        (["absent.png"], "absent"),
    ):
        with pytest.raises(InputError, match=text) as caught:
            read_images([tmp_path / name for name in names])
        assert caught.value.exit_code == 4
    with pytest.raises(InputError, match="without contrast"):
        fit([torch.full((1, 32, 32), 0.5)], name="flat")
    with pytest.raises(RecipeError, match="no setting 'componets'"):
        fit(textures(1, 1), name="x", kind="mixture", settings={"componets": 3})
    with pytest.raises(RecipeError, match="window"):
        fit(textures(1, 1), name="x", settings={"window": 1})
    with pytest.raises(PriorError, match="autocovariance"):
        open_weights(fit(textures(1, 1), name="x")[0], {"mean": torch.zeros(1), "weights": torch.ones(1)})


def test_fitted_on_the_command_line_and_opened_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    np.save(tmp_path / "a.npy", textures(1, 3)[0].permute(1, 2, 0).clamp(0, 1).numpy())
    done = CliRunner().invoke(command, [str(tmp_path / "a.npy"), "--name", "mine", "-s", "window=32", "--json"])
    assert done.exit_code == 0, done.output
    prior = inverse.open_prior("mine")
    assert prior.card.channels == 3
    assert prior.card.kind == "gaussian"
    physics = inverse.build_operator("gaussian-blur", shape=(3, 48, 40), sigma=1.5, noise=0.02)
    post = inverse.sample(
        inverse.simulate(textures(1, 3, size=48)[0][None, :, :, :40], physics), physics, "mine", method="exact"
    )
    assert post.cost.forward == 0
    again = CliRunner().invoke(command, [str(tmp_path / "a.npy"), "--name", "mine"])
    assert isinstance(again.exception, InverseError)
    assert "overwrite" in again.exception.hint
