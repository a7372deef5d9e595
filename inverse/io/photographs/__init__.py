"""One module a format of photographs: how a file becomes a `Picture`, and a `Picture` a file again.

PNG and JPEG are in `inverse.io.formats.raster`. A format whose files are compressed with losses is written without.
"""
