"""Scenes in Zarr stores, and in plain TIFF, by windows: as at once, and never read whole."""

from dataclasses import replace

import numpy as np
import pytest
from scene_runs import killed_after, read_window

import inverse.io as iio
from inverse.errors import InputError
from inverse.io.sources import find
from inverse.io.windows import in_blocks, open_writer
from inverse.runs.run import Options, restore
from inverse.storage.files import file_hash

zarr = pytest.importorskip("zarr")

SIZE = (150, 203)
SMALL = (70, 90)
GAPS = {
    "schema": 1,
    "title": "a",
    "operator": {"kind": "gap-mask"},
    "noise": {"kind": "gaussian", "sigma": 0.02},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 3},
    "data": {"scale": "bands"},
    "run": {"samples": 2, "seed": 0},
}
AREA = {**GAPS, "operator": {"kind": "downsample", "factor": 2}, "data": {"scale": "auto"}}
DENOISE = {**GAPS, "operator": {"kind": "denoise"}, "data": {"scale": [0, 20000]}}


def values(size):
    """(3, H, W) uint16 without zeros."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    smooth = np.stack([9000 + 3000 * np.sin(rows / 17 + band) * np.cos(columns / 23) for band in range(3)])
    return np.rint(smooth + 300 * rng.standard_normal(smooth.shape)).astype(np.uint16), rows, columns


def banded(path):
    """As xarray writes version 3: bands first, axes named, coordinates and a coordinate system beside."""
    scene, rows, columns = values(SIZE)
    scene[:, (rows + columns // 7) % 32 < 5] = 0
    group = zarr.open_group(path, mode="w")
    known = {"dimension_names": ("band", "y", "x"), "attributes": {"_FillValue": 0, "unit": "DN"}}
    group.create_array("values", shape=scene.shape, dtype="uint16", chunks=(1, 32, 64), **known)[...] = scene
    for name, size, step in (("y", SIZE[0], -30.0), ("x", SIZE[1], 30.0)):
        group.create_array(name, shape=(size,), dtype="f8", dimension_names=(name,))[...] = step * np.arange(size)
    group.create_array("spatial_ref", shape=(), dtype="i8", attributes={"crs_wkt": "EPSG:32633"})[...] = 0


def plain(path):
    """Version 2, channels last, as an array of its own."""
    scene = np.moveaxis(values(SIZE)[0], 0, -1)
    zarr.create_array(path, shape=scene.shape, dtype="uint16", chunks=(64, 64, 3), zarr_format=2)[...] = scene


def pyramid(path):
    """OME-Zarr: channels first, pixels of half a micrometre, two levels."""
    scene = values(SMALL)[0]
    group = zarr.open_group(path, mode="w", zarr_format=2)
    scale = {"coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]}
    axes = [{"name": name, "type": kind} for name, kind in (("c", "channel"), ("y", "space"), ("x", "space"))]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", **scale}, {"path": "1"}]}]
    for level, image in (("0", scene), ("1", scene[:, ::2, ::2])):
        group.create_array(level, shape=image.shape, dtype="uint16", chunks=(3, 40, 40))[...] = image


CASES = {"banded": (banded, GAPS, "/values"), "plain": (plain, DENOISE, ""), "pyramid": (pyramid, AREA, "/0")}


def run(recipe, scene, out, **options):
    made = restore(recipe, scene, out=out, options=Options(progress="off", **options))
    assert made.exit_code == 0, made.failures
    return made.rows[0]


def read(path, name=""):
    return zarr.open_array(f"{path}{name}", mode="r")


@pytest.mark.parametrize("case", CASES)
def test_by_windows_as_at_once(case, tmp_path):
    make, recipe, name = CASES[case]
    scene = tmp_path / "scene.zarr"
    make(scene)
    before = file_hash(scene)
    first, second = run(recipe, scene, tmp_path / "a"), run(recipe, scene, tmp_path / "b", tile=64)
    assert file_hash(scene) == before
    assert "tiles" not in first
    assert second["tiles"] == "coupled, 64"
    for folder, tolerance in (("restored", 1), ("std", 2)):
        whole, tiled = (read(tmp_path / out / folder / "scene.zarr", name) for out in "ab")
        assert whole.dtype == tiled.dtype == ("uint16" if folder == "restored" else "float32")
        assert dict(whole.attrs) == dict(tiled.attrs)
        assert whole.metadata.zarr_format == tiled.metadata.zarr_format
        one, other = whole[...].astype(float), tiled[...].astype(float)
        assert np.array_equal(np.isnan(one), np.isnan(other))
        assert np.nanmax(np.abs(one - other)) <= tolerance
    for key in ("height", "width", "channels", "misfit", "data_share"):
        assert second[key] == pytest.approx(first[key], rel=1e-3)
    (source,) = find([tmp_path / "b" / "restored"])  # a result is an item again
    assert source.item == "scene.zarr"


def test_gaps_names_and_coordinates_survive(tmp_path):
    scene = tmp_path / "scene.zarr"
    banded(scene)
    run(GAPS, scene, tmp_path / "a", tile=64)
    measured, made = read(scene, "/values"), read(tmp_path / "a/restored/scene.zarr", "/values")
    assert made.metadata.dimension_names == ("band", "y", "x")
    assert {"_FillValue": 0, "unit": "DN"}.items() <= dict(made.attrs).items()
    assert made.chunks == measured.chunks
    observed = measured[...] > 0
    assert (made[...] > 0).mean() > 0.99  # gaps are filled, what opens widely into the border is not
    assert not observed.all()
    std = read(tmp_path / "a/std/scene.zarr", "/values")
    assert "_FillValue" not in std.attrs
    assert std.attrs["unit"] == "DN"
    assert np.array_equal(np.isnan(std[...]), made[...] == 0)
    for folder in ("restored", "std"):
        group = zarr.open_group(tmp_path / "a" / folder / "scene.zarr", mode="r")
        assert np.array_equal(group["x"][...], 30.0 * np.arange(SIZE[1]))
        assert group["spatial_ref"].attrs["crs_wkt"] == "EPSG:32633"


def test_pixel_sizes_follow_the_grid(tmp_path):
    scene = tmp_path / "scene.zarr"
    pyramid(scene)
    run(AREA, scene, tmp_path / "a", tile=64)
    group = zarr.open_group(tmp_path / "a/restored/scene.zarr", mode="r")
    assert group["0"].shape == (3, 140, 180)
    (dataset,) = group.attrs["multiscales"][0]["datasets"]
    assert dataset["coordinateTransformations"][0]["scale"] == [1.0, 0.25, 0.25]


def test_large_chunks_become_512_by_windows(tmp_path):
    scene = tmp_path / "scene.zarr"
    array = zarr.create_array(
        scene, shape=(3, 600, 700), dtype="uint8", chunks=(3, 600, 100), dimension_names=("band", "y", "x")
    )
    array[...] = 7
    window = read_window(scene, (0, 0, 16, 16))
    like = in_blocks(window, size=(600, 700), side=512)
    with open_writer(tmp_path / "out.zarr", like, size=(600, 700)) as put:
        put(0, 0, window)
    made = read(tmp_path / "out.zarr")
    assert made.chunks == (3, 512, 100)
    assert made.shape == array.shape
    assert (made[:, :16, :16] == 7).all()


@pytest.mark.parametrize("version", [2, 3])
def test_more_channels_than_were_read(version, tmp_path):
    group = zarr.open_group(tmp_path / "scene.zarr", mode="w", zarr_format=version)
    group.attrs["multiscales"] = [{"axes": [{"name": "x"}, {"name": "y"}], "datasets": [{"path": "0"}]}]
    known = {"dimension_names": ("x", "y")} if version == 3 else {"attributes": {"_ARRAY_DIMENSIONS": ["x", "y"]}}
    array = group.create_array("0", shape=(700, 600), dtype="uint8", chunks=(700, 600), **known)
    array[...] = 7
    window = read_window(tmp_path / "scene.zarr", (0, 0, 16, 16))
    colours = (1 + np.arange(16 * 16 * 3) % 255).astype(np.uint8).reshape(16, 16, 3)  # 0 is missing in version 2
    like = in_blocks(replace(window, array=colours), size=(600, 700), side=512)
    with open_writer(tmp_path / "out.zarr", like, size=(600, 700)) as put:
        put(32, 512, replace(window, array=colours))
    iio.write(tmp_path / "whole.zarr", replace(like, array=np.zeros((600, 700, 3), np.uint8)))
    for name in ("out", "whole"):
        made = read(tmp_path / f"{name}.zarr", "/0")
        assert made.shape == (600, 700, 3)
        assert made.chunks == (512, 512, 3)
        if version == 3:
            assert made.metadata.dimension_names == ("y", "x", "channel")
        else:
            assert made.attrs["_ARRAY_DIMENSIONS"] == ["y", "x", "channel"]
        assert "multiscales" not in zarr.open_group(tmp_path / f"{name}.zarr", mode="r").attrs
    np.testing.assert_array_equal(read(tmp_path / "out.zarr", "/0")[32:48, 512:528], colours)
    np.testing.assert_array_equal(read_window(tmp_path / "out.zarr", (32, 512, 16, 16)).array, colours)


def test_fewer_channels_than_were_read(tmp_path):
    scene = tmp_path / "scene.zarr"
    banded(scene)
    zarr.create_array(scene / "band", shape=(3,), dtype="i8", dimension_names=("band",))[...] = [1, 2, 3]
    window = read_window(scene, (64, 64, 16, 16))
    grey = replace(window, array=np.full((16, 16), 7, np.uint16), valid=np.ones((16, 16, 3), bool))
    with open_writer(tmp_path / "out.zarr", grey, size=SIZE) as put:
        put(64, 64, grey)
    made = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert made["values"].shape == (1, *SIZE)
    assert made["values"].metadata.dimension_names == ("band", "y", "x")
    assert (made["values"][0, 64:80, 64:80] == 7).all()
    assert sorted(made) == ["spatial_ref", "values", "x", "y"]


@pytest.mark.parametrize("ome", [False, True])
def test_the_place_of_the_first_pixel_follows_the_grid(ome, tmp_path):
    scene = tmp_path / "scene.zarr"
    pyramid(scene)
    scale, place = {"type": "scale", "scale": [1.0, 0.5, 2]}, {"type": "translation", "translation": [3, 10.0, 20]}
    odd = [{"type": "scale", "scale": 5}, {"type": "translation", "translation": "x"}, "identity"]
    group = zarr.open_group(scene, mode="a")
    for size, moved in (((140, 180), (10 - 0.125, 20 - 0.5)), ((35, 45), (10 + 0.25, 20 + 1)), (SMALL, (10, 20))):
        finer = [1, 0.5 * SMALL[0] / size[0], 2 * SMALL[1] / size[1]]
        made = {"type": "scale", "scale": finer}, {"type": "translation", "translation": [3, *moved]}
        for moves, expected in (([*odd, scale, place], [*odd, *made]), ([place], [place]), ([scale], [made[0]])):
            levels = [{"path": "0", "coordinateTransformations": moves}]
            known = {"multiscales": [{"axes": [{"name": name} for name in "cyx"], "datasets": levels}]}
            group.attrs.put({"ome": known} if ome else known)
            picture = replace(iio.read(scene), array=np.ones((*size, 3), np.uint16))
            iio.write(tmp_path / "out.zarr", picture, overwrite=True)
            attributes = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs
            (written,) = (attributes["ome"] if ome else attributes)["multiscales"][0]["datasets"]
            assert written["coordinateTransformations"] == expected


def test_a_store_is_never_read_whole(tmp_path, monkeypatch):
    from inverse.io.formats.zarr import Reader

    scene, seen, window = tmp_path / "scene.zarr", [], Reader.picture
    banded(scene)

    def counted(self, top, left, height, width, **known):
        seen.append(height * width)
        return window(self, top, left, height, width, **known)

    def refuse(*_, **__):
        raise AssertionError("read whole")

    monkeypatch.setattr(Reader, "picture", counted)
    monkeypatch.setattr(Reader, "content", refuse)
    for name in ("source.STRIP", "source.HEAD", "results.SIDE", "write.FOOTPRINT"):
        monkeypatch.setattr(f"inverse.scenes.{name}", 16 if name.endswith("STRIP") else 64)
    run(GAPS, scene, tmp_path / "a", tile=64)
    assert len(seen) > 100
    assert max(seen) <= SIZE[0] * SIZE[1] // 1.5


def test_killed_it_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    scene = tmp_path / "scene.zarr"
    banded(scene)
    run(GAPS, scene, tmp_path / "a", tile=64)
    done = killed_after(monkeypatch, 30)
    with pytest.raises(KeyboardInterrupt):
        run(GAPS, scene, tmp_path / "b", tile=64)
    assert not (tmp_path / "b" / "restored").exists()
    run(GAPS, scene, tmp_path / "b")
    assert len(done) == 12 * 5 * 2 + 1  # the tile in flight twice
    for folder in ("restored", "std"):
        assert file_hash(tmp_path / "a" / folder / "scene.zarr") == file_hash(tmp_path / "b" / folder / "scene.zarr")


def test_what_is_no_scene_is_refused(tmp_path, monkeypatch):
    stack = tmp_path / "stack.zarr"
    zarr.create_array(stack, shape=(5, 140, 140), dtype="uint16", chunks=(1, 50, 50))[...] = 1
    with pytest.raises(InputError, match="not one image"):
        read_window(stack, (0, 0, 10, 10))
    plain(tmp_path / "scene.zarr")
    monkeypatch.setattr("inverse.io.formats.zarr.LARGEST_CHUNK", 1000)
    with pytest.raises(InputError, match="whole chunks"):
        read_window(tmp_path / "scene.zarr", (0, 0, 10, 10))
    made = restore(DENOISE, stack, out=tmp_path / "out", options=Options(progress="off", tile=64))
    assert made.exit_code == 4
    assert "not one image" in made.failures[0].reason


def test_plain_tiff_by_windows_as_at_once(tmp_path):
    import tifffile

    pytest.importorskip("rasterio")
    scene = tmp_path / "scene.tif"
    tifffile.imwrite(scene, np.moveaxis(values(SIZE)[0], 0, -1), photometric="rgb")
    run(DENOISE, scene, tmp_path / "a")
    assert run(DENOISE, scene, tmp_path / "b", tile=64)["tiles"] == "coupled, 64"
    whole, tiled = (tifffile.imread(tmp_path / out / "restored/scene.tif").astype(int) for out in "ab")
    assert whole.shape == tiled.shape == (*SIZE, 3)
    assert np.abs(whole - tiled).max() <= 1
    whole, tiled = (tifffile.imread(tmp_path / out / "std/scene.tif") for out in "ab")
    assert np.abs(whole - tiled).max() <= 2
    tifffile.imwrite(tmp_path / "pages.tif", values(SIZE)[0], photometric="minisblack")
    with pytest.raises(InputError, match="of 3 pages"):
        read_window(tmp_path / "pages.tif", (0, 0, 10, 10))
