"""Who does the work, and how often it is interrupted, changes no byte of the result."""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inverse.errors import InputError, OutputError, WorkerError
from inverse.restoration.plan import Plan, Unit, units
from inverse.runs import dask as executor_dask
from inverse.runs import processes as executor_processes
from inverse.runs.dask import Dask
from inverse.runs.processes import Processes
from inverse.runs.run import Options, Run, restore

RECIPE = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4},
    "run": {"samples": 4, "seed": 3},
    "metrics": ["psnr"],
}
NAMES = ("a.png", "b.png", "sub/a.png")
FLAGS = {"progress": "off", "batch": 2, "threads": 1, "keep": "samples,mean,std,quantiles,misfit"}
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


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale") / "photos"
    for seed, name in enumerate(NAMES):
        picture(folder / name, seed)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def picture(path: Path, seed: int, side: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def run(photos: Path, out: Path, **options: Any) -> Run:
    return restore(RECIPE, photos, out=out, truth=photos, options=Options(**{**FLAGS, **options}))


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a result, and the scores: what does not depend on the clock or the memory."""
    files = [path for folder in ("restored", "std", "items") for path in (out / folder).rglob("*") if path.is_file()]
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
    evidence = json.loads((out / "run.json").read_bytes())["evidence"]
    found["failures.csv"] = (out / "failures.csv").read_bytes()
    assert not [*out.rglob("*.part*"), *(out / ".inverse/parts").glob("*"), *(out / ".inverse/claims").glob("*")]
    return found | {"evidence": json.dumps(evidence, sort_keys=True).encode()}


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    done = run(photos, out / "run")
    assert (done.exit_code, [failure.item for failure in done.failures]) == (1, ["broken.png"])
    check_markers(out / "run")
    return contents(out / "run")


def check_markers(out: Path) -> None:
    """Each says of which recipe it is, and what was written."""
    plan = Plan.load(out / ".inverse")
    markers = [json.loads(path.read_bytes()) for path in (out / ".inverse/done").glob("*.json")]
    assert len(markers) == len(NAMES)
    for marker in markers:
        assert marker["recipe"] == plan.terms.recipe
        assert marker["input"] in {item.sha256 for item in plan.items}
        assert len(marker["files"]) == 3
        for path, digest in marker["files"].items():
            assert hashlib.sha256((out / path).read_bytes()).hexdigest() == digest


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


def comes_true(what: Callable[[], Any], seconds: float = 120) -> bool:
    """Whether it does in time; the time is generous, for a busy machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.01)
    return False


def state(pid: int) -> tuple[str, int]:
    """Of a process: how it is, and its parent's number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    return fields[0], int(fields[1])


def gone(pid: int) -> bool:
    return comes_true(lambda: state(pid)[0] == "Z", 10)


def children(pid: int) -> list[int]:
    names = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [name for name in names if state(name)[1] == pid]


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
    assert done.exit_code == 1
    assert contents(tmp_path / "run") == whole
    assert Plan.load(tmp_path / "run/.inverse").terms.threads == 1
    assert all(gone(pid) for pid in pids)
    assert "samples/s" in caplog.text


POISONED = """
import os
from inverse.runs import worker
from inverse.errors import OutputError
def solve(name, job, given, tell):
    if given.item.item == "b.png":
        os.kill(os.getpid(), 9)
    if given.item.item == "a.png" and {full}:
        return OutputError("no space left"), 0.0
    return None, 0.0
