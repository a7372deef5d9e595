"""Who wins a task of a suite, in sentences made from its numbers; where we lose, they say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inverse.benchmark.run import Done
from inverse.numerics.statistics import mean_interval

__all__ = ["FEWEST", "Verdict", "verdicts"]

_METRICS = (("psnr", "PSNR", 1, 2, " dB"), ("ssim", "SSIM", 1, 3, ""), ("crps", "CRPS", -1, 4, ""))
_LEVEL = 0.9
_NEAR = 0.03

FEWEST = 4
"""Images from which a difference is taken for one: the bootstrap of fewer knows too little of their spread."""


@dataclass(frozen=True)
class Verdict:
    """One comparison.

    Attributes:
        metric: What is compared.
        result: ``won``, ``lost``, ``undecided``, or nothing where there is no peer to compare with.
        sentence: In words.
    """

    metric: str
    result: str
    sentence: str


Values = dict[str, dict[str, float]]
"""Row to image to value."""


def verdicts(done: Sequence[Done]) -> tuple[Verdict, ...]:
    """The comparisons of one task's cells."""
    if any(one.cell.task.problem for one in done):
        return _exactness(done)
    found = [_metric(done, *metric) for metric in _METRICS]
    found += [_coverage(done), _time(done)]
    return tuple(one for one in found if one is not None)


def _values(done: Sequence[Done], key: str, *, ours: bool) -> Values:
    found: Values = {}
    for one in done:
        value = one.numbers.get(key)
        if (one.cell.row.peer is None) == ours and value is not None and math.isfinite(value):
            found.setdefault(one.cell.row.name, {})[one.cell.image] = float(value)
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _best(values: Values, score: Callable[[float], float]) -> str | None:
    """Of the rows with most images the one of highest score."""
    most = max((len(images) for images in values.values()), default=0)
    rows = [row for row, images in values.items() if len(images) == most]
    return max(rows, key=lambda row: score(_mean(list(values[row].values()))), default=None)


def _metric(done: Sequence[Done], key: str, title: str, sign: int, digits: int, unit: str) -> Verdict | None:
    ours, theirs = (_values(done, key, ours=which) for which in (True, False))
    mine, peer = (_best(values, lambda value: sign * value) for values in (ours, theirs))
    if mine is None or peer is None:
        name = mine or peer
        if name is None:
            return None
        mean = _mean(list((ours | theirs)[name].values()))
        return Verdict(title, "", f"{title}: best is {name}, {mean:.{digits}f}{unit}.")
    same = [image for image in ours[mine] if image in theirs[peer]]
    if not same:
        return None
    gaps = [ours[mine][image] - theirs[peer][image] for image in same]
    low, high = mean_interval(gaps)
    better = sorted((sign * low, sign * high))
    result = "undecided"
    if len(same) >= FEWEST:
        result = "won" if better[0] > 0 else "lost" if better[1] < 0 else "undecided"
    interval = f" [{low:+.{digits}f}, {high:+.{digits}f}]" if math.isfinite(low) else ""
    means = (_mean([values[image] for image in same]) for values in (ours[mine], theirs[peer]))
    first, second = (f"{mean:.{digits}f}{unit}" for mean in means)
    chance = "no difference beyond chance" if len(same) >= FEWEST else "too few images to decide"
    word = {"won": "we win", "lost": "**we lose**", "undecided": chance}[result]
    return Verdict(
        title,
        result,
        f"{title}: {word}: our best, {mine}, {first}; the peers' best, {peer}{_chosen(done, peer)}, {second}; "
        f"difference {_mean(gaps):+.{digits}f}{interval} on the same {len(same)} image{'s' * (len(same) != 1)}.",
    )


def _chosen(done: Sequence[Done], row: str) -> str:
    peer = next(one.cell.row.peer for one in done if one.cell.row.name == row)
    return " (chosen with the truth)" if peer is not None and peer.chosen > 1 else ""


def _coverage(done: Sequence[Done]) -> Verdict | None:
    ours, theirs = (_values(done, "coverage90", ours=which) for which in (True, False))
    mine, peer = (_best(values, lambda value: -abs(value - _LEVEL)) for values in (ours, theirs))
    if mine is None:
        return None
    own = _mean(list(ours[mine].values()))
    if peer is None:
        return Verdict(
            "coverage", "", f"Coverage of 90 % intervals: nearest is {mine}, {own:.2f}; no peer here has intervals."
        )
    other = _mean(list(theirs[peer].values()))
    away = abs(other - _LEVEL) - abs(own - _LEVEL)
    result = "undecided" if abs(away) < _NEAR else "won" if away > 0 else "lost"
    word = {"won": "we win", "lost": "**we lose**", "undecided": "alike"}[result]
    return Verdict(
        "coverage",
        result,
        f"Coverage of 90 % intervals: {word}: our nearest, {mine}, {own:.2f}; the peers' nearest, {peer}, {other:.2f}.",
    )


def _time(done: Sequence[Done]) -> Verdict | None:
    names = []
    for which in (True, False):
        best = _best(_values(done, "psnr", ours=which), lambda value: value)
        if best is None:
            return None
        names.append((best, _mean(list(_values(done, "cpu", ours=which)[best].values()))))
    (mine, own), (peer, other) = names
    if min(own, other) <= 0:
        return None
    ratio = own / other
    word = f"{ratio:.2g} times slower" if ratio > 1 else f"{1 / ratio:.2g} times faster"
    return Verdict(
        "time", "lost" if ratio > 1.1 else "won" if ratio < 0.9 else "undecided",
        f"Time of those best by PSNR: {'**we lose**: ' if ratio > 1.1 else ''}{mine} takes {own:.2g} cpu seconds an image, {peer} {other:.2g}: "
        f"we are {word}.",
    )  # fmt: skip


def _exactness(done: Sequence[Done]) -> tuple[Verdict, ...]:
    """Which methods are exact here, and which is furthest."""
    off = {}
    for one in done:
        if "std_range" in one.numbers:
            off[one.cell.row.name] = max(abs(one.numbers[key] - 1) for key in ("std_range", "std_null"))
        elif "wasserstein" in one.numbers:
            off[one.cell.row.name] = one.numbers["wasserstein"] / one.numbers["wasserstein_floor"] - 1
    if not off:
        return ()
    near = sorted(name for name, value in off.items() if value <= _NEAR)
    worst = max(off, key=lambda name: off[name])
    if "wasserstein" in next(one.numbers for one in done if one.numbers):
        text = f"Nearest to exact: {min(off, key=lambda name: off[name])}; furthest: {worst}, {off[worst] + 1:.1f} times the distance of exact samples."
    else:
        text = f"Standard deviations within {_NEAR:.0%}: {', '.join(near) or 'none'}; furthest: {worst}, {off[worst]:.0%} off."
    return (Verdict("exactness", "", text),)
