from .add import read as read
from .card import SHIPPED as SHIPPED
from .card import Card as Card
from .card import card_of_header as card_of_header
from .card import card_text as card_text
from .card import embedded as embedded
from .card import parse_card as parse_card
from .card import prior_facts as prior_facts
from .card import read_card as read_card
from .card import remote as remote
from .catalogue import Found as Found
from .catalogue import card_path as card_path
from .catalogue import find as find
from .channels import BandPrior as BandPrior
from .channels import GreyPrior as GreyPrior
from .download import cached as cached
from .download import fetch as fetch
from .download import no_downloads as no_downloads
from .download import offline as offline
from .header import PICKLES as PICKLES
from .header import Entry as Entry
from .header import Header as Header
from .header import digest as digest
from .header import read_header as read_header
from .header import regular_file as regular_file
from .mismatch import SLACK as SLACK
from .mismatch import Surprise as Surprise
from .mismatch import foreign as foreign
from .mismatch import upper as upper
from .open import NetworkPrior as NetworkPrior
from .open import open_prior as open_prior
from .open import open_tensors as open_tensors
from .store import broken as broken
from .store import card_file as card_file
from .store import check_name as check_name
from .store import home as home
from .store import pack as pack
from .store import place as place
from .store import save_prior as save_prior
from .store import store_folder as store_folder
from .store import stored as stored
from .verify import Verified as Verified
from .verify import denoises as denoises
from .weights import check_state as check_state
from .weights import read_tensors as read_tensors

__all__ = [
    "PICKLES",
    "SHIPPED",
    "SLACK",
    "BandPrior",
    "Card",
    "Entry",
    "Found",
    "GreyPrior",
    "Header",
    "NetworkPrior",
    "Surprise",
    "Verified",
    "broken",
    "cached",
    "card_file",
    "card_of_header",
    "card_path",
    "card_text",
    "check_name",
    "check_state",
    "denoises",
    "digest",
    "embedded",
    "fetch",
    "find",
    "foreign",
    "home",
    "no_downloads",
    "offline",
    "open_prior",
    "open_tensors",
    "pack",
    "parse_card",
    "place",
    "prior_facts",
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
]
