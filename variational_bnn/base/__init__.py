"""The architecture on one page: what is described, what is predicted, and the two protocols between them.

A `Dataset` and a `Network` go into a `Method`; it returns a `Posterior`, whose `Predictive` splits the variance of y
by its source: what the model does not know (epistemic), noise of latents of each row (latent) and noise of the
likelihood (aleatoric). Nothing here needs TensorFlow.
"""

from variational_bnn.base.constants import (
    ACTIVATIONS,
    BASELINE,
    BETWEEN,
    BEYOND,
    LEVELS,
    MAX_R_HAT,
    MIN_ESS,
    NEAR,
    REGIONS,
    TAU,
)
from variational_bnn.base.dataset import Dataset
from variational_bnn.base.method import Diagnostics, FitError, Method, Posterior, require_compatible
from variational_bnn.base.network import Likelihood, Network, require_likelihood, require_network, require_prior
from variational_bnn.base.predictive import Predictive
from variational_bnn.base.table import DatasetWarning

__all__ = [
    "ACTIVATIONS",
    "BASELINE",
    "BETWEEN",
    "BEYOND",
    "LEVELS",
    "MAX_R_HAT",
    "MIN_ESS",
    "NEAR",
    "REGIONS",
    "TAU",
    "Dataset",
    "DatasetWarning",
    "Diagnostics",
    "FitError",
    "Likelihood",
    "Method",
    "Network",
    "Posterior",
    "Predictive",
    "require_compatible",
    "require_likelihood",
    "require_network",
    "require_prior",
]
