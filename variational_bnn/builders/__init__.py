"""The three builders: variation in the output, in the weights, in the hidden units."""

from variational_bnn.builders._assembly import LayerMaker, assemble, chain, dense, layer_seeds
from variational_bnn.builders.hidden import build_hidden_variation
from variational_bnn.builders.output import build_output_variation
from variational_bnn.builders.weights import ESTIMATORS, build_weight_variation, mean_field

__all__ = [
    "ESTIMATORS",
    "LayerMaker",
    "assemble",
    "build_hidden_variation",
    "build_output_variation",
    "build_weight_variation",
    "chain",
    "dense",
    "layer_seeds",
    "mean_field",
]
