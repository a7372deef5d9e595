r"""A recipe's noise fitted to a measurement: brought to white Gaussian noise of one level, as the engine knows it.

* gaussian: nothing; with a level for each band, bands are weighted.
* correlated: the measurement is filtered by :math:`S^{-1/2}` in the DCT-II,
  :math:`S \propto \sum_k (1 + (2 \pi |f + k| l)^2)^{-3/2}`, the spectrum of covariance :math:`e^{-r/l}` at pixels,
  mean 1.
* poisson: weighted by the standard deviation :math:`\sqrt{g m}`, m the measurement smoothed (Gaussian, 2 pixels), at
  least half a count.
* poisson-gaussian: the same with :math:`\sqrt{g m + s^2}`. Both of an image that is measured by one factor, so without
  blur or holes, are white noise once stabilised too (`inverse.operators.noise.stabilise`).
* rician: :math:`\sqrt{\max(y^2 - \sigma^2, 0)}`, whose mean is the magnitude to second order in :math:`\sigma / |z|`
  (Gudbjartsson & Patz 1995).
* uniform: level :math:`q / \sqrt{12}`.
* jpeg: the coefficients of the file, weighted (`inverse.operators.noise.jpeg_fit`). A level ``auto`` of Gaussian noise
  and of counts has it too where the measurement is a JPEG file as it was saved.

Weights are scaled so that their mean square is 1 over what was observed, and the level with them: the whitened
measurement keeps its units on average. Weights taken from the measurement follow its noise; smoothing makes that small
(measured on photographs with 30 to 500 counts at full scale: the misfit of the truth is 0.95 to 1.00). Estimated from
the measurement: 0.74 to 1.03, median 0.99.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from inverse.errors import InputError
from inverse.numerics.transforms import dct2_filter, mirror
from inverse.operators.blur.kernels import gaussian_kernel
from inverse.operators.noise import models as noise_levels
from inverse.operators.noise.jpeg_fit import JpegFit, fit_jpeg
from inverse.operators.noise.models import estimate_sigma
from inverse.operators.noise.spec import (
    CorrelatedNoise,
    GaussianNoise,
    JpegNoise,
    PoissonGaussianNoise,
    PoissonNoise,
    RicianNoise,
    UniformNoise,
)
from inverse.operators.noise.stabilise import Stabilised
from inverse.operators.noise.whiten import filtered, whitened

__all__ = ["NoiseFit", "correlated_spectrum", "fit_noise"]

_SMOOTHING = 2.0
_ALIASES = 3
_HINTS = {
    "sigma": "give it: -s noise.sigma=0.01",
    "gain": "give it: -s noise.gain=0.01",
    "step": "give it: -s noise.step=0.004",
}


@dataclass(frozen=True)
class NoiseFit:
    """A measurement as white Gaussian noise of one level explains it.

    Attributes:
        y: The measurement (1, C, h, w), corrected and whitened; the coefficients of a JPEG file.
        sigma: Its noise level.
        weights: What the measurement was multiplied by (1, C, h, w); None: nothing.
        gains: What its cosine transform was multiplied by (1, 1, h, w); None: nothing.
        estimated: Whether something of the noise was estimated from the measurement.
        said: What was found, in sentences.
        observed: As it was given.
        jpeg: What the measurement is as the coefficients of its file; None: an image.
        counts: Of noise of photons the variance over the signal and that of the electronics; None: other noise.
    """

    y: Tensor
    sigma: float
    weights: Tensor | None = None
    gains: Tensor | None = None
    estimated: bool = False
    said: tuple[str, ...] = ()
    observed: Tensor | None = None
    jpeg: JpegFit | None = None
    counts: tuple[float, float] | None = None

    def whitened(self, physics: Any, *, span: tuple[float, float] = (0.0, 1.0)) -> Any:
        """The physics of :attr:`y` from that of the measurement; its noise model is to be of level :attr:`sigma`.

        ``span`` is the range of the prior's images, data units: noise of photons is stabilised where it begins at 0.
        """
        if self.jpeg is not None:
            return self.jpeg.whitened(physics)
        if self.weights is not None:
            weighted = whitened(physics, self.weights, observed=self.observed)
            exposure = getattr(physics, "factor_of_all", None)
            if self.counts is not None and self.observed is None and exposure is not None and span[0] == 0:
                ends_at_black = float(self.y.min()) == 0
                weighted.stabilised = Stabilised(
                    *self.counts, exposure, self.weights, clipped=ends_at_black, white=span[1]
                )
            return weighted
        return physics if self.gains is None else filtered(physics, self.gains)


@torch.no_grad()
def fit_noise(
    section: Any,
    y: Tensor,
    *,
    observed: Tensor | None = None,
    sigma: float | None = None,
    facts: Mapping[str, Any] | None = None,
) -> NoiseFit:
    """Fit a noise section to a measurement.

    Args:
        section: One of :mod:`inverse.operators.noise.spec`.
        y: Measurement (1, C, h, w) in data units; complex ones have gaussian noise alone.
        observed: 0 and 1, broadcasts against ``y``; None: all of it.
        sigma: Level found in the data by the operator's own means, for gaussian noise of level auto.
        facts: What the measurement's file states of itself; a JPEG file's tables among it.

    Raises:
        InputError: noise of kind jpeg of another file; what is to be estimated cannot be, a level for each of another
            number of bands, or correlated noise with unobserved pixels.
    """
    if observed is not None and bool((observed == 1).all()):
        observed = None
    y = y if observed is None else y * observed
    if isinstance(section, JpegNoise) or (facts and sigma is None and "auto" in section.model_dump().values()):
        saved = _saved(section, y, observed, facts or {})
        if saved is not None:
            return saved
    if isinstance(section, GaussianNoise):
        return _profiled(section, y, observed, facts or {}) or _gaussian(section, y, observed, sigma)
    if y.is_complex():
        raise InputError(f"noise of kind {section.kind} in complex data", "allowed: gaussian")
    if isinstance(section, CorrelatedNoise):
        return _correlated(section, y, observed)
    if isinstance(section, PoissonNoise | PoissonGaussianNoise):
        return _counts(section, y, observed)
    if isinstance(section, RicianNoise):
        return _rician(section, y, observed)
    assert isinstance(section, UniformNoise)
    auto = section.step == "auto"
    step = _positive(noise_levels.smallest_step(y, _seen(y, observed)), "step") if auto else float(section.step)
    said = (f"values are multiples of {step:.4g}",) if auto else ()
    return NoiseFit(y, step / math.sqrt(12), estimated=auto, said=said, observed=observed)


def _profiled(section: GaussianNoise, y: Tensor, observed: Tensor | None, facts: Mapping[str, Any]) -> NoiseFit | None:
    """Noise of level auto, of which the measurement's file states the standard deviation of each value; else None."""
    told = facts.get("deviation")
    if section.sigma != "auto" or told is None or tuple(told.shape) != tuple(y.shape[-2:]) or y.shape[1] != 1:
        return None
    deviation = torch.as_tensor(told, dtype=torch.float64, device=y.device)[None, None]
    said = f"noise level {float(deviation.min()):.4f} to {float(deviation.max()):.4f}, by the noise profile of the file"
    return _weighted(y, deviation, observed, estimated=True, said=(said,))


