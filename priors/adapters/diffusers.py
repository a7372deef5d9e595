r"""Hugging Face diffusers: unconditional pixel models, ``diffusers:FOLDER`` or ``diffusers:OWNER/NAME``.

A folder as diffusers writes it: a ``UNet2DModel`` (in ``unet/`` or at the top) and a scheduler's configuration (in
``scheduler/`` or at the top). The scheduler says what the network predicts and at which noise levels, and is read as
one of the rows of ``parametrisation.py``:

* with betas (DDPM, DDIM, PNDM, DPM, ...): eps, v or sample, by ``prediction_type``; the step is interpolated; a last
  step without any signal is left out;
* FlowMatchEulerDiscrete: velocity towards noise, time times ``num_train_timesteps``; ``shift`` only moves a sampler's
  levels;
* ScoreSdeVe: score on images in [0, 1], told ``sigma``: :math:`D = x + \sigma^2 F(x, \sigma)`;
* EDMEuler, EDMDPMSolverMultistep: EDM preconditioning, ``prediction_type: epsilon``.

Deviations: ``clip_sample`` and thresholding are not applied (a clipped denoiser is no posterior mean). Weights come
from safetensors only, in single precision, also where the folder has those of one variant alone (``variant="fp16"``);
no code of a repository is run. With INVERSE_OFFLINE or HF_HUB_OFFLINE set, an identifier is
looked up in the local cache only. Latent, text- and class-conditional models are refused. Cost: one F is one
evaluation.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.adapters.parametrisation import (
    EDM,
    START,
    AdaptedPrior,
    Coefficients,
    Discrete,
    Flow,
    ModuleNetwork,
    noise_levels,
)
from inverse.priors.card import Card
from inverse.priors.download import offline
from inverse.priors.header import digest
from inverse.storage.regular import read_small_text

__all__ = ["adapt", "open_spec"]

#: Files as diffusers names them: the variant, of a model in parts the part and their number.
_WEIGHTS = re.compile(
    r"diffusion_pytorch_model(-\d{5}-of-\d{5})?(\.(?!safetensors)(?P<variant>[^.]+?))?(-\d{5}-of-\d{5})?\.safetensors"
)
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "sample"}


def open_spec(text: str) -> AdaptedPrior:
    """A prior from a folder or an identifier on the Hugging Face hub.

    Raises:
        PriorError: diffusers is missing, there is no such model, or it is of another kind.
    """
    package = _package()
    folder = Path(text).expanduser()
    if not folder.is_dir():
        folder = _download(text)
    unet = _read(folder, ("unet/config.json", "config.json"), text)
    kind = unet[1].get("_class_name")
    if kind != "UNet2DModel":
        raise PriorError(
            f"diffusers:{text} is a {kind}; allowed: UNet2DModel",
            "latent and conditional models are not priors of images",
        )
    _, scheduler = _read(folder, ("scheduler/scheduler_config.json", "scheduler_config.json"), text)
    variant, weights = _weights(unet[0].parent, text)
    try:
        with torch.random.fork_rng(devices=[]), _silent():
            model = package.UNet2DModel.from_pretrained(
                unet[0].parent,
                variant=variant,
                torch_dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
            )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise PriorError(f"diffusers:{text} cannot be loaded: {str(error).splitlines()[0][:150]}") from error
    if any(bool(~value.isfinite().all()) for value in model.state_dict().values()):
        raise PriorError(f"diffusers:{text} has weights that are not finite")
    hashes = [digest(path) for path in weights]
    # of several files, the hash of their hashes
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    name = text.strip("/").rsplit("/", 1)[-1]
    return adapt(model.eval().requires_grad_(False), scheduler, name=name, sha256=sha256)


def _weights(folder: Path, text: str) -> tuple[str | None, list[Path]]:
    """The variant that is read, None for the plain one, and its files, one or several parts.

    Raises:
        PriorError: There are none, of several variants, or of another name.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise PriorError(
            f"diffusers:{text} has no safetensors file", "other formats can hold code; convert it with diffusers first"
        )
    variants: dict[str | None, list[Path]] = {}
    for path in files:
        found = _WEIGHTS.fullmatch(path.name)
        if found is not None:
            variants.setdefault(found["variant"], []).append(path)
    if None in variants:
        return None, variants[None]
    if len(variants) == 1:
        return next(iter(variants.items()))
    named = ", ".join(path.name for path in files[:4])
    hint = "keep the files of one variant" if variants else "expected diffusion_pytorch_model.safetensors"
    raise PriorError(f"diffusers:{text} has {named}", hint)


