r"""Training of a diffusion prior: the one training code, for the embedded priors and for a user's own.

.. math::
    \min_\theta E_{x, \sigma, n} \lambda(\sigma) \lVert D_\theta(x + \sigma n, \sigma) - x \rVert^2, \quad
    \lambda(\sigma) = (\sigma^2 + \sigma_d^2) / (\sigma \sigma_d)^2

(Karras et al. 2022, section 5), with AdamW, gradient clipping, an exponential moving average of the weights, and a
warm-up / constant / cosine-cooldown learning rate, so that the end of a run can still be moved while the rate is
constant. Every draw of a step is a function of (seed, step): a run that was killed and resumed from its checkpoint
takes the steps it would have taken. bfloat16 autocast with float32 master weights; the same code on a CPU and a GPU.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from inverse.errors import PriorError, RecipeError
from inverse.priors.models.unet import EDMDenoiser, UNet
from inverse.priors.training.corpus import Corpus
from inverse.priors.training.draws import Draws
from inverse.priors.training.measure import denoising_psnr, squares
from inverse.priors.training.schedule import TrainingSchedule
from inverse.priors.training.settings import TrainConfig

__all__ = ["blank_denoiser", "fitted", "train"]

logger = logging.getLogger("inverse.train")

#: Settings that may change between resumptions.
FREE = ("steps", "minutes", "cooldown", "every", "threads")


def blank_denoiser(
    config: TrainConfig,
    channels: int,
    *,
    complex: bool,  # noqa: A002
    sigma_data: float,
) -> EDMDenoiser:
    """A denoiser with the initial weights of the settings' seed; complex images lie on [-1, 1], others on [0, 1]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = UNet(config.network(channels)).float()
    return EDMDenoiser(network, sigma_data=sigma_data, data_range=(-1.0, 1.0) if complex else (0.0, 1.0))


def fitted(tensors: Mapping[str, Tensor], network: UNet) -> dict[str, Tensor]:
    """Weights of another prior for this network.

    Where the image channels differ, the first and last layers start from the mean over channels.

    Raises:
        PriorError: any other shape differs.
    """
    state, fold = {}, network.config.unshuffle**2
    for name, value in network.state_dict().items():
        given = tensors.get(name)
        if given is None:
            raise PriorError(
                f"--init: the weights have no '{name}'", "the network must have the same channels and blocks"
            )
        given = given.float()
        axis = 1 if name == "head.weight" else 0
        if name in ("head.weight", "tail.weight", "tail.bias") and given.shape != value.shape:
            old, new = given.shape[axis] // fold, value.shape[axis] // fold
            parts = (*given.shape[:axis], old, fold, *given.shape[axis + 1 :])
            shared = given.reshape(parts).mean(axis, keepdim=True)
            shared = shared * (old / new) ** 0.5 if name == "head.weight" else shared
            given = shared.repeat_interleave(new, axis).flatten(axis, axis + 1)
        if given.shape != value.shape:
            raise PriorError(
                f"--init: '{name}' is {tuple(given.shape)}, this network's {tuple(value.shape)}",
                "the network must have the same channels and blocks",
            )
        state[name] = given
    return state