def _saved(section: Any, y: Tensor, observed: Tensor | None, facts: Mapping[str, Any]) -> NoiseFit | None:
    """The noise of a JPEG file; None where it is none, or the section's kind says otherwise."""
    sensor: float | Tensor | None = None
    if isinstance(section, JpegNoise):
        sensor = None if section.sigma == "auto" else float(section.sigma)
    elif isinstance(section, PoissonNoise | PoissonGaussianNoise) and "quantisation" in facts and not y.is_complex():
        counts = _counts(section, y, observed)
        assert counts.weights is not None
        sensor = counts.sigma / counts.weights
    elif not isinstance(section, GaussianNoise):
        return None
    saved = fit_jpeg(y, facts, observed=observed, sensor=sensor)
    if saved is None:
        if isinstance(section, JpegNoise):
            raise InputError("the measurement is not a JPEG file as it was saved", "-s noise.kind=gaussian")
        return None
    return NoiseFit(saved.y, saved.sigma, estimated=True, said=(saved.said,), observed=saved.observed, jpeg=saved)


def _seen(y: Tensor, observed: Tensor | None) -> Tensor:
    return torch.ones_like(y[:, :1]) if observed is None else observed.to(y.dtype).expand(1, *observed.shape[1:])


def _positive(value: float, name: str) -> float:
    if not value > 0:
        what = {"sigma": "noise level", "gain": "size of a count", "step": "distance of neighbouring values"}[name]
        raise InputError(f"the {what} cannot be estimated: the measurement is flat or noise-free", _HINTS[name])
    return value


