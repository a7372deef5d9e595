from .blend import ALIGN as ALIGN
from .blend import BlockAxis as BlockAxis
from .blend import Blocks as Blocks
from .blend import axis as axis
from .blend import overlap_of as overlap_of
from .blocks import require_local as require_local
from .blocks import restore_blocks as restore_blocks
from .blocks_xarray import dimensions as dimensions
from .blocks_xarray import labelled as labelled
from .blocks_xarray import nodata_of as nodata_of
from .coupled import lay_out as lay_out
from .coupled import require_tiles as require_tiles
from .coupled import sample_scene as sample_scene
from .coupled import scene_steps as scene_steps
from .coupled import solve_scene as solve_scene
from .independent import Independent as Independent
from .independent import blocks_of as blocks_of
from .independent import solve_blocks as solve_blocks
from .job import SceneJob as SceneJob
from .job import discard as discard
from .job import state_folder as state_folder
from .job import sweep as sweep
from .passes import BLOCK as BLOCK
from .passes import HALO as HALO
from .passes import Layout as Layout
from .passes import Pyramid as Pyramid
from .passes import Report as Report
from .passes import SceneSteps as SceneSteps
from .passes import holes as holes
from .passes import weighted as weighted
from .results import ON_MEASUREMENT as ON_MEASUREMENT
from .results import Arrays as Arrays
from .results import ScenePosterior as ScenePosterior
from .source import HEAD as HEAD
from .source import FileScene as FileScene
from .source import MeasuredScene as MeasuredScene
from .source import Scene as Scene
from .source import grids as grids
from .source import open_scene as open_scene
from .state import Numbers as Numbers
from .state import Raster as Raster
from .state import State as State
from .tile_size import LEAST as LEAST
from .tile_size import Tiles as Tiles
from .tile_size import free_bytes as free_bytes
from .windowed import PROBE as PROBE
from .windowed import support as support
from .write import SolvedScene as SolvedScene
from .write import Written as Written
from .write import write_scene as write_scene

__all__ = [
    "ALIGN",
    "BLOCK",
    "HALO",
    "HEAD",
    "LEAST",
    "ON_MEASUREMENT",
    "PROBE",
    "Arrays",
    "BlockAxis",
    "Blocks",
    "FileScene",
    "Independent",
    "Layout",
    "MeasuredScene",
    "Numbers",
    "Pyramid",
    "Raster",
    "Report",
    "Scene",
    "SceneJob",
    "ScenePosterior",
    "SceneSteps",
    "SolvedScene",
    "State",
    "Tiles",
    "Written",
    "axis",
    "blocks_of",
    "dimensions",
    "discard",
    "free_bytes",
    "grids",
    "holes",
    "labelled",
    "lay_out",
    "nodata_of",
    "open_scene",
    "overlap_of",
    "require_local",
    "require_tiles",
    "restore_blocks",
    "sample_scene",
    "scene_steps",
    "solve_blocks",
    "solve_scene",
    "state_folder",
    "support",
    "sweep",
    "weighted",
    "write_scene",
]
