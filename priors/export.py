"""From a training checkpoint to a prior that ships: float16 safetensors and a card with everything filled in.

Run it as ``python -m inverse.priors.export WORK DATA.h5 --name NAME --title ... --licence ... --sources ... --photos FOLDER``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import click
import torch
from ruamel.yaml import YAML
from torch import Tensor

from inverse.priors.card import Card
from inverse.priors.open import NetworkPrior, open_prior
from inverse.priors.train import denoising_psnr, load_images
from inverse.priors.unet import EDMDenoiser, UNet, UNetConfig

__all__ = ["export", "photo_crops"]


def photo_crops(folder: Path, pattern: str = "*.png", size: int = 256) -> Tensor:
    """Centre crops (N, 3, size, size) uint8 of the RGB images in a folder that are large enough."""
    import numpy as np
    from PIL import Image

    crops = []
    for path in sorted(folder.glob(pattern)):
        image = np.asarray(Image.open(path).convert("RGB"))
        top, left = ((n - size) // 2 for n in image.shape[:2])
        if min(top, left) >= 0:
            crops.append(torch.from_numpy(image[top : top + size, left : left + size].copy()).permute(2, 0, 1))
    return torch.stack(crops)


def export(work: Path, images: Tensor, out: Path, fields: dict[str, Any], *, channels: str, blocks: str) -> Card:
    """Write ``out/weights/NAME.safetensors`` and ``out/cards/NAME.yaml`` from ``work/checkpoint.pt``; return the card."""
    from safetensors.torch import save

    state = torch.load(work / "checkpoint.pt", map_location="cpu", weights_only=True)
    config = UNetConfig(
        channels=tuple(int(n) for n in channels.split(",")), blocks=tuple(int(n) for n in blocks.split(","))
    )
    denoiser = EDMDenoiser(UNet(config))
    denoiser.load_state_dict(state["average"])
    half = {name: value.half().contiguous() for name, value in denoiser.network.state_dict().items()}
    content = save(half)
    weights = out / "weights" / f"{fields['name']}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(content)
    data = images.float() / 255.0
    lines = (work / "log.jsonl").read_text(encoding="utf-8").splitlines()
    card = Card(
        kind="network",
        channels=config.channels_in,
        mean=round(float(data.mean()), 4),
        data_var=round(float(data.var()), 5),
        spectrum_exponent=2.0,
        symmetry="dihedral",
        minimum_size=32,
        stride=config.stride,
        receptive_field=config.receptive_field,
        network=config.as_dict(),
        weights=weights.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        training={
            "steps": state["step"],
            "minutes": round(state["seconds"] / 60),
            "crops": len(images),
            "parameters": sum(value.numel() for value in half.values()),
            "held_out_psnr_25": json.loads(lines[-1])["held_out_psnr"]["25"],
        },
        **fields,
    )
    _write(out / "cards" / f"{card.name}.yaml", card)
    return card


def _write(path: Path, card: Card) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 110
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(card.model_dump(mode="json", exclude_none=True), file)


@click.command()
@click.argument("work", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", default=Path("priors"), type=click.Path(file_okay=False, path_type=Path), help="Holds cards/ and weights/."
)
@click.option("--name", required=True)
@click.option("--title", required=True)
@click.option("--licence", required=True, help="Terms of the weights.")
@click.option("--sources", required=True, help="What it was trained on, and under which terms.")
@click.option("--hardware", default="2 CPU cores", show_default=True)
@click.option("--photos", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--pattern", default="cbsd_*.png", show_default=True, help="Images of --photos the PSNR table is measured on."
)
@click.option("--channels", default="96,160,256", show_default=True)
@click.option("--blocks", default="2,2,2", show_default=True)
@click.option("--sigma-start", default=1.0, show_default=True)
def main(
    work: Path,
    data: Path,
    out: Path,
    name: str,
    title: str,
    licence: str,
    sources: str,
    hardware: str,
    photos: Path,
    pattern: str,
    channels: str,
    blocks: str,
    sigma_start: float,
) -> None:
    """Write a prior's weights and card."""
    fields: dict[str, Any] = {
        "name": name, "title": title, "licence": licence, "data": sources, "sigma_min": 0.002, "sigma_max": 4.0,
        "sigma_start": sigma_start, "intended_use": "restoration of photographs; not evidence of what a scene contained",
    }  # fmt: skip
    images = load_images(data)
    card = export(work, images, out, fields, channels=channels, blocks=blocks)
    prior = open_prior(str(out / "cards" / f"{name}.yaml"))
    assert isinstance(prior, NetworkPrior)
    crops = photo_crops(photos, pattern)
    table: dict[str, Any] = {
        str(sigma): round(value, 2) for sigma, value in denoising_psnr(prior.denoiser, crops).items()
    }
    table["measured_on"] = (
        f"{len(crops)} centre crops 256 x 256 of {pattern}, noise in 8-bit units, float32, not clipped"
    )
    card = card.model_copy(update={"psnr": table, "training": {**card.training, "hardware": hardware}})
    _write(out / "cards" / f"{name}.yaml", card)
    click.echo(f"{name}: {card.bytes} bytes, {table}")


if __name__ == "__main__":
    main()
