"""Linear light: the curve, and a run whose operator averages light instead of stored values."""

from __future__ import annotations

import numpy as np
import pytest

import inverse
from inverse.io import Picture, read, write
from inverse.light import decode, encode
from inverse.simulation import simulate_files


def test_the_curve_is_invertible_past_both_ends_and_hits_its_known_points() -> None:
    values = np.linspace(-0.5, 1.5, 4001).astype(np.float32)
    assert np.allclose(encode(decode(values)), values, atol=1e-5)
    assert np.allclose(decode(encode(values)), values, atol=1e-5)
    assert decode(np.float32([0, 1, 0.5])) == pytest.approx([0, 1, 0.2140], abs=1e-4)
    assert np.all(np.diff(decode(values)) > 0)


def test_averaging_black_and_white_in_linear_light_is_brighter(tmp_path) -> None:
    board = np.where(np.indices((32, 32)).sum(0) % 2 == 0, 255, 0).astype(np.uint8)
    write(tmp_path / "truth" / "board.png", Picture(array=np.repeat(board[..., None], 3, 2), format="png"))
    mean = {}
    for transfer in ("srgb", "linear"):
        out = tmp_path / transfer
        simulate_files(
            "super-resolution",
            tmp_path / "truth",
            out=out,
            overrides=["operator.factor=2", "noise.sigma=0.0001", f"data.transfer={transfer}"],
        )
        mean[transfer] = float(read(next((out / "measured").iterdir())).array.mean())
    assert mean["srgb"] == pytest.approx(0.5, abs=1e-3)
    assert mean["linear"] == pytest.approx(float(encode(np.float32([0.5]))[0]), abs=1e-3)


def test_a_run_in_linear_light_restores_the_stored_values(tmp_path) -> None:
    ramp = np.broadcast_to(np.linspace(20, 235, 32).astype(np.uint8)[None, :, None], (32, 32, 3))
    write(tmp_path / "ramp.png", Picture(array=np.ascontiguousarray(ramp), format="png"))
    run = inverse.restore(
        "denoise",
        tmp_path / "ramp.png",
        out=tmp_path / "out",
        overrides=["prior.name=gaussian", "noise.sigma=0.0001", "data.transfer=linear", "method.steps=30"],
        truth=tmp_path / "ramp.png",
    )
    assert run.exit_code == 0
    restored = read(tmp_path / "out" / "restored" / "ramp.png").array
    assert np.abs(restored.astype(int) - ramp).max() <= 2
    assert "linear light" in (tmp_path / "out" / "run.json").read_text()
