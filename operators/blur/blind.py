"""The blur that a photograph shows, of whichever kind, or none: what the recipe ``auto`` starts from.

Each kind of `inverse.operators.blur.estimate` is fitted; they compare by the likelihood of the same spectrum. A line
and a disc have zeros that a Gaussian has not, so either must explain the spectrum better than a Gaussian by so much a
frequency as photographs that were blurred so show, and those that were not do not: 0.06 to 0.1 against 0.003 (discs,
noise 0.01). Lines of 9 and 15 pixels gain 0.75 to 2.1, with errors of 1 to 3 % but for three of 16; sharp pictures with
masts or stripes gain up to 0.73, with errors of 17 % and more (JPEG of quality 80, 8 and 23 photographs). A Gaussian
narrower than a good lens's is none.
"""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import Physics

from inverse.errors import InputError
from inverse.operators.blur.estimate import SMALLEST, Blind, estimate_blurs
from inverse.operators.blur.spec import BlindBlur
from inverse.operators.build import build_operator, fitted_operator, fitted_to
from inverse.operators.measurement import Fitted, Measurement

__all__ = ["NONE", "blind", "fit", "suspected"]

#: How much less loss a frequency than with a Gaussian a disc and a line must have.
BETTER = {"defocus": 0.02, "motion-blur": 0.25}
#: Sizes in errors that a disc and a line must have, and how much better one that has only three must be.
SURE, PLAIN = {"defocus": 3.0, "motion-blur": 10.0}, {"defocus": 0.02, "motion-blur": 0.9}
#: Standard deviation in pixels from which a picture is blurred, and by how many errors: the odds are 3 to 1.
WIDE, ODDS = 0.7, 0.67
#: How what is said of a picture begins where nothing is to be undone.
NONE = "no blur found"
_NAMES = {"gaussian-blur": "a Gaussian of", "defocus": "a disc of", "motion-blur": "a line of"}


def suspected(measurement: Measurement) -> tuple[str, Blind] | None:
    """The kind and the parameters of the blur of a photograph; None where it shows none, or is too small to tell."""
    found = _likeliest(measurement)
    return found if found is not None and _certain(*found) else None


def _likeliest(measurement: Measurement) -> tuple[str, Blind] | None:
    """The likeliest kind, however uncertain; None of a picture that is too small or flat."""
    if min(measurement.y.shape[-2:]) < SMALLEST or float(measurement.y.std()) == 0:
        return None
    soft, *others = estimate_blurs(measurement, ("gaussian-blur", *BETTER))
    for (kind, least), other in zip(BETTER.items(), others, strict=True):
        size, better = next(iter(other.values)), soft.loss - other.loss
        errors = other.values[size] / other.errors[size] if other.errors[size] > 0 else 0.0
        if (better > least and errors > SURE[kind]) or (better > PLAIN[kind] and errors > 3):
            return kind, other
    return "gaussian-blur", soft


def _certain(kind: str, blur: Blind) -> bool:
    """Whether there is a blur to be undone."""
    if kind != "gaussian-blur":
        return True
    return blur.values["sigma"] - ODDS * blur.errors["sigma"] > WIDE


def fit(params: BlindBlur, measurement: Measurement) -> Fitted:
    """The operator of a photograph, `blind` to its blur.

    Raises:
        InputError: raw k-space.
    """
    if measurement.y.is_complex():
        raise InputError("a photograph's blur is looked for, this is raw k-space", "inverse restore mri-cartesian FILE")
    with torch.no_grad():
        try:
            found = _likeliest(measurement)
        except InputError:  # too coarse a JPEG file
            found = None
    if found is None or not _certain(*found):
        plain, why = fitted_operator({"kind": "denoise"}, measurement), NONE
        if found is not None:
            sure = " that is sure enough to be undone" if found[1].values["sigma"] > WIDE else ""
            why = f"{NONE}{sure} ({found[1]})"
        return Fitted(plain.y, plain.shape, plain.build, plain.sigma, said=(*plain.said, why))
    kind, blur = found
    operator = {"kind": kind, **blur.values, "boundary": params.boundary}
    return fitted_to(operator, measurement, errors=blur.errors, said=(f"blurred by {_NAMES[kind]} {blur}",))


def blind(params: BlindBlur, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Physics:
    """Of no measurement: no blur."""
    del params
    return build_operator("denoise", shape=shape, noise=noise_model, dtype=dtype)