class _SilentNetwork(ModuleNetwork):
    """A network of diffusers, which warns of every change of precision."""

    def to(self, *, dtype: torch.dtype, device: torch.device | str) -> ModuleNetwork:
        """A copy in another precision or on another device."""
        with _silent():
            return _SilentNetwork(super().to(dtype=dtype, device=device).module, self.call)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what diffusers logs and shows: what a user can do is in our own errors."""
    logger, said = logging.getLogger("diffusers"), _package().utils.logging
    before, bars = logger.level, said.is_progress_bar_enabled()
    logger.setLevel(logging.CRITICAL + 1)
    said.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(before)
        if bars:
            said.enable_progress_bar()


def adapt(model: Any, scheduler: dict[str, Any], *, name: str = "diffusers", sha256: str | None = None) -> AdaptedPrior:
    """A prior from a ``UNet2DModel`` and its scheduler's configuration.

    Raises:
        PriorError: diffusers is missing, or the scheduler or the model is of another kind.
    """
    config = model.config
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        raise PriorError(f"diffusers model '{name}' is conditional on a class", "allowed: unconditional models")
    if config.time_embedding_type == "learned":
        raise PriorError(f"diffusers model '{name}' has an embedding for each step", "allowed: positional, fourier")
    parametrisation, span, call = _parametrisation(scheduler, name)
    card = Card(
        name=name,
        title=f"diffusers UNet2DModel '{name}', {scheduler.get('_class_name')}",
        kind="network",
        adapter="diffusers",
        licence="not recorded here: see the model's page",
        data_var=0.0625,
        channels=config.in_channels,
        stride=2 ** (len(config.down_block_types) - 1),
        minimum_size=2 ** (len(config.down_block_types) - 1),
        sigma_min=span[0] / 2,
        sigma_max=span[1] / 2,
        sigma_start=min(START, span[1]) / 2,
        sha256=sha256,
    )
    return AdaptedPrior(_SilentNetwork(model, call), parametrisation, card)


def _parametrisation(
    scheduler: dict[str, Any], name: str
) -> tuple[Callable[[Tensor], Coefficients], tuple[float, float], Callable[[Any, Tensor, Tensor], Tensor]]:
    """Coefficients, noise range in model units, and how the network is called."""
    kind = str(scheduler.get("_class_name"))
    package = _package()
    scheduler_class: Any = getattr(package, kind, None)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, package.SchedulerMixin)):
        raise PriorError(f"diffusers model '{name}': no scheduler {kind[:60]} in diffusers {package.__version__}")
    made: Any = scheduler_class.from_config(scheduler)  # type: ignore[attr-defined]
    prediction = str(made.config.get("prediction_type", "epsilon"))
    if kind.startswith("FlowMatch"):
        return Flow("noise", float(made.config.num_train_timesteps)), (0.001, 100.0), _call
    if kind == "ScoreSdeVeScheduler":
        return _score, (2 * made.config.sigma_min, 2 * made.config.sigma_max), _call_unit
    if kind.startswith("EDM") and prediction == "epsilon":
        return EDM(made.config.sigma_data), (made.config.sigma_min, made.config.sigma_max), _call
    if prediction in PREDICTIONS and getattr(made, "betas", None) is not None:
        # from the betas: in single precision, 1 - alphas_cumprod has lost four digits at the first step
        levels = noise_levels(torch.cumprod(1 - made.betas.double(), dim=0))
        ends = float(levels[0]), float(levels[-1])
        return Discrete(levels, PREDICTIONS[prediction]), ends, _call  # type: ignore[arg-type]
    raise PriorError(f"diffusers model '{name}': {kind} with prediction_type {prediction}", "see: docs/adapters.md")


def _call(model: Any, x: Tensor, time: Tensor) -> Tensor:
    answer: Tensor = model(x, time.float(), return_dict=False)[0]
    return answer


def _call_unit(model: Any, x: Tensor, time: Tensor) -> Tensor:
    """A model of images in [0, 1], where the level is half."""
    return _call(model, (x + 1) / 2, time)


def _score(sigma: Tensor) -> Coefficients:
    """Score on [0, 1]: in model units, ``x + sigma^2 / 2 F((x + 1) / 2, sigma / 2)``."""
    one = torch.ones_like(sigma)
    return Coefficients(one, sigma**2 / 2, one, sigma / 2)


def _package() -> Any:
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise PriorError(
            "priors 'diffusers:...' need the package diffusers", "pip install 'inverse-imaging[hub]'"
        ) from error


def _read(folder: Path, places: tuple[str, ...], text: str) -> tuple[Path, dict[str, Any]]:
    path = next((folder / place for place in places if (folder / place).is_file()), None)
    if path is None:
        raise PriorError(f"diffusers:{text} has no {' or '.join(places)}", "give a folder as diffusers writes it")
    try:
        content = json.loads(read_small_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise PriorError(f"diffusers:{text}: {path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise PriorError(f"diffusers:{text}: {path.name} is not a configuration")
    return path, content


def _download(text: str) -> Path:
    """The model's folder in the local cache, downloaded where that is allowed."""
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise PriorError(f"diffusers:{text}: no such folder", "give a folder, or OWNER/NAME on the Hugging Face hub")
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise PriorError(
            "priors 'diffusers:OWNER/NAME' need huggingface_hub", "pip install 'inverse-imaging[hub]'"
        ) from error
    patterns = ["*.json", "*.safetensors", "unet/*.json", "unet/*.safetensors", "scheduler/*.json"]
    try:
        return Path(hub.snapshot_download(text, allow_patterns=patterns, local_files_only=offline()))
    except Exception as error:  # the hub's errors are many, and requests' and httpx's besides
        hint = (
            "offline, or only looked at: 'check' and --dry-run fetch nothing"
            if offline()
            else "check the name and the network"
        )
        raise PriorError(
            f"diffusers:{text} cannot be had: {type(error).__name__}", f"{hint}, or give a folder"
        ) from error
