"""Satellite scenes: gaps, resolution, pansharpening, speckle and stripes against what remote sensing uses.

Run from the repository with ../shared/data/satellite. Crops are at fixed places. The methods' settings were chosen on
these same crops, from two to eight tried for each table, so the margins are somewhat optimistic. They are the recipes'
but for: gaps and resolution, whose noise is given (0.01 and 0.005; the recipes estimate it). PSNR in units of the
scene's joint stretch (0.05 and 99.5 percentiles); for gaps over the missing pixels only.

    python benchmarks/satellite.py                    all tables, some minutes on one core
    python benchmarks/satellite.py gaps --samples 8   one of them
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pywt
import torch
from scipy import ndimage
from skimage.restoration import denoise_nl_means, inpaint_biharmonic

import inverse
from inverse.io.read_write import read
from inverse.operators.build import build_operator, fitted_operator
from inverse.operators.image.masks import slc_off
from inverse.operators.measurement import Measurement
from inverse.operators.noise.models import noise_model
from inverse.operators.satellite.pansharpen import fit_weights
from inverse.priors.channels import BandPrior, GreyPrior

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "satellite"
SIDE = 128
PLACES = ((200, 40), (500, 850), (600, 350), (350, 200), (700, 680))
PAN_PLACES = ((60, 60), (200, 180))
PAN_RESPONSE = np.array([0.0, 0.25, 0.35, 0.4, 0.0, 0.0])  # ETM+ pan, 0.52 to 0.90 um: green, red, near infrared

Array = np.ndarray[Any, np.dtype[Any]]
Row = Mapping[str, float]


def scene(name: str) -> Array:
    """(C, H, W) float64, the file's own units."""
    picture = read(DATA / name)
    return np.moveaxis(np.asarray(picture.array, np.float64), -1, 0)


def psnr(image: Array, truth: Array, where: Array | None = None) -> float:
    """In units of the joint stretch; ``where`` (H, W) True counts."""
    square = (image - truth) ** 2
    return -10 * math.log10(square.mean() if where is None else square[:, where].mean())


def noisy(y: torch.Tensor, sigma: float, seed: int = 1) -> torch.Tensor:
    return y + sigma * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)


def cubic(y: Array, factor: int) -> Array:
    tensor = torch.from_numpy(np.ascontiguousarray(y))[None]
    return torch.nn.functional.interpolate(tensor, scale_factor=factor, mode="bicubic", align_corners=False)[0].numpy()


def restored(
    operator: Mapping[str, Any], measurement: Measurement, prior: Any, sigma: float | None, **method: Any
) -> Any:
    """The posterior of a measurement, as a recipe computes it."""
    found = fitted_operator(dict(operator), measurement)
    level = found.sigma if sigma is None else sigma
    physics = found.build(noise_model(level))
    return inverse.sample(found.y, physics, prior, seed=0, shape=found.shape, **method)


def mean(post: Any) -> Array:
    return np.asarray(post.mean[0], np.float64)


def stretched(image: Array) -> Array:
    low, high = np.percentile(image, (0.05, 99.5))
    return (image - low) / (high - low)


def gaps(samples: int) -> dict[str, Row]:
    """Landsat 7's SLC-off gaps, 22 % of the scene, 35 % at its edges."""
    whole, prior = stretched(scene("landsat8_224077_b432.tif")), inverse.open_prior("satellite")
    seen_everywhere = slc_off(whole.shape[1:])
    table: dict[str, Row] = {}
    for top, left in PLACES:
        window = np.s_[..., top : top + SIDE, left : left + SIDE]
        x, seen = whole[window], seen_everywhere[window]
        nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
        smooth = inpaint_biharmonic(np.moveaxis(np.where(seen, x, 0), 0, -1), ~seen, channel_axis=-1)
        valid = torch.from_numpy(seen)[None, None].float()
        # Each band by itself: the prior's colours are those of a balanced scene.
        low = np.percentile(x[:, seen], 0.05, axis=1)[:, None, None]
        high = np.percentile(x[:, seen], 99.5, axis=1)[:, None, None]
        y = torch.from_numpy((x - low) / (high - low))[None].float() * valid
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/mask.npy", seen)
            operator = {"kind": "gap-mask", "file": f"{folder}/mask.npy"}
            post = restored(operator, Measurement(y), prior, 0.01, method="pnp-dm", samples=samples)
        table[f"{top}, {left}: {(~seen).mean():.0%} missing"] = {
            "nearest": psnr(x[:, nearest[0], nearest[1]], x, ~seen),
            "biharmonic": psnr(np.moveaxis(smooth, -1, 0), x, ~seen),
            "inverse": psnr(mean(post) * (high - low) + low, x, ~seen),
        }
    return table


