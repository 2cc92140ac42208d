"""The methods that can be compared, each in a file of its own. To add one: write its file, and a line in `METHODS`."""

from variational_bnn.base import Method
from variational_bnn.methods.alpha_divergence import AlphaDivergence
from variational_bnn.methods.deterministic import Deterministic
from variational_bnn.methods.dropout import Dropout
from variational_bnn.methods.ensemble import Ensemble
from variational_bnn.methods.full_covariance import FullCovariance
from variational_bnn.methods.gaussian_process import GaussianProcess
from variational_bnn.methods.hidden import ConditionalHiddenVariation, HiddenVariation, SharedHiddenVariation
from variational_bnn.methods.hmc import HMC
from variational_bnn.methods.hypernet import Hypernet
from variational_bnn.methods.laplace import Laplace
from variational_bnn.methods.linear import LinearRegression
from variational_bnn.methods.matrix_gaussian import MatrixGaussian
from variational_bnn.methods.metropolis import Metropolis
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.pbp import ProbabilisticBackpropagation
from variational_bnn.methods.prior import Prior
from variational_bnn.methods.sgld import SGLD
from variational_bnn.methods.swag import SWAG
from variational_bnn.methods.variational_dropout import VariationalDropout
from variational_bnn.methods.weights import Flipout, LocalReparameterization, Reparameterization

METHODS: dict[str, Method] = {
    "deterministic": Deterministic(),
    "output": OutputVariation(),
    "reparameterization": Reparameterization(),
    "flipout": Flipout(),
    "local_reparameterization": LocalReparameterization(),
    "matrix_gaussian": MatrixGaussian(),
    "full_covariance": FullCovariance(),
    "hypernet": Hypernet(),
    "alpha": AlphaDivergence(),
    "pbp": ProbabilisticBackpropagation(),
    "hidden": HiddenVariation(),
    "hidden_shared": SharedHiddenVariation(),
    "hidden_conditional": ConditionalHiddenVariation(),
    "dropout": Dropout(),
    "variational_dropout": VariationalDropout(),
    "ensemble": Ensemble(),
    "laplace": Laplace(),
    "swag": SWAG(),
    "sgld": SGLD(),
    "metropolis": Metropolis(),
    "hmc": HMC(),
    "gp": GaussianProcess(),
    "linear": LinearRegression(),
    "prior": Prior(),
}
"""Names of the methods, and each with its default settings."""
