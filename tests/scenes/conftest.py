"""What tests of scenes share."""

import pytest


@pytest.fixture
def scene(tmp_path):
    """A GeoTIFF with gaps."""
    pytest.importorskip("rasterio")
    from scene_runs import written

    path = tmp_path / "in" / "scene.tif"
    path.parent.mkdir()
    return written(path)
