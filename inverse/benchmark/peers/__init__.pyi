from .bart import sense as sense
from .classical import bicubic as bicubic
from .classical import biharmonic as biharmonic
from .classical import bm3d_blur as bm3d_blur
from .classical import bm3d_noise as bm3d_noise
from .classical import measured as measured
from .classical import non_local_means as non_local_means
from .classical import richardson_lucy as richardson_lucy
from .classical import unsupervised_wiener as unsupervised_wiener
from .classical import wiener as wiener
from .deepinv import diffpir as diffpir
from .deepinv import dpir as dpir
from .deepinv import own_physics as own_physics
from .registry import PEERS as PEERS
from .registry import Peer as Peer
from .registry import peer as peer
from .setting import Counted as Counted
from .setting import Setting as Setting

__all__ = [
    "PEERS",
    "Counted",
    "Peer",
    "Setting",
    "bicubic",
    "biharmonic",
    "bm3d_blur",
    "bm3d_noise",
    "diffpir",
    "dpir",
    "measured",
    "non_local_means",
    "own_physics",
    "peer",
    "richardson_lucy",
    "sense",
    "unsupervised_wiener",
    "wiener",
]
