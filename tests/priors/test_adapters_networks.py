"""Networks built from named tensors answer as the packages that they come from, with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from deepinv import models
from torch import Tensor, nn

from inverse.errors import PriorError
from inverse.priors.adapters import registry
from inverse.priors.adapters.edm import EDMSettings
from inverse.priors.adapters.guided_diffusion import ADMNetwork, ADMSettings, adm_network, describe
from inverse.priors.adapters.parametrisation import Discrete, alphas_cumprod, noise_levels, validated
from inverse.priors.card import Card


@contextmanager
def _making(seed: int = 0) -> Iterator[None]:
    """Other packages draw initial weights from the global generator: it is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _filled(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that leave no branch at zero, as zero-initialised convolutions would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.06 * torch.randn(value.shape, generator=generator) + (0.5 if value.ndim == 1 else 0.0))
    return model.eval().requires_grad_(False)


def _images(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _card(adapter: str, network: dict[str, Any] | None = None, **fields: Any) -> Card:
    return Card(
        name="n",
        title="n",
        kind="network",
        adapter=adapter,
        licence="none",
        data_var=0.06,
        sigma_min=1e-3,
        sigma_max=50,
        network=network,
        **fields,
    )


ADM = {
    "published": (
        {"channel_mult": (1, 2), "num_res_blocks": 2, "resblock_updown": True, "use_scale_shift_norm": True},
        6,
    ),
    "convolutions": (
        {"channel_mult": (1, 2, 2), "num_res_blocks": 1, "use_scale_shift_norm": True, "use_new_attention_order": True},
        3,
    ),
    "no weights in resampling": ({"channel_mult": (1, 2), "num_res_blocks": 1, "conv_resample": False}, 3),
    "classes": (
        {
            "channel_mult": (0.5, 1, 2),
            "num_res_blocks": 2,
            "resblock_updown": True,
            "use_new_attention_order": True,
            "num_classes": 5,
        },
        6,
    ),
    "one level": ({"channel_mult": (1,), "num_res_blocks": 1, "use_scale_shift_norm": True}, 3),
}


def _adm(name: str) -> tuple[nn.Module, dict[str, Any]]:
    unet = pytest.importorskip("azula.plugins.adm._src.unet", reason="azula is not installed")
    options, out = ADM[name]
    with _making():
        model = unet.UNetModel(
            16,
            3,
            64,
            out,
            attention_resolutions=(2,),
            num_head_channels=32,
            **{"num_res_blocks": 1, **options},
        )
    return _filled(model), options


@pytest.mark.parametrize("name", ADM)
def test_guided_diffusion_is_azulas_adm(name: str) -> None:
    model, options = _adm(name)
    label = 3 if options.get("num_classes") else None
    order = "new" if options.get("use_new_attention_order") else "legacy"
    tensors = dict(model.state_dict())
    network, stride = adm_network(tensors, ADMNetwork(num_head_channels=32, attention_order=order, label=label))
    x, time = 2 * _images(3, 3, 16, 16) - 1, torch.tensor([0.0, 417.3, 999.0])
    expected = model(x, time, None if label is None else torch.full((3,), label))
    assert stride == 2 ** (len(options["channel_mult"]) - 1)
    assert expected.std() > 0.1
    assert torch.allclose(network(x, time), expected, atol=1e-5)
    other = adm_network(tensors, ADMNetwork(num_head_channels=16, attention_order=order, label=label))[0]
    assert not torch.allclose(other(x, time), expected, atol=1e-3)


@pytest.mark.parametrize(("name", "stride"), [("imagenet_128x128_cond", 16), ("ffhq_256x256", 32)])
def test_published_architectures_are_read_off_their_tensors(name: str, stride: int) -> None:
    """Full size, on tensors without storage."""
    plugin = pytest.importorskip("azula.plugins.adm", reason="azula is not installed")
    options = pytest.importorskip("azula.plugins.utils").load_cards("azula.plugins.adm")[name].config
    with torch.device("meta"):
        tensors = dict(plugin.make_model(**options).backbone.state_dict())
    heads = {"num_head_channels": 0, "num_heads": options["num_heads"]} if "num_heads" in options else {}
    label = 7 if options["num_classes"] else None
    facts = describe(tensors, ADMSettings(label=label, **heads))
    assert (facts["channels"], facts["stride"]) == (3, stride)
    assert facts["sigma_max"] == pytest.approx(157.4, rel=1e-3)


def test_a_guided_diffusion_prior_is_the_formula_at_the_steps() -> None:
    model, _ = _adm("published")
    prior = registry.open_weights(
        _card("guided-diffusion", {"num_head_channels": 32}, channels=3, stride=2), dict(model.state_dict())
    )
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    power = torch.cumprod(1 - betas, 0)[[3, 700]]
    sigma = ((1 - power) / power).sqrt()
    x = _images(2, 3, 16, 16)
    x_t = ((2 * x - 1) * power.sqrt().reshape(-1, 1, 1, 1)).float()
    eps = model(x_t, torch.tensor([3, 700]))[:, :3]
    mean = (x_t - (1 - power).sqrt().reshape(-1, 1, 1, 1) * eps) / power.sqrt().reshape(-1, 1, 1, 1)
    # float32 of a large sigma times eps
    assert torch.allclose(prior(x, sigma / 2).double(), (mean + 1) / 2, atol=3e-5)
    again = prior.compute(dtype=torch.bfloat16, device="cpu")
    assert again.dtype == torch.bfloat16
    assert torch.allclose(again(x, 0.05), prior(x, 0.05), atol=0.05)


def test_a_velocity_network_opens_as_a_flow() -> None:
    model, _ = _adm("one level")
    card = _card("flow", {"num_head_channels": 32, "time_scale": 1000.0}, channels=3)
    prior = registry.open_weights(card, dict(model.state_dict()))
    x, sigma = _images(2, 3, 16, 16), torch.tensor([0.1, 2.0])
    t = (1 / (1 + 2 * sigma)).reshape(-1, 1, 1, 1)
    x_t = t * (2 * x - 1)
    expected = x_t + (1 - t) * model(x_t, 1000 * t.flatten())
    assert torch.allclose(2 * prior(x, sigma) - 1, expected, atol=1e-5)


def test_tensors_that_do_not_fit_are_refused() -> None:
    model, _ = _adm("published")
    tensors = dict(model.state_dict())
    good = ADMNetwork(num_head_channels=32)
    less = {name: value for name, value in tensors.items() if name != "middle_block.1.proj_out.bias"}
    with pytest.raises(PriorError, match=r"lacks the tensor 'middle_block.1.proj_out.bias'"):
        adm_network(less, good)
    with pytest.raises(PriorError, match="does not fit its neighbours"):
        adm_network({**tensors, "out.2.weight": torch.zeros(6, 32, 3, 3)}, good)
    with pytest.raises(PriorError, match="belong to no part of the network: extra"):
        adm_network({**tensors, "extra.weight": torch.zeros(2)}, good)
    with pytest.raises(PriorError, match="num_head_channels"):
        adm_network(tensors, ADMNetwork(num_head_channels=48))
    with pytest.raises(PriorError, match="without classes"):
        adm_network(tensors, ADMNetwork(num_head_channels=32, label=0))
    with pytest.raises(PriorError, match="no setting 'shedule'\ndid you mean 'schedule'"):
        validated(ADMSettings, {"shedule": "cosine"})
    conditional, _ = _adm("classes")
    with pytest.raises(PriorError, match=r"conditional on 5 classes(.|\n)*-s label=N"):
        adm_network(dict(conditional.state_dict()), good)


EDM = {
    "ncsn": ("NCSNpp", {"model_type": "ncsn"}),
    "ddpm": ("NCSNpp", {"model_type": "ddpm"}),
    "ddpm, classes": ("NCSNpp", {"model_type": "ddpm", "label_dim": 4}),
    "adm": ("ADMUNet", {}),
    "adm, classes": ("ADMUNet", {"label_dim": 4}),
}


def _edm(name: str) -> Any:
    kind, options = EDM[name]
    with _making():
        model = getattr(models, kind)(
            img_resolution=16,
            model_channels=128,
            channel_mult=(1, 2),
            num_blocks=1,
            attn_resolutions=(8,),
            pretrained=None,
            pixel_std=0.5,
            _was_trained_on_minus_one_one=True,
            **options,
        )
    return _filled(model)


@pytest.mark.parametrize("name", EDM)
def test_edm_is_deepinvs(name: str) -> None:
    model = _edm(name)
    classes = EDM[name][1].get("label_dim", 0)
    label = 2 if classes else None
    prior = registry.open_weights(_card("edm", {"label": label}, channels=3, stride=2), dict(model.state_dict()))
    x, sigma = _images(2, 3, 16, 16), torch.tensor([0.02, 1.3])
    one_hot = nn.functional.one_hot(torch.full((2,), 2), classes).float() if classes else None
    expected = model(x, sigma, class_labels=one_hot)
    assert torch.allclose(prior(x, sigma), expected, atol=1e-5)
    assert torch.allclose(prior(x[1:], 1.3), expected[1:], atol=1e-5)


def test_edm_of_other_sizes_and_broken_ones() -> None:
    tensors = dict(_edm("ncsn").state_dict())
    prior = registry.open_weights(_card("edm", channels=3, stride=2), tensors)
    assert prior(_images(1, 3, 11, 8), 0.1).shape == (1, 3, 11, 8)
    with pytest.raises(PriorError, match="lacks the tensor"):
        registry.open_weights(
            _card("edm"), {k: v for k, v in tensors.items() if k != "dec.8x8_in0.qkv.bias" and "proj" not in k}
        )
    with pytest.raises(PriorError, match="not an EDM network"):
        registry.open_weights(_card("edm"), {"a": torch.zeros(1)})


@pytest.mark.parametrize("form", ["ve", "vp", "iddpm"])
def test_other_preconditionings_are_karras_table_1(form: str) -> None:
    """Coefficients as Karras et al. 2022 define them in their table 1 and appendix C.3."""
    sigma = torch.tensor([0.05, 0.7, 20.0], dtype=torch.float64)
    found = EDMSettings(precondition=form).parametrisation(0.5)(sigma)  # type: ignore[arg-type]
    if form == "ve":
        out, scale, time = sigma, torch.ones(3, dtype=torch.float64), torch.log(sigma / 2)
    elif form == "vp":
        out, scale = -sigma, 1 / torch.sqrt(sigma**2 + 1)
        time = 999 * (torch.sqrt(0.1**2 + 2 * 19.9 * torch.log(1 + sigma**2)) - 0.1) / 19.9
    else:
        out, scale = -sigma, 1 / torch.sqrt(sigma**2 + 1)
        # u_j of appendix C.3.4, from j = M down
        alpha = [
            torch.sin(torch.tensor(torch.pi / 2 * j / (1000 * 1.008), dtype=torch.float64)) ** 2 for j in range(1001)
        ]
        u = [0.0] * 1001
        for j in range(1000, 0, -1):
            u[j - 1] = float(((u[j] ** 2 + 1) / max(alpha[j - 1] / alpha[j], 0.001) - 1) ** 0.5)
        levels = torch.tensor(u[999::-1], dtype=torch.float64)
        assert torch.allclose(noise_levels(alphas_cumprod("cosine")), levels, rtol=1e-9)
        time = Discrete(levels).time(sigma)
    assert torch.equal(found.skip, torch.ones(3, dtype=torch.float64))
    assert torch.allclose(found.out, out)
    assert torch.allclose(found.scale, scale)
    assert torch.allclose(found.time, time)
