"""The architecture on one page: what is described, what is measured, and the two protocols between them.

A `Dataset` and a `Network` go into a `Method`; out comes a `Posterior`, whose `Predictive` splits the variance of y
into what the model does not know (epistemic) and what it takes for noise (aleatoric). Measured by region, that is a
`Result`. No TensorFlow here.
"""

from variational_bnn.base.constants import ACTIVATIONS, BETWEEN, BEYOND, LEVELS, MAX_R_HAT, MIN_ESS, NEAR, REGIONS, TAU
from variational_bnn.base.dataset import Dataset
from variational_bnn.base.method import Diagnostics, Method, Posterior, Training, require_fit
from variational_bnn.base.network import Likelihood, Network, require_likelihood, require_network, require_prior
from variational_bnn.base.predictive import Predictive

__all__ = [
    "ACTIVATIONS",
    "BETWEEN",
    "BEYOND",
    "LEVELS",
    "MAX_R_HAT",
    "MIN_ESS",
    "NEAR",
    "REGIONS",
    "TAU",
    "Dataset",
    "Diagnostics",
    "Likelihood",
    "Method",
    "Network",
    "Posterior",
    "Predictive",
    "Training",
    "require_fit",
    "require_likelihood",
    "require_network",
    "require_prior",
]
