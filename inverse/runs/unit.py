"""One unit of work, and the end of an item: opened, solved, described, written, marked.

A block of samples that is not the whole item is kept in ``.inverse/parts`` until all blocks are there; merging them is
a unit of its own (`inverse.runs.ledger`). Every step can be repeated: a process killed anywhere leaves nothing that is
taken for done.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import Failure, InputError, InverseError, MemoryLimitError, WorkerError
from inverse.io.read_write import read
from inverse.io.sources import check_name
from inverse.posterior.posterior import Posterior
from inverse.posterior.words import seconds_in_words, unusable
from inverse.priors.models.callable import computed
from inverse.restoration.case import PLAN, Case, open_case, require_range
from inverse.restoration.frame import MINIMUM_SIDE, Content, Frame, frame, nothing_in
from inverse.restoration.item import describe, pose, solve, spread, statistics
from inverse.restoration.memory import halved
from inverse.restoration.plan import Item, Job, Plan, Unit, item_name, split
from inverse.restoration.prior import sampling_seconds
from inverse.restoration.result import ItemResult
from inverse.restoration.truth import Truths
from inverse.restoration.write_item import overshoot, write_item
from inverse.runs.ledger import Ledger, renamed
from inverse.runs.merge import merged, write_part
from inverse.runs.progress import Progress
from inverse.sampling.methods import in_words
from inverse.scenes.job import SceneJob, discard, state_folder
from inverse.storage.files import disk_is_full, unsynced
from inverse.storage.locks import claim

__all__ = ["Solver"]

#: Bytes of results after which what is left of them in cycles is collected: that takes a third of a second, however
#: small they are.
GARBAGE = 64 * 2**20
UNSCORED = "no score: a scene of tiles is scored by 'inverse evaluate'"


@dataclass
class _Hand:
    """What a solver has in hand: where in the work it is, and what it opened for the last unit."""

    stage: str = "read"
    content: tuple[str, Content] | None = None  # of an input, by its id
    opened: tuple[str, Frame, Case] | None = None  # of an item
    garbage: int = 0  # bytes of results that were written
    failures: set[str] = field(default_factory=set)  # lines that were said: all units of an item may fail alike


@dataclass
class Solver:
    """Solves units into a run folder."""

    job: Job  # what they share
    plan: Plan  # what the run computes
    paths: Mapping[str, Path]  # input files by id
    truths: Truths  # known truths, for scores and figures only
    progress: Progress  # where evaluations are counted
    _hand: _Hand = field(default_factory=_Hand, repr=False)

    @cached_property
    def ledger(self) -> Ledger:
        """What is done."""
        return Ledger.of(self.job.out, self.job.terms)

    @cached_property
    def prior(self) -> Any:
        """The prior in the run's precision: copied once a run."""
        return computed(self.job.prior, dtype=getattr(torch, self.job.terms.dtype), device=self.job.terms.device)

    def __call__(self, unit: Unit) -> bool:
        """Do a unit unless it is done; False if it failed."""
        item = self.plan.item(unit.item)
        if item is None or item.source not in self.paths:
            return True
        self._hand.stage = "read"
        try:
            check_name(item.item)
            with unsynced(), claim(self.job.out / ".inverse" / "claims" / unit.name):
                self._unit(item, unit)
        except Exception as error:
            self.failed(item, unit, self._hand.stage, error)
            return False
        self.ledger.clear(unit.name)
        return True

    def failed(self, item: Item, unit: Unit, stage: str, error: Exception) -> None:
        """Record why a unit failed.

        Raises:
            InverseError: The same again, if the run is strict or the disk is full.
        """
        failure = Failure.of(item.item, stage, error)
        for path, shown in ((self.paths[item.source], item.source), (self.job.out, "OUT"), (Path.home(), "~")):
            reason, hint = (renamed(text, str(path), shown) for text in (failure.reason, failure.hint))
            failure = replace(failure, reason=reason, hint=hint)
        if disk_is_full(error):
            raise error
        self.ledger.fail(unit.name, failure)
        if failure.line not in self._hand.failures:
            self.progress.say(failure.line, level=logging.WARNING)
            self._hand.failures.add(failure.line)
        self._hand.opened = None
        if self.job.strict:
            raise error if isinstance(error, InverseError) else InverseError(failure.reason, failure.hint) from error

    def lost(self, unit: Unit, how: str) -> None:
        """Record that a unit failed because its workers died."""
        item = self.plan.item(unit.item)
        assert item is not None
        what = "the merge" if unit.merge else f"samples {unit.start} to {unit.stop - 1}"
        what = what if unit.part is None else "its tiles"
        hint = "too little memory is the usual cause: try fewer workers, a smaller --batch, or --tile 256"
        self.failed(item, unit, "merge" if unit.merge else "sample", WorkerError(f"{what}: {how}", hint))

    def serve(self, plan: Plan, path: Path, truth: str | None, progress: Progress) -> None:
        """Be ready for a unit of the only item of `plan`, on a worker; what was opened for the last unit is kept."""
        (item,) = plan.items
        self.plan, self.progress, self.paths = plan, progress, {item.source: path}
        self.truths = Truths({} if truth is None else {item.source: Path(truth)})

    def _unit(self, item: Item, unit: Unit) -> None:
        if unit.merge:
            self._merge(item)
        elif self.ledger.finished(item_name(item.item), item.sha256) or self.ledger.valid(unit.name, item.sha256):
            return
        elif unit.part is not None:
            self._share(item, unit)
        elif item.tile:
            self._scene(item)
        elif left := nothing_in(self._content(item), item.frame):
            self._leave(item, unit, left)
        else:
            frame, case = self._open(item)
            post = self._solve(item, unit, case)
            self._hand.stage = "write"
            if unit.stop - unit.start == self.job.terms.samples:
                self._write(item, frame, case, post)
            else:
                write_part(self.ledger, unit, item, post)

    def _leave(self, item: Item, unit: Unit, why: str) -> None:
        """Mark a slice that holds nothing: it is written as it is."""
        self._say(item, f"left as it is: {why}")
        self.progress.advance(item.item, unit.stop - unit.start)
        self.ledger.mark(item_name(item.item), item.sha256, {}, row={}, empty=why)

    def _content(self, item: Item) -> Content:
        """What an item's file holds."""
        hand = self._hand
        if hand.content is None or hand.content[0] != item.source:
            hand.stage = "read"
            hand.content = item.source, read(self.paths[item.source])
        return hand.content[1]

    def _open(self, item: Item) -> tuple[Frame, Case]:
        hand, job = self._hand, self.job
        if hand.opened is not None and hand.opened[0] == item.item:
            return hand.opened[1:]
        content = self._content(item)
        hand.stage = "prepare"
        channels = job.prior.card.channels if job.prior.card else None
        opened = frame(content, item.frame, job.recipe.data, channels=channels, minimum=MINIMUM_SIDE)
        case = open_case(job.recipe, opened, device=job.terms.device)
        require_range(case, job.recipe, job.prior.card)
        if case.estimated:
            self._say(item, f"noise level estimated from the measurement: {case.sigma:.4g}")
        for sentence in case.notes:
            self._say(item, f"{sentence}; {self._time(case)}" if sentence.startswith(PLAN) else sentence)
        hand.opened = item.item, opened, case
        return opened, case

    def _time(self, case: Case) -> str:
        recipe, compute = self.job.recipe, self.job.terms.compute
        return f"about {seconds_in_words(sampling_seconds(self.job.prior, case.shape, recipe, compute), 0)}"

    def _solve(self, item: Item, unit: Unit, case: Case) -> Posterior:
        self._hand.stage = "sample"

        def draw(batch: int) -> Posterior:
            return solve(
                case,
                self.prior,
                self.job.recipe,
                self.job.terms.compute,
                items=[item.item],
                samples=range(unit.start, unit.stop),
                batch=batch,
                progress=lambda step: self.progress.advance(item.item, step.x.shape[0] / step.total),
            )

        post = halved(
            draw,
            unit.stop - unit.start,
            lambda batch: self._say(item, f"out of memory, batch {batch}"),
            least=1,
            failed="out of memory with one sample at a time",
            hint="solve it by tiles (--tile 256), or crop it",
        )
        self._say_method(item, post.method)
        return post

    def _write(self, item: Item, frame: Frame, case: Case, post: Posterior) -> None:
        """Describe an item that was solved, write its files, and mark it as done."""
        job, calibration = self.job, self.job.calibration
        other = calibration.refused(post.method["kind"]) if calibration else ""
        if other:
            calibration = None
            self._say(item, other)
        post = replace(post, crop=case.crop, calibration=None if calibration is None else calibration.map)
        arrays = statistics(post, case)
        beyond_range = overshoot(arrays["mean"], frame=frame, case=case, recipe=job.recipe)
        lost = unusable(float(arrays["misfit"].mean()), beyond_range)
        if lost and calibration is not None:  # nobody checked intervals of results that explain nothing
            calibration, post = None, replace(post, calibration=None)
            arrays |= spread(post)
        truth, unscored = self._truth(item, frame, arrays["mean"].shape)
        beyond = calibration.outside(case.sigma) if calibration else ""
        if beyond:
            self._say(item, beyond)
        result = describe(
            post, case, arrays, recipe=job.recipe, card=job.prior.card, truth=truth, notes=(other, beyond, unscored)
        )
        result = replace(result, unusable=lost or None)
        made = write_item(job, item, result, frame=frame, case=case, post=post, arrays=arrays, truth=truth)
        if made.clipped > 0.01:
            self._say(item, f"{100 * made.clipped:.1f} % of the values were clipped at the write")
        self._mark(item, result.written(made), made.files, sum(array.nbytes for array in arrays.values()))

    def _truth(self, item: Item, frame: Frame, shape: torch.Size) -> tuple[Tensor | None, str]:
        """The truth and, where it cannot be used, why: a bad truth never fails an item."""
        try:
            return self.truths.load(item.source, shape, frame), ""
        except InputError as error:
            self.progress.say(f"no score: {error.message}")
            return None, f"no score: {error.message}".replace(str(self.truths.paths[item.source]), "the truth")

    def _mark(self, item: Item, result: ItemResult, files: Mapping[str, str], size: int) -> None:
        """Record that an item is done, and collect what is left of it once so many bytes are."""
        name, hand = item_name(item.item), self._hand
        self.ledger.mark(name, item.sha256, files, row=result.row())
        for done in (name, *(unit.name for unit in split(item, self.job.terms.samples))):
            self.ledger.clear(done)
        hand.opened = None
        hand.garbage += size
        if hand.garbage > GARBAGE:
            gc.collect()
            hand.garbage = 0

    def _merge(self, item: Item) -> None:
        """Put the blocks of an item together, unless somebody did."""
        blocks = split(item, self.job.terms.samples)
        if self.ledger.finished(item_name(item.item), item.sha256):
            pass
        elif item.tile:
            self._scene(item)
        else:
            frame, case = self._open(item)
            self._hand.stage = "write"
            problem = pose(case, self.prior, self.job.recipe, self.job.terms.compute, items=[item.item])
            self._write(item, frame, case, merged(self.ledger, blocks, item, problem))
        for unit in blocks:
            self.ledger.forget(unit.name)

    def _share(self, item: Item, unit: Unit) -> None:
        """Tiles of a scene, beside others or alone, until all of them are done; the merge writes what was found."""
        hands = split(item, self.job.terms.samples)
        markers = (self.ledger.valid(hand.name, item.sha256) for hand in hands)
        done = any(marker is not None and marker["complete"] for marker in markers)
        if not done and any(self.ledger.failure(hand.name) for hand in hands[: unit.part]):
            self.ledger.mark(unit.name, item.sha256, {}, complete=False)  # what stopped the first stops the others
            return
        job = self._scene_job(item)
        with ExitStack() as stack:
            if not done:
                scene = job.read(stack, say=unit.part == 0)
                self._hand.stage = "sample"
                try:
                    job.solve(scene, alone=False).close()
                    done = True
                except MemoryLimitError:
                    self._say(item, "out of memory in one of several workers: it leaves the scene to the others")
        self.ledger.mark(unit.name, item.sha256, {}, complete=done)

    def _scene(self, item: Item) -> None:
        """An item by tiles, from reading, or from where they are all done, to the marker."""
        job, shared = self._scene_job(item), len(split(item, self.job.terms.samples)) > 1
        notes = [UNSCORED] if item.source in self.truths.paths else []
        with ExitStack() as stack:
            scene = job.read(stack, say=not shared)
            self._hand.stage = "sample"
            solved = job.solve(scene)
            self._say_method(item, solved.method)
            self._hand.stage = "write"
            result, files = job.write(scene, solved, notes=notes)
            solved.close()
        for note in notes:
            self._say(item, note)
        self._mark(item, result, files, GARBAGE + 1)
        discard(state_folder(self.job.out, item.item))

    def _scene_job(self, item: Item) -> SceneJob:
        path, progress = self.paths[item.source], self.progress
        return SceneJob(
            self.job, item, path, self.prior, progress.say, lambda count: progress.advance(item.item, count)
        )

    def _say(self, item: Item, sentence: str) -> None:
        self.progress.say(f"{item.item}: {sentence}")

    def _say_method(self, item: Item, method: Mapping[str, object]) -> None:
        if self.job.recipe.method_kind == "auto":
            self._say(item, f"method {in_words(str(method['kind']), method)}")
