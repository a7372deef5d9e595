"""One cell of a suite: one method on one task on one image, measured.

A measurement is simulated with noise keyed by (seed, image), so all rows of a task see the same one. Operator and noise level are given to all. All use the
prior in the same precision.
"""

from __future__ import annotations

import base64
import io
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import inverse
from inverse.benchmark.peers.registry import Peer
from inverse.benchmark.peers.setting import Counted, Setting
from inverse.benchmark.suite import Row
from inverse.errors import RecipeError
from inverse.metrics.registry import psnr, ssim
from inverse.metrics.samples import crps
from inverse.operators.build import build_operator
from inverse.operators.observation import Observation
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import fit_prior, method_kind, open_recipe_prior, resolve_dtype
from inverse.sampling.method_spec import method_spec

__all__ = ["Bench", "Estimate", "PeerError", "Result", "results", "thumbnail"]

Clock = Callable[[], float]
THUMBNAIL = 128


def _cpu_seconds() -> float:
    return time.process_time() + sum(os.times()[2:4])


class PeerError(Exception):
    """A peer that raised, or gave what is not finite: a result of its own, no failure of ours."""


@dataclass(frozen=True)
class Estimate:
    """What a method gave for one image.

    Attributes:
        mean: (1, C, H, W).
        samples: (K, 1, C, H, W), or None of a point estimate.
        interval: Ends of the 90 % intervals, (1, C, H, W) each, or None.
        forward: Network evaluations.
        vjp: Vector-Jacobian products.
        option: What was chosen with the truth, or nothing.
    """

    mean: Tensor
    samples: Tensor | None
    interval: tuple[Tensor, Tensor] | None
    forward: float
    vjp: float
    option: str = ""


@dataclass(frozen=True)
class Result:
    """One of a peer's results.

    Attributes:
        option: What it was made with, where there are several.
        samples: (K, C, H, W) on [0, 1], finite; of a point estimate one.
        forward: Network evaluations.
        vjp: Vector-Jacobian products.
        seconds: Wall time of this one.
        cpu: Processor seconds of this one.
    """

    option: str
    samples: Tensor
    forward: int
    vjp: int
    seconds: float
    cpu: float


def results(peer: Peer, setting: Setting, clock: Clock, cpu: Clock) -> list[Result]:
    """All results of a peer, those that are not finite left out.

    Peers draw from torch's global generator, and nothing else can be given to them: it is seeded here, and left as it was.

    Raises:
        PeerError: it raised.
    """
    counted = setting.denoise
    made: list[Result] = []
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(setting.seed)
        try:
            before = clock(), cpu(), counted.forward_count, counted.vjp
            found = peer.load()(setting)
            for option, value in [("", found)] if isinstance(found, Tensor) else found:
                after = clock(), cpu(), counted.forward_count, counted.vjp
                seconds, busy, forward, vjp = (b - a for a, b in zip(before, after, strict=True))
                samples = value.detach().float()
                if bool(samples.isfinite().all()):
                    name = option if peer.chosen > 1 else ""
                    made.append(Result(name, samples, int(forward), int(vjp), seconds, busy))
                before = clock(), cpu(), counted.forward_count, counted.vjp
        except Exception as error:
            text = str(error).strip().splitlines()
            raise PeerError(f"{type(error).__name__}: {text[0] if text else ''}"[:110]) from error
    return made


