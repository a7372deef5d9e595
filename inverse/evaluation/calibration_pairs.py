"""A run folder beside its truths, as `inverse.calibration.statistics` takes it: photographs, scenes, complex MR images.

The truth of a complex image is a complex array (H, W) in the units of the restored file (.npy), raw k-space that was
sampled in full, or a magnitude:

* Raw k-space is combined as the run's unknown is defined: with the coil maps that the recipe finds in it. Maps have a
  phase of their own, so only where the truth is the very file that was measured (of which the recipe left samples out)
  complex values are compared; else magnitudes.
* Of magnitudes, those of the samples are compared: mean, std and intervals of ``|s|``, of which no recalibration is
  known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.calibration.statistics import Prediction
from inverse.errors import InputError, InverseError
from inverse.io.content import Scan
from inverse.io.read_write import read
from inverse.numerics.statistics import moments, worth
from inverse.restoration.frame import count, frame
from inverse.restoration.truth import load_image
from inverse.runs.folder import Kept, RunFolder
from inverse.storage.files import file_hash

__all__ = ["PairedPredictions", "beside"]

Array = NDArray[Any]
WANTED = ("samples", "mean", "std", "quantiles", "data_share", "misfit", "residual", "observed")
NORMAL = 1.6448536269514722


@dataclass(frozen=True)
class PairedPredictions:
    """Items with their truths."""

    predictions: tuple[Prediction, ...]  # those that can be compared
    skipped: tuple[tuple[str, str], ...]  # item and reason of those that cannot
    missing: tuple[str, ...]  # items without a truth
    notes: tuple[str, ...]  # what is to be said of the comparison


def beside(run: RunFolder, truth: str | Path, items: Sequence[str] | None = None) -> PairedPredictions:
    """The items of a run, all or only `items`, beside their truths, a file or folder.

    Raises:
        InputError: no truth fits, or none can be compared; the message has the first reason.
    """
    truths = run.truths(truth)
    wanted = [str(row["item"]) for row in run.done if items is None or row["item"] in items]
    predictions, skipped, notes = [], [], []
    for item in [item for item in wanted if item in truths]:
        try:
            prediction, note = _one(run, item, truths[item])
        except InverseError as error:
            skipped.append((item, error.message))
            continue
        predictions.append(prediction)
        notes += [note] if note else []
    if not predictions:
        reason = skipped[0][1] if skipped else "no truth fits an item that is done"
        raise InputError(f"{run.path}: nothing to compare: {reason}", "truths are matched by name, as with --truth")
    missing = tuple(item for item in wanted if item not in truths)
    return PairedPredictions(tuple(predictions), tuple(skipped), missing, tuple(dict.fromkeys(notes)))


def _one(run: RunFolder, item: str, path: Path) -> tuple[Prediction, str]:
    kept = run.kept(item, WANTED)
    if "mean" not in kept.arrays:
        raise InputError(f"{item}: its mean was not kept", "restore with --keep mean,std,samples")
    image, magnitude, note = _truth(run, item, path, kept)
    samples = kept.arrays.get("samples")
    misfits = kept.arrays.get("misfit")
    misfit = math.nan if misfits is None else float(misfits.mean())
    if magnitude:
        if samples is None or len(samples) < 2:
            raise InputError(f"{item}: a magnitude is compared with those of the samples, which were not kept")
        samples = np.hypot(samples[:, :1], samples[:, 1:])
        mean, variance = moments(samples, antithetic=kept.antithetic)
        count, draws = worth(len(samples), antithetic=kept.antithetic), samples[:: 1 + kept.antithetic]
        return Prediction(item, image, mean, np.sqrt(variance), count, draws, misfit=misfit), note
    std = kept.arrays.get("std")
    if std is None:
        raise InputError(f"{item}: there is no standard deviation", "restore with two samples or more, and keep std")
    table, drawn = _intervals(kept, int(next(row for row in run.done if row["item"] == item)["samples"]))
    prediction = Prediction(
        item, image, kept.arrays["mean"], std, drawn, kept.draws, table=table, share=kept.arrays.get("data_share"),
        misfit=misfit, **_of_mean(kept, complex_=note != "" or len(image) == 2),
    )  # fmt: skip
    return prediction, note


def _intervals(kept: Kept, samples: int) -> tuple[tuple[list[float], list[float]] | None, int]:
    """The table of recalibrated intervals, and the samples that std is of; 0 where the method knows it."""
    samples = worth(samples, antithetic=kept.antithetic)
    if "calibration_levels" in kept.attributes:
        levels, factors = (
            np.asarray(kept.attributes[f"calibration_{name}"]).tolist() for name in ("levels", "factors")
        )
        return (levels, factors), samples
    quantiles, std = kept.arrays.get("quantiles"), kept.arrays["std"]
    if quantiles is not None and len(quantiles) == 3 and bool((std > 0).any()):
        ratio = ((quantiles[2] - quantiles[0]) / 2)[std > 0] / std[std > 0]
        if float(np.quantile(np.abs(ratio - NORMAL), 0.99)) < 1e-2 * NORMAL:
            return None, 0
    return None, samples


def _of_mean(kept: Kept, *, complex_: bool) -> dict[str, Any]:
    """chi^2 / m of the mean, and m for real measurements, from the kept residual."""
    residual, observed = kept.arrays.get("residual"), kept.arrays.get("observed")
    if residual is None:
        return {}
    where = np.ones(residual.shape, bool) if observed is None else np.broadcast_to(observed > 0, residual.shape)
    if not where.any():
        return {}
    return {
        "misfit_mean": float(np.mean(residual[where].astype(np.float64) ** 2)),
        "measured": 0 if complex_ else int(where.sum()),
    }


def _truth(run: RunFolder, item: str, path: Path, kept: Kept) -> tuple[Array, bool, str]:
    """The truth (C, H, W) in data units, whether it is a magnitude, and what to say of it."""
    mean = kept.arrays["mean"]
    if run.facts.get("prior", {}).get("channels") != 2 or len(mean) != 2:
        return run.truth(item, path, kept).numpy(), False, ""
    scale = float(kept.attributes.get("scale", 1.0))
    plain = _complex_image(path)
    if plain is not None:
        image, magnitude, note = np.stack([plain.real, plain.imag]) * scale, False, ""
    else:
        image, magnitude, note = _of_file(run, item, path, scale)
    if image.shape[-2:] != mean.shape[-2:]:
        sizes = (f"{array.shape[-2]} x {array.shape[-1]}" for array in (mean, image))
        raise InputError(
            "{}: sizes differ, restored {}, truth {}".format(item, *sizes), "give the truth of the restored size"
        )
    return image.astype(np.float32), magnitude, note


def _complex_image(path: Path) -> Array | None:
    """A complex array (H, W) of a .npy file; None of anything else."""
    if path.suffix != ".npy":
        return None
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return np.array(values) if values.ndim == 2 and np.iscomplexobj(values) else None


def _of_file(run: RunFolder, item: str, path: Path, scale: float) -> tuple[Array, bool, str]:
    content = read(path)
    place = item.rsplit("/", 1)[-1]
    index = int(place) if count(content) > 1 and place.isdigit() else 0
    if not isinstance(content, Scan):
        image = load_image(path, index=index).numpy()[:1] * scale
        return image, True, "the truth is a magnitude: those of the samples are compared"
    combined = _combined(run, content, index)
    note = "the truth is a scan, whose own noise counts as error"
    if run.facts.get("inputs", {}).get(item) == file_hash(path):
        return np.stack([combined.real, combined.imag]), False, note
    note += "; magnitudes are compared, since its coil maps have phases of their own"
    return np.abs(combined)[None], True, note


def _combined(run: RunFolder, scan: Scan, index: int) -> Array:
    """All of a scan's k-space combined with the coil maps that the recipe finds in it, in data units (H, W).

    Whitened, compressed and scaled coils are one matrix times the file's: it is found from the samples that both have.

    Raises:
        InputError: Not Cartesian, or not sampled in full.
    """
    import torch  # deepinv and torch are loaded for raw k-space alone

    from inverse.operators.mri.cartesian import fourier
    from inverse.restoration.case import open_case

    raw = scan.kspace[index].astype(np.complex128)
    if scan.trajectory is not None or (scan.mask is not None and not scan.mask[index % len(scan.mask)].all()):
        raise InputError("the truth's k-space was not sampled in full", "give a complex image, or a magnitude")
    case = open_case(run.recipe, frame(scan, index, run.recipe.data))
    kept = case.measured[0].numpy()
    taken = (np.abs(kept) > 0).any(0)
    mixed = kept[:, taken].astype(np.complex128)
    matrix = np.linalg.lstsq(raw[:, taken].T, mixed.T, rcond=None)[0].T
    images = fourier(torch.from_numpy(np.einsum("vc,chw->vhw", matrix, raw)), inverse=True).numpy()
    maps = getattr(case.physics, "maps", None)
    if maps is None:
        return np.asarray(images[0])
    maps = maps[0].cpu().numpy()
    return np.asarray((maps.conj() * images[: len(maps)]).sum(0))
