"""One cell of a suite: one method on one task on one image, measured.

A measurement is simulated with noise keyed by (seed, image), so all rows of a task see the same one. Operator and noise
level are given to all. All use the prior in the same precision.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inverse.benchmark.peers.registry import Peer
from inverse.benchmark.peers.setting import Counted, Setting
from inverse.benchmark.suite import MethodRow
from inverse.errors import RecipeError
from inverse.io.pages import image_url
from inverse.metrics.pixels import psnr
from inverse.metrics.samples import crps
from inverse.metrics.windows import ssim
from inverse.numerics.statistics import interval_quantile
from inverse.operators.build import build_operator
from inverse.operators.observation import Observation
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import Case
from inverse.restoration.item import solve
from inverse.restoration.plan import Compute
from inverse.restoration.prior import fit_prior, open_recipe_prior, resolve_dtype
from inverse.sampling.methods import method_spec
from inverse.sampling.posterior_samples import simulate

__all__ = ["Bench", "PeerError", "Reconstruction", "Result", "results", "thumbnail"]

Clock = Callable[[], float]
THUMBNAIL = 128


def _cpu_seconds() -> float:
    return time.process_time() + sum(os.times()[2:4])


class PeerError(Exception):
    """A peer that raised, or gave what is not finite: a result of its own, no failure of ours."""


@dataclass(frozen=True)
class Reconstruction:
    """The estimate and the samples that a method gave for one image."""

    mean: Tensor  # (1, C, H, W)
    samples: Tensor | None  # (K, 1, C, H, W), or None of a point estimate
    interval: tuple[Tensor, Tensor] | None  # ends of the 90 % intervals, (1, C, H, W) each
    forward: float  # network evaluations
    vjp: float  # vector-Jacobian products
    option: str = ""  # what was chosen with the truth


@dataclass(frozen=True)
class Result:
    """One of a peer's results."""

    option: str  # what it was made with, where there are several
    samples: Tensor  # (K, C, H, W) on [0, 1], finite; of a point estimate one
    forward: int  # network evaluations
    vjp: int  # vector-Jacobian products
    seconds: float  # wall time of this one
    cpu: float  # processor seconds of this one


