"""Constants that several packages share."""

from __future__ import annotations

NEAR, BETWEEN, BEYOND = REGIONS = ("near", "between", "beyond")
"""Regions of the inputs: `near` the training inputs, `between` them (in a gap), and `beyond` their range."""

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels of the central predictive intervals whose coverage and width are reported."""

TAU = 10
"""How many rows are predicted jointly (Osband et al. 2022, arXiv 2110.04629)."""

MAX_R_HAT, MIN_ESS = 1.01, 400
"""Largest R-hat and smallest effective sample size of converged Markov chains.

See Vehtari et al. 2021, arXiv 1903.08008.
"""

BASELINE = "linear"
"""The method beside which the scores of all others are shown, where y is a number."""

LARGEST = 1e100
"""Upper limit of the absolute values in a dataset: the squares of much larger ones overflow."""

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh")
"""Names of the activations that hidden layers can have."""
