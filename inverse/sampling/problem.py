"""From a measurement, a physics and a prior to the loop: checks, noise levels, start, and the batches of pairs.

A pair is one posterior sample of one item. Pairs with the same noise levels are run together, ``batch`` at a time;
which ones share a batch changes nothing but speed (noise is keyed by item and sample, every reduction is per item).
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import InputError, PriorError, RecipeError, UsageError
from inverse.numerics.linalg import Vector
from inverse.numerics.rng import Rng, require_seed
from inverse.operators.observation import Counter, Observation
from inverse.priors.card import Card
from inverse.priors.models.callable import computed, is_network
from inverse.priors.models.closed_form import closed_form
from inverse.priors.open import open_prior
from inverse.sampling.arguments import checked, checked_names, fitting, named_device, require_memory
from inverse.sampling.auto import Admits, choose, evaluations_in
from inverse.sampling.denoiser import Denoise
from inverse.sampling.infer_card import infer_card
from inverse.sampling.loop import Context, Method, Step, run
from inverse.sampling.method_spec import COMMON, MethodSpec
from inverse.sampling.methods import AUTO, in_words, method_spec, methods
from inverse.sampling.start import initial_mean, noise_levels

__all__ = ["Problem", "Request", "bfloat16_is_fast", "open_denoiser", "peak_bytes", "prepare"]

#: Pixels evaluated together with ``batch="auto"``, without and with gradients of the network.
PIXELS_FORWARD, PIXELS_GRADIENT = 2**20, 2**18


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device computes bfloat16 products natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def peak_bytes(device: torch.device) -> int:
    """Largest resident memory of the process so far, or memory allocated on an accelerator."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


