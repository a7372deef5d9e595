"""One module a file format.

Each decodes to a `Picture`, a `Volume` or a `Scan`, and encodes what the format can hold. The registry in
`inverse.io.registry` finds them.
"""
