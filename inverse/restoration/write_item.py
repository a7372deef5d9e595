"""The files of one item: restored, std, ``posterior.h5`` and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import UsageError, did_you_mean
from inverse.io.content import Picture, widths
from inverse.io.nodata import filled_by, still_valid
from inverse.io.patient.written import placed_path
from inverse.io.read_write import result_path, save_float, write
from inverse.io.registry import formats
from inverse.io.transfer import encode, from_data
from inverse.operators.build import operator_for
from inverse.operators.image.holes import is_mask
from inverse.posterior.posterior import Posterior
from inverse.priors.card import Card
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import Case, settled_operator
from inverse.restoration.figure import Panels, draw
from inverse.restoration.frame import Frame
from inverse.restoration.item import INTERVAL
from inverse.restoration.plan import Item, Job, item_name
from inverse.restoration.result import ItemResult, Made
from inverse.storage.files import file_hash, write_bytes, write_hdf5

__all__ = ["DATASETS", "KEEP", "facts", "overshoot", "parse_keep", "result_valid", "slice_path", "write_item"]

DATASETS = (
    *("samples", "mean", "std", "quantiles", "data_share", "invented", "misfit", "r_hat", "ess"),
    *("measurement", "observed", "residual", "convergence"),
)
KEEP = (*DATASETS, "figure")
_SHOWN = {
    "mean": "posterior mean",
    "sample": "one posterior sample",
    "rss": "root sum of squares that full k-space would have shown",
}


def parse_keep(text: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """``"mean,std"`` to what is kept, in its own order; None is the default.

    Raises:
        UsageError: If a name is unknown.
    """
    if text is None:
        return None
    names = text.split(",") if isinstance(text, str) else list(text)
    chosen = {name.strip() for name in names if name.strip()}
    for name in sorted(chosen):
        if name not in KEEP:
            raise UsageError(f"--keep {name}: there is no such thing", did_you_mean(name, KEEP))
    return tuple(name for name in KEEP if name in chosen)


def write_item(
    job: Job,
    planned: Item,
    result: ItemResult,
    *,
    frame: Frame,
    case: Case,
    post: Posterior,
    arrays: Mapping[str, Tensor],
    truth: Tensor | None = None,
) -> Made:
    """Write an item's files, each whole or not at all; the caller writes the marker after them.

    Args:
        job: The run: its folder, its recipe, and what of `KEEP` is written.
        planned: The item.
        result: What is known of it, for the figure.
        frame: The input, whose format and metadata the restored file takes over.
        case: What was solved.
        post: Its samples.
        arrays: As `inverse.restoration.item.statistics` returns them.
        truth: (C, H, W) as stored, for the figure only.

    Raises:
        OutputError: If something cannot be written.
    """
    item, out, recipe, keep = planned.item, job.out, job.recipe, job.terms.keep
    image, std = _restored(arrays, recipe.output)
    if frame.whole:
        files, clipped = _write_picture(job, item, frame, image, std)
        restored = next(iter(files))
    else:
        form, name = frame.content.format, planned.source
        own = recipe.format in ("own", form)
        place = result_path(name, form) if own else placed_path(name, recipe.format)
        restored, clipped = f"restored/{place.as_posix()}", 0.0
        path = slice_path(planned)
        beside = () if recipe.output == "sample" else ("rss", "rss_std")
        parts = {"restored": image, "std": std, **{name: arrays.get(name) for name in beside}}
        scaled = {name: (value / case.scale).numpy() for name, value in parts.items() if value is not None}
        files = {path: write_hdf5(out / path, scaled, {})}
    kept = {name: arrays[name].numpy() for name in DATASETS if name in keep and name in arrays}
    attributes: dict[str, Any] = {
        "sigma": case.sigma,
        "data_share_error": post.data_share_error,
        "seed": recipe.run.seed,
        "antithetic": post.antithetic,
        "scale": case.scale,
        "span": frame.span or (0.0, 1.0),
        "levels": post.levels[0],
        "complex": case.complex and len(arrays["mean"]) == 2,
        **(job.calibration.attributes() if job.calibration and result.calibrated else {}),
        "item": item,
        "stamp": job.stamp,
        "transfer": recipe.data.transfer,
    }
    of_arrays: dict[str, Mapping[str, Any]] = {
        "quantiles": {"q": INTERVAL},
        "data_share": {"standard_error": post.data_share_error},
        "convergence": {"sigma": post.levels[0][1:-1]},
    }
    described: dict[str, Mapping[str, Any]] = {
        "": attributes,
        **{name: values for name, values in of_arrays.items() if name in kept},
    }
    files[f"items/{item}/posterior.h5"] = write_hdf5(out / "items" / item / "posterior.h5", kept, described)
    if "figure" not in keep:
        return Made(files, restored, clipped)

    def shown(values: Tensor) -> NDArray[np.float32]:
        stored = values.float().cpu().numpy()
        return encode(stored) if recipe.data.transfer == "linear" else stored

    panels = Panels(
        title=item,
        measurement=shown(case.picture),
        restored=shown(_visible(image, case)),
        observed=arrays["observed"].numpy() if "observed" in arrays else None,
        std=None if std is None else _visible(std, case).numpy(),
        data_share=_averaged(arrays["data_share"], case).numpy(),
        invented=_visible(arrays["invented"], case).numpy(),
        truth=None if truth is None else truth.numpy(),
        data_range=recipe.data.range,
        facts=facts(recipe, result, job.prior.card),
        misfit=result.misfit,
        shown=_SHOWN[recipe.output],
    )
    files[f"items/{item}/figure.png"] = write_bytes(out / "items" / item / "figure.png", draw(panels))
    return Made(files, restored, clipped)


def _restored(arrays: Mapping[str, Tensor], output: str) -> tuple[Tensor, Tensor | None]:
    """What is restored, and its standard deviation, by the recipe's ``output``."""
    if output == "rss":
        return arrays["rss"], arrays.get("rss_std")
    return arrays["mean"] if output == "mean" else arrays["samples"][0], arrays.get("std")


