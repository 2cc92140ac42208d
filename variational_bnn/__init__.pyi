from .base import Dataset, Diagnostics, Network, Predictive
from .datasets import Images, digits, labelled, lecture, lecture_sample, mnist, read_csv, read_npz, uci
from .evaluation.regions import split
from .experiments.autoencoder_comparison import AutoencoderComparison, compare_autoencoders
from .experiments.comparison import Comparison, compare
from .experiments.result import Result
from .models.builders.autoencoder_network import AutoencoderNetwork
from .models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from .models.builders.hidden import build_hidden_variation
from .models.builders.output import build_output_variation
from .models.builders.weights import build_weight_variation
from .models.layers import DenseFlipout, DenseLocalReparameterization, DenseReparameterization, NormalUnits
from .models.likelihood_head import LikelihoodHead
from .models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from .models.losses import KLAnnealing, negative_log_likelihood
from .models.variational_model import VariationalModel
from .prediction.audit import ElboAudit, LayerAudit, audit_elbo
from .prediction.bounds import Bounds, decode, encode, measure_bounds
from .prediction.epistemic import EpistemicReport, measure_epistemic_variance
from .prediction.predict import predict, sample_functions

__all__ = [
    "AutoencoderComparison",
    "AutoencoderNetwork",
    "Bernoulli",
    "Bounds",
    "Categorical",
    "Comparison",
    "Dataset",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseReparameterization",
    "Diagnostics",
    "ElboAudit",
    "EpistemicReport",
    "Images",
    "KLAnnealing",
    "LayerAudit",
    "LikelihoodHead",
    "MixtureNormal",
    "Network",
    "Normal",
    "NormalUnits",
    "Predictive",
    "Result",
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
    "sample_functions",
    "split",
    "uci",
]
