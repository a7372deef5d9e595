"""Known truths beside a run: matched by name, scored, never shown to the sampler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.io.content import Span, to_unit
from inverse.io.read_write import read, whole
from inverse.io.sources import Source, find, match
from inverse.io.transfer import encode
from inverse.metrics.registry import RATIO, measure, measure_samples, metric
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import Frame, count
from inverse.storage.paths import is_store, locate

__all__ = ["Truths", "held", "load_image", "scale_factor", "score"]


@dataclass(frozen=True)
class Truths:
    """Truth files by item id."""

    paths: Mapping[str, Path]

    @classmethod
    def find(cls, truth: str | Path | None, items: Sequence[str]) -> Truths:
        """Match a file, a store or a folder of truths with items: by relative path, then by stem.

        One file or store fits one item, whatever its name.

        Raises:
            InputError: If the path does not exist, or no truth fits any item.
        """
        if truth is None:
            return cls({})
        sources: list[Source] = find([truth])
        for source in sources:
            if not _is_one(source.path):
                raise InputError(
                    f"no truth at '{source.path}'", "give a file or a store, or a folder of them named like the inputs"
                )
        if _is_one(Path(truth)) and len(items) == 1:
            return cls({items[0]: sources[0].path})
        paths = {source.item: source.path for source in sources}
        pairs = match(items, paths)
        if not pairs:
            raise InputError(
                f"no truth fits any of the {len(items)} inputs", "name the files like the inputs, in the same folders"
            )
        return cls({item: paths[name] for item, name in pairs.items()})

    def load(self, item: str, shape: Sequence[int], like: Frame) -> Tensor | None:
        """The truth of a frame of an item, or None where there is none.

        It is in the data units of the measurement, but as its file stores it.

        Raises:
            InputError: If it cannot be read, or its size is not that of the restored image; the message names both.
        """
        path = self.paths.get(item)
        if path is None:
            return None
        image = load_image(path, index=like.index, span=like.span)
        if tuple(image.shape) != tuple(shape):
            sizes = (" x ".join(str(n) for n in (*s[-2:], *s[:-2])) for s in (tuple(shape), tuple(image.shape)))
            raise InputError(
                "{}: sizes differ, restored {}, truth {}".format(item, *sizes), "give the truth of the restored size"
            )
        return image

    def missing(self, items: Iterable[str]) -> list[str]:
        """Items without a truth."""
        return [item for item in items if item not in self.paths] if self.paths else []


def _is_one(path: Path) -> bool:
    """Whether something is there that is one item: a file, a store, or one array of either."""
    place, _ = locate(path)
    return place.is_file() or is_store(place)


def load_image(path: Path, *, index: int = 0, span: Span | None = None) -> Tensor:
    """A frame of an image file as (C, H, W) float32, its values as stored.

    Args:
        path: The file.
        index: Which of its slices, if it has several.
        span: The file's values that are 0 and 1; None: by their type.

    Raises:
        InputError: it cannot be read, has no such slice, or is raw data.
    """
    content = read(path)
    if index >= count(content):
        raise InputError(
            f"{path}: {count(content)} slices, the measurement has more", "give the truth of the same file"
        )
    picture = Frame(content, index, span).picture
    if picture is None:
        raise InputError(f"{path}: raw k-space is no image to compare with", "give images")
    return torch.from_numpy(to_unit(whole(picture), span))


def score(
    arrays: Mapping[str, Tensor],
    truth: Tensor,
    names: Sequence[str],
    *,
    data_range: tuple[float, float],
    transfer: str = "srgb",
    ratio: float | None = None,
) -> dict[str, float]:
    """The metrics of the posterior mean, their mean over the samples, those of the samples, and 90 % coverage.

    The first two answer different questions: how close the best single answer is, and how close a draw is.
    Scores are of values as files store them, so that `inverse evaluate` on the written files agrees.

    Args:
        arrays: ``mean`` and ``samples``, see `inverse.restoration.write_item.DATASETS`.
        truth: (C, H, W).
        names: Of metrics of images and of samples.
        data_range: Black and white.
        transfer: Of the recipe's data: ``linear`` arrays are scored as files store them.
        ratio: Scale factor of the operator, for the metrics that have one.
    """
    width, factor = data_range[1] - data_range[0], RATIO if ratio is None else ratio
    of_images = [name for name in names if metric(name).kind == "image"]
    row = measure(_stored(arrays["mean"], transfer), truth, of_images, data_range=width, ratio=factor)
    samples = _stored(arrays["samples"], transfer) if "samples" in arrays else None
    if samples is None:
        return row
    each = [measure(sample, truth, of_images, data_range=width, ratio=factor) for sample in samples]
    row.update({f"{name}_sample": sum(values[name] for values in each) / len(each) for name in of_images})
    if len(samples) > 1:
        of_samples = dict.fromkeys((*(name for name in names if name not in of_images), "coverage90"))
        row.update(measure_samples(samples, truth, of_samples))
    return row


def scale_factor(recipe: Recipe) -> float | None:
    """How many times finer the unknown's grid is than the measurement's; None where the operator changes no scale."""
    factor = recipe.operator.model_dump().get("factor")
    return float(factor) if isinstance(factor, int | float) else None


def held(quantiles: Tensor, truth: Tensor, transfer: str = "srgb") -> float:
    """Share of the truth inside the interval that quantiles (3, C, H, W) of 5, 50 and 95 % span, as delivered."""
    low, _, high = (_stored(quantile, transfer) for quantile in quantiles)
    return float(((truth >= low) & (truth <= high)).float().mean())


def _stored(values: Tensor, transfer: str) -> Tensor:
    return torch.from_numpy(encode(values.numpy())) if transfer == "linear" else values
