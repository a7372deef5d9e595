"""The embedded priors as denoisers, beside BM3D and deepinv's total variation and wavelets, on images never trained on.

With seconds.

    python benchmarks/priors.py [--prior photo] [--data ../shared/data] [--limit N] [--side 256]
        [--calibration] [--set photo=CARD.yaml]

One run, the same noise for all. Photographs: the CBSD68-style ones. Satellite: RSSCN7 and NEON scenes and Landsat 8
tiles. MRI: T1-weighted slices of other subjects with a smooth random phase, and the real eight-coil slice,
coil-combined; noise of the level named in each part, BM3D on the real and the imaginary part, PSNR of the magnitude.
Peers get their best strength, chosen with the truth once for each level; BM3D is given the true noise level (package
bm3d, free for non-commercial use; left out where it is not installed). Nothing is clipped. Seconds are CPU seconds of
one thread. ``--calibration`` prints measured over predicted residual variance over the range of noise levels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

import inverse
from inverse.io.content import to_unit
from inverse.io.read_write import read
from inverse.priors.training.corpus import Corpus
from inverse.priors.training.draws import Draws, generator
from inverse.priors.training.measure import calibration, magnitude
from inverse.priors.training.settings import TrainConfig
from inverse.restoration.prior import resolve_dtype

LEVELS = (15, 25, 50)
SPREAD = (1, 2, 5, 10, 15, 25, 50, 100, 200, 400, 1000)
Denoiser = Callable[[Tensor, float], Tensor]


def centre(value: Tensor, side: int) -> Tensor:
    if not side:
        return value
    top, left = (max(0, (n - side) // 2) for n in value.shape[-2:])
    return value[..., top : top + side, left : left + side]


def photographs(data: Path, side: int) -> list[Tensor]:
    return [
        centre(torch.from_numpy(to_unit(read(path))), side)[None]
        for path in sorted((data / "photo").glob("cbsd_*.png"))
    ]


def scenes(data: Path, side: int) -> list[Tensor]:
    paths = [*sorted((data / "satellite").glob("rsscn7_*.png")), *sorted((data / "satellite").glob("neon_*.png"))]
    found = [centre(torch.from_numpy(to_unit(read(path)))[:3], side)[None] for path in paths]
    import tifffile

    scene = tifffile.imread(data / "satellite" / "landsat8_224077_b432.tif").astype(np.float32)
    low, high = np.percentile(scene[scene > 0], [0.05, 99.5])
    scene = torch.from_numpy((scene - low) / (high - low)).clamp(0, 1)
    tiles = [scene[:, y : y + 256, x : x + 256] for y, x in ((64, 64), (64, 640), (580, 64), (580, 640))]
    return [*found, *(centre(tile, side)[None] for tile in tiles)]


def slices(data: Path, side: int) -> list[Tensor]:
    found = []
    for i, path in enumerate(sorted((data / "mri").glob("t1w_png_*.png"))):
        image = centre(torch.from_numpy(to_unit(read(path))).mean(0, keepdim=True), side)
        corpus = Corpus((image,), ("",), complex=True)
        turned = Draws(corpus, TrainConfig(gain=1.0), 0.2)._phased(_square(image)[None], generator(1, i))
        found.append(turned[..., : image.shape[1], : image.shape[2]])
    return [*found, centre(coil_combined(data / "mri" / "brain8_fastmri.h5"), side)]


def _square(image: Tensor) -> Tensor:
    side = max(image.shape[-2:])
    return torch.nn.functional.pad(image, (0, side - image.shape[-1], 0, side - image.shape[-2]))


def coil_combined(path: Path) -> Tensor:
    """The real slice.

    Coil images combined with low-resolution coil maps, so that its phase is the object's and the coils'.
    """
    import h5py

    with h5py.File(path) as file:
        kspace = torch.from_numpy(file["kspace"][0])
    coils = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
    rows, columns = (torch.arange(n) - n // 2 for n in kspace.shape[-2:])
    window = torch.exp(-0.5 * ((rows[:, None] / 8.0) ** 2 + (columns / 8.0) ** 2))
    smooth = torch.fft.fftshift(
        torch.fft.ifft2(torch.fft.ifftshift(kspace * window, dim=(-2, -1)), norm="ortho"), dim=(-2, -1)
    )
    maps = smooth.abs() * torch.polar(torch.ones_like(smooth.abs()), (smooth * smooth[:1].conj()).angle())
    combined = (maps.conj() * coils).sum(0) / maps.abs().square().sum(0).sqrt().clamp_min(
        1e-6 * float(maps.abs().max())
    )
    combined = combined / float(combined.abs().flatten().quantile(0.999))
    return torch.view_as_real(combined).permute(2, 0, 1)[None].float().contiguous()


SETS: dict[str, Callable[[Path, int], list[Tensor]]] = {"photo": photographs, "satellite": scenes, "mri": slices}


def noisy(clean: Tensor, level: float, index: int) -> Tensor:
    return clean + level / 255 * torch.randn(clean.shape, generator=generator(int(level), index))


def psnr(estimate: Tensor, clean: Tensor, *, parts: bool) -> float:
    error = magnitude(estimate) - magnitude(clean) if parts else estimate - clean
    return float(-10.0 * error.square().mean().log10())


def bm3d_denoiser(*, parts: bool) -> Denoiser:
    import bm3d

    def denoise(x: Tensor, sigma: float) -> Tensor:
        image = x[0].double().numpy()
        if not parts and len(image) == 3:
            estimate = bm3d.bm3d_rgb(np.ascontiguousarray(image.transpose(1, 2, 0)), sigma).transpose(2, 0, 1)
        else:
            estimate = np.stack([bm3d.bm3d(plane, sigma) for plane in image])
        return torch.from_numpy(np.ascontiguousarray(estimate)).float()[None]

    return denoise


def tuned(
    function: Callable[[Tensor, float], Tensor], strengths: tuple[float, ...], images: list[Tensor], *, parts: bool
) -> Denoiser:
    """A denoiser with a strength for each level that is best on four images."""
    chosen: dict[float, float] = {}

    def denoise(x: Tensor, sigma: float) -> Tensor:
        if sigma not in chosen:
            level, few = 255 * sigma, images[:: max(1, len(images) // 4)][:4]
            scores = {
                s: sum(psnr(function(noisy(c, level, i), s * sigma), c, parts=parts) for i, c in enumerate(few))
                for s in strengths
            }
            chosen[sigma] = max(scores, key=lambda s: scores[s])
        return function(x, chosen[sigma] * sigma)

    return denoise


def peers(images: list[Tensor], *, parts: bool) -> Iterator[tuple[str, Denoiser]]:
    import deepinv

    try:
        yield "BM3D" if parts else "CBM3D", bm3d_denoiser(parts=parts)
    except ImportError:
        click.echo("BM3D left out: pip install bm3d (free for non-commercial use)", err=True)
    variation = deepinv.models.TVDenoiser(n_it_max=200)
    yield "TV", tuned(lambda x, s: variation(x, s), (0.6, 0.9, 1.3), images, parts=parts)
    try:
        wavelets = deepinv.models.WaveletDictDenoiser(level=3)
        yield "wavelets", tuned(lambda x, s: wavelets(x, s), (0.6, 0.9, 1.3, 1.8), images, parts=parts)
    except RuntimeError:
        click.echo("wavelets left out: pip install ptwt", err=True)


def table(name: str, prior: Any, images: list[Tensor]) -> None:
    parts = bool(prior.card.complex)
    fast = prior.compute(dtype=getattr(torch, resolve_dtype("auto", prior, "cpu")), device="cpu")
    rows: list[tuple[str, Denoiser]] = [(name, prior), (f"{name}, {str(fast.dtype).removeprefix('torch.')}", fast)]
    rows += list(peers(images, parts=parts))
    click.echo(
        f"\n{name}: {len(images)} images, {prior.card.bytes} bytes, "
        f"{sum(p.numel() for p in prior.denoiser.parameters()):,} parameters"
    )
    click.echo(f"{'':24}" + "".join(f"{level:>9}" for level in LEVELS) + "   s / image")
    with torch.no_grad():
        for title, denoise in rows:
            denoise(noisy(images[0], LEVELS[0], 0), LEVELS[0] / 255)
            cells, seconds = [], 0.0
            for level in LEVELS:
                denoise(noisy(images[0], level, 0), level / 255)
                began = time.process_time()
                found = [denoise(noisy(clean, level, i), level / 255) for i, clean in enumerate(images)]
                seconds += time.process_time() - began
                cells.append(np.mean([psnr(e, c, parts=parts) for e, c in zip(found, images, strict=True)]))
            click.echo(
                f"{title:24}"
                + "".join(f"{cell:9.2f}" for cell in cells)
                + f"{seconds / len(images) / len(LEVELS):12.3f}"
            )


@click.command()
@click.option("--prior", "names", multiple=True, type=click.Choice(sorted(SETS)), help="Default: all.")
@click.option("--data", default=Path("../shared/data"), show_default=True, type=click.Path(path_type=Path, exists=True))
@click.option("--limit", default=0, help="Images of each set; 0 is all.")
@click.option("--side", default=256, show_default=True, help="Centre crop; 0 is the whole image.")
@click.option("--calibration", "only", is_flag=True, help="The denoisers' own calibration instead.")
@click.option("--set", "cards", multiple=True, metavar="NAME=CARD", help="Another card for a prior.")
def main(names: tuple[str, ...], data: Path, limit: int, side: int, only: bool, cards: tuple[str, ...]) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    others = dict(text.split("=", 1) for text in cards)
    for name in names or tuple(SETS):
        images = SETS[name](data, side)
        images = images[:: max(1, len(images) // limit)][:limit] if limit else images
        prior = inverse.open_prior(others.get(name, name))
        if not only:
            table(name, prior, images)
            continue
        found = calibration(prior.denoiser, images, levels=SPREAD)
        click.echo(
            f"{name}: measured over predicted variance at noise of 255: "
            + ", ".join(f"{k}: {v:.2f} +- {e:.2f}" for k, (v, e) in found.items())
        )


if __name__ == "__main__":
    main()
