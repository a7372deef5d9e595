from .chains import ess as ess
from .chains import in_numbers as in_numbers
from .chains import r_hat as r_hat
from .display import BOX as BOX
from .display import CELL as CELL
from .display import ITEMS as ITEMS
from .display import QUIET as QUIET
from .display import ItemView as ItemView
from .display import posterior_html as posterior_html
from .evidence import Changes as Changes
from .evidence import Lags as Lags
from .evidence import Whiteness as Whiteness
from .evidence import averaged as averaged
from .evidence import invented_region as invented_region
from .evidence import of_samples as of_samples
from .evidence import residual_map as residual_map
from .evidence import standardised as standardised
from .evidence import whiteness as whiteness
from .posterior import Cost as Cost
from .posterior import Posterior as Posterior
from .views import Views as Views
from .welford import Welford as Welford
from .words import Doubt as Doubt
from .words import Judged as Judged
from .words import doubts as doubts
from .words import in_doubt as in_doubt
from .words import misfit_in_words as misfit_in_words
from .words import seconds_in_words as seconds_in_words
from .words import unusable as unusable

__all__ = [
    "BOX",
    "CELL",
    "ITEMS",
    "QUIET",
    "Changes",
    "Cost",
    "Doubt",
    "ItemView",
    "Judged",
    "Lags",
    "Posterior",
    "Views",
    "Welford",
    "Whiteness",
    "averaged",
    "doubts",
    "ess",
    "in_doubt",
    "in_numbers",
    "invented_region",
    "misfit_in_words",
    "of_samples",
    "posterior_html",
    "r_hat",
    "residual_map",
    "seconds_in_words",
    "standardised",
    "unusable",
    "whiteness",
]
