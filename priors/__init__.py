"""Priors: denoisers ``D(x, sigma) = E[x0 | x0 + sigma n = x]`` in data units, and the cards that describe them."""

if __name__ != "inverse.priors":
    raise ImportError(
        "import this package as 'inverse.priors', not as 'priors': a second copy would split its registries"
    )
