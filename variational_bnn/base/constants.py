"""What all agree on."""

from __future__ import annotations

NEAR, BETWEEN, BEYOND = REGIONS = ("near", "between", "beyond")
LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Of the central predictive intervals whose coverage and width are reported."""

TAU = 10
"""Inputs predicted jointly (Osband et al. 2022, arXiv 2110.04629)."""

MAX_R_HAT, MIN_ESS = 1.01, 400
"""Of Markov chains, before anything is concluded from them; after Vehtari et al. 2021 (arXiv 1903.08008)."""

LARGEST = 1e100
"""Beyond it squares overflow."""

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh")
