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

#: What oneDNN, MKL and ATen may use, and the threads of each.
PROCESSORS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default"},
    "two-threads": {"INVERSE_TEST_THREADS": "2"},
}

#: Invariance of every method and operator, and the exact gates of Gaussian problems.
TESTS = {
    "methods": ["tests/sampling/test_batch.py", "-k", "batch_of_eight_is_eight_of_one"],
    "operators": ["tests/operators/test_operators_catalogue.py", "-k", "batch_of_eight"],
    "gates": ["tests/exact/test_gaussian.py", "-k", "bias_has_not_moved and white-blur"],
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("tests", TESTS)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_gates_and_invariance_hold_on_other_processors(processor: str, tests: str) -> None:
    environment = {**os.environ, **PROCESSORS[processor]}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *TESTS[tests]]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
