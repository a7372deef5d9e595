"""What a microscope's file says of its optics, and what its operator makes of it.

The facts of a file are ``optics``: ``pixel`` (height and width in the specimen, nanometres), ``wavelength`` (of each
channel, nanometres) and ``numerical_aperture``, each where the file has it. A number that was given counts more than
the file's, and where they differ it is said; where neither is known, the usual value is taken, and that is said too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inverse.errors import InputError
from inverse.operators.blur.spec import MICROSCOPE
from inverse.operators.spec import AUTO

__all__ = ["numbers", "stated"]

#: Numbers that differ by no more are the same: pixel sizes are written with few digits.
ALIKE = 0.02
_UNITS = {"pixel": "pixel {:.4g} nm", "wavelength": "wavelength {:.4g} nm", "numerical_aperture": "NA {:.3g}"}


def numbers(params: Any) -> dict[str, float]:
    """The optics of an operator, usual values where they are ``auto``."""
    given = {name: getattr(params, name) for name in MICROSCOPE}
    return {name: MICROSCOPE[name] if value == AUTO else float(value) for name, value in given.items()}


def stated(params: Any, facts: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The operator with the file's optics where it says ``auto``, and sentences on what was taken from where.

    Raises:
        InputError: the pixels are not square, and nobody gave a size.
    """
    file, said = _of_file(facts.get("optics") or {}, params)
    given = {name: getattr(params, name) for name in MICROSCOPE}
    taken = {name: file[name] for name, value in given.items() if value == AUTO and name in file}
    assumed = {name: MICROSCOPE[name] for name, value in given.items() if value == AUTO and name not in file}
    if taken:
        said += (f"of the file: {_words(taken)}",)
    if assumed:
        keys = " ".join(f"-s operator.{name}=..." for name in assumed)
        said += (f"assumed, the file does not say: {_words(assumed)} (give {keys})",)
    for name, value in given.items():
        if value != AUTO and name in file and abs(value - file[name]) > ALIKE * file[name]:
            said += (f"{_words({name: value})} was given and is used; the file says {_words({name: file[name]})}",)
    return params.model_copy(update={**taken, **assumed}), said


def _of_file(optics: Mapping[str, Any], params: Any) -> tuple[dict[str, float], tuple[str, ...]]:
    """One number each, within what the operator takes."""
    found: dict[str, float] = {}
    said: tuple[str, ...] = ()
    if optics.get("pixel"):
        height, width = optics["pixel"]
        if abs(height - width) > ALIKE * width and params.pixel == AUTO:
            raise InputError(
                f"the file's pixels are {width:.4g} x {height:.4g} nm, the pattern is of square ones",
                "resample it to square pixels, or give the size: -s operator.pixel=NM",
            )
        found["pixel"] = float(width)
    lengths = tuple(optics.get("wavelength") or ())
    if lengths:
        found["wavelength"] = sum(lengths) / len(lengths)
        if max(lengths) - min(lengths) > ALIKE * min(lengths) and params.wavelength == AUTO:
            several = ", ".join(f"{value:.4g}" for value in lengths)
            said = (f"channels of {several} nm have one pattern here: split them into files for their own",)
    if optics.get("numerical_aperture"):
        found["numerical_aperture"] = float(optics["numerical_aperture"])
    limits = {"pixel": (0.1, 1e5), "wavelength": (1.0, 1e5), "numerical_aperture": (1e-3, 1.7)}
    return {name: value for name, value in found.items() if limits[name][0] <= value <= limits[name][1]}, said


def _words(values: Mapping[str, float]) -> str:
    return ", ".join(_UNITS[name].format(value) for name, value in values.items())
