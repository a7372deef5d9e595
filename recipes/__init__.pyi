from .calibration_file import ASSUMES as ASSUMES
from .calibration_file import CalibrationFile as CalibrationFile
from .calibration_file import IntervalCheck as IntervalCheck
from .calibration_file import Licence as Licence
from .calibration_file import licence as licence
from .calibration_file import opened_calibration as opened_calibration
from .calibration_file import read_calibration as read_calibration
from .calibration_file import recorded as recorded
from .calibration_file import unfit as unfit
from .levels import require_level as require_level
from .messages import explain as explain
from .recipe import Recipe as Recipe
from .recipe import load as load
from .recipe import load_layer as load_layer
from .recipe import recipe_text as recipe_text
from .recipe import schema as schema
from .recipe import shipped as shipped
from .recipe import shipped_folder as shipped_folder
from .sections import OPERATOR_DEFAULTS as OPERATOR_DEFAULTS
from .sections import Data as Data
from .sections import Prior as Prior
from .sections import RunSection as RunSection
from .sections import Section as Section
from .sections import keys_of as keys_of
from .sections import method_models as method_models
from .sections import operator_models as operator_models
from .sections import union as union
from .shortcuts import shortcuts as shortcuts
from .yaml_layers import Layer as Layer
from .yaml_layers import Origin as Origin
from .yaml_layers import Where as Where
from .yaml_layers import dump as dump
from .yaml_layers import merge as merge
from .yaml_layers import parse_mapping as parse_mapping
from .yaml_layers import parse_overrides as parse_overrides
from .yaml_layers import spelled_out as spelled_out

__all__ = [
    "ASSUMES",
    "OPERATOR_DEFAULTS",
    "CalibrationFile",
    "Data",
    "IntervalCheck",
    "Layer",
    "Licence",
    "Origin",
    "Prior",
    "Recipe",
    "RunSection",
    "Section",
    "Where",
    "dump",
    "explain",
    "keys_of",
    "licence",
    "load",
    "load_layer",
    "merge",
    "method_models",
    "opened_calibration",
    "operator_models",
    "parse_mapping",
    "parse_overrides",
    "read_calibration",
    "recipe_text",
    "recorded",
    "require_level",
    "schema",
    "shipped",
    "shipped_folder",
    "shortcuts",
    "spelled_out",
    "unfit",
    "union",
]
