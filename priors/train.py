r"""Training of a diffusion prior: the one training code, for the embedded priors and for a user's own.

.. math::
    \min_\theta E_{x, \sigma, n} \lambda(\sigma) \lVert D_\theta(x + \sigma n, \sigma) - x \rVert^2, \quad
    \lambda(\sigma) = (\sigma^2 + \sigma_d^2) / (\sigma \sigma_d)^2, \quad \ln \sigma \sim N(P_{mean}, P_{std}^2)

(Karras et al. 2022, section 5), with AdamW, gradient clipping, an exponential moving average of the weights, and a
warm-up / constant / cosine-cooldown learning rate, so that the end of a run can still be moved while the rate is
constant. Every draw of a step is a function of (seed, step): a run that was killed and resumed from its checkpoint takes the
steps it would have taken. bfloat16 autocast with float32 master weights.

Run it as ``python -m inverse.priors.train DATA.h5 --name NAME --work DIR --steps N``; run it again to resume.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from inverse.priors.unet import EDMDenoiser, UNet, UNetConfig

__all__ = ["TrainConfig", "denoising_psnr", "learning_rate", "load_images", "train"]

logger = logging.getLogger(__name__)
HELD_OUT = 32


@dataclass(frozen=True)
class TrainConfig:
    """What decides a training run, apart from the data.

    Attributes:
        steps: Optimiser steps in all.
        batch: Crops a step.
        crop: Height and width of a crop in pixels.
        rate: Peak learning rate.
        warmup: Steps of linear warm-up.
        cooldown: Fraction of the steps, at the end, over which the rate falls to zero.
        ema: Decay of the moving average of the weights.
        clip: Largest gradient norm.
        log_sigma_mean: Mean of the logarithm of the noise level, in model units ([-1, 1] data).
        log_sigma_std: Its standard deviation.
        grey: Fraction of crops turned grey, so that single-band images are served without a tint.
        seed: Seed of the initial weights and of every draw.
    """

    steps: int = 20_000
    batch: int = 16
    crop: int = 64
    rate: float = 1e-3
    warmup: int = 1_000
    cooldown: float = 0.4
    ema: float = 0.999
    clip: float = 1.0
    log_sigma_mean: float = -1.4
    log_sigma_std: float = 1.4
    grey: float = 0.05
    seed: int = 0


def load_images(path: Path, dataset: str = "webp") -> Tensor:
    """Read every image of an HDF5 file whose ``dataset`` holds one encoded image (PNG, WebP, ...) an entry.

    Returns:
        (N, 3, H, W) uint8; all images must have one size.
    """
    import h5py
    from PIL import Image

    with h5py.File(path, "r") as file:
        images = [np.asarray(Image.open(io.BytesIO(bytes(entry))).convert("RGB")) for entry in file[dataset]]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of ``step``: linear warm-up, constant, cosine cooldown."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    length = max(1, round(config.cooldown * config.steps))
    progress = min(1.0, max(0.0, (step - (config.steps - length)) / length))
    return config.rate * 0.5 * (1.0 + float(np.cos(np.pi * progress)))


def _generator(seed: int, step: int) -> torch.Generator:
    key = np.random.SeedSequence((seed, step)).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(key) & (2**63 - 1))


def _batch(images: Tensor, step: int, config: TrainConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Clean crops on [-1, 1], their noise levels and unit noise, as a function of (seed, step) alone."""
    generator = _generator(config.seed, step)

    def integers(high: int) -> list[int]:
        return torch.randint(high, (config.batch,), generator=generator).tolist()

    height, width = images.shape[-2:]
    index, top, left = integers(len(images)), integers(height - config.crop + 1), integers(width - config.crop + 1)
    turn, flip = integers(4), integers(2)
    grey = torch.rand(config.batch, generator=generator) < config.grey
    crops = []
    for i in range(config.batch):
        crop = images[index[i], :, top[i] : top[i] + config.crop, left[i] : left[i] + config.crop]
        crop = torch.rot90(crop, turn[i], (1, 2))
        crop = crop.flip(2) if flip[i] else crop
        value = crop.float()
        crops.append(value.mean(0, keepdim=True).expand_as(value) if grey[i] else value)
    clean = torch.stack(crops) / 127.5 - 1.0
    sigma = (config.log_sigma_mean + config.log_sigma_std * torch.randn(config.batch, generator=generator)).exp()
    noise = torch.randn(clean.shape, generator=generator)
    return clean, sigma, noise


@torch.no_grad()
def denoising_psnr(denoiser: nn.Module, images: Tensor, sigmas: tuple[float, ...] = (15, 25, 50)) -> dict[int, float]:
    """Mean PSNR in dB (peak 255, no clipping) of denoising ``images`` (N, 3, H, W) uint8 at levels in 8-bit units."""
    clean = images.float() / 255.0
    result = {}
    for sigma in sigmas:
        total = 0.0
        for i, image in enumerate(clean):
            noise = torch.randn(image.shape, generator=_generator(int(sigma), i))
            level = sigma / 255.0
            error = denoiser((image + level * noise)[None], level)[0].float() - image
            total += float(-10.0 * error.square().mean().log10())
        result[int(sigma)] = round(total / len(clean), 3)
    return result