@dataclass
class Bench:
    """Measures cells; priors stay open from cell to cell.

    Attributes:
        clock: Seconds, wall.
        cpu: Seconds of the processors, with those of other programs that were called.
    """

    clock: Clock = time.perf_counter
    cpu: Clock = field(default=_cpu_seconds)
    _priors: dict[str, Any] = field(default_factory=dict)
    _fitted: dict[tuple[str, int], tuple[Any, str]] = field(default_factory=dict)

    def prior(self, recipe: Recipe) -> Any:
        """The recipe's prior."""
        key = str(recipe.located()["prior"]) + str(recipe.data.range)
        if key not in self._priors:
            self._priors[key] = open_recipe_prior(recipe)
        return self._priors[key]

    def fitted(self, recipe: Recipe, channels: int) -> tuple[Any, str]:
        """The prior for so many channels in the precision of this machine, warmed up, and that precision."""
        prior = self.prior(recipe)
        key = (str(recipe.located()["prior"]) + str(recipe.data.range) + recipe.run.dtype, channels)
        if key not in self._fitted:
            dtype = resolve_dtype(recipe.run.dtype, prior, "cpu")
            self._fitted[key] = fit_prior(prior, channels, dtype=dtype, device="cpu"), dtype
        return self._fitted[key]

    def measurement(self, recipe: Recipe, truth: Tensor, name: str) -> tuple[Any, Any]:
        """Physics and measurement of an image (1, C, H, W)."""
        sigma = float(recipe.noise.model_dump()["sigma"])
        physics = build_operator(recipe.located()["operator"], shape=tuple(truth.shape[1:]), noise=sigma)
        if not hasattr(physics, "A_adjoint"):
            raise RecipeError("an operator that is not linear", "suites are for linear ones")
        return physics, inverse.simulate(truth, physics, seed=recipe.run.seed, items=[name])

    def cell(self, row: Row, truth: Tensor, name: str, *, picture: bool) -> dict[str, Any]:
        """The numbers of one method on one image, and its picture.

        Raises:
            InverseError: Ours cannot do it.
            PeerError: A peer cannot.
        """
        physics, y = self.measurement(row.recipe, truth, name)
        crop = getattr(physics, "output_crop", None)
        shown = _framed(truth, crop)
        width = row.recipe.data.range[1] - row.recipe.data.range[0]
        if row.peer is None:
            began, busy = self.clock(), self.cpu()
            found, misfit = self._ours(row.recipe, physics, y, tuple(truth.shape[1:]), name, crop)
            seconds, busy = self.clock() - began, self.cpu() - busy
        else:
            found, misfit, seconds, busy = self._best(row, physics, y, truth, crop)
        return {
            **_scores(found, shown, width),
            "misfit": misfit,
            "F": found.forward,
            "V": found.vjp,
            "seconds": seconds,
            "cpu": busy,
            "samples": 0 if found.samples is None else len(found.samples),
            **({"option": found.option} if found.option else {}),
            **({"picture": thumbnail(found.mean, row.recipe.data.range)} if picture else {}),
        }

    def pictures(self, row: Row, truth: Tensor, name: str) -> dict[str, str]:
        """Of the truth, and of the measurement where it is an image, else of its adjoint's."""
        physics, y = self.measurement(row.recipe, truth, name)
        seen = physics.A_adjoint(y) if y.is_complex() or y.shape[1] != truth.shape[1] else y
        limits, crop = row.recipe.data.range, getattr(physics, "output_crop", None)
        return {"truth": thumbnail(_framed(truth, crop), limits), "measurement": thumbnail(seen, limits)}

    def _ours(
        self, recipe: Recipe, physics: Any, y: Any, shape: tuple[int, ...], name: str, crop: Any
    ) -> tuple[Estimate, float]:
        prior, dtype = self.fitted(recipe, shape[0])
        post = inverse.sample(
            y, physics, prior, method=method_kind(recipe), samples=recipe.run.samples, seed=recipe.run.seed, shape=shape,
            items=[name], dtype=dtype, batch=recipe.run.batch,
            **{key: value for key, value in recipe.params.items() if value is not None},
        )  # fmt: skip
        post = replace(post, crop=crop)
        point = method_spec(method_kind(recipe)).point_estimate
        spread = not point and (len(post.samples) > 1 or post.knows_spread)
        interval = (post.quantile(0.05), post.quantile(0.95)) if spread else None
        found = Estimate(post.mean, None if point else post.samples, interval, post.cost.forward, post.cost.vjp)
        return found, float(post.misfit.mean())

    def _best(self, row: Row, physics: Any, y: Any, truth: Tensor, crop: Any) -> tuple[Estimate, float, float, float]:
        """The best of a peer's results by the truth, with the time that this one took."""
        best: tuple[float, Estimate, float, float, float] | None = None
        observation = Observation.create(y, physics, shape=tuple(truth.shape[1:]))
        assert row.peer is not None
        kind = str(row.recipe.operator.model_dump()["kind"])
        if reason := row.peer.missing or row.peer.refuses(kind):
            raise PeerError(reason)
        setting, low, width = self._setting(row, physics, y, tuple(truth.shape[1:]))
        for result in results(row.peer, setting, self.clock, self.cpu):
            if result.samples.shape[1:] != truth.shape[1:]:
                sizes = (" x ".join(map(str, image.shape[-2:])) for image in (result.samples, truth))
                raise PeerError("gives {} pixels, the unknown has {}".format(*sizes))
            samples = low + width * result.samples
            mean, drawn = samples.mean(0, keepdim=True), samples[:, None] if row.peer.samples else None
            found, seconds, busy = (
                Estimate(mean, drawn, None, result.forward, result.vjp, result.option),
                result.seconds,
                result.cpu,
            )
            whole = found.mean[None] if found.samples is None else found.samples
            misfit = float(torch.stack([observation.misfit(one) for one in whole]).mean())
            framed = replace(
                found,
                mean=_framed(found.mean, crop),
                samples=None if found.samples is None else _framed(found.samples, crop),
            )
            score = float(psnr(_visible(framed.mean), _visible(_framed(truth, crop)))[0])
            if best is None or score > best[0]:
                best = score, framed, misfit, seconds, busy
        if best is None:
            raise PeerError("no result that is finite")
        _, found, misfit, seconds, busy = best
        if found.samples is not None and len(found.samples) > 1:
            from inverse.numerics.statistics import interval_quantile

            ends = interval_quantile(found.samples, 0.05), interval_quantile(found.samples, 0.95)
            found = replace(found, interval=ends)
        return found, misfit, seconds, busy

    def _setting(self, row: Row, physics: Any, y: Any, shape: tuple[int, ...]) -> tuple[Setting, float, float]:
        """What a peer gets, on [0, 1], and the two numbers that lead back."""
        peer, recipe = row.peer, row.recipe
        assert peer is not None
        low, high = recipe.data.range
        card = None
        denoise: Any = _no_prior
        if peer.prior:
            denoise, _ = self.fitted(recipe, shape[0])
            card = denoise.card
            low, high = card.data_range
        width = high - low
        sigma = float(recipe.noise.model_dump()["sigma"]) / width
        if (low, width) != (0.0, 1.0):
            y = (y - low * physics.A(torch.ones(1, *shape))) / width
        theirs = build_operator(recipe.located()["operator"], shape=shape, noise=sigma)
        if peer.package == "deepinv" and peer.samples:
            from inverse.benchmark.peers.deepinv import own_physics

            theirs = own_physics(recipe.located()["operator"], theirs, shape, sigma)
        mean = 0.5 if card is None else (float(card.mean) - low) / width
        limits = {} if card is None else {"lowest": card.sigma_min / width, "highest": card.sigma_max / width}
        counted = Counted(lambda u, s: (denoise(low + width * u, width * s) - low) / width, mean=mean, **limits)
        variance = 0.25 if card is None else card.data_var / width**2
        setting = Setting(
            y=y, physics=theirs, shape=shape, sigma=sigma, denoise=counted, mean=mean, data_var=variance,
            samples=recipe.run.samples, evaluations=row.evaluations, operator=recipe.located()["operator"],
            seed=recipe.run.seed,
        )  # fmt: skip
        return setting, low, width


