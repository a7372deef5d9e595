"""What a run says of its calibration is what its results have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from inverse.runs.summary import _calibration

APPLIED = {"file": "c.json", "applied": True, "says": "recalibrated on 74 images"}


def said(*calibrated: bool, unusable: str | None = None) -> Any:
    results = [SimpleNamespace(unusable=unusable, calibrated=one) for one in calibrated]
    found = _calibration(SimpleNamespace(results=results), APPLIED)  # type: ignore[arg-type]
    assert found is not None
    return found["applied"], found["says"]


def test_intervals_are_called_recalibrated_where_they_are() -> None:
    assert said(True, True) == (True, APPLIED["says"])
    assert said(True, False) == (True, "recalibrated on 74 images; of 1 of 2 results")
    applied, words = said(False, False)  # each was refused, as auto chose another method
    assert not applied
    assert words.startswith("intervals are not recalibrated")
    assert said(True, unusable="why") == (False, "no result is usable: there are no intervals to speak of")