def results(peer: Peer, setting: Setting, clock: Clock, cpu: Clock) -> list[Result]:
    """All results of a peer, those that are not finite left out.

    Peers draw from torch's global generator, and nothing else can be given to them: it is seeded here, and left as it
    was.

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
            given = peer.load()(setting)
            for option, value in [("", given)] if isinstance(given, Tensor) else given:
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
    """Measures cells; priors stay open from cell to cell."""

    clock: Clock = time.perf_counter  # wall seconds
    cpu: Clock = _cpu_seconds  # seconds of the processors, with those of other programs that were called
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
        return physics, simulate(truth, physics, seed=recipe.run.seed, items=[name])

    def cell(self, row: MethodRow, truth: Tensor, name: str, *, picture: bool) -> dict[str, Any]:
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
            made, misfit = self._ours(row.recipe, physics, y, tuple(truth.shape[1:]), name)
            seconds, busy = self.clock() - began, self.cpu() - busy
        else:
            made, misfit, seconds, busy = self._best(row, physics, y, truth, crop)
        return {
            **_scores(made, shown, width),
            "misfit": misfit,
            "F": made.forward,
            "V": made.vjp,
            "seconds": seconds,
            "cpu": busy,
            "samples": 0 if made.samples is None else len(made.samples),
            **({"option": made.option} if made.option else {}),
            **({"picture": thumbnail(made.mean, row.recipe.data.range)} if picture else {}),
        }

    def pictures(self, row: MethodRow, truth: Tensor, name: str) -> dict[str, str]:
        """Thumbnails of the truth, and of the measurement where it is an image, else of its adjoint's."""
        physics, y = self.measurement(row.recipe, truth, name)
        seen = physics.A_adjoint(y) if y.is_complex() or y.shape[1] != truth.shape[1] else y
        limits, crop = row.recipe.data.range, getattr(physics, "output_crop", None)
        return {"truth": thumbnail(_framed(truth, crop), limits), "measurement": thumbnail(seen, limits)}

    def _ours(
        self, recipe: Recipe, physics: Any, y: Any, shape: tuple[int, ...], name: str
    ) -> tuple[Reconstruction, float]:
        prior, dtype = self.fitted(recipe, shape[0])
        case = Case(y, physics, shape, sigma=float(recipe.noise.model_dump()["sigma"]), estimated=False)
        post = solve(case, prior, recipe, Compute(dtype, "cpu"), items=[name], batch=recipe.run.batch)
        point = method_spec(recipe.method_kind).point_estimate
        spread = not point and (len(post.samples) > 1 or post.knows_spread)
        interval = (post.quantile(0.05), post.quantile(0.95)) if spread else None
        made = Reconstruction(post.mean, None if point else post.draws, interval, post.cost.forward, post.cost.vjp)
        return made, float(post.misfit.mean())

    def _best(
        self, row: MethodRow, physics: Any, y: Any, truth: Tensor, crop: Any
    ) -> tuple[Reconstruction, float, float, float]:
        """The best of a peer's results by the truth, its misfit, and the seconds that this one took."""
        best: tuple[float, Reconstruction, float, float, float] | None = None
        observation = Observation.create(y, physics, shape=tuple(truth.shape[1:]))
        assert row.peer is not None
        kind = str(row.recipe.operator.model_dump()["kind"])
        if reason := row.peer.refuses(kind) or row.peer.missing:
            raise PeerError(reason)
        setting, low, width = self._setting(row, physics, y, tuple(truth.shape[1:]))
        for result in results(row.peer, setting, self.clock, self.cpu):
            if result.samples.shape[1:] != truth.shape[1:]:
                sizes = (" x ".join(map(str, image.shape[-2:])) for image in (result.samples, truth))
                raise PeerError("gives {} pixels, the unknown has {}".format(*sizes))
            samples = low + width * result.samples
            mean, drawn = samples.mean(0, keepdim=True), samples[:, None] if row.peer.samples else None
            misfits = [observation.misfit(image) for image in (mean[None] if drawn is None else drawn)]
            shown = None if drawn is None else _framed(drawn, crop)
            made = Reconstruction(_framed(mean, crop), shown, None, result.forward, result.vjp, result.option)
            score = float(psnr(_visible(made.mean), _visible(_framed(truth, crop)))[0])
            if best is None or score > best[0]:
                best = score, made, float(torch.stack(misfits).mean()), result.seconds, result.cpu
        if best is None:
            raise PeerError("no result that is finite")
        _, made, misfit, seconds, busy = best
        if made.samples is not None and len(made.samples) > 1:
            ends = interval_quantile(made.samples, 0.05), interval_quantile(made.samples, 0.95)
            made = replace(made, interval=ends)
        return made, misfit, seconds, busy

    def _setting(self, row: MethodRow, physics: Any, y: Any, shape: tuple[int, ...]) -> tuple[Setting, float, float]:
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
            y = (y - low * physics.A(torch.ones(1, *shape, dtype=torch.float32))) / width
        theirs = build_operator(recipe.located()["operator"], shape=shape, noise=sigma)
        if peer.package == "deepinv" and peer.samples:
            from inverse.benchmark.peers.deepinv import own_physics  # its samplers come and go with deepinv's versions

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


def _scores(made: Reconstruction, truth: Tensor, width: float) -> dict[str, float]:
    mean, target = _visible(made.mean), _visible(truth)
    scores = {
        "psnr": float(psnr(mean, target, data_range=width)[0]),
        "ssim": float(ssim(mean, target, data_range=width)[0]),
        "crps": float((made.mean - truth).abs().mean()),
    }
    if made.samples is not None and len(made.samples) > 1:
        scores["crps"] = float(crps(made.samples, truth)[0])
    if made.interval is not None:
        low, high = made.interval
        scores["coverage90"] = float(((low <= truth) & (truth <= high)).float().mean())
    return scores


def thumbnail(image: Tensor, limits: tuple[float, float]) -> str:
    """A JPEG of an image (1, C, H, W) for a page: the base64 of its data URL, which is what a cell's file holds."""
    low, high = limits
    array = ((_visible(image)[0].clamp(low, high) - low) / (high - low) * 255).round().byte().numpy()
    array = np.moveaxis(array[:3] if len(array) >= 3 else array[:1], 0, -1)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return image_url(picture, "jpeg", quality=88).partition(",")[2]
