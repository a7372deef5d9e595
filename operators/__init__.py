"""Forward operators: deepinv physics, and the subclasses deepinv lacks."""

if __name__ != "inverse.operators":
    raise ImportError(
        "import this package as 'inverse.operators', not as 'operators': a second copy would split its registries"
    )
