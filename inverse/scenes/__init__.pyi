from .blend import ALIGN as ALIGN
from .blend import Axis as Axis
from .blend import axis as axis
from .blend import overlap_of as overlap_of
from .blocks import require_local as require_local
from .blocks import restore_blocks as restore_blocks
from .blocks_xarray import restore_labelled as restore_labelled
from .coupled import HEAD as HEAD
from .coupled import METHODS as METHODS
from .coupled import Layout as Layout
from .coupled import Scene as Scene
from .coupled import ScenePosterior as ScenePosterior
from .coupled import lay_out as lay_out
from .coupled import require_tiles as require_tiles
from .coupled import sample_scene as sample_scene
from .coupled import solve_scene as solve_scene
from .independent import Independent as Independent
from .independent import axes as axes
from .independent import solve_blocks as solve_blocks
from .job import SceneJob as SceneJob
from .job import discard as discard
from .job import state_folder as state_folder
from .job import sweep as sweep
from .passes import BLOCK as BLOCK
from .passes import HALO as HALO
from .passes import Pyramid as Pyramid
from .passes import Report as Report
from .passes import SceneSteps as SceneSteps
from .passes import holes as holes
from .passes import weighted as weighted
from .results import ON_MEASUREMENT as ON_MEASUREMENT
from .results import Arrays as Arrays
from .results import Coupled as Coupled
from .results import Solved as Solved
from .source import FileScene as FileScene
from .source import grids as grids
from .source import open_scene as open_scene
from .state import Numbers as Numbers
from .state import Raster as Raster
from .state import State as State
from .tile_size import LEAST as LEAST
from .tile_size import Tiles as Tiles
from .tile_size import Wanted as Wanted
from .tile_size import free_bytes as free_bytes
from .windowed import PROBE as PROBE
from .windowed import Local as Local
from .windowed import cut as cut
from .windowed import local as local
from .windowed import part as part
from .windowed import support as support
from .write import Written as Written
from .write import write_scene as write_scene

__all__ = [
    "ALIGN",
    "BLOCK",
    "HALO",
    "HEAD",
    "LEAST",
    "METHODS",
    "ON_MEASUREMENT",
    "PROBE",
    "Arrays",
    "Axis",
    "Coupled",
    "FileScene",
    "Independent",
    "Layout",
    "Local",
    "Numbers",
    "Pyramid",
    "Raster",
    "Report",
    "Scene",
    "SceneJob",
    "ScenePosterior",
    "SceneSteps",
    "Solved",
    "State",
    "Tiles",
    "Wanted",
    "Written",
    "axes",
    "axis",
    "cut",
    "discard",
    "free_bytes",
    "grids",
    "holes",
    "lay_out",
    "local",
    "open_scene",
    "overlap_of",
    "part",
    "require_local",
    "require_tiles",
    "restore_blocks",
    "restore_labelled",
    "sample_scene",
    "solve_blocks",
    "solve_scene",
    "state_folder",
    "support",
    "sweep",
    "weighted",
    "write_scene",
]
