"""A disk that fills in the middle of a scene.

Exit code 7 and a hint, whenever it happens and whatever is being written.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inverse.errors import OutputError
from inverse.io.hdf5_windows import open_chunked
from inverse.io.tiling import Tiling, Window
from inverse.runs.run import Options, restore
from inverse.scenes.state import Numbers, Raster, State
from inverse.storage.files import FREE, disk_is_full

SIZE = (300, 520)
WRITE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_full_disk import written
from inverse.errors import OutputError
path = Path(sys.argv[1])
written(path)
whole = path.stat().st_size
path.unlink()
limits = [1, 50, 2000, *range(10_000, whole, whole // 40), whole - 600, whole - 100, whole - 1]
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        written(path)
        print("written", limit)
    except OutputError as error:
        assert "posterior.h5: cannot be written: File too large" in str(error), error
        assert error.__cause__ is not None
    assert not list(path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
written(path)
print(len(limits), "ended well")
"""


def values(window: Window) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[window.top : window.bottom, window.left : window.right].astype(np.float32)
    return np.stack([1000 * rows + columns, rows - columns, rows * columns])


def written(path: Path) -> None:
    """Windows that are no multiples of the chunks: chunks are read back."""
    described: dict[str, dict[str, Any]] = {"": {"item": "a" * 100}, "mean": {"q": [0.1] * 50}, "absent": {"x": 1}}
    with open_chunked(path, described) as put:
        for top in range(0, SIZE[0], 100):
            for left in range(0, SIZE[1], 130):
                window = Window(top, left, min(top + 100, SIZE[0]), min(left + 130, SIZE[1]))
                put("mean", values(window), SIZE, window)
                put("samples", np.stack([values(window)] * 2), SIZE, window)
        put("misfit", np.arange(5, dtype=np.float32), (0, 0), None)
        described[""]["late"] = 3.0


def filling(after: int) -> Any:
    """`os.pwrite` on a disk where so many bytes fit: the last write takes a part."""
    left, pwrite = [after], os.pwrite

    def limited(fd: int, data: Any, offset: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = pwrite(fd, memoryview(data)[: left[0]], offset)
        left[0] -= count
        return count

    return limited


def test_an_hdf5_file_by_windows_reads_as_written(tmp_path: Path) -> None:
    written(tmp_path / "posterior.h5")
    with h5py.File(tmp_path / "posterior.h5", "r") as file:
        whole = values(Window(0, 0, *SIZE))
        assert np.array_equal(file["mean"], whole)
        assert np.array_equal(file["samples"], np.stack([whole, whole]))
        assert (file.attrs["late"], len(file["mean"].attrs["q"]), file["samples"].chunks) == (3.0, 50, (1, 1, 256, 256))


def test_hdf5_at_a_file_size_limit_ends_in_an_error_and_not_the_process(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    script = WRITE.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, str(tmp_path / "out" / "posterior.h5")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout.split()[1:]) == (0, ["ended", "well"]), ended.stdout + ended.stderr[-2000:]


@pytest.mark.parametrize("after", [0, 700, 400_000, 4_000_000])
def test_hdf5_on_a_full_disk(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", filling(after))
    with pytest.raises(OutputError, match=r"posterior\.h5: cannot be written: No space left") as full:
        written(tmp_path / "posterior.h5")
    assert disk_is_full(full.value)
    assert full.value.hint == FREE
    assert not list(tmp_path.iterdir())


def test_what_is_no_error_of_the_hdf5_file_is_not_called_one(tmp_path: Path) -> None:
    other = OSError(errno.EIO, "of another file")
    with pytest.raises(OSError, match="of another file") as found, open_chunked(tmp_path / "posterior.h5", {}):
        raise other
    assert found.value is other
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot be written"), open_chunked(tmp_path / "a" / "b.h5", {}):
        (tmp_path / "a" / ".b.part.h5").unlink()


def test_ctrl_c_does_not_go_through_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises in the main thread, which writes nothing."""
    writers, pwrite = set(), os.pwrite

    def noted(*given: Any) -> int:
        writers.add(threading.current_thread())
        return pwrite(*given)

    monkeypatch.setattr(os, "pwrite", noted)
    written(tmp_path / "posterior.h5")
    assert writers
    assert threading.main_thread() not in writers
    with pytest.raises(KeyboardInterrupt), open_chunked(tmp_path / "other.h5", {}):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["posterior.h5"]


def test_the_state_of_a_scene_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(tmp_path / "state", (1, 128, 192), Tiling((128, 192), 64, 8), {})
    raster, numbers, todo = state.raster("x0"), state.numbers("chi2", 4, 2), state.todo(0)
    next(todo)
    monkeypatch.setattr(os, "pwrite", filling(0))
    acts = (
        ("x0.f32", lambda: raster.write(Window(0, 0, 2, 2), np.zeros((1, 2, 2)))),
        ("chi2.f64", lambda: numbers.put(0, np.zeros(2))),
        ("tiles.u4", lambda: next(todo)),
    )
    for name, act in acts:
        with pytest.raises(OutputError, match=rf"{name}: cannot be written: No space left") as full:
            act()
        assert disk_is_full(full.value)
        assert full.value.hint == FREE
    state.close()


def test_a_scene_on_a_full_disk_ends_with_7_and_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (72, 136, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.tif")
    recipe = {
        "operator": {"kind": "denoise"}, "noise": {"sigma": 0.1}, "prior": {"name": "gaussian"},
        "method": {"kind": "diffpir", "steps": 3}, "run": {"samples": 2},
    }  # fmt: skip
    options = Options(progress="off", threads=1, tile=64)
    assert restore(recipe, tmp_path / "a.tif", out=tmp_path / "whole", options=options).exit_code == 0
    for after in (100_000, 900_000):
        monkeypatch.setattr(os, "pwrite", filling(after))
        with pytest.raises(OutputError, match="cannot be written: No space") as full:
            restore(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=options)
        assert full.value.exit_code == 7
        monkeypatch.undo()
    assert restore(recipe, tmp_path / "a.tif", out=tmp_path / "out", options=options).exit_code == 0
    for name in ("restored/a.tif", "std/a.tif", "items/a.tif/posterior.h5"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_state_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    raster, numbers = Raster(tmp_path / "x0.f32", (1, 4, 4)), Numbers(tmp_path / "chi2.f64", (4,))
    for name, read in (("x0.f32", lambda: raster.read(Window(0, 0, 4, 4))), ("chi2.f64", numbers.get)):
        os.truncate(tmp_path / name, 20)
        with pytest.raises(OutputError, match=rf"{name}: .*shorter than it was made"):
            read()
    raster.close()
    numbers.close()
