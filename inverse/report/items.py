"""The pictures and samples of one item in the report, as plain data for the page.

Everything is computed from ``posterior.h5``; what a run did not keep is left out. Images of complex values appear as
magnitude and phase, scenes of many bands as three of them, named. `Detail` is the resolution rule: the page has a
budget, so the items of a large run are shown smaller (`inverse.report.page`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.io.transfer import encode
from inverse.report.images import Window, fitted, picture_url, window_of
from inverse.runs.folder import Kept, RunFolder

__all__ = ["DETAILS", "Detail", "Subject", "panels", "thumbnail"]

Values = NDArray[np.floating[Any]]

#: Longest side of a picture in the list of items.
THUMBNAIL = 72


@dataclass(frozen=True)
class Detail:
    """The size at which an item is shown: longest sides in pixels."""

    picture: int
    map: int  # 0: no maps are shown
    sample: int
    samples: int  # how many of them

    def pixels_of(self, side: int) -> int:
        """Of all the images of a square item, at most."""
        parts = ((self.picture, 2), (self.map, 5), (self.sample, self.samples))
        return sum(count * min(side, limit) ** 2 for limit, count in parts)


DETAILS = tuple(
    Detail(*sizes)
    for sizes in (
        (640, 400, 400, 8), (512, 320, 320, 8), (400, 256, 256, 8), (320, 200, 200, 6), (256, 160, 160, 4),
        (192, 128, 128, 4), (160, 96, 96, 2), (128, 80, 80, 2), (128, 64, 64, 0), (112, 48, 48, 0), (96, 32, 0, 0),
        (96, 0, 0, 0), (64, 0, 0, 0),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """An item, ready to be shown."""

    kept: Kept  # its arrays, data units
    complex: bool  # its two channels are real and imaginary part
    data_range: Window  # values shown black and white, where the unknown is no magnitude
    bands: tuple[str, ...] = ()  # names, as far as known
    truth: Values | None = None  # (C, H, W) in data units, if known

    @classmethod
    def of(cls, folder: RunFolder, item: str, kept: Kept, truth: Values | None = None) -> Subject:
        """From a run folder."""
        recipe: Mapping[str, Any] = folder.facts["recipe"]
        low, high = recipe["data"]["range"]
        image = kept.arrays.get("mean")
        channels = 0 if image is None else image.shape[0]
        imaginary = bool(kept.attributes.get("complex", False))
        names = _band_names(folder, item) if channels > 2 else ()
        return cls(kept, imaginary, (float(low), float(high)), names, truth)

    @property
    def image(self) -> Values | None:
        """What is shown as restored: the posterior mean, else the first sample; (C, H, W)."""
        arrays = self.kept.arrays
        return arrays["mean"] if "mean" in arrays else arrays["samples"][0] if "samples" in arrays else None

    @property
    def linear(self) -> bool:
        """Whether the values are in linear light, which a screen does not show as such."""
        return bool(self.kept.attributes.get("transfer") == "linear")

    @property
    def window(self) -> Window:
        """Values shown black and white."""
        image = self.image
        return window_of(self.visible(image)) if self.complex and image is not None else self.data_range

    @property
    def colours(self) -> tuple[int, ...]:
        """The channels shown as red, green and blue, or the one shown as grey."""
        image = self.image
        return colour_bands(0 if image is None else len(image), self.bands)

    @property
    def observed(self) -> NDArray[np.bool_] | None:
        """(h, w) where the measurement holds a value in every channel; None: everywhere."""
        mask = self.kept.arrays.get("observed")
        return None if mask is None else np.asarray(mask.min(0) > 0)

    def visible(self, image: Values) -> Values:
        """The magnitude of a complex image, any other as it is."""
        return np.sqrt(np.square(image).sum(-3, keepdims=True)) if self.complex and image.shape[-3] == 2 else image

    def shown(self, image: Values) -> Values:
        """(1 or 3, H, W) as a screen shows it, values as files store them."""
        image = self.visible(image)
        chosen = [index for index in self.colours if index < len(image)] if len(image) > 1 else [0]
        image = image[chosen] if len(chosen) in (1, 3) else image[:1]
        return encode(image.astype(np.float32)) if self.linear else image

    def averaged(self, image: Values) -> Values:
        """(H, W): root mean square over channels, of a complex image the magnitude."""
        return np.asarray(self.visible(image)[0] if self.complex else np.sqrt(np.square(image).mean(0)))


def colour_bands(channels: int, names: Sequence[str] = ()) -> tuple[int, ...]:
    """The channels of a colour picture: those named red, green, blue; of five unnamed bands or more 2, 1, 0."""
    if channels < 3:
        return (0,)
    lower = [name.lower() for name in names]
    found = [next((i for i, name in enumerate(lower) if colour in name), None) for colour in ("red", "green", "blue")]
    if None not in found:
        return tuple(index for index in found if index is not None)
    return (2, 1, 0) if channels > 4 else (0, 1, 2)


def _band_names(folder: RunFolder, item: str) -> tuple[str, ...]:
    """Descriptions of the bands of a restored GeoTIFF; empty where there are none, or rasterio is not installed."""
    path = folder.path / "restored" / item
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return ()
    try:
        import rasterio
    except ImportError:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with rasterio.open(path) as scene:
                return tuple(scene.descriptions) if all(scene.descriptions) else ()
        except rasterio.errors.RasterioError:
            return ()


def thumbnail(subject: Subject) -> str:
    """A small picture of what was restored; empty where no image was kept."""
    image = subject.image
    if image is None or image.ndim != 3:
        return ""
    return picture_url(subject.shown(image), subject.window, side=THUMBNAIL, exact=False)[0]


def panels(subject: Subject, detail: Detail) -> dict[str, Any]:
    """The pictures and samples of an item at a resolution, and what its values are."""
    image = subject.image
    if image is None or image.ndim != 3:
        return {"pictures": [], "samples": None}
    return {
        "height": image.shape[1],
        "width": image.shape[2],
        "side": max(fitted((image.shape[1], image.shape[2]), detail.picture)),
        "bands": _bands_in_words(subject),
        "units": _units_in_words(subject),
        "pictures": _pictures(subject, detail),
        "samples": _samples(subject, detail),
    }


def _bands_in_words(subject: Subject) -> str:
    image = subject.image
    assert image is not None
    if subject.complex:
        return "complex image: its magnitude is shown, its phase among the maps"
    if len(image) == 2:
        return "two channels, the first shown"
    if len(image) == 1:
        return "one channel, shown grey"
    if len(image) == 3 and not subject.bands:
        return ""
    names = [subject.bands[i] if subject.bands else f"band {i + 1}" for i in subject.colours]
    return f"{len(image)} bands; shown as red, green, blue: {', '.join(names)}"


def _units_in_words(subject: Subject) -> str:
    """What data units are in the file, where they are not its own."""
    scale = float(subject.kept.attributes.get("scale", 1.0))
    low, high = np.asarray(subject.kept.attributes.get("span", (0.0, 1.0)), dtype=float)
    if scale != 1.0:
        return f"a value of 1 here is {1 / scale:.4g} in the file"
    if np.ndim(low):
        ends = ", ".join(f"{a:g} and {b:g}" for a, b in zip(low, high, strict=True))
        return f"0 and 1 here are in the file, band by band: {ends}"
    return "" if (low, high) == (0.0, 1.0) else f"0 and 1 here are {low:g} and {high:g} in the file"


def _pictures(subject: Subject, detail: Detail) -> list[dict[str, Any]]:
    image, arrays = subject.image, subject.kept.arrays
    assert image is not None
    exact = detail is DETAILS[0]
    listed: list[tuple[str, str, Values, NDArray[Any] | None]] = []
    if "measurement" in arrays and arrays["measurement"].ndim == 3:
        listed.append(("measurement", "Measurement", arrays["measurement"], subject.observed))
    kind = "posterior mean" if "mean" in arrays else "one sample"
    listed.append(("restored", f"Restored ({kind})", image, None))
    if subject.truth is not None:
        listed.append(("truth", "Truth", subject.truth, None))
    low, high = subject.window
    pictures = []
    for name, title, values, observed in listed:
        shown = subject.shown(values)
        url, clipped = picture_url(shown, subject.window, side=detail.picture, observed=observed, exact=exact)
        seen = shown if observed is None else shown[:, observed]
        spread = f"mean {seen.mean():.3g}, from {seen.min():.3g} to {seen.max():.3g}" if seen.size else "no values"
        share = f", {100 * observed.mean():.0f} % observed" if observed is not None else ""
        height, width = values.shape[-2:]
        pictures.append(
            {
                "name": name,
                "title": title,
                "src": url,
                "height": height,
                "width": width,
                "alt": f"{title}, {width} x {height} pixels{share}: {spread}",
                "says": f"black {low:g}, white {high:.3g}; {100 * clipped:.2g} % of the values lie outside "
                f"and are clipped on this page only{share}",
            }
        )
    return pictures


def _samples(subject: Subject, detail: Detail) -> dict[str, Any] | None:
    samples = subject.kept.arrays.get("samples")
    if samples is None or samples.ndim != 4 or not detail.samples or len(samples) < 2:
        return None
    misfit = subject.kept.arrays.get("misfit")
    shown = samples[: detail.samples]
    window, exact = subject.window, detail is DETAILS[0]
    return {
        "total": len(samples),
        "src": [picture_url(subject.shown(sample), window, side=detail.sample, exact=exact)[0] for sample in shown],
        "misfit": [] if misfit is None else [round(float(value), 3) for value in misfit[: len(shown)]],
        "height": samples.shape[-2],
        "width": samples.shape[-1],
    }
