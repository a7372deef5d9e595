from .covariance import bounded as bounded
from .covariance import mean_variance as mean_variance
from .covariance import mmps as mmps
from .covariance import pigdm as pigdm
from .covariance import prior_variance as prior_variance
from .covariance import tmpd as tmpd
from .gradient import dps as dps
from .proximal import dds as dds
from .proximal import diffpir as diffpir
from .proximal import mpgd as mpgd

__all__ = [
    "bounded",
    "dds",
    "diffpir",
    "dps",
    "mean_variance",
    "mmps",
    "mpgd",
    "pigdm",
    "prior_variance",
    "tmpd",
]
