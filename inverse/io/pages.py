"""HTML pages: templates by Jinja2 that escape what is put into them, and pictures as data URLs."""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL.Image import Image

__all__ = ["image_url", "template"]


@cache
def template(package: str, path: str) -> Template:
    """The template at a path inside a package; it escapes all values that `markupsafe.Markup` does not mark as HTML."""
    from jinja2 import Environment, StrictUndefined  # takes longer to load than a small picture to restore

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    return environment.from_string(files(package).joinpath(path).read_text(encoding="utf-8"))


def image_url(picture: Image, kind: str, **options: Any) -> str:
    """A picture as a data URL of a kind ``png``, ``jpeg`` or ``webp``, with options of Pillow's writer."""
    stream = io.BytesIO()
    picture.save(stream, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
