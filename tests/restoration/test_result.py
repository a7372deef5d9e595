"""A row of ``items.csv`` with types: written, read back, and what it says."""

from __future__ import annotations

import csv
import io
import math

from inverse.restoration.result import COLUMNS, NO_SCORE, ItemResult, typed
from inverse.storage.files import csv_bytes

MARKED = {
    "height": 8,
    "width": 9,
    "channels": 3,
    "samples": 4,
    "method": "diffpir, 20 steps",
    "noise_sigma": 0.1,
    "noise_estimated": True,
    "calibrated": False,
    "misfit": 1.5,
    "data_share": 0.25,
    "forward": 20.0,
    "vjp": 0.0,
    "a": 40.0,
    "at": 40.0,
    "seconds": 0.125,
    "peak_bytes": 123456,
    "surprise": 1.0625,
    "whiteness": 1.0,
    "correlation": -0.015625,
    "psnr": 30.0,
    "coverage90": 0.5,
    "restored": "restored/1.png",
    "sha256": "12",
    "clipped": 0.0,
    "note": "7",
}


def test_a_row_of_a_marker_is_the_same_again_in_its_order() -> None:
    result = ItemResult.from_row({"item": "1.png", "status": "done", **MARKED})
    assert list(result.row().items()) == list(MARKED.items())
    assert result.scores == {"psnr": 30.0, "coverage90": 0.5}
    assert result.coverage90 == 0.5


def test_a_row_of_a_file_has_the_types_of_the_fields() -> None:
    row = {"item": "1", "status": "done", **MARKED, "mismatch": "3"}
    (texts,) = csv.DictReader(io.StringIO(csv_bytes([row], list(row)).decode()))
    assert {name: typed(name, text) for name, text in texts.items()} == row
    assert typed("of another version", "some text") == "some text"
    assert typed("peak_bytes", "12.0") == 12  # summed over blocks


def test_what_an_old_row_lacks_is_empty() -> None:
    result = ItemResult.from_row({"item": "a", "misfit": 1.0})
    assert math.isnan(result.data_share)
    assert result.note == result.method == ""
    assert result.clipped == 0.0
    assert result.doubts == ()


def test_columns_and_what_is_no_score() -> None:
    assert COLUMNS[:3] == ("item", "status", "restored")
    assert COLUMNS[-2:] == ("sha256", "note")
    assert len(COLUMNS) == 22
    assert {"misfit", "data_share", "forward", "vjp", "seconds", "whiteness"}.isdisjoint(NO_SCORE)
    assert {"height", "noise_sigma", "a", "clipped", "regions", "note"} <= NO_SCORE


def test_a_point_estimate_is_known_by_its_method() -> None:
    row = {"item": "a", "misfit": 1.0, "data_share": 0.5}
    point = ItemResult.from_row({**row, "method": "red-diff, 100 steps, a point estimate"})
    assert [doubt.code for doubt in point.doubts] == ["point-estimate"]
    assert point.evidence[-1] == "red-diff, 100 steps, a point estimate: the spread of its samples is no uncertainty"
    assert not ItemResult.from_row({**row, "method": "a point estimate of a method that is not installed"}).doubts


def test_every_doubt_has_its_code_and_number() -> None:
    row = {
        "item": "a",
        "misfit": 0.5,
        "data_share": 0.5,
        "method": "pnp-dm, 9 steps",
        "whiteness": 9.0,
        "correlation": 0.5,
    }
    row |= {"mismatch": "foreign", "surprise": 3.0, "r_hat": 2.0, "particles_lowest": 1.0}
    doubts = ItemResult.from_row(row).doubts
    codes = ("misfit-low", "residual-coloured", "mismatch", "surprise", "not-mixed", "few-particles")
    assert tuple(doubt.code for doubt in doubts) == codes
    assert [doubt.number for doubt in doubts] == [0.5, 9.0, None, 3.0, 2.0, 1.0]
    assert [doubt.severity for doubt in doubts] == ["bad", *["doubt"] * 5]
    estimated = ItemResult.from_row(row | {"noise_estimated": True, "misfit": 0.4})
    low, second, *_ = estimated.doubts
    assert (low.severity, second.code) == ("note", "mismatch"), "a level that is too high, no wrong operator"
    assert "the level may be too high" in estimated.evidence[0]
    (unknown,) = ItemResult.from_row({"item": "a", "misfit": math.nan, "data_share": 0.5}).doubts
    assert (unknown.code, unknown.severity) == ("misfit-unknown", "note")
