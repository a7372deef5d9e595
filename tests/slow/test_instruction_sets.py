"""Gates and invariance on other processors: the same tests with other instruction sets and numbers of threads.

A green run on one machine proves nothing for the next: libraries choose kernels by the processor, which add in another
order, and what amplifies rounding shows. Run by ``make test-slow``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What oneDNN, MKL and ATen may use.
PROCESSORS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default"},
}

#: Invariance of every method and operator, and the exact gates of Gaussian problems.
TESTS = {
    "methods": ["tests/sampling/test_batch.py", "-k", "batch_of_eight_is_eight_of_one"],
    "operators": ["tests/operators/test_operators_catalogue.py", "-k", "batch_of_eight"],
    "gates": ["tests/exact/test_gaussian.py", "-k", "bias_has_not_moved and white-blur"],
}


def passes(environment: dict[str, str], *arguments: str) -> None:
    """A run of tests in such an environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("tests", TESTS)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_gates_and_invariance_hold_on_other_processors(processor: str, tests: str) -> None:
    passes(PROCESSORS[processor], *TESTS[tests])


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.timeout(1500)
def test_invariance_holds_with_two_threads() -> None:
    """By itself: threads that wait for each other beside as many of another process take ten times as long."""
    files = [path for path, *_ in TESTS.values()][:2]
    passes({"INVERSE_TEST_THREADS": "2"}, *files, "-k", "batch_of_eight and not smc and not operator0")
