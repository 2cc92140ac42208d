"""Dropout: function samples are masks, one for all inputs, and the penalty is the prior's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tf_keras

import variational_bnn as vbnn

DATASET = vbnn.lecture()
UNITS, RATE, SAMPLES = 4, 0.3, 8000
X = np.array([[-0.8], [0.0], [0.4], [1.0]])


def test_the_mean_and_covariance_of_functions_are_those_over_all_masks() -> None:
    """Of four units there are sixteen masks, counted with their probabilities; of another rate they are others."""
    network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(UNITS,), likelihood=vbnn.Normal(scale=1.0))
    posterior = vbnn.Dropout(rate=RATE, steps=300).fit(DATASET, network, 0)
    functions = posterior.sample_functions(X, num_samples=SAMPLES, seed=0)[..., 0]
    (w1, b1), (w2, b2) = (posterior.model.get_layer(name).get_weights() for name in ("hidden_1", "parameters"))
    x = (X - DATASET.x.mean()) / DATASET.x.std()
    hidden = np.maximum(x @ w1 + b1, 0)
    masks = np.array(list(itertools.product([0, 1], repeat=UNITS)))
    for rate, matches in ((RATE, True), (0.36, False)):
        probabilities = np.prod(np.where(masks == 1, 1 - rate, rate), axis=1)
        outputs = (masks[:, None, :] / (1 - rate) * hidden) @ w2[:, 0] + b2
        values = DATASET.y.mean() + DATASET.y.std() * outputs
        mean = probabilities @ values
        centred = values - mean
        products = centred[:, :, None] * centred[:, None, :]
        covariance = np.tensordot(probabilities, products, 1)
        errors = np.sqrt((np.tensordot(probabilities, products**2, 1) - covariance**2) / SAMPLES)
        off_mean = np.abs(functions.mean(0) - mean) / np.sqrt(np.diag(covariance) / SAMPLES)
        off_covariance = np.abs(np.cov(functions.T, ddof=0) - covariance) / errors
        assert (max(off_mean.max(), off_covariance.max()) < 4.5) == matches


@pytest.mark.parametrize("by_fan_in", [True, False])
def test_the_penalty_of_dropout_that_drops_nearly_nothing_is_the_prior(by_fan_in: bool) -> None:
    """Over the examples, like the KL of the builders; with more dropped the penalty of later weights is smaller."""
    network = vbnn.Network(
        input_shape=(1,),
        output_size=1,
        hidden_units=(6, 4),
        likelihood=vbnn.Normal(scale=1.0),
        prior_scale=1.7,
        scale_prior_by_fan_in=by_fan_in,
    )
    penalties = []
    for rate in (1e-6, 0.5):
        model = vbnn.Dropout(rate=rate, steps=1).fit(DATASET, network, 0).model
        rng, expected, later = np.random.default_rng(0), 0.0, 0.0
        for name in ("hidden_1", "hidden_2", "parameters"):
            kernel, bias = (rng.normal(size=weights.shape) for weights in model.get_layer(name).get_weights())
            model.get_layer(name).set_weights([kernel, bias])
            of_kernel = (kernel**2).sum() * (len(kernel) if by_fan_in else 1) / (2 * 1.7**2)
            expected += of_kernel + (bias**2).sum() / (2 * 1.7**2)
            later += of_kernel if name != "hidden_1" else 0.0
        penalties.append(len(DATASET.x) * float(sum(model.losses)))
    assert penalties[0] == pytest.approx(expected, rel=1e-4)
    assert penalties[0] - penalties[1] == pytest.approx(later / 2, rel=1e-3)


def test_its_masks_do_not_depend_on_the_global_seed() -> None:
    network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(UNITS,), likelihood=vbnn.Normal(scale=1.0))
    functions = []
    for global_seed in (1, 2):
        tf_keras.utils.set_random_seed(global_seed)
        posterior = vbnn.Dropout(rate=RATE, steps=20).fit(DATASET, network, seed=0)
        functions.append(posterior.sample_functions(X, num_samples=3, seed=0))
    np.testing.assert_allclose(*functions, rtol=1e-5)
