"""A run that is killed anywhere and run again ends with the bytes of one that was not."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from inverse.runs.run import Options, restore

KEPT = "samples,mean,std,quantiles,data_share,invented,misfit"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "inverse.sampling.posterior_samples",
        "inverse.runs.run",
        "inverse.io.formats.tiff",
        "inverse.operators.build",
        "h5py",
    ]
)


def work(recipe: Any, photos: Path, out: Path) -> None:
    torch.set_num_threads(1)
    restore(recipe, photos, out=out, options=Options(progress="off", keep=KEPT, batch=3))


def start(*arguments: Any) -> Any:
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize("method", ["diffpir", "dps"])
def test_killed_at_random_times_then_resumed(method: str, photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    from test_restore import datasets

    recipe = make_recipe(method={"kind": method, "steps": 6})
    start(recipe, photos / "a.png", tmp_path / "warm-up").join()
    started = time.monotonic()
    process = start(recipe, photos, tmp_path / "whole")
    process.join()
    whole = time.monotonic() - started
    assert process.exitcode == 0
    out, generator, kills = tmp_path / "killed", random.Random(method), 0
    while kills < 40:
        process = start(recipe, photos, out)
        while not kills and process.exitcode is None and not (out / ".inverse" / "plan.json").exists():
            process.join(0.001)  # the first as soon as there is something to lose: a quick machine must not end before
        process.join(
            generator.uniform(0.2, 0.7) * whole * kills * (1 + kills / 10)
        )  # longer each time: it ends on any machine
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
    assert process.exitcode == 0
    assert kills > 0
    assert datasets(out) == datasets(tmp_path / "whole")
    assert not list(out.rglob("*.part*"))


def test_interrupted_mid_step_is_quick_and_resumable(photos: Path, tmp_path: Path, make_recipe: Any) -> None:
    from test_restore import datasets

    from inverse.runs.progress import Progress

    out = tmp_path / "run"
    calls: list[int] = []
    advance = Progress.advance

    def stop(self: Progress, item: str, count: int) -> None:
        calls.append(count)
        if len(calls) == 6:
            raise KeyboardInterrupt
        advance(self, item, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            restore(make_recipe(), photos, out=out, options=Options(progress="off", keep=KEPT))
    assert restore(make_recipe(), photos, out=out, options=Options(progress="off", keep=KEPT)).exit_code == 0
    restore(make_recipe(), photos, out=tmp_path / "whole", options=Options(progress="off", keep=KEPT))
    assert datasets(out) == datasets(tmp_path / "whole")
