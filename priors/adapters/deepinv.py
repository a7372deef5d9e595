r"""deepinv's denoisers as priors: ``deepinv:drunet``, ``deepinv:NAME=FILE`` with weights from a local file.

``NAME`` is the class name of any ``deepinv.models.Denoiser``. deepinv's contract is this package's, on images in
[0, 1]: :math:`D(x, \sigma)`, ``sigma`` a scalar or (B,). What is done here is data units, precision, sizes and a card;
so an instance is wrapped with :func:`wrap`. Two of its models keep to the contract only in part:

* ``DiffUNet`` snaps ``sigma`` to the nearest of 1000 steps and clips its answer to [0, 1], which is no posterior
  mean. Its tensors are an ADM network: they are opened as one (``guided_diffusion.py``), the step interpolated,
  nothing clipped. At the steps' own noise levels, where nothing clips, the two agree.
* ``NCSNpp`` and ``ADMUNet`` read from a file believe that it was trained on [0, 1]; the files there are (Karras et al.
  2022) were trained on [-1, 1] with ``sigma_data`` 0.5. Here a file is taken to be one of those.

Deviation from deepinv: it fetches a pickle and opens it, which runs what the pickle says. Here nothing is downloaded
and nothing is unpickled. Without a file the weights are those that lie in torch's cache already, if their sha256 is
known (`PUBLISHED`); else the error names the file and its address. The terms of the weights are their authors'. Cost:
one F is one evaluation.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inverse.errors import PriorError, did_you_mean
from inverse.priors.adapters.checkpoint import read_tensors
from inverse.priors.adapters.guided_diffusion import ADMSettings, adm_network, describe
from inverse.priors.adapters.parametrisation import AdaptedPrior, Denoising, ModuleNetwork
from inverse.priors.card import Card
from inverse.priors.header import digest

__all__ = ["open_spec", "wrap"]

STRIDES = {"DRUNet": 8, "NCSNpp": 8, "ADMUNet": 8}
#: Noise levels of training in deepinv's units, as the papers say; others take DRUNet's.
SPANS = {"DRUNet": (0.001, 50 / 255), "NCSNpp": (0.001, 40.0), "ADMUNet": (0.001, 40.0)}


class Published(NamedTuple):
    """A file of weights that deepinv would download for a class."""

    url: str
    sha256: str = ""  # empty: not known, so the file is not opened by its name

    @property
    def name(self) -> str:
        """The file's name in torch's cache."""
        return self.url.rsplit("/", 1)[-1]


_HUB = "https://huggingface.co/deepinv"
#: By class, for its default arguments. DRUNet's hash is the one that public notes of its users record, with its size of
#: 130,585,443 bytes.
PUBLISHED = {
    "DRUNet": Published(
        f"{_HUB}/drunet/resolve/main/drunet_deepinv_color_finetune_22k.pth",
        "20296845d272d3d786b89ea3c1208d5f2ceb57658a499d4dd28073cbb73508aa",
    ),
    "ADMUNet": Published(f"{_HUB}/edm/resolve/main/adm-imagenet64-cond.pt"),
    "DScCP": Published(f"{_HUB}/dsccp/resolve/main/ckpt_dsccp.pth.tar"),
    "DiffUNet": Published(f"{_HUB}/diffunet/resolve/main/diffusion_ffhq_10m.pt"),
    "DnCNN": Published(f"{_HUB}/dncnn/resolve/main/dncnn_sigma2_color.pth"),
    "FFDNet": Published(f"{_HUB}/FFDNet/resolve/main/ffdnet_gray.pth"),
    "NCSNpp": Published(f"{_HUB}/edm/resolve/main/edm-ffhq-64x64-uncond-ve.pt"),
    "RAM": Published("https://huggingface.co/mterris/ram/resolve/main/ram.pth.tar"),
    "SCUNet": Published(f"{_HUB}/scunet/resolve/main/scunet_color_real_psnr.pth"),
    "SwinIR": Published(
        "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0/005_colorDN_DFWB_s128w8_SwinIR-M_noise15.pth"
    ),
}


def open_spec(text: str) -> Any:
    """A prior from ``NAME`` or ``NAME=FILE``.

    Raises:
        PriorError: there is no such denoiser, its weights cannot be had or do not fit.
    """
    name, _, file = text.partition("=")
    models = importlib.import_module("deepinv.models")
    classes = {
        key.lower(): value
        for key, value in vars(models).items()
        if isinstance(value, type) and issubclass(value, models.Denoiser) and value is not models.Denoiser
    }
    if name.lower() not in classes:
        raise PriorError(f"deepinv has no denoiser '{name[:60]}'", did_you_mean(name.lower(), classes))
    kind = classes[name.lower()]
    takes_weights = "pretrained" in inspect.signature(kind).parameters
    place = Path(file).expanduser() if file else _cached(kind.__name__) if takes_weights else None
    if kind is models.DiffUNet and place is not None:
        return _diffunet(read_tensors(place), _card("DiffUNet"))
    return wrap(_build(kind, place))


def wrap(denoiser: Callable[..., Tensor], card: Card | None = None) -> AdaptedPrior:
    """A prior from any ``denoiser(x, sigma)`` that keeps to deepinv's contract; it is not changed.

    The card's ``data_range`` says which data values are its 0 and 1.
    """
    card = _card(type(denoiser).__name__, _channels(denoiser)) if card is None else card
    parameters = denoiser.parameters() if isinstance(denoiser, torch.nn.Module) else iter(())
    dtype = next((value.dtype for value in parameters if value.is_floating_point()), torch.float32)
    return AdaptedPrior(ModuleNetwork(denoiser, _call), Denoising(), card, dtype)


def _call(model: Any, z: Tensor, time: Tensor) -> Tensor:
    """In model units: ``2 D((z + 1) / 2, sigma / 2) - 1``."""
    answer: Tensor = model((z + 1) / 2, (time / 2).to(z.dtype))
    return 2 * answer - 1


def _card(name: str, channels: int | None = None) -> Card:
    low, high = SPANS.get(name, SPANS["DRUNet"])
    return Card(
        name=name.lower(),
        title=f"deepinv.models.{name}",
        kind="network",
        adapter="deepinv",
        licence="not recorded here: see deepinv's page of pretrained weights",
        channels=channels,
        data_var=0.0625,
        sigma_min=low,
        sigma_max=high,
        stride=STRIDES.get(name, 1),
        minimum_size=STRIDES.get(name, 1),
    )


def _channels(model: Any) -> int | None:
    """Image channels, where the model's first layer tells."""
    if type(model).__name__ == "DRUNet":
        return int(model.m_head.weight.shape[1]) - 1
    stem: Any = next(iter(getattr(model, "enc", {}).values()), None)
    return None if stem is None else int(stem.in_channels)