def _no_prior(u: Tensor, s: Tensor) -> Tensor:
    raise RuntimeError("this peer has no prior")


def _framed(image: Tensor, crop: tuple[int, int, int, int] | None) -> Tensor:
    if crop is None:
        return image
    top, left, height, width = crop
    return image[..., top : top + height, left : left + width]


def _visible(image: Tensor) -> Tensor:
    """What is looked at: of a complex image, two channels, its magnitude."""
    return image.square().sum(-3, keepdim=True).sqrt() if image.shape[-3] == 2 else image


def _scores(found: Estimate, truth: Tensor, width: float) -> dict[str, float]:
    mean, target = _visible(found.mean), _visible(truth)
    scores = {
        "psnr": float(psnr(mean, target, data_range=width)[0]),
        "ssim": float(ssim(mean, target, data_range=width)[0]),
        "crps": float((found.mean - truth).abs().mean()),
    }
    if found.samples is not None and len(found.samples) > 1:
        scores["crps"] = float(crps(found.samples, truth)[0])
    if found.interval is not None:
        low, high = found.interval
        scores["coverage90"] = float(((low <= truth) & (truth <= high)).float().mean())
    return scores


def thumbnail(image: Tensor, limits: tuple[float, float]) -> str:
    """A JPEG of an image (1, C, H, W) for a page, base64."""
    from PIL import Image

    low, high = limits
    array = ((_visible(image)[0].clamp(low, high) - low) / (high - low) * 255).round().byte().numpy()
    array = np.moveaxis(array[:3] if len(array) >= 3 else array[:1], 0, -1)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return base64.b64encode(stream.getvalue()).decode()
