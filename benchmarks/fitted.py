"""Fitted priors on photographs they have not seen: seconds to fit, denoising, deblurring, coverage.

    python benchmarks/fitted.py [--data ../shared/data] [--crop 192]

Fitted to 20 of the training crops, tested on three photographs of the test set.
Peers are scikit-image's: wavelets (BayesShrink) and total variation for denoising, both told the
noise level; Richardson-Lucy (30 iterations) and Wiener (unsupervised) for deblurring; the measurement of the blur is
mirrored at its frame for them and for us.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import click
import numpy as np
import torch
from skimage import restoration
from torch import Tensor

from inverse.numerics.rng import Rng
from inverse.operators.blur.kernels import gaussian_kernel
from inverse.operators.build import build_operator
from inverse.priors.models.fitted import open_weights
from inverse.priors.training.corpus import read_corpus
from inverse.priors.training.fitting import KINDS, fit, read_images
from inverse.sampling.posterior_samples import sample, simulate

LEVELS = (15, 25, 50)
BLUR, NOISE = 2.0, 0.02


def psnr(x: Tensor | np.ndarray, truth: Tensor) -> float:
    """Peak 1, dB."""
    return float(-10 * torch.log10((torch.as_tensor(x).double() - truth.double()).square().mean()))


def planes(x: Tensor) -> np.ndarray:
    """(H, W, C)."""
    return x[0].permute(1, 2, 0).numpy()


def peers(noisy: Tensor, sigma: float) -> dict[str, Tensor]:
    """Denoised by scikit-image."""
    image = planes(noisy)
    found = {
        "wavelets": restoration.denoise_wavelet(image, sigma=sigma, channel_axis=-1, rescale_sigma=True),
        "TV": restoration.denoise_tv_chambolle(image, weight=1.0 * sigma, channel_axis=-1),
    }
    return {name: torch.from_numpy(np.moveaxis(value, -1, 0))[None] for name, value in found.items()}


@click.command()
@click.option("--data", default=Path("../shared/data"), show_default=True, type=click.Path(path_type=Path, exists=True))
@click.option("--crop", default=192, show_default=True)
def main(data: Path, crop: int) -> None:
    """Print three tables."""
    warnings.simplefilter("ignore")
    corpus, priors = read_corpus([data / "train" / "photo_train.h5"]), {}
    images = [corpus.value(i) for i in range(0, len(corpus.images), len(corpus.images) // 19)][:20]
    photos = [data / "photo" / f"{name}.png" for name in ("cbsd_103070", "cbsd_253055", "set14_lenna")]
    for kind in KINDS:
        began, spent = time.perf_counter(), time.process_time()
        card, tensors = fit(images, name=kind, kind=kind)
        priors[kind] = open_weights(card, tensors)
        wall, spent = time.perf_counter() - began, time.process_time() - spent
        print(f"fit {kind:<10}{len(images)} images: {wall:6.1f} s wall, {spent:6.1f} s of one core", flush=True)
    truths = [i[None, :, :crop, :crop] for i in read_images(photos)]
    print("denoising, PSNR in dB")
    for level in LEVELS:
        scores: dict[str, list[float]] = {}
        for index, truth in enumerate(truths):
            noise = Rng(0, (str(index),), (0,)).normal(truth, step=0, stream="bench")
            noisy = truth + level / 255 * noise
            found = {kind: prior(noisy, level / 255) for kind, prior in priors.items()} | peers(noisy, level / 255)
            for name, value in {"noisy": noisy, **found}.items():
                scores.setdefault(name, []).append(psnr(value, truth))
        print(f"{level:>4}  " + "  ".join(f"{name} {np.mean(v):.2f}" for name, v in scores.items()), flush=True)
    print(f"deblurring: Gaussian {BLUR:g} pixels, noise {NOISE:g}")
    kernel = gaussian_kernel(BLUR)
    for boundary in ("reflect", "free"):
        rows: dict[str, list[float]] = {}
        for truth in truths:
            physics = build_operator(
                "gaussian-blur", shape=tuple(truth.shape[1:]), sigma=BLUR, boundary=boundary, noise=NOISE
            )
            y = simulate(truth, physics, seed=0)
            top, left, height, width = getattr(physics, "output_crop", (0, 0, crop, crop))
            inside = truth[..., top : top + height, left : left + width]
            rows.setdefault("blurred", []).append(psnr(y, inside))
            for kind in ("gaussian", "mixture"):
                began = time.process_time()
                post = sample(y, physics, priors[kind], method="exact", samples=4, shape=tuple(truth.shape[1:]))
                low, high = (
                    post.quantile(q)[..., top : top + height, left : left + width].double() for q in (0.05, 0.95)
                )
                rows.setdefault(f"{kind} s", []).append(time.process_time() - began)
                rows.setdefault(kind, []).append(psnr(post.mean[..., top : top + height, left : left + width], inside))
                rows.setdefault(f"{kind} cover", []).append(float(((low <= inside) & (inside <= high)).double().mean()))
            image = np.pad(planes(y), ((32, 32), (32, 32), (0, 0)), mode="symmetric").astype(np.float64)
            lucy = [
                restoration.richardson_lucy(np.clip(c, 1e-3, 1), kernel, num_iter=30) for c in image.transpose(2, 0, 1)
            ]
            wiener = [
                restoration.unsupervised_wiener(c, kernel, clip=False, rng=0)[0] for c in image.transpose(2, 0, 1)
            ]
            for name, value in {"Richardson-Lucy": lucy, "Wiener": wiener}.items():
                rows.setdefault(name, []).append(psnr(np.stack(value)[None, :, 32:-32, 32:-32], inside))
        print(f"{boundary:<8}" + "  ".join(f"{name} {np.mean(v):.2f}" for name, v in rows.items()), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