@dataclass(frozen=True)
class Request:
    """What is asked of a sampler beside measurement, physics and prior; fields as the arguments of `inverse.sample`."""

    method: str = "diffpir"
    samples: int | range = 4
    steps: int | None = None
    seed: int = 0
    shape: Sequence[int] | None = None
    items: Sequence[str] | None = None
    batch: int | str = "auto"
    device: torch.device | str = "auto"
    dtype: torch.dtype | str = "auto"
    params: Mapping[str, Any] = field(default_factory=dict)
    admits: Admits | None = None  # what ``auto`` may choose
    antithetic: bool = False

    @property
    def indices(self) -> range:
        """Indices of the samples.

        Raises:
            UsageError: there is none.
        """
        chosen = self.samples
        if isinstance(chosen, int) and not isinstance(chosen, bool):
            chosen = range(chosen)
        if not isinstance(chosen, range) or len(chosen) < 1:
            raise UsageError(
                f"samples {self.samples!r}", "allowed: a whole number from 1, or a range of sample indices"
            )
        if self.antithetic and chosen != range(chosen.start // 2 * 2, chosen.stop):
            raise UsageError(f"antithetic samples {chosen!r}", "allowed: a range from an even number on, without gaps")
        return chosen


@dataclass(frozen=True)
class Problem:
    """A checked sampling problem."""

    observation: Observation  # the measurements (B, ...)
    denoise: Denoise  # the prior, counted
    card: Card
    prior_mean: Tensor  # mean of the prior, broadcasting against (B, C, *S)
    method: Method
    spec: MethodSpec  # its registry entry
    params: Mapping[str, Any]  # its parameters, the defaults filled in
    levels: tuple[tuple[float, ...], ...]  # noise levels of each item
    items: tuple[str, ...]  # names of the items
    seed: int  # the run's seed
    dtype: torch.dtype  # compute precision of the prior
    origin: tuple[int, int] = (0, 0)  # row and column of a larger scene where the unknown begins: it keys the noise
    antithetic: bool = False  # whether samples come in pairs of opposite noise

    @property
    def label(self) -> str:
        """The method in words."""
        return in_words(self.spec.name, self.params)

    def batch_size(self, batch: int | str) -> int:
        """Pairs evaluated together: as given, or from the size of an image."""
        if batch != "auto":
            if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
                raise UsageError(f"batch {batch!r}", "allowed: 'auto' or a whole number from 1")
            return batch
        height_width = self.observation.shape[-2:] if len(self.observation.shape) > 1 else self.observation.shape
        limit = PIXELS_GRADIENT if "grad" in self.spec.needs_for(self.params) else PIXELS_FORWARD
        states = int(self.params[self.spec.particles]) if self.spec.particles else 1
        return max(1, limit // max(1, states * int(torch.Size(height_width).numel())))

    def batches(self, samples: Sequence[int], size: int) -> Iterator[list[tuple[int, int]]]:
        """Lists of at most ``size`` pairs (item, sample), all of one list with the same noise levels."""
        groups: dict[tuple[float, ...], list[int]] = {}
        for item, levels in enumerate(self.levels):
            groups.setdefault(levels, []).append(item)
        for items in groups.values():
            pairs = [(item, sample) for item in items for sample in samples]
            for first in range(0, len(pairs), size):
                yield pairs[first : first + size]

    def steps(self, pairs: Sequence[tuple[int, int]]) -> Iterator[Step]:
        """Run the pairs as one batch; the state of a step is (len(pairs), C, *S)."""
        index = torch.tensor([item for item, _ in pairs], device=self.observation.sigma.device)
        observation = self.observation.select(index)
        names, samples = [self.items[item] for item, _ in pairs], [sample for _, sample in pairs]
        rng = Rng(self.seed, names, samples, self.origin, self.antithetic)
        levels = self.levels[pairs[0][0]]
        if self.spec.closed_form:
            centre = observation.empty() + self.prior_mean
        else:
            items = sorted({item for item, _ in pairs})
            each = self.observation.select(torch.tensor(items, device=index.device))
            centres = initial_mean(each, self.prior_mean, self.card)
            centre = centres[[items.index(item) for item, _ in pairs]]
        start = self.method.start(centre, levels[0], rng)
        denoise = self.denoise.for_samples(rng.samples, self.card)
        for step in run(self.method, denoise, start, levels, observation, rng):
            noted = denoise.surprise.values if denoise.surprise is not None else None
            if noted is None:
                yield step
            else:  # particles of a sample are one entry
                yield replace(step, info={**step.info, "surprise": noted.reshape(len(pairs), -1).amax(1)})


def _capabilities(observation: Observation) -> frozenset[str]:
    has = {"linear": observation.linear, "spectral": observation.spectral, "identity": observation.identity}
    return frozenset({"grad", *(name for name, known in has.items() if known)})


def _kind(needs: Sequence[str]) -> str:
    """Capabilities in words."""
    return (
        "an image with white noise or noise of photons and no other"
        if "identity" in needs
        else f"a {' and '.join(needs)}"
    )


def _check_needs(spec: MethodSpec, values: Mapping[str, Any], observation: Observation) -> None:
    has = _capabilities(observation)
    missing = sorted(spec.needs_for(values) - has)
    if missing:
        fitting = [name for name, other in methods().items() if other.needs_for({}) <= has and not other.closed_form]
        chosen = "".join(f" with {key}" for key, need in spec.needs_with.items() if need - has and not spec.needs - has)
        raise RecipeError(
            f"method '{spec.name}'{chosen} needs {_kind(missing)} operator; "
            f"{type(observation.physics).__name__} is not",
            f"try: {', '.join(fitting) or 'none of the methods fits'}",
        )


def _compose(spec: MethodSpec, params: Mapping[str, Any], card: Card, mean: Tensor) -> Method:
    module, function = spec.factory.split(":")
    factory: Callable[..., Method] = getattr(importlib.import_module(module), function)
    own = {name: value for name, value in params.items() if name != "steps" and name not in COMMON}
    steps = 1 if spec.closed_form else int(params["steps"])
    return factory(
        Context(data_var=card.data_var, gain=card.gain, mean=mean, steps=steps, lowest=card.sigma_min), **own
    )


def _levels(
    method: Method, spec: MethodSpec, params: Mapping[str, Any], card: Card, observation: Observation
) -> tuple[tuple[float, ...], ...]:
    resolved = (observation.sigma / observation.s_max.clamp_min(1e-12)).tolist()
    if "identity" in spec.needs and observation.stabilised is not None:
        resolved = [observation.stabilised.sigma] * observation.batch
    result = []
    for item in range(observation.batch):
        low = max(card.sigma_min, min(0.01 * card.data_var**0.5, 0.1 * resolved[item]) or 0.01 * card.data_var**0.5)
        high = params.get("sigma_max") or (observation.linear and card.sigma_start) or card.sigma_max
        low = params.get("sigma_min") or min(low, high)
        levels = noise_levels(params.get("levels", "karras"), sigma_max=high, sigma_min=low, steps=int(params["steps"]))
        result.append(method.schedule(levels, resolved=resolved[item], linear=observation.linear))
    return tuple(result)


def _precision(dtype: torch.dtype | str, prior: object, device: torch.device) -> torch.dtype:
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype == "auto":
        return torch.bfloat16 if is_network(prior) and bfloat16_is_fast(device) else torch.float32
    chosen = names.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in names.values():
        raise UsageError(f"dtype {dtype!r}", "allowed: auto, float32, bfloat16")
    return chosen


def _seconds(denoiser: Any, x: Tensor, sigma: float) -> float:
    """Seconds of one network evaluation of one state; the first warms up."""
    levels = torch.full((1,), sigma, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        denoiser(x, levels)
        began = time.perf_counter()
        float(denoiser(x, levels).sum())
    return max(time.perf_counter() - began, 1e-9)


def open_denoiser(
    prior: Any, like: Tensor, dtype: torch.dtype | str, counter: Counter
) -> tuple[Any, Card, Tensor, torch.dtype]:
    """A prior ready to be called on states shaped as ``like`` (B, C, *S): denoiser, card, mean and compute precision.

    Raises:
        PriorError: it is missing, or has other channels.
        InputError: the images are smaller than it takes.
    """
    opened = open_prior(prior)
    precision = _precision(dtype, opened, like.device)
    opened = computed(opened, dtype=precision, device=like.device)
    card, mean = opened.card, getattr(opened, "mean", None)
    if card is None:
        card, mean = infer_card(opened, like[:1], counter)
    if card.channels is not None and like.shape[1] != card.channels:
        raise PriorError(f"prior '{card.name}' has {card.channels} channels, the image {like.shape[1]}")
    if min(like.shape[2:], default=card.minimum_size) < card.minimum_size:
        size = " x ".join(str(n) for n in like.shape[2:])
        raise InputError(f"image of {size} pixels; prior '{card.name}' takes {card.minimum_size} and up")
    centre = torch.as_tensor(card.mean if mean is None else mean, dtype=like.dtype, device=like.device)
    return opened, card, centre, precision


def prepare(y: Vector, physics: Any, prior: Any, request: Request) -> Problem:
    """Check everything that can be checked before the first network evaluation; arguments as of `inverse.sample`."""
    if not isinstance(request.method, str):
        raise UsageError(f"method {request.method!r}", f"allowed: {', '.join(methods())}")
    spec = method_spec(request.method)
    values = spec.validate({**request.params, **({} if request.steps is None else {"steps": request.steps})})
    if not isinstance(request.antithetic, bool):
        raise UsageError(f"antithetic {request.antithetic!r}", "allowed: True, False")
    y, physics = checked(y, physics)
    if request.device != "auto":
        device = named_device(request.device)
        y, physics = y.to(device), physics.clone().to(device)
    observation = fitting(y, physics, request.shape)
    require_memory(len(request.indices), observation.batch, observation.shape)
    require_seed(request.seed)
    _check_needs(spec, values, observation)
    names = checked_names(request.items, observation.batch)
    like = observation.empty()
    opened, card, mean, precision = open_denoiser(prior, like, request.dtype, observation.counter)
    if spec is AUTO:
        if values["time_budget"] is not None:
            once = _seconds(opened, like[:1] + mean, card.sigma_max)
            values["max_evaluations"] = evaluations_in(float(str(values["time_budget"])), once)
        has = _capabilities(observation)
        name, values = choose(observation, has, card.data_var, values, admits=request.admits)
        spec = method_spec(name)
    if not observation.linear:
        away = Rng(0, ("",), (0,)).normal(like[:1], step=0, stream="point")
        observation = replace(observation, point=mean + card.data_var**0.5 * away)
    if spec.closed_form:
        closed_form(opened, observation.shape)
    composed = _compose(spec, values, card, mean)
    levels = (
        _levels(composed, spec, values, card, observation)
        if not spec.closed_form
        else ((card.sigma_max, 0.0),) * len(names)
    )
    return Problem(
        observation=observation,
        denoise=Denoise(opened, observation.counter),
        card=card,
        prior_mean=mean,
        method=composed,
        spec=spec,
        params=values,
        levels=levels,
        items=names,
        seed=int(request.seed),
        dtype=precision,
        antithetic=request.antithetic and not spec.knows,
    )
