"""Where does each kind of variation know that it does not know?

The public names. Each is imported when it is first asked for, so that what needs no TensorFlow does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from variational_bnn.audit import ElboAudit, LayerAudit, audit_elbo
    from variational_bnn.base import Dataset, Network, Predictive, Result, Training
    from variational_bnn.builders import build_hidden_variation, build_output_variation, build_weight_variation
    from variational_bnn.comparison import Comparison, compare
    from variational_bnn.datasets import lecture, lecture_sample, read_csv, uci
    from variational_bnn.epistemic import EpistemicReport, measure_epistemic_variance
    from variational_bnn.heads import LikelihoodHead
    from variational_bnn.layers import (
        DenseFlipout,
        DenseLocalReparameterization,
        DenseReparameterization,
        NormalUnits,
    )
    from variational_bnn.likelihoods import Normal
    from variational_bnn.losses import KLAnnealing, negative_log_likelihood
    from variational_bnn.model import VariationalModel
    from variational_bnn.predictive import predict, sample_functions
    from variational_bnn.regions import split

_HOMES = {
    "audit": ["ElboAudit", "LayerAudit", "audit_elbo"],
    "base": ["Dataset", "Network", "Predictive", "Result", "Training"],
    "builders": ["build_hidden_variation", "build_output_variation", "build_weight_variation"],
    "comparison": ["Comparison", "compare"],
    "datasets": ["lecture", "lecture_sample", "read_csv", "uci"],
    "epistemic": ["EpistemicReport", "measure_epistemic_variance"],
    "heads": ["LikelihoodHead"],
    "layers": [
        "DenseFlipout",
        "DenseLocalReparameterization",
        "DenseReparameterization",
        "NormalUnits",
    ],
    "likelihoods": ["Normal"],
    "losses": ["KLAnnealing", "negative_log_likelihood"],
    "model": ["VariationalModel"],
    "predictive": ["predict", "sample_functions"],
    "regions": ["split"],
}

__all__ = [
    "Comparison",
    "Dataset",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseReparameterization",
    "ElboAudit",
    "EpistemicReport",
    "KLAnnealing",
    "LayerAudit",
    "LikelihoodHead",
    "Network",
    "Normal",
    "NormalUnits",
    "Predictive",
    "Result",
    "Training",
    "VariationalModel",
    "audit_elbo",
    "build_hidden_variation",
    "build_output_variation",
    "build_weight_variation",
    "compare",
    "lecture",
    "lecture_sample",
    "measure_epistemic_variance",
    "negative_log_likelihood",
    "predict",
    "read_csv",
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
