"""An item of a run that is solved by tiles: read by windows, sampled in a state on disk, written by windows.

The unit of work marks it as done (`inverse.runs.unit`).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inverse.calibration.recalibration import Map
from inverse.io.transfer import encode
from inverse.io.windows import open_windows
from inverse.operators.measurement import Measurement
from inverse.posterior.words import unusable
from inverse.restoration.case import assumed_blur, require_values
from inverse.restoration.figure import Panels, draw
from inverse.restoration.item import arguments
from inverse.restoration.memory import halved
from inverse.restoration.plan import Item, Job, item_name
from inverse.restoration.result import ItemResult
from inverse.restoration.write_item import facts
from inverse.sampling.methods import method_spec
from inverse.sampling.problem import Request
from inverse.scenes.coupled import solve_scene
from inverse.scenes.independent import SAID, Independent, solve_blocks
from inverse.scenes.results import ScenePosterior
from inverse.scenes.source import FileScene, open_scene
from inverse.scenes.tile_size import LEAST
from inverse.scenes.write import SolvedScene, Written, write_scene
from inverse.storage.files import read_json, write_bytes, write_json
from inverse.storage.locks import claim

__all__ = ["SceneJob", "discard", "state_folder", "sweep"]


def state_folder(out: Path, item: str) -> Path:
    """Where the state of a scene is while it is solved."""
    return out / ".inverse" / "scene" / item_name(item)


def discard(folder: Path) -> None:
    """Remove a state at once: a part of one would be taken for less than was done."""
    doomed = folder.with_name(f".{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(out: Path, done: Iterable[str]) -> None:
    """Remove the states of items that are done, of which a killed run leaves some."""
    names = {item_name(item) for item in done}
    folder = out / ".inverse" / "scene"
    for path in list(folder.iterdir()) if names and folder.is_dir() else ():
        if path.name.lstrip(".") in names:
            discard(path.with_name(path.name.lstrip(".")))


@dataclass
class SceneJob:
    """A scene of a run: `read`, `solve`, `write`."""

    job: Job  # the run
    item: Item  # planned with tiles
    path: Path  # its file
    prior: Any  # the run's, in its precision
    say: Callable[[str], None]  # takes lines for the terminal
    advance: Callable[[float], None]  # takes samples, or parts of one, as they are made
    doubt: str = ""  # what is to be said of the operator, once the scene was read

    def read(self, stack: ExitStack, *, say: bool = True) -> FileScene:
        """The scene, open as long as ``stack``; of those that share it, the first says what was found."""
        name, recipe, card = self.item.item, self.job.recipe, self.prior.card
        scene = open_scene(
            open_windows(self.path, name, stack),
            recipe,
            source=name,
            channels=card.channels if card else None,
            device=self.job.terms.device,
            coupled=not self.item.independent,
        )
        for sentence in scene.said if say else ():
            self.say(f"{name}: {sentence}")
        if scene.estimated and say:
            self.say(f"{name}: noise level estimated from the measurement: {scene.sigma:.4g}")
        if scene.head is not None:
            y, _ = scene.measured(scene.lies.measured(scene.head))
            require_values(y, recipe, card)
            self.doubt = assumed_blur(recipe, Measurement(y))
        return scene

    def solve(self, scene: FileScene, *, alone: bool = True) -> SolvedScene:
        """Sample it, or what others that share its tiles leave.

        Where nobody else is at it (``alone``) and memory does not suffice, its state is made anew with smaller tiles.

        Raises:
            MemoryLimitError: Memory does not suffice.
        """
        out, name = self.job.out, self.item.item
        folder = state_folder(out, name)
        with claim(out / ".inverse" / "claims" / f"{item_name(name)}-state"):
            begun = read_json(folder / "scene.json") or {}
            if begun and (
                begun.get("input") != self.item.sha256
                or begun.get("independent", False) != self.item.independent
                or int(begun.get("tile", 0)) > self.item.tile
            ):
                discard(folder)
                begun = {}
        side = min(self.item.tile, int(begun.get("tile", self.item.tile)))
        if self.item.independent:
            self.say(f"{name}: {SAID}")

        def sample(size: int) -> SolvedScene:
            if alone and (read_json(folder / "scene.json") or {}).get("tile", size) != size:
                discard(folder)
            return self._blocks(scene, folder, size) if self.item.independent else self._coupled(scene, folder, size)

        least = math.lcm(LEAST, scene.lies.factor) if alone else side
        return halved(
            sample,
            side,
            lambda smaller: self.say(
                f"{name}: out of memory, tiles of {smaller}; coupled tiles agree to 1e-4 whatever their size"
            ),
            least=least,
            failed=f"out of memory with tiles of {least} pixels",
        )

    def request(self, scene: FileScene) -> tuple[Any, Request]:
        """The prior fitted to a scene, and what the recipe asks of a sampler of coupled tiles."""
        terms = self.job.terms
        given = arguments(self.job.recipe, self.prior, scene.lies.shape[0], terms.compute)
        return given.pop("prior"), Request(samples=terms.samples, items=[self.item.item], **given)

    def _coupled(self, scene: FileScene, folder: Path, side: int) -> ScenePosterior:
        prior, request = self.request(scene)
        post = solve_scene(
            scene,
            prior,
            request,
            folder,
            tile=side,
            head=scene.head,
            progress=lambda done, total: self.advance(self.job.terms.samples / total),
            key={"recipe": self.job.terms.recipe, "input": self.item.sha256},
        )
        return replace(post, calibration=self._map)

    @property
    def _map(self) -> Map | None:
        return None if self.job.calibration is None else self.job.calibration.map

    def _blocks(self, scene: FileScene, folder: Path, side: int) -> Independent:
        write_json(folder / "scene.json", {"tile": side, "input": self.item.sha256, "independent": True})
        return solve_blocks(
            scene, self.prior, self.job.terms, folder=folder, side=side, item=self.item.item,
            calibration=self._map, advance=self.advance,
        )  # fmt: skip

    def write(
        self, scene: FileScene, solved: SolvedScene, *, notes: Sequence[str] = ()
    ) -> tuple[ItemResult, dict[str, str]]:
        """Write its files: what is known of it, with the ``notes`` besides, and the sha256 of each file."""
        job, name = self.job, self.item.item
        recipe, terms, calibration = job.recipe, job.terms, job.calibration
        lost = unusable(float(solved.misfit.mean()))
        other = calibration.refused(solved.method["kind"]) if calibration else ""
        if (lost or other) and isinstance(
            solved, ScenePosterior
        ):  # nobody checked intervals of results that explain nothing
            solved = replace(solved, calibration=None)
        used = calibration if terms.samples > 1 and not lost and not other else None
        knows = method_spec(str(solved.method["kind"])).knows
        written = write_scene(
            job.out, name, scene, solved, keep=terms.keep, stamp=job.stamp,
            attributes={
                "sigma": scene.sigma, "seed": recipe.run.seed, "antithetic": recipe.run.antithetic and not knows,
                "scale": 1.0, "span": scene.span or (0.0, 1.0),
                "levels": solved.levels, "complex": False, "transfer": recipe.data.transfer,
                **(used.attributes() if used is not None else {}),
            },
        )  # fmt: skip
        beyond = calibration.outside(scene.sigma) if calibration and not other else other
        doubts = [sentence for sentence in (self.doubt, beyond, solved.approximate) if sentence]
        for sentence in doubts:
            self.say(f"{name}: {sentence}")
        result = ItemResult.of(
            name, solved, shape=self.item.shape, samples=terms.samples, noise=(scene.sigma, scene.estimated),
            calibrated=used is not None, misfit=float(solved.misfit.mean()), data_share=written.share,
            card=self.prior.card, values=written.values, notes=(*doubts, *notes), tiles=solved.tiled, **solved.told(),
        ).written(written.made)  # fmt: skip
        result = replace(result, unusable=lost or None)
        files = dict(written.made.files)
        if "figure" in terms.keep:
            path = f"items/{name}/figure.png"
            files[path] = write_bytes(job.out / path, draw(self._panels(written, result)))
        if result.clipped > 0.01:
            self.say(f"{name}: {100 * result.clipped:.1f} % of the values were clipped at the write")
        return result, files

    def _panels(self, written: Written, result: ItemResult) -> Panels:
        shown, recipe = written.shown, self.job.recipe
        linear = recipe.data.transfer == "linear"
        images = {name: encode(shown[name]) if linear else shown[name] for name in ("measurement", "mean")}
        return Panels(
            title=self.item.item,
            measurement=images["measurement"],
            restored=images["mean"],
            observed=shown.get("observed"),
            std=shown.get("std"),
            data_share=shown["data_share"],
            invented=shown["invented"],
            truth=None,
            data_range=recipe.data.range,
            facts=facts(recipe, result, self.prior.card),
            misfit=result.misfit,
        )
