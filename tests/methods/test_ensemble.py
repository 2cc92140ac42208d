"""Each member of an ensemble is a network of highest likelihood of its own."""

from __future__ import annotations

import numpy as np

import variational_bnn as vbnn

RNG = np.random.default_rng(0)
X = 5 + RNG.normal(size=(30, 2)) * [1.0, 20.0]
Y = 100 + X[:, :1] * 7 - X[:, 1:] * 0.4 + 3 * RNG.normal(size=(30, 1))
DATASET = vbnn.Dataset(name="made", x=X, y=Y)


def test_members_of_a_linear_network_are_least_squares_whatever_the_prior() -> None:
    """They are trained without the prior, which is so narrow that the mode of the posterior is far from them."""
    network = vbnn.Network(
        input_shape=(2,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=3.0), prior_scale=0.1
    )
    posterior = vbnn.Ensemble(members=3, steps=1000, learning_rate=0.5).fit(DATASET, network, 0)
    functions = posterior.sample_functions(X, num_samples=3, seed=0)
    features = np.column_stack([X, np.ones(30)])
    least_squares = features @ np.linalg.lstsq(features, Y, rcond=None)[0]
    ridge = vbnn.LinearRegression().fit(DATASET, network, 0).predict(X, num_samples=2, seed=0).mean
    for member in functions:
        np.testing.assert_allclose(member, least_squares, atol=0.05)
    assert np.abs(ridge - least_squares).max() > 2
    assert posterior.diagnostics.num_parameters == 9
    assert posterior.diagnostics.num_random_variables == 1


def test_members_of_a_network_with_hidden_units_differ() -> None:
    """They start from different draws of the prior; as many samples as members hold each of them once."""
    network = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(5,), likelihood=vbnn.Normal(scale=3.0))
    posterior = vbnn.Ensemble(members=4, steps=50).fit(DATASET, network, 0)
    functions = posterior.sample_functions(X, num_samples=8, seed=0)[:, :, 0]
    assert len(np.unique(functions[:4], axis=0)) == len(np.unique(functions, axis=0)) == 4
