"""What a notebook shows of a posterior and of a run."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import inverse
from inverse.runs.summary import Run

RECIPE: dict[str, Any] = {
    "operator": {"kind": "random-mask", "missing": 0.5},
    "noise": {"sigma": 0.05},
    "prior": {"name": "gaussian"},
    "method": {"kind": "ddrm", "steps": 3},
}


class Seen(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.depth: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.depth.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag


def restored(batch: int = 1, samples: int = 3, channels: int = 3, **changes: Any) -> inverse.Posterior:
    array = np.random.default_rng(0).random((batch, 40, 60, channels), dtype=np.float32)
    names = [f"<{i}>" for i in range(batch)]
    return inverse.restore({**RECIPE, **changes}, array, samples=samples, items=names)


def pictures(page: Seen) -> list[tuple[str, np.ndarray]]:
    found = []
    for tag, attributes in page.tags:
        if tag == "img":
            data = (attributes["src"] or "").removeprefix("data:image/png;base64,")
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                found.append((attributes["alt"] or "", np.asarray(image)))
    return found


def test_a_posterior_shows_itself() -> None:
    post = restored()
    text = post._repr_html_()
    page = Seen(text)
    assert page.depth == []
    assert {"script", "link", "style", "iframe"}.isdisjoint({tag for tag, _ in page.tags})
    assert "http" not in text
    assert "background" not in text
    assert "&lt;0&gt;" in text
    shown = pictures(page)
    assert [alt for alt, _ in shown] == [
        "posterior mean",
        "posterior standard deviation",
        "share of the data in each pixel",
    ]
    assert all(image.shape == (128, 192, 3) for _, image in shown)
    expected = np.rint(255 * np.clip(np.moveaxis(post.mean[0].numpy(), 0, -1), 0, 1))
    small = np.asarray(Image.fromarray(expected.astype(np.uint8)).resize((192, 128), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(shown[0][1], small)
    assert re.search(r"misfit \d+\.\d\d, expected 1", text)
    assert "3 samples by ddrm, 3 steps; an item took 9 network evaluations" in text
    share = round(100 * float(post.data_share.mean()))
    assert f"{share} % on average" in text


def test_a_batch_shows_its_first_items_and_stays_small() -> None:
    text = restored(batch=5)._repr_html_()
    assert len(pictures(Seen(text))) == 9
    assert "2 more of 5 items" in text
    assert len(text) < 500_000


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_show_too(channels: int) -> None:
    shown = pictures(Seen(restored(channels=channels)._repr_html_()))
    assert shown[0][1].shape == ((128, 192, 3) if channels > 2 else (128, 192))


def test_one_sample_says_that_it_has_no_deviation() -> None:
    text = restored(samples=1)._repr_html_()
    assert "one sample has no deviation" in text
    assert "1 sample by" in text


def test_a_long_computation_is_not_started_by_showing(monkeypatch: pytest.MonkeyPatch) -> None:
    blur = {"kind": "gaussian-blur", "sigma": 1.0, "boundary": "free"}
    post = restored(operator=blur, method={"kind": "diffpir", "steps": 2})
    assert "ask for .data_share" in post._repr_html_()
    post.data_share  # noqa: B018
    assert "on average" in post._repr_html_()


def test_values_far_from_a_picture_say_their_range() -> None:
    values = torch.full((1, 1, 20, 20), 900.0)
    wide = {"operator": {"kind": "denoise"}, "noise": {"sigma": 1e-3}, "data": {"range": [0, 1023]}}
    post = inverse.restore({**RECIPE, **wide}, values)
    assert re.search(r"mean, shown from [789]\d\d", post._repr_html_())


def test_lines_are_short() -> None:
    post = restored(batch=2)
    assert repr(post).startswith("<Posterior: 3 samples of 2 items, 3 x 40 x 60, ddrm, 3 steps, 9 evaluations an item")
    assert len(repr(post)) < 140
    vector = inverse.sample(
        torch.zeros(1, 8),
        inverse.build_operator("denoise", shape=(8,), noise=0.1),
        "gaussian",
        method="ddrm",
        samples=2,
    )
    assert "8, ddrm" in repr(vector)
    assert "<img" not in vector._repr_html_()


def test_a_run_shows_its_items() -> None:
    rows = [
        {"item": f"{i}<.png", "status": "done", "misfit": 1.02, "data_share": 0.31, "seconds": 2.5} for i in range(11)
    ]
    rows.append({"item": "x.png", "status": "failed", "note": "cannot be read"})
    run = Run(Path("out/a"), tuple(rows), (), ())
    text = run._repr_html_()
    assert Seen(text).depth == []
    assert "11 done, 1 failed" in text
    assert "2 more in items.csv" in text
    assert "0&lt;.png" in text
    assert "1.02" in text
    assert repr(run) == "<Run 'a': 11 done, 1 failed>"
