"""The methods that can be compared, each in a file of its own, behind `base.Method`."""

from variational_bnn.base import Method
from variational_bnn.methods.deterministic import deterministic
from variational_bnn.methods.dropout import dropout
from variational_bnn.methods.ensemble import ensemble
from variational_bnn.methods.fitting import FitError
from variational_bnn.methods.hidden import hidden
from variational_bnn.methods.hmc import hmc
from variational_bnn.methods.laplace import laplace
from variational_bnn.methods.linear import linear
from variational_bnn.methods.metropolis import metropolis
from variational_bnn.methods.output import output
from variational_bnn.methods.prior import prior
from variational_bnn.methods.sgld import sgld
from variational_bnn.methods.weights import flipout, local_reparameterization, reparameterization

__all__ = ["METHODS", "FitError"]

METHODS: dict[str, Method] = {
    "deterministic": deterministic,
    "output": output,
    "reparameterization": reparameterization,
    "flipout": flipout,
    "local_reparameterization": local_reparameterization,
    "hidden": hidden,
    "dropout": dropout,
    "ensemble": ensemble,
    "laplace": laplace,
    "sgld": sgld,
    "metropolis": metropolis,
    "hmc": hmc,
    "linear": linear,
    "prior": prior,
}
