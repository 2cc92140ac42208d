"""The methods that can be compared, each in a file of its own, behind `base.Method`."""

from variational_bnn.base import Method
from variational_bnn.methods._fitting import DivergedError
from variational_bnn.methods.deterministic import deterministic
from variational_bnn.methods.hidden import hidden
from variational_bnn.methods.output import output
from variational_bnn.methods.weights import flipout, local_reparameterization, reparameterization

__all__ = ["METHODS", "DivergedError"]

METHODS: dict[str, Method] = {
    "deterministic": deterministic,
    "output": output,
    "reparameterization": reparameterization,
    "flipout": flipout,
    "local_reparameterization": local_reparameterization,
    "hidden": hidden,
}
