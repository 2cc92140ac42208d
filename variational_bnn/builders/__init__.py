"""The three builders: variation in the output, in the weights, in the hidden units."""

from variational_bnn.builders._assembly import assemble, dense
from variational_bnn.builders.hidden import build_hidden_variation
from variational_bnn.builders.output import build_output_variation
from variational_bnn.builders.weights import ESTIMATORS, build_weight_variation

__all__ = [
    "ESTIMATORS",
    "assemble",
    "build_hidden_variation",
    "build_output_variation",
    "build_weight_variation",
    "dense",
]