def _cached(name: str) -> Path:
    """The published weights of a class, where they lie in torch's cache and are the known ones."""
    published = PUBLISHED.get(name)
    own = f"deepinv:{name.lower()}=FILE"
    if published is None:
        raise PriorError(
            f"deepinv's weights of {name} are not on this machine; nothing is downloaded unasked, no pickle is opened",
            f"get them from where deepinv's page of pretrained weights says, and give them: {own}",
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.name
    if not path.is_file():
        raise PriorError(
            f"deepinv's weights of {name}, {published.name}, are not on this machine; nothing is downloaded unasked",
            f"get them from {published.url}, and give them: {own}",
        )
    found = digest(path)
    if not published.sha256:
        raise PriorError(
            f"deepinv's weights of {name}: {path} was not opened: no sha256 of it is known (this one's: {found})",
            f"if it is what {published.url} has, give it yourself: {own}",
        )
    if found != published.sha256:
        raise PriorError(
            f"deepinv's weights of {name}: {path} was not opened: its sha256 is {found}, expected {published.sha256}",
            f"get it again from {published.url}, or give a file of your own: {own}",
        )
    return path


def _build(kind: Any, file: Path | None) -> Any:
    """A model with the weights of a file; without one if it takes none."""
    takes = inspect.signature(kind).parameters
    try:
        if "pretrained" not in takes:
            if file is not None:
                raise PriorError(f"deepinv's {kind.__name__} takes no weights", "leave =FILE out")
            return kind().float()
        assert file is not None
        tensors = read_tensors(file)
        trained = {"_was_trained_on_minus_one_one": True, "pixel_std": 0.5} if "pixel_std" in takes else {}
        none = False if isinstance(takes["pretrained"].default, bool) else None
        with torch.random.fork_rng(devices=[]):
            model = kind(pretrained=none, **_shape(kind.__name__, tensors), **trained).float()
        model.load_state_dict(tensors)
    except PriorError:
        raise
    except Exception as error:  # a constructor's errors are whatever its author chose
        reason = " ".join(str(error).split())[:150]
        raise PriorError(
            f"deepinv's {kind.__name__} cannot be opened: {reason}", "is it the weights' class?"
        ) from error
    return model.eval().requires_grad_(False)


def _shape(name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments that the tensors' shapes tell."""
    if name == "DRUNet":
        blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("m_body."))
        widths = [tensors[f"m_down{level}.{blocks}.weight"].shape[0] for level in (1, 2, 3)]
        head = tensors["m_head.weight"]
        return {
            "in_channels": head.shape[1] - 1,
            "out_channels": tensors["m_tail.weight"].shape[0],
            "nc": (head.shape[0], *widths),
            "nb": blocks,
        }
    if name == "NCSNpp":
        width = tensors["map_augment.weight"].shape[1] if "map_augment.weight" in tensors else 0
        return {"model_type": "ncsn" if "map_noise.freqs" in tensors else "ddpm", "augment_dim": width}
    return {"label_dim": tensors["map_label.weight"].shape[1]} if "map_label.weight" in tensors else {}


def _diffunet(tensors: dict[str, Tensor], card: Card) -> AdaptedPrior:
    """Its tensors as the ADM network that they are."""
    named = {name: value.float() for name, value in tensors.items() if not name.endswith("_alphas_cumprod")}
    settings = ADMSettings()
    facts = describe(named, settings)
    network, stride = adm_network(named, settings)
    levels = settings.discrete().levels / 2
    card = card.model_copy(
        update={
            "channels": facts["channels"],
            "stride": stride,
            "minimum_size": stride,
            "sigma_min": float(levels[0]),
            "sigma_max": float(levels[-1]),
        }
    )
    return AdaptedPrior(network, settings.discrete(), card)
