"""The files of one item: restored, std, ``posterior.h5`` and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import UsageError, did_you_mean
from inverse.restoration.case import INTERVAL, Case
from inverse.restoration.figure import Panels, draw
from inverse.restoration.plan import Item, item_name
from inverse.storage.files import file_hash, write_bytes, write_hdf5

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from inverse.recipes.recipe import Recipe
    from inverse.restoration.frame import Frame

__all__ = ["DATASETS", "KEEP", "Made", "facts", "parse_keep", "slice_path", "write_item"]

DATASETS = (
    "samples", "mean", "std", "quantiles", "data_share", "invented", "misfit", "r_hat", "ess", "measurement", "observed", "residual",
    "convergence",
)  # fmt: skip
KEEP = (*DATASETS, "figure")
_SHOWN = {
    "mean": "posterior mean",
    "sample": "one posterior sample",
    "rss": "root sum of squares that full k-space would have shown",
}


@dataclass(frozen=True)
class Made:
    """What was written for an item.

    Attributes:
        files: Path in the run folder to sha256.
        restored: Which of them is the restored picture.
        clipped: Fraction of values an integer format could not hold.
    """

    files: dict[str, str]
    restored: str
    clipped: float


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
    out: Path,
    planned: Item,
    *,
    opened: Frame,
    case: Case,
    arrays: Mapping[str, Tensor],
    keep: Sequence[str],
    recipe: Recipe,
    stamp: str,
    attributes: Mapping[str, Any],
    facts: Sequence[tuple[str, str]],
    truth: Tensor | None = None,
) -> Made:
    """Write an item's files, each whole or not at all; the caller writes the marker after them.

    Args:
        out: The run folder.
        planned: The item.
        opened: The input, whose format and metadata the restored file takes over.
        case: What was solved.
        arrays: As `inverse.restoration.case.statistics` returns them.
        keep: Of `KEEP`, what is written.
        recipe: Whose ``output`` says what is restored.
        stamp: One line of provenance for the files' own metadata.
        attributes: Of ``posterior.h5``.
        facts: Lines of text for the figure.
        truth: (C, H, W) as stored, for the figure only.

    Raises:
        OutputError: If something cannot be written.
    """
    from inverse.io.transfer import encode

    item = planned.item
    image, std = _restored(arrays, recipe.output)
    if opened.whole:
        files, clipped = _write_picture(out, item, opened, image, std, recipe=recipe, stamp=stamp)
        restored = next(iter(files))
    else:
        restored, clipped = f"restored/{planned.source}", 0.0
        path = slice_path(planned)
        beside = () if recipe.output == "sample" else ("rss", "rss_std")
        parts = {"restored": image, "std": std, **{name: arrays.get(name) for name in beside}}
        scaled = {name: (value / case.scale).numpy() for name, value in parts.items() if value is not None}
        files = {path: write_hdf5(out / path, scaled, {})}
    own = {
        "quantiles": {"q": INTERVAL},
        "data_share": {"standard_error": attributes["data_share_error"]},
        "convergence": {"sigma": attributes["levels"][1:-1]},
    }
    kept = {name: arrays[name].numpy() for name in DATASETS if name in keep and name in arrays}
    described = {
        "": {**attributes, "item": item, "stamp": stamp, "transfer": recipe.data.transfer},
        **{k: v for k, v in own.items() if k in kept},
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
        facts=facts,
        misfit=float(arrays["misfit"].mean()),
        shown=_SHOWN[recipe.output],
    )
    files[f"items/{item}/figure.png"] = write_bytes(out / "items" / item / "figure.png", draw(panels))
    return Made(files, restored, clipped)


def _restored(arrays: Mapping[str, Tensor], output: str) -> tuple[Tensor, Tensor | None]:
    """What is restored, and its standard deviation, by the recipe's ``output``."""
    if output == "rss":
        return arrays["rss"], arrays.get("rss_std")
    return arrays["mean"] if output == "mean" else arrays["samples"][0], arrays.get("std")


def slice_path(planned: Item) -> str:
    """Where a slice waits, below the run folder, for the others of its file."""
    return f".inverse/slices/{item_name(planned.item)}.h5"


def _write_picture(
    out: Path, item: str, opened: Frame, image: Tensor, std: Tensor | None, *, recipe: Recipe, stamp: str
) -> tuple[dict[str, str], float]:
    """The restored picture and its std beside it: their hashes, and the fraction of values that was clipped."""
    from inverse.io.content import widths
    from inverse.io.nodata import filled_by, still_valid
    from inverse.io.read_write import save_float, write
    from inverse.io.transfer import from_data

    provenance = {"inverse:run": stamp}
    picture = opened.picture
    assert picture is not None
    result, clipped = from_data(image.numpy(), like=picture, transfer=recipe.data.transfer, span=opened.span)
    valid = still_valid(picture.valid, fill=filled_by(recipe.located()["operator"]), size=result.size)
    result = replace(result, valid=valid)
    written = [write(out / "restored" / item, result, provenance=provenance, overwrite=True)]
    if std is not None:
        light = {"inverse:light": "linear"} if recipe.data.transfer == "linear" else {}
        values = widths(opened.span) * std.numpy()
        written.append(
            save_float(out / "std" / item, values, like=result, provenance=provenance | light, overwrite=True)
        )
    return {path.relative_to(out).as_posix(): file_hash(path) for path in written}, clipped


def _visible(image: Tensor, case: Case) -> Tensor:
    """What a figure shows of an image: the magnitude of a complex one."""
    return image.square().sum(0, keepdim=True).sqrt() if case.complex and len(image) == 2 else image


def _averaged(share: Tensor, case: Case) -> Tensor:
    return share.mean(0, keepdim=True) if case.complex else share


def facts(recipe: Recipe, row: dict[str, Any], card: Any) -> list[tuple[str, str]]:
    """The lines of text of a figure."""
    operator = recipe.operator.model_dump(exclude_none=True)
    own = ", ".join(f"{k} {v}" for k, v in operator.items() if k in {"sigma", "length", "angle", "factor", "missing"})
    lines = [
        ("method", row["method"]),
        ("operator", operator["kind"] + (f" ({own})" if own else "")),
        ("noise level", f"{row['noise_sigma']:.4g}" + (" (estimated)" if row["noise_estimated"] else "")),
        ("prior", getattr(card, "name", "unnamed")),
        ("samples", f"{row['samples']}, seed {recipe.run.seed}"),
        ("evaluations", f"{row['forward']:.0f} forward, {row['vjp']:.0f} vjp"),
        ("data share", f"{100 * row['data_share']:.0f} % on average"),
    ]
    if "psnr" in row:
        lines.append(("PSNR", f"{row['psnr']:.2f} dB"))
    if "ssim" in row:
        lines.append(("SSIM", f"{row['ssim']:.3f}"))
    if "coverage90" in row:
        lines.append(("coverage", f"90 % intervals hold {100 * row['coverage90']:.0f} %"))
    return lines
