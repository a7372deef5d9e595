"""What a person does with a posterior: intervals, a file of it, a picture of it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import OutputError, UsageError
from inverse.io.content import Picture, Span
from inverse.io.read_write import write
from inverse.storage.files import write_bytes, write_hdf5

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Views"]

#: Formats of pictures that `Views.save` writes, by the end of the name.
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".npy": "npy"}
ARRAYS = (".npz", ".h5", ".hdf5")


class Views:
    """A posterior's intervals, files and pictures."""

    if TYPE_CHECKING:
        states: Tensor
        span: Span | None
        items: Sequence[str]
        quantile: Callable[[float], Tensor]
        to_numpy: Callable[..., NDArray[Any]]
        diagnostics: Mapping[str, Tensor]
        label: str

        @property
        def knows_spread(self) -> bool:
            """Whether one sample has a standard deviation too."""

        @property
        def complex(self) -> bool:
            """Whether the unknown is a complex image."""

        @cached_property
        def misfit(self) -> Tensor:
            """chi^2 / m of each sample."""

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """The ends of the central interval that holds a share ``level`` of the posterior, each (B, C, *S).

        Raises:
            UsageError: a level that is not between 0 and 1, or one sample only.
        """
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
            raise UsageError(f"an interval of level {level!r}", "allowed: a share between 0 and 1, such as 0.9")
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write it to a file, and return where.

        ``.npz`` and ``.h5`` hold mean, std, samples, data share, invented and misfit as `to_numpy` gives them, (B, H,
        W, C). ``.png``, ``.jpg``, ``.tif`` and ``.npy`` hold the mean of a single image, in the units of the array it
        was restored from; a PNG or JPEG of floats is 0 to 1 as 8 bits. Metadata of a file is kept by a run:
        ``inverse.restore(..., out=...)``.

        Raises:
            UsageError: another end of the name, or several images for one picture.
            OutputError: it exists, or cannot be written.
        """
        if not isinstance(path, str | Path):
            raise UsageError(f"a path of type {type(path).__name__}", "allowed: a text or a pathlib.Path")
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix not in FORMATS and suffix not in ARRAYS:
            raise UsageError(
                f"{target.name}: no file of this kind holds a posterior", f"allowed: {', '.join((*ARRAYS, *FORMATS))}"
            )
        try:
            there = target.exists()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OutputError(f"{str(target)[:80]}: cannot be written: {reason}", "choose another name") from error
        if there and not overwrite:
            raise OutputError(f"{target}: exists", "choose another name, or give overwrite=True")
        if suffix in ARRAYS:
            self._save_arrays(target)
            return target
        mean = self.to_numpy("mean")
        if len(mean) != 1:
            raise UsageError(f"{len(mean)} images, a picture holds one", "save them as .npz or .h5")
        if self.complex and suffix != ".npy":
            raise UsageError("a complex image is no picture", "save it as .npy, .npz or .h5")
        pixels = _stored(mean[0], self.span, whole=suffix in (".png", ".jpg", ".jpeg"))
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
        if self.complex:
            np.save(target, pixels)
        else:
            write(target, Picture(array=np.ascontiguousarray(pixels), format=FORMATS[suffix]), overwrite=True)
        return target

    def _save_arrays(self, target: Path) -> None:
        names = ["mean", "samples", "data_share", "invented"]
        names += ["std"] if len(self.states) > 1 or self.knows_spread else []
        arrays = {name: self.to_numpy(name) for name in names} | {"misfit": self.misfit.detach().cpu().numpy()}
        if target.suffix.lower() == ".npz":
            stream = BytesIO()
            np.savez_compressed(stream, allow_pickle=False, **arrays)
            write_bytes(target, stream.getvalue())
        else:
            write_hdf5(target, arrays, {"": {"method": self.label, "items": list(self.items)}})

    def plot(self, item: int = 0) -> Any:
        """A matplotlib figure of an item: mean, standard deviation, share of the data; a notebook shows it.

        Raises:
            UsageError: matplotlib is not installed, or there is no such item.
        """
        try:
            figures = importlib.import_module("matplotlib.figure")
            importlib.import_module("matplotlib.backends.backend_agg")
        except ImportError:
            raise UsageError("matplotlib is not installed", "pip install matplotlib, or save() it") from None
        count = len(self.items)
        if not isinstance(item, int) or isinstance(item, bool) or not -count <= item < count:
            raise UsageError(f"item {item!r} of a posterior of {count}", f"allowed: 0 to {count - 1}")
        panels: list[tuple[str, NDArray[Any], Mapping[str, Any]]] = [("mean", self.to_numpy("mean")[item], {})]
        if len(self.states) > 1 or self.knows_spread:
            panels.append(("standard deviation", self.to_numpy("std")[item], {"cmap": "viridis"}))
        panels.append(("share of the data", self.to_numpy("data_share")[item], {"vmin": 0, "vmax": 1}))
        figure = figures.Figure(figsize=(4 * len(panels), 4.3), layout="constrained")
        for index, (title, values, settings) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            shown = np.abs(values) if np.iscomplexobj(values) else values
            shown = shown[..., None] if shown.ndim == 2 else shown
            colour = title == "mean" and shown.shape[-1] == 3
            low, high = _ends(self.span)
            plane = np.clip((shown - low) / (high - low), 0, 1) if colour else shown.mean(-1)
            drawn = axes.imshow(plane, **({} if colour else {"cmap": "gray", **settings}))
            axes.set_title(title)
            axes.axis("off")
            if not colour and title != "mean":
                figure.colorbar(drawn, ax=axes, shrink=0.7)
        misfit = float(self.misfit[:, item].mean())
        figure.suptitle(f"{self.items[item]}: {self.label}, misfit {misfit:.2f} (expected 1)")
        return figure


def _ends(span: Span | None) -> tuple[float, float]:
    """Black and white, 0 and 1 where bands have their own."""
    if span is None or not _plain(span):
        return 0.0, 1.0
    low, high = (float(np.asarray(end)) for end in span)
    return low, high


def _plain(span: Span | None) -> bool:
    """Whether one value is black and one is white."""
    return span is not None and not isinstance(span[0], tuple)


def _stored(mean: NDArray[Any], span: Span | None, *, whole: bool) -> NDArray[Any]:
    """Pixels as a file of pictures holds them: integers where they were, or where the format knows nothing else."""
    if np.iscomplexobj(mean):
        return mean
    top = float(np.asarray(span[1])) if span is not None and _plain(span) else math.nan
    if top in (255.0, 65535.0):
        whole_numbers: NDArray[Any] = np.clip(np.rint(mean), 0, top).astype(np.uint8 if top == 255 else np.uint16)
        return whole_numbers
    if not whole:
        return mean.astype(np.float32)
    if span is not None:
        low, high = (np.asarray(end, np.float64) for end in span)
        mean = (mean - low) / (high - low)
    eight_bits: NDArray[Any] = np.clip(np.rint(255 * mean), 0, 255).astype(np.uint8)
    return eight_bits
