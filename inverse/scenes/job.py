"""An item of a run that is solved by tiles: opened by windows, sampled in a state on disk, written by windows (`inverse.runs.unit` marks it)."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.io.windows import open_windows
from inverse.operators.measurement import Measurement
from inverse.priors.mismatch import foreign
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import doubt
from inverse.restoration.figure import Panels, draw
from inverse.restoration.memory import halved
from inverse.restoration.plan import Item, Terms, item_name
from inverse.restoration.provenance import stamp
from inverse.restoration.write_item import facts
from inverse.scenes.independent import SAID, Independent, solve_blocks
from inverse.scenes.results import Coupled, Solved
from inverse.scenes.source import FileScene, open_scene
from inverse.scenes.tile_size import LEAST
from inverse.scenes.write import Written, write_scene
from inverse.storage.files import read_json, write_bytes, write_json
from inverse.storage.locks import claim

if TYPE_CHECKING:
    from inverse.recipes.calibration_file import CalibrationFile

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
    """A scene of a run.

    Attributes:
        out: The run folder.
        item: The item, planned with tiles.
        path: Its file.
        recipe: What was measured, and how.
        prior: The opened prior.
        terms: Of the run.
        calibration: Of standard deviations and quantiles.
        arguments: Of sampling an unknown of a shape, as for an item in memory.
        say: Takes lines for the terminal.
        advance: Takes samples, or parts of one, as they are made.
        doubt: What is to be said of the operator, once the scene was read.
    """

    out: Path
    item: Item
    path: Path
    recipe: Recipe
    prior: Any
    terms: Terms
    calibration: CalibrationFile | None
    arguments: Callable[[tuple[int, ...]], dict[str, Any]]
    say: Callable[[str], None]
    advance: Callable[[float], None]
    doubt: str = ""

    def read(self, stack: ExitStack, *, say: bool = True) -> FileScene:
        """The scene, open as long as ``stack``; of those that share it, the first says what was found."""
        name, card = self.item.item, self.prior.card
        opened = open_windows(self.path, name, stack)
        channels, coupled = card.channels if card else None, not self.item.independent
        scene = open_scene(
            opened, self.recipe, source=name, channels=channels, device=self.terms.device, coupled=coupled
        )
        if scene.estimated and say:
            self.say(f"{name}: noise level estimated from the measurement: {scene.sigma:.4g}")
        if scene.head is not None:
            y, _ = scene.measured(scene.lies.measured(scene.head))
            self.doubt = doubt(self.recipe, Measurement(y))
        return scene

    def solve(self, scene: FileScene, *, alone: bool = True) -> Solved:
        """Sample it, or what others that share its tiles leave.

        Args:
            scene: The scene.
            alone: Whether nobody else is at it, so that its state can be made anew with smaller tiles where memory does not suffice.

        Raises:
            MemoryLimitError: Memory does not suffice.
        """
        folder, name = state_folder(self.out, self.item.item), self.item.item
        with claim(self.out / ".inverse" / "claims" / f"{item_name(name)}-state"):
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

        def sample(size: int) -> Solved:
            if alone and (read_json(folder / "scene.json") or {}).get("tile", size) != size:
                discard(folder)
            return self._blocks(scene, folder, size) if self.item.independent else self._coupled(scene, folder, size)

        least = math.lcm(LEAST, scene.lies.factor) if alone else side
        return halved(
            sample, side, lambda smaller: self.say(f"{name}: out of memory, tiles of {smaller}; coupled tiles agree to 1e-4 whatever their size"),
            least=least, failed=f"out of memory with tiles of {least} pixels",
        )  # fmt: skip

    def given(self, scene: FileScene) -> dict[str, Any]:
        """Arguments of `inverse.scenes.coupled.lay_out`."""
        params = self.arguments(scene.lies.shape)
        known = {key: params.pop(key) for key in ("prior", "method", "seed", "dtype")}
        del params["shape"], params["items"]
        return {**known, "steps": params.pop("steps", None), "params": params}

    def _coupled(self, scene: FileScene, folder: Path, side: int) -> Coupled:
        from inverse.scenes.coupled import solve_scene

        name, samples = self.item.item, self.terms.samples
        post = solve_scene(
            scene, folder=folder, tile=side, halo="auto", samples=samples, item=name, keep_samples=True,
            progress=lambda done, total: self.advance(samples / total), head=scene.head,
            key={"recipe": self.terms.recipe, "input": self.item.sha256}, **self.given(scene),
        )  # fmt: skip
        return Coupled(scene, post, name, None if self.calibration is None else self.calibration.map)

    def _blocks(self, scene: FileScene, folder: Path, side: int) -> Independent:
        about = {"tile": side, "input": self.item.sha256, "independent": True}
        write_json(folder / "scene.json", about)
        return solve_blocks(
            scene, folder=folder, side=side, item=self.item.item, samples=self.terms.samples, keep=self.terms.keep,
            calibration=None if self.calibration is None else self.calibration.map, arguments=self.arguments, advance=self.advance,
        )  # fmt: skip

    def write(self, scene: FileScene, solved: Solved) -> tuple[dict[str, Any], dict[str, str]]:
        """Write its files: the row of ``items.csv``, and the files' hashes."""
        from inverse.sampling.method_spec import in_words

        used, recipe, terms, name = self.calibration, self.recipe, self.terms, self.item.item
        calibrated = used is not None and terms.samples > 1
        written = write_scene(
            self.out, name, scene, solved, keep=terms.keep, stamp=stamp(terms.recipe, self.prior.card, recipe.run.seed),
            attributes={
                "sigma": scene.sigma, "seed": recipe.run.seed, "scale": 1.0, "span": scene.span or (0.0, 1.0), "levels": solved.levels,
                "complex": False, "transfer": recipe.data.transfer, **(used.attributes() if used is not None and calibrated else {}),
            },
        )  # fmt: skip
        channels, height, width = self.item.shape
        row: dict[str, Any] = {
            "height": height, "width": width, "channels": channels, "samples": terms.samples, "method": in_words(str(solved.method["kind"]), solved.method),
            "noise_sigma": scene.sigma, "noise_estimated": scene.estimated, "calibrated": calibrated, "misfit": float(solved.misfit.mean()),
            "data_share": written.share, **solved.cost.as_dict(), **solved.told(), "tiles": solved.tiled,
        }  # fmt: skip
        card = self.prior.card
        if card is not None:
            said = foreign(card, channels=channels, low=written.low, high=written.high, outside=written.outside)
            row |= {"mismatch": said} if said else {}
        beyond = used.outside(scene.sigma) if used else ""
        notes = [sentence for sentence in (self.doubt, beyond, solved.approximate) if sentence]
        for sentence in notes:
            self.say(f"{name}: {sentence}")
        files = dict(written.made.files)
        if "figure" in terms.keep:
            path = f"items/{name}/figure.png"
            files[path] = write_bytes(self.out / path, draw(self._panels(written, row)))
        if written.made.clipped > 0.01:
            self.say(f"{name}: {100 * written.made.clipped:.1f} % of the values were clipped at the write")
        row |= {
            "restored": written.made.restored,
            "sha256": files[written.made.restored],
            "clipped": written.made.clipped,
            "note": "; ".join(notes),
        }
        return row, files

    def _panels(self, written: Written, row: dict[str, Any]) -> Panels:
        from inverse.io.transfer import encode

        shown, recipe = written.shown, self.recipe
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
            facts=facts(recipe, row, self.prior.card),
            misfit=row["misfit"],
        )