def _save(path: Path, state: dict[str, object]) -> None:
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _optimise(
    denoiser: EDMDenoiser,
    average: EDMDenoiser,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    config: TrainConfig,
    start: int,
) -> Iterator[tuple[int, float]]:
    """Take the steps from ``start``; yield (steps done, loss) after each."""
    device_type = next(denoiser.parameters()).device.type
    for step in range(start, config.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config)
        clean, sigma, noise = (part.to(next(denoiser.parameters()).device) for part in _batch(images, step, config))
        with torch.autocast(device_type, torch.bfloat16):
            estimate = denoiser.model(clean + sigma[:, None, None, None] * noise, sigma)
        data = denoiser.sigma_data
        weight = (sigma**2 + data**2) / (sigma * data) ** 2
        loss = (weight[:, None, None, None] * (estimate - clean).square()).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(denoiser.parameters(), config.clip)
        if torch.isfinite(norm):
            optimiser.step()
        decay = min(config.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), denoiser.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - decay)
        yield step + 1, float(loss.detach())


def train(
    images: Tensor,
    work: Path,
    config: TrainConfig,
    network: UNetConfig,
    *,
    device: str = "cpu",
    every: float = 120.0,
    init: Path | None = None,
) -> EDMDenoiser:
    """Train, or resume training, a prior on images.

    Args:
        images: (N, 3, H, W) uint8. The last 32 of a keyed permutation are held out.
        work: Folder of the checkpoint (``checkpoint.pt``) and the log (``log.jsonl``).
        config: The run. ``steps`` may be changed between resumptions as long as the rate is constant.
        network: The network.
        device: Where to train.
        every: Seconds between checkpoints.
        init: Weights (.safetensors of the same network) to start from instead of random ones: fine-tuning.

    Returns:
        The denoiser with averaged weights, float32.
    """
    work.mkdir(parents=True, exist_ok=True)
    order = np.random.Generator(np.random.Philox(config.seed)).permutation(len(images))
    held_out, images = images[order[-HELD_OUT:]], images[order[:-HELD_OUT]]
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        denoiser, average = (EDMDenoiser(UNet(network)) for _ in range(2))
    if init is not None:
        from safetensors.torch import load_file

        denoiser.network.load_state_dict({name: value.float() for name, value in load_file(init).items()})
    average.load_state_dict(denoiser.state_dict())
    denoiser.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average.to(device, memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        denoiser.parameters(), lr=config.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    checkpoint, first, seconds = work / "checkpoint.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        denoiser.load_state_dict(state["denoiser"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first, seconds = state["step"], state["seconds"]
        logger.info("resumed at step %d", first)
    began = saved = time.monotonic()
    losses: list[float] = []
    for done, loss in _optimise(denoiser, average, optimiser, images, config, first):
        losses.append(loss)
        now = time.monotonic()
        if now - saved < every and done < config.steps:
            continue
        state = {
            "denoiser": denoiser.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        _save(checkpoint, {**state, "step": done, "seconds": seconds + now - began})
        record = {
            "step": done,
            "seconds": round(seconds + now - began),
            "loss": round(float(np.mean(losses)), 5),
            "rate": learning_rate(done, config),
            "held_out_psnr": denoising_psnr(average, held_out, (25,)),
        }
        with open(work / "log.jsonl", "a") as log:
            log.write(json.dumps(record) + "\n")
        logger.info("%s", record)
        losses, saved = [], time.monotonic()
    return average


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", default="webp", show_default=True, help="HDF5 dataset with one encoded image an entry.")
@click.option("--work", required=True, type=click.Path(file_okay=False, path_type=Path), help="Checkpoint folder.")
@click.option("--steps", default=TrainConfig.steps, show_default=True, help="Optimiser steps in all.")
@click.option("--channels", default="96,160,256", show_default=True, help="Features of each level.")
@click.option("--blocks", default="2,2,2", show_default=True, help="Residual blocks of each level.")
@click.option("--init", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Weights to start from.")
@click.option("--rate", default=TrainConfig.rate, show_default=True, help="Peak learning rate.")
@click.option("--crop", default=TrainConfig.crop, show_default=True, help="Height and width of a crop.")
@click.option("--batch", default=TrainConfig.batch, show_default=True, help="Crops a step.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    data: Path,
    dataset: str,
    work: Path,
    steps: int,
    channels: str,
    blocks: str,
    init: Path | None,
    rate: float,
    crop: int,
    batch: int,
    device: str,
    seed: int,
) -> None:
    """Train a prior on the images of an HDF5 file; run again to resume."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    network = UNetConfig(
        channels=tuple(int(n) for n in channels.split(",")), blocks=tuple(int(n) for n in blocks.split(","))
    )
    config = replace(TrainConfig(), steps=steps, rate=rate, crop=crop, batch=batch, seed=seed)
    average = train(load_images(data, dataset), work, config, network, device=device, init=init)
    from safetensors.torch import save_file

    half = {name: value.half().contiguous() for name, value in average.network.state_dict().items()}
    save_file(half, work / "weights.safetensors", metadata={"network": json.dumps(network.as_dict())})
    (work / "train.json").write_text(json.dumps(asdict(config), indent=1))


if __name__ == "__main__":
    main()
