"""The files of one item: restored, std, ``posterior.h5`` and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.case import INTERVAL, Case
from inverse.errors import UsageError, did_you_mean
from inverse.figures import Panels, draw
from inverse.store import file_hash, write_bytes, write_hdf5

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from inverse.io import Picture
    from inverse.recipe import Recipe

__all__ = ["DATASETS", "KEEP", "Made", "facts", "parse_keep", "write_item"]

DATASETS = ("samples", "mean", "std", "quantiles", "data_share", "invented", "misfit", "r_hat", "ess")
KEEP = (*DATASETS, "figure")


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
    item: str,
    *,
    picture: Picture,
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
        item: Item id.
        picture: The input, whose format and metadata the restored file takes over.
        case: What was solved.
        arrays: As `inverse.case.statistics` returns them.
        keep: Of `KEEP`, what is written.
        recipe: Whose ``output`` says whether the mean or a draw is restored.
        stamp: One line of provenance for the files' own metadata.
        attributes: Of ``posterior.h5``.
        facts: Lines of text for the figure.
        truth: (C, H, W) as stored, for the figure only.

    Raises:
        OutputError: If something cannot be written.
    """
    from inverse.io import save_float, write
    from inverse.light import encode, from_data

    provenance = {"inverse:run": stamp}
    image = arrays["mean"] if recipe.output == "mean" else arrays["samples"][0]
    restored = f"restored/{item}"
    result, clipped = from_data(image.numpy(), like=picture, transfer=recipe.data.transfer)
    write(out / restored, result, provenance=provenance, overwrite=True)
    written = [out / restored]
    if "std" in arrays:
        light = {"inverse:light": "linear"} if recipe.data.transfer == "linear" else {}
        target = save_float(
            out / "std" / item, arrays["std"].numpy(), like=picture, provenance=provenance | light, overwrite=True
        )
        written.append(Path(target))
    files = {path.relative_to(out).as_posix(): file_hash(path) for path in written}
    own = {"quantiles": {"q": INTERVAL}, "data_share": {"standard_error": attributes["data_share_error"]}}
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
        measurement=shown(case.y[0]),
        restored=shown(image),
        observed=None if case.observed is None else case.observed[0].float().cpu().numpy(),
        std=arrays["std"].numpy() if "std" in arrays else None,
        data_share=arrays["data_share"].numpy(),
        invented=arrays["invented"].numpy(),
        truth=None if truth is None else truth.numpy(),
        data_range=recipe.data.range,
        facts=facts,
        misfit=float(arrays["misfit"].mean()),
        shown="posterior mean" if recipe.output == "mean" else "one posterior sample",
    )
    files[f"items/{item}/figure.png"] = write_bytes(out / "items" / item / "figure.png", draw(panels))
    return Made(files, restored, clipped)


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
