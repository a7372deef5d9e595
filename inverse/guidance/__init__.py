"""Guidance: posterior denoisers, one paper a file."""
