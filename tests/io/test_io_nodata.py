"""Which pixels without a value are filled: gaps and holes of a scene, never its border unless asked."""

from __future__ import annotations

import numpy as np
import pytest

from inverse.io.nodata import filled_by, footprint, still_valid


@pytest.fixture
def pass_with_gaps():
    """A tilted pass with stripes that open into its border, and a cloud; what is outside."""
    rows, columns = np.mgrid[:200, :220]
    inside = (columns - 0.2 * rows > 25) & (columns - 0.2 * rows < 170)
    gaps = (rows + 0.15 * columns) % 33 < 12
    cloud = np.hypot(rows - 100, columns - 110) < 28
    return inside, inside & ~gaps & ~cloud


def test_gaps_are_filled_and_the_border_is_not(pass_with_gaps):
    inside, valid = pass_with_gaps
    kept = footprint(valid)
    assert (kept | ~valid).all()
    assert (kept & ~inside).mean() < 0.005
    assert (inside & ~kept).sum() < 0.02 * inside.sum()  # corners where a gap opens into the border


def test_the_rule(pass_with_gaps):
    _, valid = pass_with_gaps
    assert np.array_equal(still_valid(valid), valid)
    assert np.array_equal(still_valid(valid, fill="gaps"), footprint(valid))
    assert still_valid(valid, fill="all") is None
    assert still_valid(None) is None
    hole = np.ones((30, 30), bool)
    hole[10:20, 10:20] = False
    assert still_valid(hole, fill="gaps") is None
    twice = still_valid(valid, size=(400, 440))
    assert np.array_equal(twice, np.kron(valid, np.ones((2, 2), bool)))
    bands = still_valid(np.stack([valid, np.ones_like(valid)], -1), fill="gaps")
    assert bands[..., 1].all()
    assert np.array_equal(bands[..., 0], footprint(valid))


def test_what_an_operator_fills():
    gaps = {"kind": "gap-mask", "fill": "gaps"}
    assert filled_by({"kind": "gaussian-blur", "sigma": 1.0}) == "none"
    assert filled_by(gaps) == "gaps"
    assert filled_by({"kind": "chain", "operators": [{"kind": "denoise"}, gaps]}) == "gaps"
