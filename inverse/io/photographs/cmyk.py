"""Printing colours to sRGB: by the file's own profile, or as screens show ink where it has none.

Without a profile red is (1 - cyan) (1 - black), and so on. With one the conversion is relative colorimetric with black
points matched, by Little CMS. The profile is of ink, so the result has none.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from inverse.io.content import Array

__all__ = ["to_rgb"]


def to_rgb(image: Image.Image, profile: bytes | None) -> tuple[Array, str]:
    """A picture of mode CMYK (0 is no ink) as (H, W, 3) uint8 of sRGB, and a sentence on how."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            name = " ".join(ImageCms.getProfileDescription(own).split())[:60]
            converted = ImageCms.profileToProfile(
                image,
                own,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if converted is not None:
                return np.array(converted), f"CMYK, converted to sRGB by its profile ({name})"
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return np.array(image.convert("RGB")), "CMYK without a profile that can be read, converted to RGB as screens do"
