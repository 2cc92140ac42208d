"""A method's fits of several seeds side by side."""

from __future__ import annotations

import numpy as np

import variational_bnn as vbnn
from variational_bnn.experiments.compare import default_network

DATASET = vbnn.lecture()
NETWORK = default_network(DATASET)


def test_a_fit_is_the_same_to_the_bit_whichever_seeds_it_is_made_with() -> None:
    found = []
    for seeds in ([4], [0, 1, 2, 3, 4], [9, 4, 3]):
        posteriors = vbnn.Flipout(steps=60).fit_together(DATASET, NETWORK, seeds)
        model = posteriors[seeds.index(4)].model
        found.append(np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables]))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
