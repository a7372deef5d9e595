"""One unit of work, and the end of an item: sampled, merged, written, marked.

A block of samples that is not the whole item is kept in ``.inverse/parts`` until all blocks are there; merging them is a
unit of its own (`inverse.runs.ledger`). Every step can be repeated: a process killed anywhere leaves nothing that is taken for done.
"""

from __future__ import annotations

import gc
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import Failure, InputError, InverseError, MemoryLimitError, WorkerError
from inverse.priors.mismatch import foreign
from inverse.recipes.calibration_file import CalibrationFile
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import MINIMUM_SIDE, Case, fit_prior, method_kind, open_case, span, statistics
from inverse.restoration.frame import Frame, frame
from inverse.restoration.memory import halved
from inverse.restoration.plan import Item, Plan, Terms, Unit, item_name, split
from inverse.restoration.provenance import stamp
from inverse.restoration.truth import Truths, held, scale_factor, score
from inverse.restoration.write_item import facts, write_item
from inverse.runs.ledger import Ledger, renamed
from inverse.runs.merge import merged, write_part
from inverse.runs.progress import Progress
from inverse.sampling.method_spec import in_words
from inverse.storage.files import disk_is_full, unsynced
from inverse.storage.locks import claim

if TYPE_CHECKING:
    from inverse.scenes.job import SceneJob

__all__ = ["Solver", "sampling_arguments"]

GARBAGE = 64 * 2**20
"""Bytes of results after which what is left of them in cycles is collected: that takes a third of a second, however small they are."""


