"""Who does the work, and how often it is interrupted, changes no byte of the result."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inverse import executor_processes
from inverse.executor_dask import Dask
from inverse.executor_processes import Processes
from inverse.plan import Plan
from inverse.run import Options, Run, restore

RECIPE = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4},
    "run": {"samples": 4, "seed": 3},
    "metrics": ["psnr"],
}
NAMES = ("a.png", "b.png", "sub/a.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale") / "photos"
    for seed, name in enumerate(NAMES):
        picture(folder / name, seed)
    return folder


def picture(path: Path, seed: int, side: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def run(photos: Path, out: Path, **options: Any) -> Run:
    settings = {"progress": "off", "batch": 2, "threads": 1, "keep": "samples,mean,std,quantiles,misfit", **options}
    return restore(RECIPE, photos, out=out, truth=photos, options=Options(**settings))


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a result, and the scores: what does not depend on the clock or the memory."""
    files = [path for folder in ("restored", "std", "items") for path in (out / folder).rglob("*") if path.is_file()]
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
    evidence = json.loads((out / "run.json").read_bytes())["evidence"]
    assert not [*out.rglob("*.part*"), *(out / ".inverse/parts").glob("*"), *(out / ".inverse/claims").glob("*")]
    return found | {"evidence": json.dumps(evidence, sort_keys=True).encode()}


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    assert run(photos, out / "run").exit_code == 0
    return contents(out / "run")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as made:
        yield made


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes of workers, as they start."""
    found: list[int] = []
    start = executor_processes._Crew._start

    def noted(self: Any) -> Any:
        worker = start(self)
        found.append(worker.process.pid)
        return worker

    monkeypatch.setattr(executor_processes._Crew, "_start", noted)
    return found


def after_first(executor: Any, act: Callable[[], Any]) -> Any:
    """The executor, that acts once its first unit has ended."""

    class Acting:
        threads = 1

        def map(self, solver: Any, take: Any) -> Iterator[Any]:
            units = executor.map(solver, take)
            yield next(units)
            act()
            yield from units

    return Acting()


def gone(pid: int) -> bool:
    """Whether a process ends within two seconds."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_shards_are_serial(photos: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert run(photos, tmp_path / "run", shard="2/3").pending
    assert run(photos, tmp_path / "run", shard="1/3").pending
    assert not run(photos, tmp_path / "run", shard="3/3").pending
    assert contents(tmp_path / "run") == whole


def test_processes_are_serial_though_one_is_killed(
    photos: Path, tmp_path: Path, whole: dict[str, bytes], pids: list[int], caplog: Any
) -> None:
    caplog.set_level("INFO", "inverse")
    chaos = after_first(Processes(2), lambda: os.kill(pids[0], signal.SIGKILL))
    done = run(photos, tmp_path / "run", executor=chaos, progress="auto", threads=None)
    assert done.exit_code == 0
    assert contents(tmp_path / "run") == whole
    assert Plan.load(tmp_path / "run/.inverse").terms.threads == 1
    assert all(gone(pid) for pid in pids)
    assert "samples/s" in caplog.text


def test_dask_in_this_process_is_serial(photos: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert run(photos, tmp_path / "run", executor="dask-threads", workers=2).exit_code == 0
    assert contents(tmp_path / "run") == whole


def test_dask_is_serial_though_its_workers_are_killed(
    photos: Path, tmp_path: Path, whole: dict[str, bytes], cluster: Any
) -> None:
    """Both, so that nothing that a run put on a worker outlives it; their nannies start them again."""
    from distributed import Client

    with Client(cluster) as client:
        assert run(photos, tmp_path / "calm", executor=Dask(client=client)).exit_code == 0
        assert contents(tmp_path / "calm") == whole
        workers = [nanny.process.process.pid for nanny in cluster.workers.values()]
        chaos = after_first(Dask(client=client), lambda: [os.kill(worker, signal.SIGKILL) for worker in workers])
        assert run(photos, tmp_path / "chaos", executor=chaos).exit_code == 0
    assert contents(tmp_path / "chaos") == whole