def _level(rule: Any, y: Tensor, observed: Tensor | None) -> tuple[float, bool, tuple[str, ...]]:
    """A level as given or by a rule, whether it was estimated, and what to say."""
    if not isinstance(rule, str):
        return float(rule), False, ()
    if rule == "auto":
        return _positive(float(estimate_sigma(y, mask=observed)[0]), "sigma"), True, ()
    by = {"wavelet": noise_levels.wavelet_sigma, "background": noise_levels.background_sigma}[rule]
    level = _positive(by(y, _seen(y, observed)), "sigma")
    how = {"wavelet": "the wavelet MAD", "background": "the darkest tenth of its blocks"}[rule]
    return level, True, (f"noise level {level:.4g} by {how}",)


def _gaussian(section: GaussianNoise, y: Tensor, observed: Tensor | None, known: float | None) -> NoiseFit:
    if section.sigma == "auto" and known is not None:
        return NoiseFit(y, known, estimated=True, observed=observed)
    if isinstance(section.sigma, tuple):
        channels = y.shape[1]
        if len(section.sigma) not in (1, channels):
            raise InputError(
                f"{len(section.sigma)} noise levels for {channels} bands", "allowed: one level, or one for each band"
            )
        levels = torch.tensor(section.sigma, dtype=torch.float64).expand(channels).reshape(1, -1, 1, 1)
        return _weighted(y, levels.to(y.device).expand(y.shape), observed, estimated=False, said=())
    real = torch.view_as_real(y).movedim(-1, 2).flatten(1, 2) if y.is_complex() else y
    mask = observed if observed is None or not y.is_complex() else observed.expand(y.shape).repeat_interleave(2, 1)
    level, estimated, said = _level(section.sigma, real, mask)
    return NoiseFit(y, level, estimated=estimated, said=said, observed=observed)


def _weighted(
    y: Tensor, deviation: Tensor, observed: Tensor | None, *, estimated: bool, said: tuple[str, ...]
) -> NoiseFit:
    """Rows divided by their standard deviation (of y's shape), the mean square of the weights 1 where observed."""
    precision = deviation.double().square().reciprocal()
    share = torch.ones_like(precision) if observed is None else observed.double().expand(y.shape)
    sigma = 1 / math.sqrt(float((precision * share).sum() / share.sum().clamp_min(1)))
    weights = (sigma * precision.sqrt()).to(y.dtype)
    return NoiseFit(weights * y, sigma, weights, estimated=estimated, said=said, observed=observed)


