from .sensing import CompressedSensingPhysics as CompressedSensingPhysics
from .sensing import PhaseRetrievalPhysics as PhaseRetrievalPhysics
from .sensing import compressed_sensing as compressed_sensing
from .sensing import locate_phase as locate_phase
from .sensing import phase_retrieval as phase_retrieval
from .sensing import result_phase as result_phase
from .spec import SPECS as SPECS
from .tomography import TomographyPhysics as TomographyPhysics
from .tomography import locate as locate
from .tomography import result as result

__all__ = [
    "SPECS",
    "CompressedSensingPhysics",
    "PhaseRetrievalPhysics",
    "TomographyPhysics",
    "compressed_sensing",
    "locate",
    "locate_phase",
    "phase_retrieval",
    "result",
    "result_phase",
]
