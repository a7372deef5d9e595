"""What is set most often, as changes of a recipe: a mask file, the width of its blur, the noise level, the method."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inverse.errors import InputError, UsageError
from inverse.operators.catalogue import operator_spec
from inverse.recipes.recipe import Recipe, load
from inverse.recipes.sections import keys_of

__all__ = ["shortcuts"]


def shortcuts(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe,
    overrides: Iterable[str] = (),
    *,
    mask: str | os.PathLike[str] | None = None,
    sigma: float | str | None = None,
    gsd: float | None = None,
    noise: float | str | None = None,
    method: str | None = None,
) -> list[str]:
    """The changes of a recipe that a few settings stand for, after those that were given.

    Args:
        recipe: As of `inverse.recipes.recipe.load`.
        overrides: Changes that come first.
        mask: Of the pixels that were observed: of a mask operator the mask, of others what of their measurement is
            used.
        sigma: Width of the blur in pixels, or ``auto``.
        gsd: Side of the result's pixels in metres, of a sensor's operator.
        noise: Noise level in data units, or ``auto``.
        method: Name of the method.

    Raises:
        UsageError: the operator has no width or no pixels in metres, is raw k-space, or a number is none.
        InputError: no such mask.
    """
    chosen = [*overrides]
    if method is not None:
        chosen.append(f"method.kind={method}")
    if noise is not None:
        chosen.append(f"noise.sigma={_number(noise, '--noise')}")
    if mask is None and sigma is None and gsd is None:
        return chosen
    operator = load(recipe, overrides).located()["operator"]
    kind = operator["kind"]
    if gsd is not None:
        if "gsd" not in (keys_of("operator", kind) or ()):
            hint = "the number of pixels is operator.factor" if "factor" in operator else "leave it away"
            raise UsageError(f"--gsd is of the operator sensor (satellite-super-resolution), not of {kind}", hint)
        chosen.append(f"operator.gsd={gsd!r}")
    if sigma is not None:
        keys = keys_of("operator", kind) or frozenset()
        if "sigma" not in keys:
            widths = [name for name in ("length", "radius", "factor") if name in keys]
            raise UsageError(
                f"--sigma is the width of a Gaussian blur; the operator here is {kind}",
                f"-s operator.{widths[0]}=... sets its size" if widths else "the noise level is --noise",
            )
        chosen.append(f"operator.sigma={_number(sigma, '--sigma')}")
        operator = {**operator, "sigma": sigma}
    if mask is not None:
        changes = _masked(operator, Path(mask))
        if changes[0].startswith("operator={"):  # it holds what the other changes made of the operator
            chosen = [change for change in chosen if not _of_operator(change)]
        chosen += changes
    return chosen


def _of_operator(change: str) -> bool:
    key = change.partition("=")[0].strip()
    return key == "operator" or key.startswith("operator.")


def _masked(operator: Mapping[str, Any], mask: Path) -> list[str]:
    if not mask.is_file():
        raise InputError(f"{mask}: no such mask", "give an image or .npy file of the input's size, white = observed")
    kind, file = str(operator["kind"]), json.dumps(str(mask))
    if kind.startswith("mri"):
        raise UsageError("--mask is of pixels; raw k-space says itself which samples were taken", "leave it away")
    if kind == "gap-mask":
        return [f"operator.file={file}"]
    if operator_spec(kind).mask:
        return ["operator.kind=file-mask", f"operator.file={file}"]
    if kind == "camera-shake":
        raise UsageError(
            "--mask does not go with camera-shake, which is found in the image alone",
            "make hidden pixels transparent (PNG, TIFF) or NaN: they are not used",
        )
    links = list(operator["operators"]) if kind == "chain" else [dict(operator)]
    if kind == "blind-blur":  # of a scratched picture the kind of blur is not looked for
        links = [{"kind": "gaussian-blur", "sigma": "auto", "boundary": operator["boundary"]}]
    links.append({"kind": "file-mask", "file": str(mask)})
    return [f"operator={json.dumps({'kind': 'chain', 'operators': links})}"]


def _number(value: float | str, flag: str) -> str:
    if isinstance(value, str) and value == "auto":
        return "auto"
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(f"{flag} {value} is not valid; allowed: auto, or a number from 0")
    return f"{number!r}"
