"""What the table of methods says of them: parameters, tiles, reach, gates."""

from __future__ import annotations

import pytest

from inverse.errors import UsageError
from inverse.sampling.methods import METHODS, method_spec
from inverse.sampling.problem import Request


def test_methods_with_tiles_say_when() -> None:
    tiled = {name: spec.tiles for name, spec in METHODS.items() if spec.tiles}
    assert set(tiled) == {"diffpir", "ddnm", "ddrm", "dds", "mpgd", "pigdm", "reverse"}
    assert {name for name, tiles in tiled.items() if callable(tiles)} == {"dds", "pigdm"}
    assert {name for name, spec in METHODS.items() if not spec.tiles_auto} == {"mpgd"}
    pigdm, dds = tiled["pigdm"], tiled["dds"]
    assert callable(pigdm)
    assert callable(dds)
    assert not pigdm({"covariance": "residual"}, True)
    assert "covariance=residual" in pigdm({"covariance": "card"}, True)
    assert "area means" in pigdm({"covariance": "residual"}, False)
    assert not dds({}, True)
    assert "couples the whole scene" in dds({}, False)


def test_a_step_with_the_jacobian_sees_twice_as_far() -> None:
    pigdm = method_spec("pigdm")
    assert (pigdm.reach_for({}), pigdm.reach_for({"products": 0.0})) == (2, 1)
    assert method_spec("diffpir").reach_for({}) == 1
    # what a scene counts as steps with the Jacobian
    assert pigdm.cost({"products": 0.7, "steps": 20})[1] == 14
    assert {name for name, spec in METHODS.items() if spec.totals} == {"pigdm"}


def test_parameters_of_the_gates_are_the_methods_own() -> None:
    for spec in METHODS.values():
        spec.validate(spec.gate)


@pytest.mark.parametrize("samples", [0, True, range(0), "4", 2.0])
def test_a_request_without_samples_is_refused(samples) -> None:
    with pytest.raises(UsageError, match="a whole number from 1, or a range"):
        _ = Request(samples=samples).indices
    assert Request(samples=3).indices == range(3)