def resolution(samples: int) -> dict[str, Row]:
    """Twice the resolution, Landsat 8's MTF (0.30 at Nyquist), noise 0.005."""
    whole, prior = stretched(scene("landsat8_224077_b432.tif")), inverse.open_prior("satellite")
    operator = {"kind": "sensor", "sensor": "landsat-8", "factor": 2}
    table: dict[str, Row] = {}
    for top, left in PLACES[2:]:
        x = whole[..., top : top + SIDE, left : left + SIDE]
        y = noisy(build_operator(operator, shape=x.shape).A(torch.from_numpy(x)[None].float()), 0.005)
        post = restored(
            operator,
            Measurement(y),
            prior,
            0.005,
            method="pigdm",
            covariance="residual",
            products=0.7,
            steps=20,
            samples=samples,
        )
        table[f"{top}, {left}"] = {
            "bicubic": psnr(cubic(y[0].numpy(), 2), x),
            "inverse": psnr(mean(post), x),
            "misfit": float(post.misfit.mean()),
        }
    return table


def ergas(image: Array, truth: Array, factor: int) -> float:
    """Wald 2000: 100 / f times the root mean square of the bands' relative errors."""
    return 100 / factor * math.sqrt(np.mean(((image - truth) ** 2).mean((1, 2)) / truth.mean((1, 2)) ** 2))


def spectral_angle(image: Array, truth: Array) -> float:
    """Mean angle between spectra in degrees."""
    cosine = (image * truth).sum(0) / np.sqrt((image**2).sum(0) * (truth**2).sum(0)).clip(1e-12)
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def sharpened(ms: Array, pan: Array, low: Array, factor: int) -> dict[str, Array]:
    """Four classical methods: Brovey, adaptive Gram-Schmidt, MTF-GLP with regression gains, wavelet substitution.

    Aiazzi et al. 2007 and 2006 describe the second and the third.
    """
    up, blurred = cubic(ms, factor), cubic(low[None], factor)[0]
    weights, offset, _ = fit_weights(ms.reshape(len(ms), -1), low.ravel())
    intensity = np.tensordot(weights, up, 1) + offset

    def injected(detail: Array, base: Array) -> Array:
        gains = [np.cov(band.ravel(), base.ravel())[0, 1] / base.var() for band in up]
        return np.stack([band + gain * detail for band, gain in zip(up, gains, strict=True)])

    def substituted(band: Array) -> Array:
        matched = (pan - pan.mean()) / pan.std() * band.std() + band.mean()
        soft, sharp = (pywt.wavedec2(one, "db4", level=1) for one in (band, matched))
        return np.asarray(pywt.waverec2([soft[0], sharp[1]], "db4")[: pan.shape[0], : pan.shape[1]])

    return {
        "bicubic": up,
        "Brovey": up * pan / intensity,
        "GSA": injected(pan - intensity, intensity),
        "MTF-GLP": injected(pan - blurred, blurred),
        "wavelet": np.stack([substituted(band) for band in up]),
    }


def pansharpening(samples: int) -> dict[str, Row]:
    """Six ETM+ bands at half the resolution of a simulated panchromatic band; noise 0.002 of full scale."""
    whole, factor = scene("landsat7_etm_6band.tif") / 255, 2
    table: dict[str, Row] = {}
    for top, left in PAN_PLACES:
        x = whole[:, top : top + SIDE, left : left + SIDE]
        soft = build_operator("sensor", shape=x.shape, factor=factor, dtype=torch.float64)
        ms = noisy(soft.A(torch.from_numpy(x)[None]), 0.002)
        pan = noisy(torch.from_numpy(np.tensordot(PAN_RESPONSE, x, 1))[None, None], 0.002, seed=2)
        low = build_operator("sensor", shape=(1, SIDE, SIDE), factor=factor, dtype=torch.float64).A(pan)[0, 0].numpy()
        images = sharpened(ms[0].numpy(), pan[0, 0].numpy(), low, factor)
        black, white = np.percentile(ms, (0.05, 99.5))
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/pan.npy", pan[0, 0].numpy())
            operator = {"kind": "pansharpen", "factor": factor, "pan": f"{folder}/pan.npy"}
            y = ((ms - black) / (white - black)).float()
            post = restored(
                operator,
                Measurement(y),
                BandPrior(inverse.open_prior("satellite"), len(x)),
                None,
                method="diffpir",
                steps=20,
                lam=0.7,
                zeta=1.0,
                samples=samples,
            )
        images["inverse"] = mean(post) * (white - black) + black
        for measure, value in (
            ("ERGAS", lambda image, x=x: ergas(image, x, factor)),
            ("SAM", lambda image, x=x: spectral_angle(image, x)),
        ):
            table[f"{top}, {left}: {measure}"] = {name: value(image) for name, image in images.items()}
    return table


