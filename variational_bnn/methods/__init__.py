"""The methods that can be compared, each in a file of its own. To add one: write its file, and a line in `METHODS`."""

from variational_bnn.base import Method
from variational_bnn.methods.deterministic import Deterministic
from variational_bnn.methods.dropout import Dropout
from variational_bnn.methods.ensemble import Ensemble
from variational_bnn.methods.hidden import ConditionalHiddenVariation, HiddenVariation, SharedHiddenVariation
from variational_bnn.methods.hmc import HMC
from variational_bnn.methods.laplace import Laplace
from variational_bnn.methods.linear import LinearRegression
from variational_bnn.methods.metropolis import Metropolis
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.prior import Prior
from variational_bnn.methods.sgld import SGLD
from variational_bnn.methods.weights import Flipout, LocalReparameterization, Reparameterization

METHODS: dict[str, Method] = {
    "deterministic": Deterministic(),
    "output": OutputVariation(),
    "reparameterization": Reparameterization(),
    "flipout": Flipout(),
    "local_reparameterization": LocalReparameterization(),
    "hidden": HiddenVariation(),
    "hidden_shared": SharedHiddenVariation(),
    "hidden_conditional": ConditionalHiddenVariation(),
    "dropout": Dropout(),
    "ensemble": Ensemble(),
    "laplace": Laplace(),
    "sgld": SGLD(),
    "metropolis": Metropolis(),
    "hmc": HMC(),
    "linear": LinearRegression(),
    "prior": Prior(),
}
"""Names of the methods, and each with its default settings."""
