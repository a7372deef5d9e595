"""Measurements of known pictures: the recipe's operator and noise applied to files, the truth kept beside.

    DIR/measured/   what a camera would have given, in the truth's units; float32 TIFF, which does not round or clip
    DIR/truth/      the part of the truth that the measurement shows, so that `restore --truth` and `evaluate` follow
    DIR/masks/      white where a pixel was observed, for masks
    DIR/simulate.json   recipe, noise level, seed, and what each measurement was made with

The noise is a function of (seed, item) alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from torch import Tensor

from inverse.errors import Failure, InputError, UsageError, exit_code
from inverse.io.content import Picture, Span, widths
from inverse.io.read_write import read, whole, write
from inverse.io.sources import Source, check_name, find
from inverse.io.transfer import encode, from_data
from inverse.operators.build import build_operator, result_shape, stated_operator
from inverse.operators.noise.draw import draw_noise
from inverse.operators.noise.spec import DEFAULTS
from inverse.operators.observation import observed
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.frame import MINIMUM_SIDE, frame
from inverse.restoration.provenance import versions
from inverse.storage.files import atomic_bytes, write_json
from inverse.storage.paths import output_folder

__all__ = ["FORMATS", "Simulated", "given", "simulate_files"]

FORMATS = ("tiff", "same")


@dataclass(frozen=True)
class Simulated:
    """What was simulated."""

    out: Path  # the folder
    rows: tuple[dict[str, Any], ...]  # one a measurement: item, files, noise level
    failures: tuple[Failure, ...]  # what could not be simulated
    notes: tuple[str, ...]  # what a person should know

    @property
    def exit_code(self) -> int:
        """As a run's."""
        return exit_code(len(self.rows), self.failures)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        failures = [asdict(failure) for failure in self.failures]
        return {"items": list(self.rows), "failures": failures, "notes": list(self.notes)}


def simulate_files(
    recipe: str | Path | Recipe | dict[str, Any],
    truths: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    form: str = "tiff",
    overwrite: bool = False,
) -> Simulated:
    """Simulate measurements of image files.

    Args:
        recipe: Name, path, mapping or loaded recipe; its operator, noise and seed are used.
        truths: Files, folders, globs, ``@`` lists.
        out: The folder to write.
        overrides: ``key=value`` changes of the recipe.
        form: ``tiff`` (float32) or ``same`` (the truth's own format, which rounds and clips).
        overwrite: Replace existing files.

    Raises:
        InverseError: If the recipe is wrong or nothing can be read; a single bad file is a failure of the result.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form} is not valid; allowed: {', '.join(FORMATS)}")
    recipe, folder = load(recipe, overrides), output_folder(out)
    sources = find([truths] if isinstance(truths, str | Path) else list(truths), exclude=folder)
    noise, notes = given(recipe.noise)
    names = _names(sources, form)
    rows, failures = [], []
    for source in sources:
        try:
            check_name(source.item)
            rows.append(_one(recipe, source, folder, names[source.item], noise, form, overwrite, notes))
        except Exception as error:
            failures.append(Failure.of(source.item, "simulate", error))
    content = {
        "schema": 1,
        "recipe": recipe.resolved(),
        "recipe_hash": recipe.hash,
        **_facts(noise),
        "seed": recipe.run.seed,
        "versions": versions(),
        "items": rows,
    }
    if rows:
        write_json(folder / "simulate.json", content)
    return Simulated(folder, tuple(rows), tuple(failures), tuple(notes))


def _names(sources: Sequence[Source], form: str) -> dict[str, str]:
    """Item id to the measurement's path; two that would become one are refused."""
    names: dict[str, str] = {}
    for source in sources:
        name = source.item if form == "same" else PurePosixPath(source.item).with_suffix(".tif").as_posix()
        if name in names.values():
            raise UsageError(f"two measurements would be written to '{name}'", "give --format same, or two calls")
        names[source.item] = name
    return names


