"""Intervals of a mean: they cover, they repeat, and nothing degenerate breaks them."""

import math

import numpy as np
import pytest

from inverse.numerics.statistics import mean_interval


def test_the_intervals_of_a_skewed_population_cover_its_mean():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        low, high = mean_interval(rng.exponential(size=40), level=0.9)
        inside += low <= 1 <= high
    assert 0.82 <= inside / 200 <= 0.96


def test_the_same_values_give_the_same_interval():
    values = [0.2, 0.9, 1.4, 3.0, 0.1]
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, level=0.5)[0] > mean_interval(values, level=0.99)[0]


@pytest.mark.parametrize("values", [[], [3.0], [3.0, math.nan], [math.inf, 2.0]])
def test_fewer_than_two_finite_values_have_no_interval(values):
    assert all(math.isnan(end) for end in mean_interval(values))


@pytest.mark.parametrize("value", [0.0, -2.5, 1e9])
def test_equal_values_are_their_own_interval(value):
    assert mean_interval([value] * 5) == (value, value)