def lee(y: Array, looks: float, size: int = 7) -> Array:
    """Lee 1980, for intensities: local linear minimum mean square error."""
    average = ndimage.uniform_filter(y, size)
    variance = ndimage.uniform_filter(y**2, size) - average**2
    signal = np.maximum((variance - average**2 / looks) / (1 + 1 / looks), 0)
    return average + signal / np.maximum(variance, 1e-12) * (y - average)


def speckle(samples: int) -> dict[str, Row]:
    """Amplitude of four looks: gamma speckle on the red band."""
    red = stretched(scene("landsat8_224077_b432.tif")[:1]).clip(0.02, 1)
    prior = GreyPrior(inverse.open_prior("satellite"))
    operator, looks = {"kind": "speckle", "looks": 4, "quantity": "amplitude"}, 4.0
    table: dict[str, Row] = {}
    for top, left in PLACES[2:4]:
        x = red[:, top : top + SIDE, left : left + SIDE]
        y = x * np.sqrt(np.random.default_rng(1).gamma(looks, 1 / looks, x.shape))
        level = 0.5 * math.sqrt(1 / looks)
        logs = denoise_nl_means(
            np.log(y[0]), patch_size=5, patch_distance=8, h=0.8 * level, sigma=level, fast_mode=True
        )
        post = restored(
            operator, Measurement(torch.from_numpy(y)[None].float()), prior, None, samples=samples, **SPECKLE
        )
        table[f"{top}, {left}"] = {
            "speckled": psnr(y, x),
            "Lee": psnr(np.sqrt(lee(y[0] ** 2, looks))[None], x),
            "log NL-means": psnr(np.exp(logs)[None], x),
            "inverse": psnr(mean(post), x),
            "misfit": float(post.misfit.mean()),
        }
    return table


def stripes(samples: int) -> dict[str, Row]:
    """Offsets of columns, standard deviation 0.05, noise 0.01."""
    whole, prior = stretched(scene("landsat8_224077_b432.tif")), inverse.open_prior("satellite")
    table: dict[str, Row] = {}
    for top, left in PLACES[2:4]:
        x = whole[:, top : top + SIDE, left : left + SIDE]
        offsets = 0.05 * np.random.default_rng(1).standard_normal((3, 1, SIDE))
        y = noisy(torch.from_numpy(x + offsets), 0.01)
        columns = y.numpy().mean(1, keepdims=True)
        matched = y.numpy() - columns + ndimage.gaussian_filter1d(columns, 6, axis=-1, mode="nearest")
        post = restored(
            {"kind": "destripe"},
            Measurement(y[None].float()),
            prior,
            None,
            method="diffpir",
            steps=20,
            lam=2.0,
            zeta=0.7,
            samples=samples,
        )
        table[f"{top}, {left}"] = {
            "striped": psnr(y.numpy(), x),
            "column means": psnr(matched, x),
            "inverse": psnr(mean(post), x),
            "misfit": float(post.misfit.mean()),
        }
    return table


SPECKLE: dict[str, Any] = {"method": "diffpir", "steps": 20, "lam": 1.0, "zeta": 1.0}
TABLES: dict[str, Callable[[int], dict[str, Row]]] = {
    "gaps": gaps,
    "resolution": resolution,
    "pansharpening": pansharpening,
    "speckle": speckle,
    "stripes": stripes,
}


def show(title: str, table: dict[str, Row]) -> None:
    """A table with the mean of its rows; for pansharpening of each measure."""
    names = list(next(iter(table.values())))
    print(f"\n{title}\n{'':28}" + "".join(f"{name:>14}" for name in names))
    for row, values in table.items():
        print(f"{row:28}" + "".join(f"{values[name]:14.3f}" for name in names))
    for measure in sorted({row.partition(": ")[2] for row in table} & {"ERGAS", "SAM"}) or [""]:
        rows = [values for row, values in table.items() if row.endswith(measure)]
        print(
            f"{('mean ' + measure).strip():28}" + "".join(f"{np.mean([v[name] for v in rows]):14.3f}" for name in names)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; default: all")
    parser.add_argument("--samples", type=int, default=4, help="posterior draws of each crop")
    given = parser.parse_args()
    unknown = set(given.tables) - set(TABLES)
    if unknown:
        parser.error(f"unknown table: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    for name in given.tables or TABLES:
        began, function = time.perf_counter(), TABLES[name]
        table = function(given.samples)
        show(f"{name}: {(function.__doc__ or '').strip()}", table)
        print(f"{time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
