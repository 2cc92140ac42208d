from .base import Dataset, DatasetWarning, Diagnostics, FitError, Method, Network, Posterior, Predictive
from .datasets import Images, digits, labelled, lecture, lecture_sample, mnist, read_csv, read_npz, uci
from .evaluation.split import split
from .experiments.autoencoder_comparison import AutoencoderComparison
from .experiments.compare import compare
from .experiments.compare_autoencoders import compare_autoencoders
from .experiments.comparison import Comparison
from .experiments.repair import repair
from .experiments.result import Result
from .methods import METHODS
from .methods.alpha_divergence import AlphaDivergence
from .methods.autoencoders import AUTOENCODERS, Autoencoder
from .methods.deterministic import Deterministic
from .methods.dropout import Dropout
from .methods.ensemble import Ensemble
from .methods.full_covariance import FullCovariance
from .methods.gaussian_process import GaussianProcess
from .methods.hidden import ConditionalHiddenVariation, HiddenVariation, SharedHiddenVariation
from .methods.hmc import HMC
from .methods.hypernet import Hypernet
from .methods.keras_models import TrainedModel, UntrainedModel
from .methods.laplace import Laplace
from .methods.linear import LinearRegression
from .methods.matrix_gaussian import MatrixGaussian
from .methods.metropolis import Metropolis
from .methods.output import OutputVariation
from .methods.pbp import ProbabilisticBackpropagation
from .methods.prior import Prior
from .methods.sgld import SGLD
from .methods.swag import SWAG
from .methods.variational_dropout import VariationalDropout
from .methods.weights import Flipout, LocalReparameterization, Reparameterization
from .models.builders.autoencoder_network import AutoencoderNetwork
from .models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from .models.builders.conversion import to_variational
from .models.builders.hidden import build_hidden_variation
from .models.builders.output import build_output_variation
from .models.builders.weights import build_weight_variation
from .models.convolutions import (
    Convolution1DFlipout,
    Convolution1DReparameterization,
    Convolution2DFlipout,
    Convolution2DReparameterization,
    Convolution3DFlipout,
    Convolution3DReparameterization,
)
from .models.dense import DenseFlipout, DenseLocalReparameterization, DenseReparameterization
from .models.latents import ConditionalUnits, NormalUnits
from .models.likelihood_head import LikelihoodHead, MixtureHead
from .models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from .models.losses import KLAnnealing, negative_log_likelihood
from .models.point_prior import NormalPrior
from .models.random_matrix import DenseMatrixGaussian, DenseVariationalDropout
from .models.shared_units import SharedUnits
from .models.together import fit_together
from .models.variational_model import VariationalModel
from .prediction.audit import ElboAudit, audit_elbo
from .prediction.bounds import Bounds, decode, encode, measure_bounds
from .prediction.epistemic import EpistemicReport, measure_epistemic_variance
from .prediction.layer_audit import LayerAudit
from .prediction.predict import predict, sample_functions

__all__ = [
    "AUTOENCODERS",
    "HMC",
    "METHODS",
    "SGLD",
    "SWAG",
    "AlphaDivergence",
    "Autoencoder",
    "AutoencoderComparison",
    "AutoencoderNetwork",
    "Bernoulli",
    "Bounds",
    "Categorical",
    "Comparison",
    "ConditionalHiddenVariation",
    "ConditionalUnits",
    "Convolution1DFlipout",
    "Convolution1DReparameterization",
    "Convolution2DFlipout",
    "Convolution2DReparameterization",
    "Convolution3DFlipout",
    "Convolution3DReparameterization",
    "Dataset",
    "DatasetWarning",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseMatrixGaussian",
    "DenseReparameterization",
    "DenseVariationalDropout",
    "Deterministic",
    "Diagnostics",
    "Dropout",
    "ElboAudit",
    "Ensemble",
    "EpistemicReport",
    "FitError",
    "Flipout",
    "FullCovariance",
    "GaussianProcess",
    "HiddenVariation",
    "Hypernet",
    "Images",
    "KLAnnealing",
    "Laplace",
    "LayerAudit",
    "LikelihoodHead",
    "LinearRegression",
    "LocalReparameterization",
    "MatrixGaussian",
    "Method",
    "Metropolis",
    "MixtureHead",
    "MixtureNormal",
    "Network",
    "Normal",
    "NormalPrior",
    "NormalUnits",
    "OutputVariation",
    "Posterior",
    "Predictive",
    "Prior",
    "ProbabilisticBackpropagation",
    "Reparameterization",
    "Result",
    "SharedHiddenVariation",
    "SharedUnits",
    "TrainedModel",
    "UntrainedModel",
    "VariationalDropout",
    "VariationalModel",
    "audit_elbo",
    "build_autoencoder",
    "build_hidden_variation",
    "build_output_variation",
    "build_variational_autoencoder",
    "build_weight_variation",
    "compare",
    "compare_autoencoders",
    "decode",
    "digits",
    "encode",
    "fit_together",
    "labelled",
    "lecture",
    "lecture_sample",
    "measure_bounds",
    "measure_epistemic_variance",
    "mnist",
    "negative_log_likelihood",
    "predict",
    "read_csv",
    "read_npz",
    "repair",
    "sample_functions",
    "split",
    "to_variational",
    "uci",
]
