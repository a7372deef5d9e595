"""Satellite products as their agencies deliver them: a folder whose metadata file names the bands' files."""
