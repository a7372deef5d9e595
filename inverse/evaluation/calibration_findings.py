"""Findings of the calibration statistics on a set of images: as data (``calibration.json``) and in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.calibration.ranks import Ranks, central, sbc, tarp
from inverse.calibration.statistics import (
    LEVELS,
    Curve,
    Prediction,
    coverage,
    needed_levels,
    normal_scores,
    range_null,
    spread_skill,
    stretch,
)
from inverse.numerics.statistics import worth
from inverse.storage.files import plain

if TYPE_CHECKING:
    from inverse.posterior.posterior import Posterior

__all__ = ["Findings", "calibrate", "predictions_of", "verdict"]

#: Half width of a 99 % interval over that of a 95 % interval.
SURE = 2.576 / 1.960
#: How far from 90 % the coverage of a single image, which has no interval, is called as it should be.
SLACK = 0.02


@dataclass(frozen=True)
class Findings:
    """How well a posterior's uncertainty fits its errors."""

    coverage: Curve  # of central intervals
    stretch: float  # how many times as wide 90 % intervals would have to be
    z_std: float  # standard deviation of the truths' normal scores
    spread: NDArray[Any]  # predicted root mean square errors, by bins
    error: NDArray[Any]  # actual ones
    tarp: Curve | None  # of patches; None without samples
    tarp_whole: Curve | None  # of whole images
    ranks: Ranks | None  # of values; None without samples
    chi2: Mapping[str, float]  # measured, expected (of samples), mean, mean_expected; NaN where not known
    range_null: Mapping[str, Any]  # as `inverse.calibration.statistics.range_null`
    per_item: tuple[dict[str, Any], ...]
    recalibrated: bool = False  # intervals are, and so not the samples' own
    notes: tuple[str, ...] = ()  # what else is to be said

    def as_dict(self) -> dict[str, Any]:
        """The schema of ``calibration.json``; what is not known is null."""
        content: dict[str, Any] = {
            "schema": 1, "items": len(self.per_item), "recalibrated": self.recalibrated, **_curve(self.coverage),
            "tarp": None if self.tarp is None else _curve(self.tarp),
            "tarp_whole": None if self.tarp_whole is None else _curve(self.tarp_whole),
            "sbc": None if self.ranks is None else {
                "counts": self.ranks.counts.tolist(),
                "expected": self.ranks.expected,
                "band": list(self.ranks.band),
            },
            "spread_skill": {"spread": self.spread.tolist(), "error": self.error.tolist()},
            "stretch90": self.stretch, "z_std": self.z_std, "chi2": dict(self.chi2),
            "range_null": dict(self.range_null),
            "says": self.says(), "per_item": list(self.per_item),
        }  # fmt: skip
        return {key: plain(value) for key, value in content.items()}

    def says(self) -> list[str]:
        """What was found, in sentences, the verdict first."""
        lines = [verdict(self.coverage, self.stretch)]
        if self.recalibrated:
            lines.append("intervals and std are recalibrated; ranks, TARP and misfit are of the samples, which are not")
        lines.append(f"the truth's normal scores have standard deviation {self.z_std:.2f}, 1 expected")
        ratio = math.sqrt(float(np.mean(self.error**2) / max(np.mean(self.spread**2), 1e-30)))
        lines.append(f"root mean square error is {ratio:.2f} times the predicted one")
        if self.tarp is not None:
            held, low, high = central(self.tarp)
            text = f"TARP: of patches 90 % should lie between the 5 % and 95 % regions, {100 * held:.0f} % do"
            lines.append(f"{text}{_sign(low, high, 0.9)}")
        if self.ranks is not None:
            told = {-1: ": overconfident", 0: "", 1: ": underconfident"}[self.ranks.verdict]
            lean = f"; truths lie {'above' if self.ranks.tilt > 0 else 'below'} the samples" if self.ranks.leans else ""
            text = f"ranks: the truth is beyond nearly all samples {self.ranks.ends:.1f} times as often as expected"
            lines.append(f"{text}{told}{lean}")
        lines += self._of_misfit() + self._of_spaces()
        return [*lines, *self.notes]

    def _of_misfit(self) -> list[str]:
        measured, mean, expected = (self.chi2[name] for name in ("measured", "mean", "mean_expected"))
        lines = []
        if math.isfinite(measured):
            away = "samples are too far from the measurement" if measured > 1 else "samples follow its noise"
            told = "as expected" if 1 / 1.1 < measured < 1.1 else away
            lines.append(f"misfit of the samples {measured:.2f}, 1 expected of a calibrated posterior: {told}")
        if math.isfinite(mean):
            about = f", about {expected:.2f} expected" if math.isfinite(expected) else ""
            lines.append(f"misfit of the mean {mean:.2f}{about}")
        return lines

    def _of_spaces(self) -> list[str]:
        if not self.range_null:
            return []
        where = {
            "operator": ("in what the data determine", "in what they do not"),
            "data share": ("weighted by data share", "by what is left of it"),
        }[self.range_null["kind"]]
        texts = [
            f"{place} the error is {space['ratio']:.2f} times the predicted one ({space['error']:.3g})"
            f"{_sign(1 / space['high'], 1 / space['low'], 1)}"
            for place, space in zip(where, (self.range_null["range"], self.range_null["null"]), strict=True)
            if math.isfinite(space["ratio"]) and space["ratio"] > 0
        ]
        return ["; ".join(texts)] if texts else []