def _save(path: Path, state: dict[str, object]) -> None:
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _optimise(
    denoiser: EDMDenoiser,
    average: EDMDenoiser,
    optimiser: torch.optim.Optimizer,
    draws: Draws,
    schedule: TrainingSchedule,
    start: int,
) -> Iterator[tuple[int, Tensor]]:
    """Take steps from ``start`` on, without an end; yield (steps done, loss) after each."""
    device, config = next(denoiser.parameters()).device, schedule.config
    for step in count(start):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        clean, sigma, noise = (part.to(device) for part in draws(step))
        with torch.autocast(device.type, torch.bfloat16):
            estimate = denoiser.model(clean + sigma[:, None, None, None] * noise, sigma)
        data = denoiser.sigma_data
        weight = (sigma**2 + data**2) / (sigma * data) ** 2
        loss = (weight[:, None, None, None] * (estimate - clean).square()).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(denoiser.parameters(), config.clip)
        if torch.isfinite(norm):
            optimiser.step()
        decay = min(config.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), denoiser.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - decay)
        yield step + 1, loss.detach()


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by SIGINT and SIGTERM: a step is finished and saved before the training ends."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(
    corpus: Corpus, config: TrainConfig, device: str, init: Mapping[str, Tensor] | None
) -> tuple[EDMDenoiser, EDMDenoiser, torch.optim.AdamW]:
    """The denoiser that is trained, the average of its weights, and its optimiser, before the first step."""
    sigma_data = config.sigma_data or (round(corpus.variance() ** 0.5, 3) if corpus.complex else 0.5)
    denoiser, average = (
        blank_denoiser(config, corpus.channels, complex=corpus.complex, sigma_data=sigma_data) for _ in range(2)
    )
    if init is not None:
        denoiser.network.load_state_dict(fitted(init, denoiser.network))
    average.load_state_dict(denoiser.state_dict())
    denoiser.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average.to(device, memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    parameters = denoiser.parameters()
    optimiser = torch.optim.AdamW(parameters, lr=config.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    return denoiser, average, optimiser


def _log(path: Path, record: Mapping[str, Any], length: str, minutes: float) -> None:
    """Append a record to the training's log, and say it with the minutes that are left."""
    with open(path, "a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")
    text = f"step {record['step']:,} of {length}, loss {record['loss']:.4f}"
    psnr = record["held_out_psnr"]["25"]
    logger.info("%s, held-out PSNR %.2f dB at noise 25, about %.0f min left", text, psnr, minutes)


def _signature(corpus: Corpus, config: TrainConfig, init: Mapping[str, Tensor] | None) -> dict[str, str]:
    """What a checkpoint belongs to, key by key."""
    settings = {key: json.dumps(value) for key, value in config.model_dump(mode="json").items() if key not in FREE}
    start = hashlib.sha256()
    for name, value in sorted((init or {}).items()):
        start.update(name.encode() + value.float().numpy().tobytes())
    return {**settings, "the images": corpus.digest[:16], "--init": start.hexdigest()[:16] if init else "none"}


def _resume(path: Path, signature: dict[str, str], device: str) -> dict[str, Any]:
    """The state of an interrupted training.

    Raises:
        RecipeError: it is that of another one.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise RecipeError(f"{path.name} cannot be read: {type(error).__name__}", "remove it to start again") from error
    differs = [key for key, value in signature.items() if state["signature"].get(key) != value]
    if differs:
        raise RecipeError(
            f"the folder holds a training with other settings: {', '.join(differs)}",
            "use these, or another --name or --work",
        )
    return state


def train(
    corpus: Corpus, work: Path, config: TrainConfig, *, device: str = "cpu", init: Mapping[str, Tensor] | None = None
) -> tuple[EDMDenoiser, Corpus, dict[str, Any]]:
    """Train, or resume training, a prior on images, of which some are held out (:meth:`Corpus.split`).

    The folder `work` has the checkpoint (``checkpoint.pt``) and the log (``log.jsonl``). ``steps`` may be changed
    between resumptions as long as the rate is constant; with ``minutes`` the time of all sessions decides. With `init`
    these weights are fine-tuned. Returns the denoiser with averaged weights, float32, on the CPU; the held-out images;
    the last log record.

    Raises:
        RecipeError: the folder belongs to another training.
        KeyboardInterrupt: it was interrupted; the step was finished and saved.
    """
    work.mkdir(parents=True, exist_ok=True)
    denoiser, average, optimiser = _start(corpus, config, device, init)
    stateful: dict[str, Any] = {"denoiser": denoiser, "average": average, "optimiser": optimiser}
    checkpoint, first, seconds = work / "checkpoint.pt", 0, 0.0
    signature = _signature(corpus, config, init)
    if checkpoint.exists():
        state = _resume(checkpoint, signature, device)
        for name, each in stateful.items():
            each.load_state_dict(state[name])
        first, seconds = state["step"], state["seconds"]
        logger.info("resumed at step %d of %d", first, config.steps)
    training, held_out = corpus.split(config.held_out, config.seed)
    draws = Draws(training, config, denoiser.sigma_data, torch.device(device))
    test = [image.to(device) for image in squares(held_out)]
    schedule, saved = TrainingSchedule(config, seconds), time.monotonic()
    losses: list[Tensor] = []  # on the device: a number a step would wait for each
    record: dict[str, Any] = {"step": first, "seconds": round(seconds)}
    length = f"{config.steps:,}" if config.minutes is None else f"{config.minutes:g} minutes"
    with _asked_to_stop() as asked:
        steps = () if schedule.over(first) else _optimise(denoiser, average, optimiser, draws, schedule, first)
        for done, loss in steps:
            losses.append(loss)
            over = schedule.over(done)  # asked once a step: the clock goes on
            if time.monotonic() - saved < config.every and not over and not asked.is_set():
                continue
            elapsed = schedule.elapsed
            states = {name: each.state_dict() for name, each in stateful.items()}
            _save(checkpoint, {**states, "signature": signature, "step": done, "seconds": elapsed})
            if asked.is_set():
                raise KeyboardInterrupt
            record = {
                "step": done,
                "seconds": round(elapsed),
                "loss": round(float(torch.stack(losses).mean()), 5),
                "rate": schedule.rate(done),
                "held_out_psnr": denoising_psnr(average, test, levels=(25.0,), complex=corpus.complex),
            }
            _log(work / "log.jsonl", record, length, schedule.left(done))
            losses, saved = [], time.monotonic()
            if over:
                break
    return average.cpu(), held_out, record