@dataclass
class Solver:
    """Solves units into a run folder.

    Attributes:
        out: The run folder.
        plan: What the run computes.
        recipe: How.
        prior: The opened prior.
        paths: Item id to file.
        ledger: What is done.
        truths: Known truths, for scores and figures only.
        progress: Where evaluations are counted.
        strict: Whether the first failure ends the run.
        calibration: What std and quantiles are recalibrated by; None: they are the samples' own.
    """

    out: Path
    plan: Plan
    recipe: Recipe
    prior: Any
    paths: dict[str, Path]
    ledger: Ledger
    truths: Truths
    progress: Progress
    strict: bool = False
    calibration: CalibrationFile | None = None
    _opened: tuple[str, Frame, Case] | None = field(default=None, repr=False)
    _content: tuple[str, Any] | None = field(default=None, repr=False)
    _garbage: int = field(default=0, repr=False)

    def __call__(self, unit: Unit) -> bool:
        """Do a unit unless it is done; False if it failed."""
        item = self.plan.item(unit.item)
        if item is None or item.source not in self.paths:
            return True
        stage = _Stage()
        try:
            with unsynced(), claim(self.out / ".inverse" / "claims" / unit.name):
                self._unit(item, unit, stage)
        except Exception as error:
            self.failed(item, unit, stage.name, error)
            return False
        self.ledger.clear(unit.name)
        return True

    def failed(self, item: Item, unit: Unit, stage: str, error: Exception) -> None:
        """Record why a unit failed.

        Raises:
            InverseError: The same again, if the run is strict or the disk is full.
        """
        failure = Failure.of(item.item, stage, error)
        for path, shown in ((self.paths[item.source], item.source), (self.out, "OUT"), (Path.home(), "~")):
            reason, hint = (renamed(text, str(path), shown) for text in (failure.reason, failure.hint))
            failure = replace(failure, reason=reason, hint=hint)
        if disk_is_full(error):
            raise error
        self.ledger.fail(unit.name, failure)
        self.progress.say(failure.line, level=logging.WARNING)
        self._opened = None
        if self.strict:
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

    def _unit(self, item: Item, unit: Unit, stage: _Stage) -> None:
        if unit.merge:
            self._merge(item, stage)
            return
        if self.ledger.valid(item_name(item.item), item.sha256) or self.ledger.valid(unit.name, item.sha256):
            return
        if unit.part is not None:
            self._share(item, unit, stage)
            return
        if item.tile:
            self._scene(item, stage)
            return
        post = self._sample(item, unit, stage)
        if unit.stop - unit.start == self.plan.terms.samples:
            self._write(item, post, stage)
        else:
            stage.name = "write"
            write_part(self.ledger, unit, item, post)

    def _open(self, item: Item, stage: _Stage) -> tuple[Frame, Case]:
        from inverse.io.read_write import read

        if self._opened is not None and self._opened[0] == item.item:
            return self._opened[1], self._opened[2]
        stage.name = "read"
        if self._content is None or self._content[0] != item.source:
            self._content = item.source, read(self.paths[item.source])
        stage.name = "prepare"
        card = self.prior.card
        opened = frame(
            self._content[1],
            item.frame,
            self.recipe.data,
            channels=card.channels if card else None,
            minimum=MINIMUM_SIDE,
        )
        case = open_case(self.recipe, opened, device=self.plan.terms.device)
        if case.estimated:
            self.progress.say(f"{item.item}: noise level estimated from the measurement: {case.sigma:.4g}")
        for sentence in case.said:
            self.progress.say(f"{item.item}: {sentence}")
        self._opened = item.item, opened, case
        return opened, case

    def _arguments(self, item: Item, shape: tuple[int, ...]) -> dict[str, Any]:
        import torch

        from inverse.priors.open import computed

        terms = self.plan.terms
        self.prior = computed(self.prior, dtype=getattr(torch, terms.dtype), device=terms.device)  # copied once a run
        return sampling_arguments(self.recipe, self.prior, self.plan.terms, item, shape)

    def _sample(self, item: Item, unit: Unit, stage: _Stage) -> Any:
        from inverse.sampling.posterior_samples import sample

        _, case = self._open(item, stage)
        stage.name = "sample"
        size = unit.stop - unit.start

        def draw(batch: int) -> Any:
            return sample(
                case.y, case.physics, samples=range(unit.start, unit.stop), batch=batch,
                progress=lambda step: self.progress.advance(item.item, step.x.shape[0] / step.total), **self._arguments(item, case.shape),
            )  # fmt: skip

        post = halved(
            draw, size, lambda batch: self.progress.say(f"{item.item}: out of memory, batch {batch}"),
            least=1, failed="out of memory with one sample at a time", hint="solve it by tiles (--tile 256), or crop it",
        )  # fmt: skip
        self._say_method(item, post.method)
        return post

    def _say_method(self, item: Item, method: dict[str, object]) -> None:
        if method_kind(self.recipe) == "auto":
            self.progress.say(f"{item.item}: method {in_words(str(method['kind']), method)}")

    def _job(self, item: Item) -> SceneJob:
        from inverse.scenes.job import SceneJob

        return SceneJob(
            self.out, item, self.paths[item.source], self.recipe, self.prior, self.plan.terms, self.calibration,
            lambda shape: self._arguments(item, shape), self.progress.say, lambda count: self.progress.advance(item.item, count),
        )  # fmt: skip

    def _share(self, item: Item, unit: Unit, stage: _Stage) -> None:
        """Tiles of a scene, beside others or alone, until all of them are done; the merge writes what was found."""
        hands = split(item, self.plan.terms.samples)
        markers = (self.ledger.valid(hand.name, item.sha256) for hand in hands)
        done = any(marker is not None and marker["complete"] for marker in markers)
        if not done and any(self.ledger.failure(hand.name) for hand in hands[: unit.part]):
            self.ledger.mark(unit.name, item.sha256, {}, complete=False)  # what stopped the first stops the others
            return
        job = self._job(item)
        with ExitStack() as stack:
            if not done:
                scene = job.read(stack, say=unit.part == 0)
                stage.name = "sample"
                try:
                    job.solve(scene, alone=False).close()
                    done = True
                except MemoryLimitError:
                    self.progress.say(
                        f"{item.item}: out of memory in one of several workers: it leaves the scene to the others"
                    )
        self.ledger.mark(unit.name, item.sha256, {}, complete=done)

    def _scene(self, item: Item, stage: _Stage) -> None:
        """An item by tiles, from reading, or from where they are all done, to the marker."""
        from inverse.scenes.job import discard, state_folder

        job, shared = self._job(item), len(split(item, self.plan.terms.samples)) > 1
        with ExitStack() as stack:
            scene = job.read(stack, say=not shared)
            stage.name = "sample"
            solved = job.solve(scene)
            self._say_method(item, solved.method)
            stage.name = "write"
            row, files = job.write(scene, solved)
            solved.close()
        if item.source in self.truths.paths:
            said = "no score: a scene of tiles is scored by 'inverse evaluate'"
            self.progress.say(f"{item.item}: {said}")
            row["note"] = "; ".join(sentence for sentence in (row["note"], said) if sentence)
        self._mark(item, files, row, GARBAGE + 1)
        discard(state_folder(self.out, item.item))

    def _merge(self, item: Item, stage: _Stage) -> None:
        """Put the blocks of an item together, unless somebody did."""
        blocks = split(item, self.plan.terms.samples)
        if self.ledger.valid(item_name(item.item), item.sha256):
            pass
        elif item.tile:
            self._scene(item, stage)
        else:
            _, case = self._open(item, stage)
            stage.name = "write"
            post = merged(self.ledger, blocks, item, self._template(item, case), case.y.device)
            self._write(item, post, stage)
        for unit in blocks:
            self.ledger.forget(unit.name)

    def _template(self, item: Item, case: Case) -> dict[str, Any]:
        """All of a posterior but its samples and their cost."""
        from inverse.sampling.problem import prepare

        given = self._arguments(item, case.shape)
        known = ("prior", "method", "seed", "shape", "items", "dtype")
        own = {name: given.pop(name) for name in known}
        steps = given.pop("steps", None)
        problem = prepare(case.y, case.physics, own.pop("prior"), device="auto", steps=steps, params=given, **own)
        return {
            "observation": problem.observation,
            "prior_mean": problem.prior_mean,
            "data_var": problem.card.data_var,
            "items": problem.items,
            "method": {"kind": problem.spec.name, **problem.params},
            "levels": problem.levels,
        }

    def _write(self, item: Item, post: Any, stage: _Stage) -> None:
        from inverse.posterior.chains import in_numbers
        from inverse.posterior.evidence import invented_region, of_samples

        stage.name = "write"
        opened, case = self._open(item, stage)
        used = self.calibration
        post = replace(post, crop=case.crop, calibration=None if used is None else used.map)
        arrays = statistics(post, case)
        row: dict[str, Any] = {
            "height": arrays["mean"].shape[-2], "width": arrays["mean"].shape[-1], "channels": arrays["mean"].shape[0],
            "samples": len(arrays["samples"]), "method": in_words(str(post.method["kind"]), post.method),
            "noise_sigma": case.sigma, "noise_estimated": case.estimated, "calibrated": used is not None and "std" in arrays,
            "misfit": float(arrays["misfit"].mean()), "data_share": float(arrays["data_share"].mean()),
            **post.cost.as_dict(), **in_numbers(post.diagnostics), **of_samples(post),
        }  # fmt: skip
        region = invented_region(arrays["data_share"].numpy())
        row |= {"regions": region} if region else {}
        if self.prior.card is not None:
            low, high, outside = span(case, *self.recipe.data.range)
            said = foreign(self.prior.card, channels=case.shape[0], low=low, high=high, outside=outside)
            row |= {"mismatch": said} if said else {}
        truth, note = self._truth(item, opened, arrays)
        if truth is not None:
            data = self.recipe.data
            row.update(
                score(
                    arrays, truth, self.recipe.metrics,
                    data_range=data.range, transfer=data.transfer, ratio=scale_factor(self.recipe),
                )
            )  # fmt: skip
            row |= {"coverage90": held(arrays["quantiles"], truth, data.transfer)} if row["calibrated"] else {}
        beyond = used.outside(case.sigma) if used else ""
        note = "; ".join(sentence for sentence in (*case.said, beyond, note) if sentence)
        if beyond:
            self.progress.say(f"{item.item}: {beyond}")
        terms = self.plan.terms
        made = write_item(
            self.out, item, opened=opened, case=case, arrays=arrays, keep=terms.keep, recipe=self.recipe,
            stamp=stamp(terms.recipe, self.prior.card, self.recipe.run.seed),
            attributes={
                "sigma": case.sigma, "data_share_error": post.data_share_error, "seed": self.recipe.run.seed, "scale": case.scale,
                "span": opened.span or (0.0, 1.0), "levels": post.levels[0], "complex": case.complex and len(arrays["mean"]) == 2,
                **(used.attributes() if used and row["calibrated"] else {}),
            },
            facts=facts(self.recipe, row, self.prior.card), truth=truth,
        )  # fmt: skip
        row |= {
            "restored": made.restored,
            "sha256": made.files.get(made.restored, ""),
            "clipped": made.clipped,
            "note": note,
        }
        if made.clipped > 0.01:
            self.progress.say(f"{item.item}: {100 * made.clipped:.1f} % of the values were clipped at the write")
        self._mark(item, made.files, row, sum(array.nbytes for array in arrays.values()))

    def _mark(self, item: Item, files: dict[str, str], row: dict[str, Any], garbage: int) -> None:
        """Record that an item is done, and collect what is left of it once so many bytes are."""
        self.ledger.mark(item_name(item.item), item.sha256, files, row=row)
        for name in (item_name(item.item), *(unit.name for unit in split(item, self.plan.terms.samples))):
            self.ledger.clear(name)
        self._opened = None
        self._garbage += garbage
        if self._garbage > GARBAGE:
            gc.collect()
            self._garbage = 0

    def _truth(self, item: Item, opened: Frame, arrays: dict[str, Any]) -> tuple[Any, str]:
        """The truth and, where it cannot be used, why: a bad truth never fails an item."""
        try:
            return self.truths.load(item.source, arrays["mean"].shape, opened), ""
        except InputError as error:
            self.progress.say(f"no score: {error.message}")
            return None, f"no score: {error.message}".replace(str(self.truths.paths[item.source]), "the truth")


def sampling_arguments(recipe: Recipe, prior: Any, terms: Terms, item: Item, shape: tuple[int, ...]) -> dict[str, Any]:
    """What `inverse.sample` is told of an item whose unknown has a shape, beside the measurement."""
    params = {name: value for name, value in recipe.params.items() if value is not None}
    if terms.evaluations is not None:
        params["max_evaluations"] = terms.evaluations
        params.pop("time_budget", None)
    return {
        "prior": fit_prior(prior, shape[0], dtype=terms.dtype, device=terms.device),
        "method": method_kind(recipe),
        "seed": recipe.run.seed,
        "shape": shape,
        "items": [item.item],
        "dtype": terms.dtype,
        **params,
    }


@dataclass
class _Stage:
    """Where in the work an error happened."""

    name: str = "read"
