"""Templates escape what is put into them; pictures are data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from inverse.io.pages import image_url, template


def test_a_template_escapes_its_values_and_misses_none() -> None:
    page = template("inverse.posterior", "display.html")
    shown = {"count": 0, "box": "", "quiet": "", "side": 1}
    assert "&lt;b&gt;" in page.render(items=[], foot="<b>", **shown)
    with pytest.raises(UndefinedError):
        page.render(items=[], **shown)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_is_in_its_url(kind: str) -> None:
    head, _, data = image_url(Image.fromarray(np.full((3, 5), 128, np.uint8)), kind).partition(",")
    assert head == f"data:image/{kind};base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == (kind.upper(), (5, 3))
