"""The loop's header holds an example of the whole of it: it runs as it stands, and ends at the exact posterior."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from inverse.sampling import loop


def test_the_example_of_the_header_runs_and_is_exact() -> None:
    text = (loop.__doc__ or "").split("::\n")[1]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(text), names)
    step, y = names["step"], names["observation"].y
    assert step.index == 49
    # the posterior of y = x + 0.1 n, x white about 0.5 with variance 0.0625
    mean, std = 0.5 + 0.0625 / 0.0725 * (y - 0.5), (0.0625 * 0.01 / 0.0725) ** 0.5
    assert float((step.x - mean).std()) == pytest.approx(std, rel=0.15)
    assert abs(float((step.x - mean).mean())) < 4 * std / 16
