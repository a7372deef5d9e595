"""Who wins a task of a suite, in sentences made from its numbers; where we lose, they say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from inverse.benchmark.run import Done
from inverse.numerics.statistics import mean_interval

__all__ = ["FEWEST", "TaskVerdict", "verdicts"]

_METRICS = (("psnr", "PSNR", 1, 2, " dB"), ("ssim", "SSIM", 1, 3, ""), ("crps", "CRPS", -1, 4, ""))
_LEVEL = 0.9
_NEAR = 0.03

#: Images from which a difference is taken for one: the bootstrap of fewer knows too little of their spread.
FEWEST = 4

#: Row to image to value.
Values = dict[str, dict[str, float]]


@dataclass(frozen=True)
class TaskVerdict:
    """The comparison of ours with the peers by one metric."""

    metric: str
    result: str  # won, lost, undecided, or nothing where there is no peer to compare with
    sentence: str


def verdicts(done: Sequence[Done]) -> tuple[TaskVerdict, ...]:
    """The comparisons of one task's cells."""
    if any(cell.cell.task.problem for cell in done):
        return _exactness(done)
    judged = [*(_metric(done, *metric) for metric in _METRICS), _coverage(done), _time(done)]
    return tuple(verdict for verdict in judged if verdict is not None)


def _values(done: Sequence[Done], key: str, *, ours: bool) -> Values:
    values: Values = {}
    for cell in done:
        value = cell.numbers.get(key)
        if (cell.cell.row.peer is None) == ours and value is not None and math.isfinite(value):
            values.setdefault(cell.cell.row.name, {})[cell.cell.image] = float(value)
    return values


def _best(values: Values, score: Callable[[float], float]) -> str | None:
    """Of the rows with most images the one of highest score."""
    most = max((len(images) for images in values.values()), default=0)
    rows = [row for row, images in values.items() if len(images) == most]
    return max(rows, key=lambda row: score(fmean(values[row].values())), default=None)


def _metric(done: Sequence[Done], key: str, title: str, sign: int, digits: int, unit: str) -> TaskVerdict | None:
    ours, theirs = (_values(done, key, ours=which) for which in (True, False))
    mine, peer = (_best(values, lambda value: sign * value) for values in (ours, theirs))
    if mine is None or peer is None:
        name = mine or peer
        if name is None:
            return None
        mean = fmean((ours | theirs)[name].values())
        return TaskVerdict(title, "", f"{title}: best is {name}, {mean:.{digits}f}{unit}.")
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
    means = (fmean([values[image] for image in same]) for values in (ours[mine], theirs[peer]))
    first, second = (f"{mean:.{digits}f}{unit}" for mean in means)
    chance = "no difference beyond chance" if len(same) >= FEWEST else "too few images to decide"
    word = {"won": "we win", "lost": "**we lose**", "undecided": chance}[result]
    return TaskVerdict(
        title,
        result,
        f"{title}: {word}: our best, {mine}, {first}; the peers' best, {peer}{_chosen(done, peer)}, {second}; "
        f"difference {fmean(gaps):+.{digits}f}{interval} on the same {len(same)} image{'s' * (len(same) != 1)}.",
    )


def _chosen(done: Sequence[Done], row: str) -> str:
    peer = next(cell.cell.row.peer for cell in done if cell.cell.row.name == row)
    return " (chosen with the truth)" if peer is not None and peer.chosen > 1 else ""


def _coverage(done: Sequence[Done]) -> TaskVerdict | None:
    ours, theirs = (_values(done, "coverage90", ours=which) for which in (True, False))
    mine, peer = (_best(values, lambda value: -abs(value - _LEVEL)) for values in (ours, theirs))
    if mine is None:
        return None
    own = fmean(ours[mine].values())
    if peer is None:
        return TaskVerdict(
            "coverage", "", f"Coverage of 90 % intervals: nearest is {mine}, {own:.2f}; no peer here has intervals."
        )
    other = fmean(theirs[peer].values())
    away = abs(other - _LEVEL) - abs(own - _LEVEL)
    result = "undecided" if abs(away) < _NEAR else "won" if away > 0 else "lost"
    word = {"won": "we win", "lost": "**we lose**", "undecided": "alike"}[result]
    return TaskVerdict(
        "coverage",
        result,
        f"Coverage of 90 % intervals: {word}: our nearest, {mine}, {own:.2f}; the peers' nearest, {peer}, {other:.2f}.",
    )


def _time(done: Sequence[Done]) -> TaskVerdict | None:
    names = []
    for which in (True, False):
        best = _best(_values(done, "psnr", ours=which), lambda value: value)
        if best is None:
            return None
        names.append((best, fmean(_values(done, "cpu", ours=which)[best].values())))
    (mine, own), (peer, other) = names
    if min(own, other) <= 0:
        return None
    ratio = own / other
    word = f"{ratio:.2g} times slower" if ratio > 1 else f"{1 / ratio:.2g} times faster"
    times = f"{mine} takes {own:.2g} cpu seconds an image, {peer} {other:.2g}"
    return TaskVerdict(
        "time",
        "lost" if ratio > 1.1 else "won" if ratio < 0.9 else "undecided",
        f"Time of those best by PSNR: {'**we lose**: ' if ratio > 1.1 else ''}{times}: we are {word}.",
    )


def _exactness(done: Sequence[Done]) -> tuple[TaskVerdict, ...]:
    """Which methods are exact here, and which is furthest."""
    off = {}
    for cell in done:
        numbers = cell.numbers
        if "std_range" in numbers:
            off[cell.cell.row.name] = max(abs(numbers[key] - 1) for key in ("std_range", "std_null"))
        elif "wasserstein" in numbers:
            off[cell.cell.row.name] = numbers["wasserstein"] / numbers["wasserstein_floor"] - 1
    if not off:
        return ()
    nearest, worst = (choose(off, key=lambda name: off[name]) for choose in (min, max))
    if "wasserstein" in next(cell.numbers for cell in done if cell.numbers):
        distance = f"{off[worst] + 1:.1f} times the distance of exact samples"
        text = f"Nearest to exact: {nearest}; furthest: {worst}, {distance}."
    else:
        near = ", ".join(sorted(name for name, value in off.items() if value <= _NEAR)) or "none"
        text = f"Standard deviations within {_NEAR:.0%}: {near}; furthest: {worst}, {off[worst]:.0%} off."
    return (TaskVerdict("exactness", "", text),)