def _counts(section: PoissonNoise | PoissonGaussianNoise, y: Tensor, observed: Tensor | None) -> NoiseFit:
    electronics = section.sigma if isinstance(section, PoissonGaussianNoise) else 0.0
    given, variance = section.gain, 0.0 if electronics == "auto" else float(electronics) ** 2
    if "auto" not in (given, electronics):
        fit = _weighted(y, _deviation(y, observed, float(given), variance), observed, estimated=False, said=())
        return replace(fit, counts=(float(given), variance))
    slope, rest = noise_levels.mean_and_variance(y, _seen(y, observed))
    if math.isnan(slope):  # too few blocks for a line: all of it from counts
        mean = float(y.sum() / _seen(y, observed).expand(y.shape).sum())
        slope, rest = float(estimate_sigma(y, mask=observed)[0]) ** 2 / max(mean, 1e-12), 0.0
    if not slope + rest > 0:
        _positive(math.nan, "gain")
    gain, variance = (slope if given == "auto" else float(given)), (rest if electronics == "auto" else variance)
    fit = _weighted(y, _deviation(y, observed, gain, variance), observed, estimated=True, said=())
    shrink = 1.0
    if given == "auto" and y.shape[1] > 1:
        # Once whitened, all channels have one level, and together they tell it from texture better than blocks do.
        again = float(estimate_sigma(fit.y, mask=observed)[0]) / fit.sigma
        shrink = again if 0 < again < 1 else 1.0
    sentence = (
        f"noise variance {shrink**2 * gain:.3g} times the signal plus {shrink * math.sqrt(variance):.3g} "
        "squared, from variance over mean"
    )
    return replace(fit, sigma=shrink * fit.sigma, said=(sentence,), counts=(shrink**2 * gain, shrink**2 * variance))


def _deviation(y: Tensor, observed: Tensor | None, gain: float, variance: float) -> Tensor:
    """Standard deviation of each value, of the variance at the mean of its neighbours."""
    mean = _smoothed(y, observed).double()
    return (gain * mean + variance).clamp_min(max(gain**2 / 2 + variance, 1e-12)).sqrt()


def _smoothed(y: Tensor, observed: Tensor | None) -> Tensor:
    """Mean of the observed neighbours, Gaussian of 2 pixels."""
    line = torch.from_numpy(gaussian_kernel(_SMOOTHING)).sum(0).to(y)
    reach = min(len(line) // 2, *y.shape[-2:])
    line = line[len(line) // 2 - reach : len(line) // 2 + reach + 1]

    def smooth(planes: Tensor) -> Tensor:
        wide = mirror(planes, (reach,) * 4).flatten(0, 1)[:, None]
        wide = conv2d(conv2d(wide, line[None, None, None]), line[None, None, :, None])
        return wide.reshape(planes.shape)

    share = smooth(_seen(y, observed).expand(y.shape).contiguous())
    return smooth(y) / share.clamp_min(1e-6)


def _rician(section: RicianNoise, y: Tensor, observed: Tensor | None) -> NoiseFit:
    level, estimated = 0.0, section.sigma == "auto"
    said: tuple[str, ...] = ()
    if estimated:
        level = noise_levels.background_rayleigh(y, _seen(y, observed))
        said = (f"noise level {level:.4g} from its background",)
    if not level > 0:
        level, estimated, said = _level(section.sigma, y, observed)
    corrected = (y.square() - level**2).clamp_min(0).sqrt()
    return NoiseFit(corrected, level, estimated=estimated, said=said, observed=observed)


def correlated_spectrum(shape: tuple[int, int], correlation: float) -> Tensor:
    """Spectrum of covariance ``exp(-r / correlation)`` at the DCT-II's frequencies (1, 1, h, w), float64, mean 1."""
    spectrum = torch.zeros(shape, dtype=torch.float64)
    rows, columns = (torch.arange(size, dtype=torch.float64) / (2 * size) for size in shape)
    turns = range(-_ALIASES, _ALIASES + 1)
    for up in turns:
        for across in turns:
            squared = (rows[:, None] + up) ** 2 + (columns + across) ** 2
            spectrum += (1 + (2 * torch.pi * correlation) ** 2 * squared) ** -1.5
    return (spectrum / spectrum.mean())[None, None]


def _correlated(section: CorrelatedNoise, y: Tensor, observed: Tensor | None) -> NoiseFit:
    if observed is not None:
        raise InputError("correlated noise with pixels that are not observed", "-s noise.kind=gaussian")
    height, width = y.shape[-2:]
    gains = correlated_spectrum((height, width), section.correlation).rsqrt().to(y)
    return NoiseFit(dct2_filter(y, gains), section.sigma, gains=gains)