def _one(
    recipe: Recipe,
    source: Source,
    folder: Path,
    name: str,
    noise: Any,
    form: str,
    overwrite: bool,
    notes: list[str],
) -> dict[str, Any]:
    opened = frame(read(source.path), 0, recipe.data, minimum=MINIMUM_SIDE)
    picture = opened.picture
    if picture is None or not opened.whole:
        raise InputError(f"{source.item}: not a single picture", "simulate from files of one image each")
    whole(picture)
    x = _whole(opened.measurement(recipe.data.transfer).y, recipe)
    section, said = stated_operator(recipe.located()["operator"], picture.extra)
    notes += [f"{source.item}: {sentence}" for sentence in said]
    if said and form == "tiff":
        notes.append(f"{source.item}: the measurement does not hold these numbers: give them to restore, too")
    physics = build_operator(section, shape=tuple(x.shape[1:]))
    y = _measured(x, physics, recipe.noise, noise, seed=recipe.run.seed, item=source.item)
    shown = _frame(x, physics)
    operator = recipe.resolved()["operator"]
    made = {"operator": operator, **_facts(noise), "seed": recipe.run.seed, "item": source.item}
    row = {"item": source.item, "measured": f"measured/{name}", "truth": f"truth/{source.item}", **_facts(noise)}
    provenance = {"inverse:simulate": json.dumps(made, sort_keys=True)}
    measured = y[0].float().numpy()
    if form == "same":
        result, clipped = from_data(measured, like=picture, transfer=recipe.data.transfer, span=opened.span)
        if clipped > 0:
            notes.append(f"{source.item}: {100 * clipped:.1f} % of the values were clipped; --format tiff keeps them")
    else:
        result = _float_picture(encode(measured) if recipe.data.transfer == "linear" else measured, opened.span)
    write(folder / "measured" / name, result, provenance=provenance, overwrite=overwrite)
    if tuple(shown.shape) == (1, picture.channels, *picture.size):
        atomic_bytes(folder / "truth" / source.item, source.path.read_bytes(), overwrite=overwrite)
    else:
        cropped, _ = from_data(shown[0].numpy(), like=picture, transfer=recipe.data.transfer, span=opened.span)
        write(folder / "truth" / source.item, cropped, overwrite=overwrite)
        notes.append(f"{source.item}: the truth was cropped to the frame of the measurement")
    mask = _mask(physics, y)
    if mask is not None:
        path = f"masks/{PurePosixPath(source.item).with_suffix('.png')}"
        row["mask"] = path
        write(folder / path, mask, provenance=provenance, overwrite=overwrite)
    return row


def given(noise: Any) -> tuple[Any, list[str]]:
    """A noise section with `DEFAULTS` for what it leaves to be estimated, and what a person is told of them."""
    complete, notes = noise, []
    for name, default in DEFAULTS.items():
        if isinstance(getattr(noise, name, None), str):
            complete = complete.model_copy(update={name: default})
            word = {"sigma": "noise level", "gain": "gain of counts", "step": "step of values"}[name]
            notes.append(f"{word} {default:g} (the recipe says {getattr(noise, name)}; -s noise.{name}=... sets it)")
    return complete, notes


def _facts(noise: Any) -> dict[str, Any]:
    """Of white noise its level, of other kinds the section."""
    plain = noise.model_dump(mode="json")
    return {"noise_sigma": plain["sigma"]} if plain["kind"] == "gaussian" else {"noise": plain}


def _measured(x: Tensor, physics: Any, section: Any, noise: Any, *, seed: int, item: str) -> Tensor:
    """What a camera would give: the operator's output with noise, zero where unobserved.

    What is not linear in it (`HazePhysics.offset`) is added. An operator whose noise is its own, as the rounding of
    JPEG, gets no other unless the recipe gives a level.
    """
    clean = physics.A(x)
    own = getattr(physics, "noise_of_its_own", False) and getattr(section, "sigma", None) == "auto"
    noisy = clean if own else draw_noise(noise, clean, seed=seed, item=item)
    offset = getattr(physics, "offset", None)
    noisy = noisy if offset is None else noisy + offset
    mask = observed(physics, clean)
    return noisy if mask is None else noisy * mask


def _whole(x: Tensor, recipe: Recipe) -> Tensor:
    """The truth cropped to a whole number of the operator's pixels."""
    try:
        given = getattr(recipe.operator, "factor", None)
        factor = given if isinstance(given, float) else result_shape(recipe.operator, (1, 1, 1))[-1]
    except InputError:  # what it measures is no image, and has no pixels to be a whole number of
        factor = 1
    height, width = (round(size // factor * factor) for size in x.shape[-2:])
    return x[..., :height, :width]


def _frame(x: Tensor, physics: Any) -> Tensor:
    crop = getattr(physics, "output_crop", None)
    if crop is None:
        return x
    top, left, height, width = crop
    return x[..., top : top + height, left : left + width]


def _float_picture(image: Any, span: Span | None) -> Picture:
    """Values that are not rounded, in the truth's own units where the recipe says which are black and white."""
    if span is not None:
        image = (np.asarray(span[0]).reshape(-1, 1, 1) + widths(span) * image).astype(np.float32)
    pixels = np.moveaxis(image, 0, -1)
    return Picture(array=np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), format="tiff")


def _mask(physics: Any, y: Tensor) -> Picture | None:
    """The mask as a picture that ``file-mask`` reads: white where observed."""
    mask = observed(physics, y)
    if mask is None or bool((mask == 1).all()):
        return None
    plane = mask.reshape(-1, *mask.shape[-2:])[0].numpy()
    return Picture(array=np.where(plane > 0, 255, 0).astype(np.uint8), format="png")