def overshoot(image: Tensor, *, frame: Frame, case: Case, recipe: Recipe) -> float:
    """Share of a restored image (C, H, W) that black and white cannot hold, less the measurement's own share.

    Of files of integers it is what their type has to clip, beside what lies at its ends in the measurement; of floats
    what is outside the recipe's range by more than the noise, where that is the file's own range.
    """
    picture = frame.picture
    if picture is None or case.complex:
        return 0.0
    if picture.array.dtype.kind in "ui":
        _, clipped = from_data(image.numpy(), like=picture, transfer=recipe.data.transfer, span=frame.span)
        ends = np.iinfo(picture.array.dtype)
        return max(0.0, clipped - float(np.isin(picture.array, (ends.min, ends.max)).mean()))
    if frame.span is not None:
        return 0.0
    low, high = recipe.data.range
    outside = (image < low - 4 * case.sigma) | (image > high + 4 * case.sigma)
    return max(0.0, float(outside.float().mean()) - case.values(low, high)[2])


def slice_path(planned: Item) -> str:
    """Where a slice waits, below the run folder, for the others of its file."""
    return f".inverse/slices/{item_name(planned.item)}.h5"


def _write_picture(
    job: Job, item: str, frame: Frame, image: Tensor, std: Tensor | None
) -> tuple[dict[str, str], float]:
    """The restored picture and its std beside it: their hashes, and the fraction of values that was clipped."""
    out, recipe, provenance = job.out, job.recipe, {"inverse:run": job.stamp}
    picture = frame.picture
    assert picture is not None
    restored, clipped = from_data(image.numpy(), like=picture, transfer=recipe.data.transfer, span=frame.span)
    restored = _shown(replace(restored, valid=result_valid(frame, recipe, restored.size)), picture)
    written = [write(out / "restored" / item, restored, provenance=provenance, overwrite=True)]
    if std is not None:
        provenance |= {"inverse:light": "linear"} if recipe.data.transfer == "linear" else {}
        values = widths(frame.span) * std.numpy()
        written.append(save_float(out / "std" / item, values, like=restored, provenance=provenance, overwrite=True))
    return {path.relative_to(out).as_posix(): file_hash(path) for path in written}, clipped


def result_valid(frame: Frame, recipe: Recipe, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """``Picture.valid`` of the restored picture of a size (`inverse.io.nodata.still_valid`).

    Of a file that lies nowhere, a pixel that the operator's own mask leaves out gets a value.
    """
    picture = frame.picture
    assert picture is not None
    valid = picture.valid
    if valid is None:
        return None
    operator, _ = settled_operator(recipe, frame.measurement(recipe.data.transfer))
    form = formats()[picture.format]
    if is_mask(operator) and "fill" not in operator and form.subject != "scene" and not form.folder:
        physics, _ = operator_for(operator, (picture.channels, *picture.size))
        filled = physics.mask[0, 0].cpu().numpy() == 0
        valid = valid | (filled if valid.ndim == 2 else filled[..., None])
    return still_valid(valid, fill=filled_by(operator), size=size)


def _shown(restored: Picture, measured: Picture) -> Picture:
    """A restored picture, opaque where its alpha hid what has a value now."""
    if restored.alpha is None or measured.valid is None or restored.size != measured.size:
        return restored
    opaque = np.iinfo(restored.alpha.dtype).max if restored.alpha.dtype.kind == "u" else 1
    filled = ~measured.valid if restored.valid is None else restored.valid & ~measured.valid
    plane = filled if filled.ndim == 2 else filled.any(-1)
    return replace(restored, alpha=np.where(plane, opaque, restored.alpha).astype(restored.alpha.dtype))


def _visible(image: Tensor, case: Case) -> Tensor:
    """What a figure shows of an image: the magnitude of a complex one."""
    return image.square().sum(0, keepdim=True).sqrt() if case.complex and len(image) == 2 else image


def _averaged(share: Tensor, case: Case) -> Tensor:
    return share.mean(0, keepdim=True) if case.complex else share


def facts(recipe: Recipe, result: ItemResult, card: Card | None) -> list[tuple[str, str]]:
    """The lines of text of a figure."""
    operator = recipe.operator.model_dump(exclude_none=True)
    own = ", ".join(f"{k} {v}" for k, v in operator.items() if k in {"sigma", "length", "angle", "factor", "missing"})
    lines = [
        ("method", result.method),
        ("operator", operator["kind"] + (f" ({own})" if own else "")),
        ("noise level", f"{result.noise_sigma:.4g}" + (" (estimated)" if result.noise_estimated else "")),
        ("prior", getattr(card, "name", "unnamed")),
        ("samples", f"{result.samples}, seed {recipe.run.seed}"),
        ("evaluations", f"{result.forward:.0f} forward, {result.vjp:.0f} vjp"),
        ("data share", f"{100 * result.data_share:.0f} % on average"),
    ]
    if "psnr" in result.scores:
        lines.append(("PSNR", f"{result.scores['psnr']:.2f} dB"))
    if "ssim" in result.scores:
        lines.append(("SSIM", f"{result.scores['ssim']:.3f}"))
    if result.coverage90 is not None:
        lines.append(("coverage", f"90 % intervals hold {100 * result.coverage90:.0f} %"))
    return lines
