from .facts import calibration_in_words as calibration_in_words
from .facts import item_facts as item_facts
from .facts import provenance as provenance
from .facts import summary as summary
from .figures import draw_calibration as draw_calibration
from .figures import write_figures as write_figures
from .images import COLOURS as COLOURS
from .images import LEVELS as LEVELS
from .images import MAX_SIDE as MAX_SIDE
from .images import Scale as Scale
from .images import bars as bars
from .images import fitted as fitted
from .images import map_url as map_url
from .images import picture_url as picture_url
from .images import ticks as ticks
from .images import window_of as window_of
from .items import DETAILS as DETAILS
from .items import Detail as Detail
from .items import Subject as Subject
from .items import panels as panels
from .items import thumbnail as thumbnail
from .maps import charts as charts
from .page import MEGABYTES as MEGABYTES
from .page import WORST as WORST
from .page import write_report as write_report
from .verdicts import Fault as Fault
from .verdicts import Verdicts as Verdicts
from .verdicts import cost_in_words as cost_in_words

__all__ = [
    "COLOURS",
    "DETAILS",
    "LEVELS",
    "MAX_SIDE",
    "MEGABYTES",
    "WORST",
    "Detail",
    "Fault",
    "Scale",
    "Subject",
    "Verdicts",
    "bars",
    "calibration_in_words",
    "charts",
    "cost_in_words",
    "draw_calibration",
    "fitted",
    "item_facts",
    "map_url",
    "panels",
    "picture_url",
    "provenance",
    "summary",
    "thumbnail",
    "ticks",
    "window_of",
    "write_figures",
    "write_report",
]
