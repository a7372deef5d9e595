from .add import read as read
from .card import Card as Card
from .card import card_of_header as card_of_header
from .card import card_text as card_text
from .card import parse_card as parse_card
from .card import read_card as read_card
from .catalog import Found as Found
from .catalog import card_path as card_path
from .catalog import embedded as embedded
from .catalog import find as find
from .catalog import prior_card as prior_card
from .catalog import remote as remote
from .channels import BandPrior as BandPrior
from .channels import GreyPrior as GreyPrior
from .download import cached as cached
from .download import fetch as fetch
from .download import offline as offline
from .mismatch import SLACK as SLACK
from .mismatch import Surprise as Surprise
from .mismatch import foreign as foreign
from .mismatch import upper as upper
from .open import CallablePrior as CallablePrior
from .open import NetworkPrior as NetworkPrior
from .open import computed as computed
from .open import is_network as is_network
from .open import open_prior as open_prior
from .open import open_tensors as open_tensors
from .open import with_range as with_range
from .store import broken as broken
from .store import card_file as card_file
from .store import check_name as check_name
from .store import home as home
from .store import pack as pack
from .store import place as place
from .store import save_prior as save_prior
from .store import store_folder as store_folder
from .store import stored as stored
from .verify import Verdict as Verdict
from .weights import PICKLES as PICKLES
from .weights import Entry as Entry
from .weights import Header as Header
from .weights import check_state as check_state
from .weights import digest as digest
from .weights import load_state as load_state
from .weights import read_header as read_header
from .weights import read_tensors as read_tensors
from .weights import regular_file as regular_file

__all__ = [
    "PICKLES",
    "SLACK",
    "BandPrior",
    "CallablePrior",
    "Card",
    "Entry",
    "Found",
    "GreyPrior",
    "Header",
    "NetworkPrior",
    "Surprise",
    "Verdict",
    "broken",
    "cached",
    "card_file",
    "card_of_header",
    "card_path",
    "card_text",
    "check_name",
    "check_state",
    "computed",
    "digest",
    "embedded",
    "fetch",
    "find",
    "foreign",
    "home",
    "is_network",
    "load_state",
    "offline",
    "open_prior",
    "open_tensors",
    "pack",
    "parse_card",
    "place",
    "prior_card",
    "read",
    "read_card",
    "read_header",
    "read_tensors",
    "regular_file",
    "remote",
    "save_prior",
    "store_folder",
    "stored",
    "upper",
    "with_range",
]