worker.solve = solve
worker.main()
"""


@pytest.mark.slow
def test_a_unit_that_kills_its_workers_is_named_and_the_rest_is_done(
    photos: Path, tmp_path: Path, pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_processes, "WORKER", POISONED.format(full=False))
    ended: list[Unit] = []
    done = run(photos, tmp_path / "run", executor=noting(Processes(2), ended))
    blocks = units(Plan.load(tmp_path / "run/.inverse"))
    assert sorted(ended, key=blocks.index) == blocks
    assert {(failure.item, failure.error) for failure in done.failures} == {("b.png", "WorkerError")}
    assert "3 workers were lost at it, the last one killed by SIGKILL" in done.failures[0].reason
    assert len(pids) >= 6
    monkeypatch.setattr(executor_processes, "WORKER", "raise SystemExit(5)")
    with pytest.raises(WorkerError, match="as they start: ended with code 5"):
        run(photos, tmp_path / "run", executor=Processes(2))
    assert all(gone(pid) for pid in pids)


def noting(executor: Any, ended: list[Unit]) -> Any:
    """The executor, that notes which units have ended."""

    class Noting:
        threads = 1

        def map(self, solver: Any, take: Any) -> Iterator[Unit]:
            for unit in executor.map(solver, take):
                ended.append(unit)
                yield unit

    return Noting()


def test_a_full_disk_of_a_worker_ends_the_run(
    photos: Path, tmp_path: Path, pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_processes, "WORKER", POISONED.format(full=True))
    with pytest.raises(OutputError, match="no space left"):
        run(photos / "sub", tmp_path / "run", executor=Processes(2))
    assert all(gone(pid) for pid in pids)


def test_dask_in_this_process_is_serial(photos: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert run(photos, tmp_path / "run", executor="dask-threads", workers=2).exit_code == 1
    assert contents(tmp_path / "run") == whole
    with pytest.raises(InputError, match=r"broken\.png") as strict:
        run(photos, tmp_path / "strict", executor="dask-threads", strict=True)
    with pytest.raises(InputError) as serial:
        run(photos, tmp_path / "serial", strict=True)
    assert str(strict.value) == str(serial.value)


@pytest.mark.slow
def test_dask_is_serial_though_its_workers_are_killed(
    photos: Path, tmp_path: Path, whole: dict[str, bytes], cluster: Any
) -> None:
    """Both, so that nothing that a run put on a worker outlives it; their nannies start them again."""
    from distributed import Client

    with Client(cluster) as client:
        assert run(photos, tmp_path / "calm", executor=Dask(client=client)).exit_code == 1
        assert contents(tmp_path / "calm") == whole
        workers = [nanny.process.process.pid for nanny in cluster.workers.values()]
        chaos = after_first(Dask(client=client), lambda: [os.kill(worker, signal.SIGKILL) for worker in workers])
        assert run(photos, tmp_path / "chaos", executor=chaos).exit_code == 1
    assert contents(tmp_path / "chaos") == whole


def test_a_scheduler_file_that_does_not_come(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_dask, "WAIT", 0.2)
    with pytest.raises(WorkerError, match="there is no such file") as missing:
        run(photos, tmp_path / "run", executor=f"dask:{tmp_path}/scheduler.json")
    assert "dask scheduler --scheduler-file" in missing.value.hint


def visible() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
def test_each_worker_of_a_local_dask_cluster_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    for device, shown in (("cuda", ["5", "7"]), ("cuda:1", ["5,7", "5,7"])):
        with executor_dask._local(2, processes=True, device=device) as made, Client(made) as client:
            assert sorted(client.run(visible).values()) == shown


def command(photos: Path, out: Path, *flags: str) -> None:
    """The command, in a process that has imported the package."""
    from inverse.cli.main import main

    recipe = out.with_suffix(".yaml")
    recipe.write_text(json.dumps({"schema": 1, **RECIPE}))
    settings = [word for name, value in FLAGS.items() for word in (f"--{name}", str(value))]
    sys.argv = [
        "inverse",
        "restore",
        str(recipe),
        str(photos),
        "-o",
        str(out),
        "--truth",
        str(photos),
        *settings,
        *flags,
    ]
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a suite in the background of a shell hands on an ignored one
    main()


@pytest.mark.parametrize(
    ("executor", "name"), [("processes", "SIGTERM"), pytest.param("dask", "SIGINT", marks=pytest.mark.slow)]
)
def test_killed_interrupted_and_resumed(
    executor: str, name: str, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """The last unit of the run is held by its claim: it is under way for as long as the test likes."""
    out, flags = tmp_path / "run", ("--executor", executor, "--workers", "1")
    assert run(photos, out, shard="1/7").pending
    held = units(Plan.load(out / ".inverse"))[-1]
    claim = out / ".inverse/claims" / held.name
    with claim.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for how in ("SIGKILL", name):
            process = CONTEXT.Process(target=command, args=(photos, out, *flags))
            process.start()
            assert comes_true(partial(waited_for, claim))
            crew = children(process.pid)
            with pytest.raises(OutputError, match="is being written by process"):
                run(photos, out)
            sent = time.monotonic()
            os.kill(process.pid, getattr(signal, how))
            process.join(60)
            spent = time.monotonic() - sent
            assert spent < 2
            assert process.exitcode == (-signal.SIGKILL if how == "SIGKILL" else 130)
            assert crew
            assert all(gone(pid) for pid in crew)
        claim.unlink()
    assert run(photos, out).exit_code == 1
    assert contents(out) == whole


def waited_for(path: Path) -> bool:
    """Whether somebody waits for the lock of a file."""
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_the_network_is_copied_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another precision needs a copy of its weights: one, not one an item."""
    from inverse.priors import open as opening

    made, denoiser = [], opening._denoiser

    def counted(*arguments: Any, **known: Any) -> Any:
        made.append(known["dtype"])
        return denoiser(*arguments, **known)

    monkeypatch.setattr(opening, "_denoiser", counted)
    for seed, name in enumerate(NAMES):
        picture(tmp_path / "photos" / name, seed, side=32)
    network = {"prior": {"name": "photo"}, "method": {"kind": "diffpir", "steps": 2}, "run": {"samples": 1}}
    done = restore(
        {**RECIPE, **network},
        tmp_path / "photos",
        out=tmp_path / "out",
        options=Options(progress="off", dtype="bfloat16"),
    )
    assert done.exit_code == 0
    assert len(done.rows) == 3
    assert made.count(torch.bfloat16) == 1
