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
from .methods.autoencoders import AUTOENCODERS, Autoencoder
from .methods.deterministic import Deterministic
from .methods.dropout import Dropout
from .methods.ensemble import Ensemble
from .methods.hidden import ConditionalHiddenVariation, HiddenVariation, SharedHiddenVariation
from .methods.hmc import HMC
from .methods.keras_models import TrainedModel, UntrainedModel
from .methods.laplace import Laplace
from .methods.linear import LinearRegression
from .methods.metropolis import Metropolis
from .methods.output import OutputVariation
from .methods.prior import Prior
from .methods.sgld import SGLD
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
    "DenseReparameterization",
    "Deterministic",
    "Diagnostics",
    "Dropout",
    "ElboAudit",
    "Ensemble",
    "EpistemicReport",
    "FitError",
    "Flipout",
    "HiddenVariation",
    "Images",
    "KLAnnealing",
    "Laplace",
    "LayerAudit",
    "LikelihoodHead",
    "LinearRegression",
    "LocalReparameterization",
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
    "Reparameterization",
    "Result",
    "SharedHiddenVariation",
    "SharedUnits",
    "TrainedModel",
    "UntrainedModel",
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
