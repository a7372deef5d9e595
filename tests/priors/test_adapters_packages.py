"""Priors from other packages: diffusers, deepinv and Azula, held to their own words."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from deepinv import models
from deepinv.models import DiffUNet, DRUNet
from torch import Tensor, nn

import inverse.priors.adapters.deepinv as adapter
from inverse.errors import PriorError
from inverse.priors.adapters import registry
from inverse.priors.adapters.azula import wrap as wrap_azula
from inverse.priors.adapters.deepinv import wrap as wrap_deepinv
from inverse.priors.card import Card


@contextmanager
def _making() -> Iterator[None]:
    """Other packages draw initial weights from the global generator: it is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _filled(model: Any, std: float = 0.06) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(std * torch.randn(value.shape, generator=generator) + (0.5 if value.ndim == 1 else 0.0))
    return model.eval().requires_grad_(False)


def _images(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def _unet2d(folder: Path, scheduler: Any, **options: Any) -> Any:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    with _making():
        model = diffusers.UNet2DModel(
            sample_size=16,
            in_channels=3,
            out_channels=3,
            layers_per_block=1,
            block_out_channels=(16, 32),
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            **options,
        )
    _filled(model)
    model.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    return model


@pytest.fixture
def diffusers() -> Any:
    return pytest.importorskip("diffusers", reason="diffusers is not installed")


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2", "zero terminal snr"])
def test_diffusers_is_the_schedulers_formula_at_its_steps(
    tmp_path: Path, diffusers: Any, prediction: str, schedule: str
) -> None:
    options = {"rescale_betas_zero_snr": True} if " " in schedule else {"beta_schedule": schedule}
    scheduler = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=True, **options)
    model = _unet2d(tmp_path, scheduler)
    prior = registry.open_spec(f"diffusers:{tmp_path}")
    steps = torch.tensor([2, 430, 900])
    x_t = 2 * _images(3, 3, 16, 16) - 1
    output = model(x_t, steps).sample
    plain = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=False, **options)
    plain.set_timesteps(1000)
    originals = [plain.step(output[i], int(step), x_t[i]).pred_original_sample for i, step in enumerate(steps)]
    power = scheduler.alphas_cumprod[steps].double()
    sigma = ((1 - power) / power).sqrt()
    found = 2 * prior(((x_t / _column(power.sqrt())) + 1) / 2, sigma / 2) - 1
    for i, original in enumerate(originals):
        # single precision of what is a large number at the last steps
        assert torch.allclose(found[i].float(), original, atol=2e-5 * (1 + float(sigma[i])))
    assert prior.card.channels == 3
    assert prior.card.name == tmp_path.name
    assert len(prior.card.sha256 or "") == 64
    assert str(tmp_path.parent) not in prior.card.model_dump_json()


