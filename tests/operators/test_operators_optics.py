"""A microscope's operator: the file's pixel, wavelength and NA, unless somebody gave others."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from inverse.errors import InputError
from inverse.io.read_write import read
from inverse.operators.blur.blur import kernel_of
from inverse.operators.blur.optics import numbers
from inverse.operators.blur.spec import Airy
from inverse.operators.build import build_operator, fitted_operator, stated_operator
from inverse.operators.measurement import Measurement
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame

FACTS = {"optics": {"pixel": (130.0, 130.0), "wavelength": (610.0,), "numerical_aperture": 0.8}}
OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="0.3"/>
<Objective ID="Objective:1" LensNA="0.95"/></Instrument>
<Image ID="Image:0"><ObjectiveSettings ID="Objective:1"/>
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="40" SizeY="40" SizeC="1" SizeZ="1" SizeT="1"
 PhysicalSizeX="108" PhysicalSizeXUnit="nm" PhysicalSizeY="0.108"><Channel ID="Channel:0:0" SamplesPerPixel="1"
 EmissionWavelength="0.461" EmissionWavelengthUnit="µm"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>"""


def measured(facts=None):
    return Measurement(torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)), None, facts or {})


@pytest.mark.parametrize("kind", ["airy", "born-wolf", "gibson-lanni"])
def test_the_file_says_what_the_recipe_does_not(kind):
    fitted = fitted_operator({"kind": kind}, measured(FACTS))
    assert fitted.said == ("of the file: pixel 130 nm, wavelength 610 nm, NA 0.8",)
    given = build_operator(kind, shape=(1, 40, 40), pixel=130, wavelength=610, numerical_aperture=0.8)
    assert torch.equal(fitted.build(None).A(measured().y), given.A(measured().y))


def test_a_number_that_was_given_wins_and_the_conflict_is_said():
    stated, said = stated_operator({"kind": "airy", "pixel": 65}, FACTS)
    assert stated["pixel"] == 65
    assert "pixel 65 nm was given and is used; the file says pixel 130 nm" in said
    assert stated_operator({"kind": "airy", "pixel": 131}, FACTS)[1] == ("of the file: wavelength 610 nm, NA 0.8",)


def test_what_nobody_says_is_assumed_and_said():
    stated, said = stated_operator({"kind": "airy"}, {"optics": {"pixel": (130.0, 130.0)}})
    assert (stated["pixel"], stated["wavelength"], stated["numerical_aperture"]) == (130, 520, 1.2)
    assert said[1].startswith("assumed, the file does not say: wavelength 520 nm, NA 1.2 (give -s operator.wave")


def test_without_a_measurement_it_is_what_it_was():
    assert numbers(Airy()) == {"pixel": 65.0, "wavelength": 520.0, "numerical_aperture": 1.2}
    assert np.array_equal(kernel_of(Airy()), kernel_of(Airy(pixel=65, wavelength=520, numerical_aperture=1.2)))


def test_pixels_that_are_not_square_are_refused_unless_a_size_is_given():
    facts = {"optics": {"pixel": (260.0, 130.0)}}
    with pytest.raises(InputError, match="130 x 260 nm"):
        stated_operator({"kind": "airy"}, facts)
    assert stated_operator({"kind": "airy", "pixel": 130}, facts)[0]["pixel"] == 130


def test_channels_of_several_wavelengths_are_said():
    _, said = stated_operator({"kind": "airy"}, {"optics": {"pixel": (65.0, 65.0), "wavelength": (460.0, 610.0)}})
    assert "460, 610 nm have one pattern" in said[0]
    assert "wavelength 535 nm" in said[1]


def test_each_operator_of_a_list_is_told():
    chain = {"kind": "chain", "operators": [{"kind": "airy"}, {"kind": "downsample", "factor": 2}]}
    stated, said = stated_operator(chain, FACTS)
    assert stated["operators"][0]["pixel"] == 130
    assert len(said) == 1


def test_an_ome_file_by_the_shipped_recipe(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 60000, (40, 40)).astype("u2")
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, description=OME.encode(), metadata=None)
    recipe = load("deconvolve-microscopy")
    case = open_case(recipe, frame(read(tmp_path / "a.ome.tif"), 0, recipe.data))
    assert case.said[0] == "of the file: pixel 108 nm, wavelength 461 nm, NA 0.95"
