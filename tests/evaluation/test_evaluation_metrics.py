"""Every metric against a formula of its own, an image at a time, and without the pixels that have no value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from inverse.errors import UsageError
from inverse.metrics import windows as metrics_windows
from inverse.metrics.learned import lpips
from inverse.metrics.registry import measure, metric, metrics
from inverse.metrics.samples import crps, energy

IMAGE = [name for name, one in metrics(of=("image",)).items() if not one.missing()[0]]


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Two smooth colour images and noisy copies, the second noisier."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(2, 3, 180, 176, generator=generator, dtype=torch.float64).cumsum(-1).cumsum(-2)
    low, high = smooth.amin((1, 2, 3), keepdim=True), smooth.amax((1, 2, 3), keepdim=True)
    truth = 0.1 + 0.8 * (smooth - low) / (high - low)
    truth = truth + 0.05 * torch.rand(truth.shape, generator=generator, dtype=torch.float64)
    level = torch.tensor([0.02, 0.1]).reshape(-1, 1, 1, 1)
    return (truth + level * torch.randn(truth.shape, generator=generator)).float(), truth.float()


def windowed(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """Gaussian-windowed moments of (C, H, W), sigma 1.5, 11 x 11, mirrored without repeating the edge."""

    def blur(image: Any) -> Any:
        return gaussian_filter(image, (0, 1.5, 1.5), mode="mirror", truncate=3.5)

    mx, my = blur(x), blur(y)
    return mx, my, blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my


def ssim_map(x: Any, y: Any) -> Any:
    mx, my, vx, vy, cov = windowed(x, y)
    return (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))


def uqi_map(x: Any, y: Any) -> Any:
    mx, my, vx, vy, cov = windowed(x, y)
    return (4 * mx * my * cov / ((mx**2 + my**2) * (vx + vy)))[:, 5:-5, 5:-5]


def by_hand(p: Any, t: Any) -> dict[str, float]:
    """(C, H, W) float64."""
    error = p - t
    angle = np.arccos((p * t).sum(0) / np.linalg.norm(p, axis=0) / np.linalg.norm(t, axis=0))
    return {
        "psnr": peak_signal_noise_ratio(t, p, data_range=1),
        "ssim": ssim_map(p, t).mean(),
        "uqi": uqi_map(p, t).mean(),
        "sam": angle.mean(),
        "ergas": 25 * np.sqrt(((error**2).mean((1, 2)) / t.mean((1, 2)) ** 2).mean()),
        "rase": 100 * np.sqrt((error**2).mean()) / t.mean(),
        "mse": (error**2).mean(),
        "rmse": np.sqrt((error**2).mean()),
        "mae": np.abs(error).mean(),
        "nmse": (error**2).sum() / (t**2).sum(),
        "nrmse": np.linalg.norm(error) / np.linalg.norm(t),
    }


def test_values_are_those_of_the_formulas(images: Any) -> None:
    prediction, truth = images
    for index in range(2):
        expected = by_hand(prediction[index].double().numpy(), truth[index].double().numpy())
        found = measure(prediction[index], truth[index], expected)
        assert found.pop("ssim") == pytest.approx(expected.pop("ssim"), abs=1e-5), "float32"
        assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", ["ms-ssim", "vif", "scc"])
def test_torchmetrics_agrees_with_our_formula(name: str, images: Any) -> None:
    prediction, truth = images
    everywhere = torch.ones(2, 1, *truth.shape[-2:], dtype=torch.bool)
    own = {"ms-ssim": {"data_range": 1.0}, "vif": {"noise": 2.0}, "scc": {"window": 8}}[name]
    scale = 255 if name == "vif" else 1
    ours = getattr(metrics_windows, f"masked_{name.replace('-', '_')}")(
        scale * prediction, scale * truth, valid=everywhere, **own
    )
    theirs = metric(name).compute(prediction, truth, data_range=1.0)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", IMAGE)
def test_an_image_does_not_depend_on_its_batch(name: str, images: Any) -> None:
    prediction, truth = images
    together = metric(name).compute(prediction, truth, data_range=1.0)
    alone = torch.cat([metric(name).compute(p[None], t[None], data_range=1.0) for p, t in zip(*images, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
    assert together.shape == (2,)
    assert (together[0] > together[1]) == metric(name).higher_is_better


@pytest.mark.parametrize("name", IMAGE)
def test_what_has_no_value_changes_nothing(name: str, images: Any) -> None:
    prediction, truth = images[0][:1], images[1][:1]
    valid = torch.ones(1, 1, *truth.shape[-2:], dtype=torch.bool)
    valid[..., :9, :20] = False
    spoilt = torch.where(valid, truth, torch.full_like(truth, 700.0))
    other = torch.where(valid, prediction, torch.full_like(truth, -3.0))
    found = metric(name).compute(other, spoilt, data_range=1.0, valid=valid)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, metric(name).compute(prediction, truth, data_range=1.0, valid=valid))
    assert abs(float(found) - float(metric(name).compute(prediction, truth, data_range=1.0))) < 0.02 * abs(float(found))


def test_masked_windows_are_those_without_an_invalid_pixel(images: Any) -> None:
    p, t = images[0][0].double().numpy(), images[1][0].double().numpy()
    valid = np.ones((1, *t.shape[-2:]), bool)
    valid[:, 60:70, 60:70] = False
    far = np.ones_like(valid[0])
    far[55:75, 55:75] = False
    given = {"valid": torch.from_numpy(valid)}
    found = measure(images[0][0], images[1][0], ["ssim", "uqi", "psnr"], **given)
    assert found["ssim"] == pytest.approx(ssim_map(p, t)[:, far].mean(), rel=1e-5)
    assert found["uqi"] == pytest.approx(uqi_map(p, t)[:, far[5:-5, 5:-5]].mean(), rel=1e-5)
    inside = np.broadcast_to(valid, t.shape)
    assert found["psnr"] == pytest.approx(10 * math.log10(1 / ((p - t)[inside] ** 2).mean()), abs=1e-4)


def test_bands_with_gaps_of_their_own(images: Any) -> None:
    p, t = images[0][0], images[1][0]
    valid = torch.ones(3, *t.shape[-2:], dtype=torch.bool)
    valid[0, 20:60] = False
    valid[2, :, :30] = False
    all_bands = valid.all(0)
    found = measure(p, t, ["sam", "psnr"], valid=valid)
    angle = torch.nn.functional.cosine_similarity(p.double(), t.double(), dim=0).arccos()
    assert found["sam"] == pytest.approx(float(angle[all_bands].mean()), rel=1e-5)
    assert found["psnr"] == pytest.approx(-10 * math.log10(float((p - t).double()[valid].square().mean())), abs=1e-4)


def test_our_rase_is_the_papers_and_torchmetrics_is_64_times_that() -> None:
    from torchmetrics.functional.image import relative_average_spectral_error

    truth, prediction = torch.full((1, 2, 32, 32), 0.5), torch.full((1, 2, 32, 32), 0.55)
    assert float(metric("rase").compute(prediction, truth)[0]) == pytest.approx(10, rel=1e-5)
    assert float(relative_average_spectral_error(prediction, truth)) == pytest.approx(640, rel=1e-4)


def test_pixels_that_are_zero_in_all_bands_have_no_angle() -> None:
    truth = torch.ones(1, 2, 4, 4)
    truth[..., 0, :] = 0
    assert float(metric("sam").compute(truth.clone(), truth)[0]) == pytest.approx(0, abs=1e-3)


def test_d_lambda_and_qnr(images: Any) -> None:
    from torchmetrics.functional.image import spatial_distortion_index

    ms, fused = images[1][:1, :, :80, :80], images[0][:1, :, :160, :160]
    pan = fused.mean(1, keepdim=True)
    low, high = ms[0].double().numpy(), fused[0].double().numpy()
    pairs = [(0, 1), (0, 2), (1, 2)]
    between = [[uqi_map(x[i : i + 1], x[j : j + 1]).mean() for i, j in pairs] for x in (low, high)]
    expected = np.abs(np.subtract(*between)).mean()
    found = float(metric("d-lambda").compute(fused, ms=ms)[0])
    assert found == pytest.approx(expected, rel=1e-3)
    spatial = float(spatial_distortion_index(fused.double(), ms.double(), pan.double().expand(-1, 3, -1, -1)))
    assert float(metric("qnr").compute(fused, ms=ms, pan=pan)[0]) == pytest.approx(
        (1 - found) * (1 - spatial), rel=1e-3
    )


def test_crps_and_energy_score_are_the_double_sums() -> None:
    from torchmetrics.functional.regression import continuous_ranked_probability_score

    generator = torch.Generator().manual_seed(2)
    draws = torch.randn(5, 2, 1, 6, 7, generator=generator, dtype=torch.float64)
    truth = torch.randn(2, 1, 6, 7, generator=generator, dtype=torch.float64)
    for index in range(2):
        x, y = draws[:, index].flatten(1), truth[index].flatten()
        first = (x - y).abs().mean()
        pairs = sum((x[i] - x[j]).abs().mean() for i in range(5) for j in range(5))
        assert float(crps(draws, truth)[index]) == pytest.approx(float(first - pairs / 40), rel=1e-5)
        biased = continuous_ranked_probability_score(x.T, y)
        assert float(crps(draws, truth)[index]) == pytest.approx(float(first - (first - biased) * 5 / 4), rel=1e-5)
        norms = sum((x[i] - x[j]).norm() for i in range(5) for j in range(5))
        vector = ((x - y).norm(dim=1).mean() - norms / 40) / math.sqrt(42)
        assert float(energy(draws, truth)[index]) == pytest.approx(float(vector), rel=1e-5)
    assert math.isnan(float(crps(draws[:1], truth)[0]))


def test_crps_is_fair_and_known_for_a_gaussian() -> None:
    """Of N(0, 1) about its own draws the CRPS is 1 / sqrt(pi), however few samples tell of it."""
    generator = torch.Generator().manual_seed(3)
    for count in (2, 20):
        draws = torch.randn(count, 1, 1, 300, 300, generator=generator)
        truth = torch.randn(1, 1, 300, 300, generator=generator)
        assert float(crps(draws, truth)[0]) == pytest.approx(1 / math.sqrt(math.pi), abs=0.01)


def test_metrics_say_what_they_cannot_measure() -> None:
    grey = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    found = measure(grey, grey, ["ms-ssim", "vif", "sam", "ssim"])
    assert [math.isnan(value) for value in found.values()] == [True, True, True, False]
    assert metric("sam").unfit((1, 20, 20)) == "sam needs 2 or more channels, there is 1"
    assert metric("vif").unfit((3, 40, 90)) == "vif needs 41 pixels a side, there are 40"
    assert metric("ergas").define(1.0, ratio=2).endswith("ratio=2")
    assert "data_range=255" in metric("psnr").define(255)


def test_networks_without_weights_are_refused_with_the_reason(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    reason, hint = metric("lpips").missing()
    assert "alexnet-owt-7be5be79.pth" in reason
    assert "nothing is downloaded" in reason
    assert hint.startswith("fetch it once")
    image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UsageError, match="lpips needs"):
        measure(image, image, ["lpips"])
    weights = tmp_path / "hub/checkpoints/alexnet-owt-7be5be79.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert metric("lpips").missing() == ("", "")


def test_networks_get_colour_between_0_and_1(monkeypatch: Any) -> None:
    """The wiring of LPIPS, with a distance in the network's place."""
    from inverse.metrics import learned as metrics_learned

    class Mean:
        def reset(self) -> None:
            self.values: list[torch.Tensor] = []

        def update(self, one: torch.Tensor, other: torch.Tensor) -> None:
            assert one.shape == (1, 3, 8, 8)
            assert one.min() >= 0
            assert one.max() <= 1
            self.values.append((one - other).mean())

        def compute(self) -> torch.Tensor:
            return torch.stack(self.values).mean()

    monkeypatch.setattr(metrics_learned, "_network", lambda name, **_: Mean())
    prediction = torch.tensor([300.0, 100.0]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)
    found = lpips(prediction, torch.full((2, 1, 8, 8), 51.0), data_range=255)
    torch.testing.assert_close(found, torch.tensor([0.8, 49 / 255]))