def test_diffusers_reads_the_only_variant_and_says_nothing(
    tmp_path: Path, diffusers: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    model = _unet2d(tmp_path, diffusers.DDPMScheduler())
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    model.half().save_pretrained(tmp_path / "unet", variant="fp16", max_shard_size="60KB")
    assert len(list((tmp_path / "unet").glob("*.fp16*.safetensors"))) > 1
    capfd.readouterr()
    prior = registry.open_spec(f"diffusers:{tmp_path}").compute(dtype=torch.float32, device="cpu")
    x, sigma = _images(1, 3, 16, 16), 0.3
    answer = prior(x, sigma)
    assert capfd.readouterr() == ("", "")
    model.float().save_pretrained(tmp_path / "unet")  # which removes parts of the other
    assert torch.allclose(answer, registry.open_spec(f"diffusers:{tmp_path}")(x, sigma), atol=1e-5)
    plain = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(plain, plain.with_name("diffusion_pytorch_model.fp16.safetensors"))
    plain.rename(plain.with_name("diffusion_pytorch_model.non_ema.safetensors"))
    with pytest.raises(PriorError, match=r"fp16.*safetensors.*non_ema") as caught:
        registry.open_spec(f"diffusers:{tmp_path}")
    assert caught.value.hint == "keep the files of one variant"


def test_diffusers_velocities(tmp_path: Path, diffusers: Any) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    model = _unet2d(tmp_path, scheduler)
    prior = registry.open_spec(f"diffusers:{tmp_path}")
    sigma = torch.tensor([0.05, 1.7])
    noise = _column(sigma / (1 + sigma))
    x_t = 2 * _images(2, 3, 16, 16) - 1
    # an Euler step from the noise's share to 0 is x - share * v
    expected = x_t - noise * model(x_t, 1000 * noise.flatten()).sample
    assert torch.allclose(2 * prior((x_t / (1 - noise) + 1) / 2, sigma / 2) - 1, expected, atol=1e-5)


def test_diffusers_scores(tmp_path: Path, diffusers: Any) -> None:
    model = _unet2d(tmp_path, diffusers.ScoreSdeVeScheduler(sigma_max=50.0), time_embedding_type="fourier")
    prior = registry.open_spec(f"diffusers:{tmp_path}")
    x, sigma = _images(2, 3, 16, 16), torch.tensor([0.3, 4.0])
    expected = x + _column(sigma) ** 2 * model(x, sigma).sample
    assert torch.allclose(prior(x, sigma), expected, atol=2e-5)
    assert (prior.card.sigma_min, prior.card.sigma_max) == (0.01, 50.0)


def test_diffusers_takes_any_size_dtype_and_range(tmp_path: Path, diffusers: Any) -> None:
    _unet2d(tmp_path, diffusers.DDPMScheduler())
    prior = registry.open_spec(f"diffusers:{tmp_path}")
    answer = prior(_images(1, 3, 9, 12).double(), 0.1)
    assert (answer.shape, answer.dtype) == ((1, 3, 9, 12), torch.float64)
    half = prior.compute(dtype=torch.bfloat16, device="cpu")
    assert torch.allclose(half(_images(1, 3, 16, 16), 0.1), prior(_images(1, 3, 16, 16), 0.1), atol=0.05)
    assert next(prior.network.module.parameters()).dtype == torch.float32


def test_what_diffusers_cannot_be_is_said(tmp_path: Path, diffusers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(text: str) -> str:
        with pytest.raises(PriorError) as caught:
            registry.open_spec(f"diffusers:{text}")
        assert caught.value.exit_code == 5
        assert len(str(caught.value).splitlines()) <= 3
        return str(caught.value)

    monkeypatch.setenv("INVERSE_OFFLINE", "1")
    assert "offline" in message("google/no-such-model-here")
    assert "no such folder" in message(str(tmp_path / "none"))
    assert "unet/config.json" in message(str(tmp_path))
    _unet2d(tmp_path / "a", diffusers.DDPMScheduler())
    weights = tmp_path / "a/unet/diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert "cannot be loaded" in message(str(tmp_path / "a"))
    weights.unlink()
    assert "no safetensors" in message(str(tmp_path / "a"))
    config = tmp_path / "a/unet/config.json"
    config.write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    assert "UNet2DConditionModel" in message(str(tmp_path / "a"))
    config.write_text("{")
    assert "cannot be read" in message(str(tmp_path / "a"))
    _unet2d(tmp_path / "b", diffusers.DDPMScheduler(), num_class_embeds=4)
    assert "conditional" in message(str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("package", "spec", "extra"),
    [("diffusers", "diffusers:.", "hub"), ("azula", "azula:adm/ffhq_256x256", "azula")],
)
def test_a_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, spec: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PriorError, match=rf"inverse-imaging\[{extra}\]"):
        registry.open_spec(spec)


def test_drunet_from_a_file_is_deepinvs(tmp_path: Path) -> None:
    with _making():
        model = DRUNet(in_channels=1, out_channels=1, nc=(8, 8, 16, 16), nb=2, pretrained=None)
    _filled(model)
    torch.save(model.state_dict(), tmp_path / "drunet.pth")
    prior = registry.open_spec(f"deepinv:drunet={tmp_path / 'drunet.pth'}")
    x, sigma = _images(2, 1, 32, 32), torch.tensor([0.02, 0.2])
    expected = model(x, sigma)
    assert not torch.allclose(model(x, 0.02)[1], expected[1], atol=1e-4)
    assert torch.allclose(prior(x, sigma), expected, atol=1e-5)
    assert prior.card.channels == 1


@pytest.mark.parametrize("kind", ["ncsnpp", "admunet"])
def test_edm_weights_through_deepinv_are_on_minus_one_to_one(tmp_path: Path, kind: str) -> None:
    name = {"ncsnpp": "NCSNpp", "admunet": "ADMUNet"}[kind]
    options = {"channel_mult": (1, 1), "num_blocks": 1, "model_channels": 64}
    with _making():
        model = getattr(models, name)(pretrained=None, pixel_std=0.5, _was_trained_on_minus_one_one=True, **options)
    _filled(model)
    prior = wrap_deepinv(model)
    x, sigma = _images(2, 3, 16, 16), torch.tensor([0.05, 0.9])
    assert torch.allclose(prior(x, sigma), model(x, sigma), atol=1e-5)
    assert torch.allclose(prior(x.double(), sigma), model(x, sigma).double(), atol=1e-5)


def test_diffunet_is_deepinvs_at_its_steps_and_continuous_between(monkeypatch: pytest.MonkeyPatch) -> None:
    with _making():
        model = DiffUNet(pretrained=None)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # an answer within [-1, 1], as deepinv clips it
        model.out[2].weight.copy_(0.003 * torch.randn(model.out[2].weight.shape, generator=generator))
    model.eval().requires_grad_(False)
    monkeypatch.setattr(adapter, "read_tensors", lambda path: model.state_dict())
    prior = registry.open_spec("deepinv:diffunet=file")
    power = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[[150, 20]]
    sigma = ((1 - power) / power).sqrt() / 2
    x = 0.4 + 0.2 * _images(2, 3, 32, 32)
    expected = model(x, sigma.float())
    assert expected.min() > 0
    assert expected.max() < 1
    assert torch.allclose(prior(x, sigma), expected, atol=1e-5)
    a, b = (prior.parametrisation.time(2 * sigma[:1] * factor) for factor in (1.0, 1.002))
    assert 0 < float(b - a) < 1


def test_deepinv_names_and_what_is_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INVERSE_OFFLINE", "1")
    with pytest.raises(PriorError, match="no denoiser 'drunett'\ndid you mean 'drunet'"):
        registry.open_spec("deepinv:drunett")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(PriorError, match=r"nothing is downloaded unasked\n.*huggingface.*deepinv:drunet=FILE"):
        registry.open_spec("deepinv:drunet")
    with pytest.raises(PriorError, match=r"none\.pth"):
        registry.open_spec(f"deepinv:drunet={tmp_path / 'none.pth'}")
    torch.save({"m_head.weight": torch.zeros(64, 4, 3, 3)}, tmp_path / "bad.pth")
    with pytest.raises(PriorError, match="DRUNet cannot be opened"):
        registry.open_spec(f"deepinv:drunet={tmp_path / 'bad.pth'}")
    assert registry.open_spec("deepinv:medianfilter")(_images(1, 3, 8, 8), 0.1).shape == (1, 3, 8, 8)


SCHEDULES = {
    "VPSchedule": {},
    "VESchedule": {"sigma_max": 100.0},
    "CosineSchedule": {},
    "RectifiedSchedule": {},
    "DecaySchedule": {"gamma": 0.1},
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.0, 255.0)])
def test_azulas_exact_gaussian_denoiser(name: str, span: tuple[float, float]) -> None:
    pytest.importorskip("azula", reason="azula is not installed")
    denoise, noise, linalg = (
        importlib.import_module(f"azula.{part}") for part in ("denoise", "noise", "linalg.covariance")
    )
    schedule = getattr(noise, name)(**SCHEDULES[name])
    generator = torch.Generator().manual_seed(0)
    mean = 0.3 * torch.randn(1, 4, 5, dtype=torch.float64, generator=generator)
    variance = 0.05 + torch.rand(1, 4, 5, dtype=torch.float64, generator=generator)
    denoiser = denoise.GaussianDenoiser(mean, linalg.DiagonalCovariance(variance), schedule)
    low, high = span
    gain = 2 / (high - low)
    card = Card(
        name="a", title="a", kind="network", licence="none", data_range=span, data_var=1, sigma_min=1e-3, sigma_max=100
    )
    prior = wrap_azula(denoiser, card, dtype=torch.float64)
    levels = prior.parametrisation.level(torch.tensor([0.0, 1.0], dtype=torch.float64)).log10().tolist()
    sigma = torch.logspace(levels[0] + 1e-9, min(levels[1] - 1e-9, 4.0), 15, dtype=torch.float64)
    z = torch.randn(15, 1, 4, 5, dtype=torch.float64, generator=generator) * _column(1 + sigma)
    exact = mean + variance / (variance + _column(sigma) ** 2) * (z - mean)
    found = prior((z + 1) / gain + low, sigma / gain)
    assert torch.allclose((found - low) * gain - 1, exact, rtol=1e-8, atol=1e-8)
    one = prior((z[7:8] + 1) / gain + low, float(sigma[7]) / gain)
    assert torch.allclose((one - low) * gain - 1, exact[7:8], rtol=1e-8, atol=1e-8)


def test_azulas_networks_with_a_level_an_item() -> None:
    denoise = pytest.importorskip("azula.denoise", reason="azula is not installed")
    noise = importlib.import_module("azula.noise")

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.7), requires_grad=False)

        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return self.weight * x * time.reshape(-1, 1, 1, 1).sin()

    prior = wrap_azula(denoise.KarrasDenoiser(Backbone(), noise.VPSchedule()), name="k")
    z, sigma = 2 * _images(2, 1, 4, 4) - 1, torch.tensor([0.1, 3.0])
    scale = _column((1 + sigma**2).rsqrt())
    expected = scale**2 * z + _column(sigma) * scale * 0.7 * scale * z * _column(sigma.log().sin())
    # Azula's own VP schedule has alpha^2 + sigma^2 = 1 + 1e-6, which its formula divides out
    assert torch.allclose(2 * prior((z + 1) / 2, sigma / 2) - 1, expected, atol=1e-5)
    assert prior.card.sigma_max > 100