def _sign(low: float, high: float, expected: float) -> str:
    """The sign of a share's interval beside the share expected; nothing where it holds that, or is not known."""
    return ": overconfident" if high < expected else ": underconfident" if low > expected else ""


def verdict(curve: Curve, stretched: float, level: float = 0.9) -> str:
    """The sentence on the intervals of a level: overconfident, underconfident, or as they say."""
    held, low, high = curve.at(level)
    known = math.isfinite(low)
    span = f" ({100 * low:.1f} to {100 * high:.1f} %)" if known else " (one image: no interval)"
    # named where a 99 % interval leaves the level out: of twenty calibrated runs one is outside its 95 % interval
    low, high = (held + SURE * (end - held) if known else held + slack for end, slack in ((low, -SLACK), (high, SLACK)))
    holds = f"{100 * level:.0f} % intervals hold {100 * held:.1f} %{span}"
    if high < level:
        return f"overconfident: {holds}: std too small by {stretched:.2f}"
    if low > level:
        return f"underconfident: {holds}: std too large by {1 / max(stretched, 1e-9):.2f}"
    return f"calibrated: {holds}"


def calibrate(
    predictions: Sequence[Prediction], *, data_range: tuple[float, float] = (0.0, 1.0), notes: Sequence[str] = ()
) -> Findings:
    """All statistics of a set of images with known truths; `data_range` is of the reference points of TARP."""
    needed = [needed_levels(prediction) for prediction in predictions]
    scores = [normal_scores(prediction, levels) for prediction, levels in zip(predictions, needed, strict=True)]
    curve = coverage(needed)
    spread, error = spread_skill(predictions)
    items = tuple(
        {
            "item": prediction.item, "coverage90": float(held[LEVELS.index(0.9)]), "stretch90": stretch([prediction]),
            "z_std": float(z.std()), "rmse": float(np.sqrt(np.mean(prediction.error**2))), "misfit": prediction.misfit,
        }
        for prediction, held, z in zip(predictions, curve.each, scores, strict=True)
    )  # fmt: skip
    return Findings(
        coverage=curve,
        stretch=stretch(predictions),
        z_std=math.sqrt(float(np.mean([np.mean(z**2) for z in scores]))),
        spread=spread,
        error=error,
        tarp=tarp(predictions, data_range=data_range),
        tarp_whole=tarp(predictions, data_range=data_range, whole=True),
        ranks=sbc(predictions),
        chi2=_chi2(predictions),
        range_null=range_null(predictions),
        per_item=items,
        recalibrated=any(prediction.table is not None for prediction in predictions),
        notes=tuple(notes),
    )


def _chi2(predictions: Sequence[Prediction]) -> dict[str, float]:
    def mean(values: Sequence[float]) -> float:
        known = [value for value in values if math.isfinite(value)]
        return float(np.mean(known)) if known else math.nan

    expected = [
        1 - (1 - 1 / one.count if one.count else 1.0) * float(one.share.sum()) / one.measured
        for one in predictions
        if one.share is not None and one.measured
    ]
    return {
        "measured": mean([one.misfit for one in predictions]), "expected": 1.0,
        "mean": mean([one.misfit_mean for one in predictions]), "mean_expected": mean(expected),
    }  # fmt: skip


def predictions_of(post: Posterior, truth: Any) -> list[Prediction]:
    """A batch beside its truths (B, C, *S) in data units; the operator at hand, errors are split by its null space."""
    import torch

    def determine(index: int) -> Any:
        def determined(image: NDArray[Any]) -> NDArray[Any]:
            d = torch.zeros_like(post.states[0])
            d[index] = torch.from_numpy(image).to(d)
            return np.asarray(post.determined(d)[index].double().cpu().numpy())

        return determined

    arrays = {name: getattr(post, name).double().cpu().numpy() for name in ("mean", "std", "data_share")}
    samples, true = post.draws.double().cpu().numpy(), truth.double().cpu().numpy()
    misfit = post.misfit.mean(0)
    whole = post.observation.misfit(post.mean.to(post.states)) if post.crop is None else None
    recalibrated = post.calibration
    return [
        Prediction(
            item, true[index], arrays["mean"][index], arrays["std"][index],
            count=0 if post.knows_spread else worth(len(post.samples), antithetic=post.antithetic),
            samples=samples[:, index],
            table=None if recalibrated is None else (recalibrated.levels, recalibrated.factors),
            share=arrays["data_share"][index], misfit=float(misfit[index]),
            misfit_mean=math.nan if whole is None else float(whole[index]),
            determine=determine(index) if post.crop is None else None,
        )
        for index, item in enumerate(post.items)
    ]  # fmt: skip


def _curve(curve: Curve) -> dict[str, list[float]]:
    return {
        "levels": curve.levels.tolist(), "coverage": curve.values.tolist(),
        "coverage_low": curve.low.tolist(), "coverage_high": curve.high.tolist(),
    }  # fmt: skip
