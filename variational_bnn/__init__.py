"""Where does each kind of variation know that it does not know?

The public names. Each is imported when it is first asked for, so that what needs no TensorFlow does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from variational_bnn.audit import ElboAudit, LayerAudit, audit_elbo
    from variational_bnn.autoencoders import (
        AutoencoderComparison,
        AutoencoderNetwork,
        AutoencoderTraining,
        Bounds,
        build_autoencoder,
        build_variational_autoencoder,
        compare_autoencoders,
        decode,
        encode,
        measure_bounds,
    )
    from variational_bnn.base import Dataset, Network, Predictive, Result, Training
    from variational_bnn.builders import build_hidden_variation, build_output_variation, build_weight_variation
    from variational_bnn.comparison import Comparison, compare
    from variational_bnn.datasets import (
        Images,
        digits,
        labelled,
        lecture,
        lecture_sample,
        mnist,
        read_csv,
        read_npz,
        uci,
    )
    from variational_bnn.epistemic import EpistemicReport, measure_epistemic_variance
    from variational_bnn.heads import LikelihoodHead
    from variational_bnn.layers import (
        DenseFlipout,
        DenseLocalReparameterization,
        DenseReparameterization,
        NormalUnits,
    )
    from variational_bnn.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
    from variational_bnn.losses import KLAnnealing, negative_log_likelihood
    from variational_bnn.model import VariationalModel
    from variational_bnn.predictive import predict, sample_functions
    from variational_bnn.regions import split

_HOMES = {
    "audit": ["ElboAudit", "LayerAudit", "audit_elbo"],
    "autoencoders": [
        "AutoencoderComparison",
        "AutoencoderNetwork",
        "AutoencoderTraining",
        "Bounds",
        "build_autoencoder",
        "build_variational_autoencoder",
        "compare_autoencoders",
        "decode",
        "encode",
        "measure_bounds",
    ],
    "base": ["Dataset", "Network", "Predictive", "Result", "Training"],
    "builders": ["build_hidden_variation", "build_output_variation", "build_weight_variation"],
    "comparison": ["Comparison", "compare"],
    "datasets": ["Images", "digits", "labelled", "lecture", "lecture_sample", "mnist", "read_csv", "read_npz", "uci"],
    "epistemic": ["EpistemicReport", "measure_epistemic_variance"],
    "heads": ["LikelihoodHead"],
    "layers": [
        "DenseFlipout",
        "DenseLocalReparameterization",
        "DenseReparameterization",
        "NormalUnits",
    ],
    "likelihoods": ["Bernoulli", "Categorical", "MixtureNormal", "Normal"],
    "losses": ["KLAnnealing", "negative_log_likelihood"],
    "model": ["VariationalModel"],
    "predictive": ["predict", "sample_functions"],
    "regions": ["split"],
}

__all__ = [
    "AutoencoderComparison",
    "AutoencoderNetwork",
    "AutoencoderTraining",
    "Bernoulli",
    "Bounds",
    "Categorical",
    "Comparison",
    "Dataset",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseReparameterization",
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
    "Training",
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


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
