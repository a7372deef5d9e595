"""A small scene with gaps, and runs on it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from inverse.io.windows import open_windows
from inverse.restoration.options import Options
from inverse.runs.run import restore

SIZE = (150, 203)
RECIPE = {
    "schema": 1,
    "title": "a",
    "operator": {"kind": "gap-mask"},
    "noise": {"kind": "gaussian", "sigma": "auto"},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 3},
    "data": {"scale": "bands"},
    "run": {"samples": 2, "seed": 0},
}
ARRAYS = "samples,mean,std,quantiles,data_share,invented,misfit,measurement,observed,residual,convergence"


def written(path):
    """Three bands of uint16, 27 rows of 32 observed, an empty border on the left."""
    import rasterio

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    smooth = np.stack([9000 + 3000 * np.sin(rows / 17 + band) * np.cos(columns / 23) for band in range(3)])
    values = np.rint(smooth + 300 * rng.standard_normal(smooth.shape)).astype(np.uint16)
    values[:, (rows + columns // 7) % 32 < 5] = 0  # gaps
    values[:, :, :12] = 0  # border
    place = rasterio.Affine(30.0, 0, 500000.0, 0, -30.0, 4000000.0)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "height": SIZE[0], "width": SIZE[1], "nodata": 0}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=place, **profile) as file:
        file.write(values)
        file.set_band_description(1, "red")
    return path


def cropped(scene, height, width):
    """The scene's upper left, for what takes many solves."""
    import rasterio

    path = scene.with_name("small.tif")
    with rasterio.open(scene) as file:
        profile = {**file.profile, "height": height, "width": width}
        values = file.read(window=((0, height), (0, width)))
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    path.replace(scene)
    return scene


def run(recipe, scene, out, **options):
    made = restore(recipe, scene, out=out, options=Options(progress="off", **{"keep": ARRAYS, **options}))
    assert not made.failures
    return made.rows[0]


def killed_after(monkeypatch, count):
    """End a run as Ctrl-C does once so many tiles are done; the list of these, which goes on in later runs."""
    from inverse.scenes.state import State

    done, todo = [], State.todo

    def counted(self, turn):
        for number, tile in todo(self, turn):
            yield number, tile
            done.append(number)
            if len(done) == count:
                raise KeyboardInterrupt

    monkeypatch.setattr(State, "todo", counted)
    return done


def read(path):
    import rasterio

    with rasterio.open(path) as file:
        return file.read().astype(np.float64), file.profile, file.descriptions


def read_window(path, window):
    """A rectangle of a scene: top row, left column, height, width."""
    with ExitStack() as stack:
        return open_windows(path, Path(path).name, stack).picture(*window)
