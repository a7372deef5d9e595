"""The peers that a suite may name: what they need, and where they are. Nothing here imports one, or torch.

Fairness: a peer gets the measurement, the true operator and noise level, and where it takes a prior, ours; never the
truth. One whose result depends on a constant without a good default gives several results, and the best by PSNR is
taken, chosen with the truth for each image, which no user has: such rows say so. Ours get the constants of the suite,
the same for all images.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inverse.errors import RecipeError, did_you_mean

__all__ = ["PEERS", "Peer", "peer"]

_BLUR = frozenset({"gaussian-blur", "motion-blur"})
_MASK = frozenset({"random-mask", "box-mask", "file-mask", "gap-mask"})


@dataclass(frozen=True)
class Peer:
    """A method of another package."""

    name: str  # as suites spell it
    title: str  # as tables do
    package: str  # what must be importable; a program for BART
    install: str  # how to get it
    target: str  # module:name, or module:TABLE:key; a function of a `Setting`
    kinds: frozenset[str] = frozenset()  # the operator kinds that it is for; empty: all linear ones
    samples: bool = False  # it draws posterior samples; else it gives a point estimate
    prior: bool = False  # it uses our prior, and so needs a number of network evaluations
    chosen: int = 1  # how many results the best is chosen from with the truth; 1: none is chosen
    default: int = 0  # network evaluations of a sample that it ships with
    gradient: bool = False  # it differentiates the network

    @property
    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        place = shutil.which("bart") if self.package == "bart" else importlib.util.find_spec(self.package)
        return f"not installed: {self.install}" if place is None else ""

    def refuses(self, kind: str) -> str:
        """Why it is not for an operator kind, or nothing."""
        if not self.kinds or kind in self.kinds:
            return ""
        return f"is for {', '.join(sorted(self.kinds))} only"

    def load(self) -> Callable[[Any], Any]:
        """The function."""
        module, name, *key = self.target.split(":")
        member = getattr(importlib.import_module(module), name)
        function: Callable[[Any], Any] = member[key[0]] if key else member
        return function


def _classical(name: str, title: str, function: str, kinds: frozenset[str], chosen: int = 1) -> Peer:
    target = f"inverse.benchmark.peers.classical:{function}"
    return Peer(name, title, "skimage", "pip install scikit-image", target, kinds, chosen=chosen)


def _bm3d(name: str, title: str, function: str, kinds: frozenset[str]) -> Peer:
    install = "pip install bm3d (free for non-commercial use)"
    return Peer(name, title, "bm3d", install, f"inverse.benchmark.peers.classical:{function}", kinds)


def _bart(name: str, title: str, function: str, chosen: int) -> Peer:
    target = f"inverse.benchmark.peers.bart:{function}"
    return Peer(name, title, "bart", "apt install bart", target, frozenset({"mri"}), chosen=chosen)


def _sampler(library: str, key: str, default: int, *, gradient: bool) -> Peer:
    target = f"inverse.benchmark.peers.{library}:SAMPLERS:{key}"
    name = key.lower().replace(" ", "-")
    install = f"pip install '{'inverse-imaging[azula]' if library == 'azula' else 'deepinv'}'"
    return Peer(name, key, library, install, target, samples=True, prior=True, default=default, gradient=gradient)


def _tuned(name: str, title: str, function: str, chosen: int, *, default: int = 0, samples: bool = False) -> Peer:
    target, install = f"inverse.benchmark.peers.deepinv:{function}", "pip install deepinv"
    return Peer(
        name, title, "deepinv", install, target, samples=samples, prior=default > 0, chosen=chosen, default=default
    )


_ALL = (
    Peer("measured", "measurement", "torch", "", "inverse.benchmark.peers.classical:measured"),
    _classical("skimage-wiener", "scikit-image Wiener", "wiener", _BLUR, 25),
    _classical("skimage-unsupervised-wiener", "scikit-image unsupervised Wiener", "unsupervised_wiener", _BLUR),
    _classical("skimage-richardson-lucy", "scikit-image Richardson-Lucy", "richardson_lucy", _BLUR, 9),
    _classical("skimage-tv", "scikit-image TV", "total_variation", frozenset({"denoise"}), 6),
    _classical("skimage-nl-means", "scikit-image NL-means", "non_local_means", frozenset({"denoise"}), 4),
    _classical("skimage-wavelets", "scikit-image wavelets", "wavelets", frozenset({"denoise"})),
    _classical("skimage-biharmonic", "scikit-image biharmonic", "biharmonic", _MASK),
    _classical("skimage-bicubic", "scikit-image bicubic", "bicubic", frozenset({"downsample", "sensor"}), 4),
    _bm3d("bm3d", "BM3D", "bm3d_noise", frozenset({"denoise"})),
    _bm3d("bm3d-deblurring", "BM3D deblurring", "bm3d_blur", _BLUR),
    _bart("bart-sense", "BART SENSE", "sense", 5),
    _bart("bart-l1", "BART l1-wavelets", "wavelets", 6),
    _bart("bart-tv", "BART TV", "total_variation", 6),
    _tuned("deepinv-tv", "deepinv TV", "total_variation", 5),
    _tuned("deepinv-dpir", "deepinv DPIR", "dpir", 6, default=8),
    _tuned("deepinv-diffpir-tuned", "deepinv DiffPIR, tuned", "diffpir", 4, default=100, samples=True),
    _sampler("deepinv", "deepinv DPS", 1000, gradient=True),
    _sampler("deepinv", "deepinv DPS annealed", 1000, gradient=True),
    _sampler("deepinv", "deepinv PiGDM", 1000, gradient=True),
    _sampler("deepinv", "deepinv PiGDM unit var", 1000, gradient=True),
    _sampler("deepinv", "deepinv PiGDM VE", 1000, gradient=True),
    _sampler("deepinv", "deepinv moment matching", 1000, gradient=True),
    _sampler("deepinv", "deepinv moment matching VE", 1000, gradient=True),
    _sampler("deepinv", "deepinv DiffPIR", 100, gradient=False),
    _sampler("deepinv", "deepinv DDRM", 10, gradient=False),
    _sampler("azula", "azula DPS", 1000, gradient=True),
    _sampler("azula", "azula PiGDM", 64, gradient=True),
    _sampler("azula", "azula PiGDM eta 1", 64, gradient=True),
    _sampler("azula", "azula DiffPIR", 64, gradient=False),
    _sampler("azula", "azula MMPS", 64, gradient=True),
    _sampler("azula", "azula MMPS 3 iterations", 64, gradient=True),
    _sampler("azula", "azula TDS", 64, gradient=True),
)

#: By name.
PEERS: Mapping[str, Peer] = {one.name: one for one in _ALL}


def peer(name: str) -> Peer:
    """The peer of a name.

    Raises:
        RecipeError: there is none.
    """
    if name not in PEERS:
        raise RecipeError(f"no peer '{name}'", did_you_mean(name, PEERS))
    return PEERS[name]
