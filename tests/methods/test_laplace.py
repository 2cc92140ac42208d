"""Laplace's approximation: the curvature is the likelihood's Fisher information plus the prior's precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import special

import variational_bnn as vbnn
from variational_bnn.methods.laplace import MAX_WEIGHTS, fisher_information
from variational_bnn.models.weight_space import WeightSpace

RNG = np.random.default_rng(1)
X = 20 + RNG.normal(size=(15, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 4.0]])
Y = 300 + 30 * X[:, :1] - 20 * X[:, 1:2] + 25 * RNG.normal(size=(15, 1))
DATASET = vbnn.Dataset(name="line", x=X, y=Y)
LINE = vbnn.Network(
    input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=25.0), prior_scale=0.7
)
POINTS = np.vstack([X[:4], X.mean(0) + 3 * (X[4:8] - X.mean(0))])
SAMPLES = 8000


def test_of_a_linear_network_with_known_noise_it_is_exact() -> None:
    """The posterior is normal: its mode is its mean, its curvature the inverse of its covariance."""
    posterior, exact = vbnn.Laplace(steps=2000).fit(DATASET, LINE, 0), vbnn.LinearRegression().fit(DATASET, LINE, 0)
    network = posterior.model.get_layer("network")
    scales = network.space.prior_scales
    root = scales[:, None] * network.root.numpy().astype(np.float64)
    expected = exact.noise**2 * exact.root @ exact.root.T
    sd = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(root @ root.T / np.outer(sd, sd), expected / np.outer(sd, sd), atol=1e-5)
    np.testing.assert_allclose((scales * network.loc.numpy() - exact.mean[:, 0]) / sd, 0, atol=1e-4)
    other = vbnn.LinearRegression().fit(DATASET, dataclasses.replace(LINE, prior_scale=0.75), 0)
    assert not np.allclose(root @ root.T, other.noise**2 * other.root @ other.root.T, rtol=0.01)

    functions = posterior.sample_functions(POINTS, num_samples=SAMPLES, seed=0)[..., 0]
    predictive = exact.predict(POINTS, num_samples=2, seed=0)
    sd = np.sqrt(predictive.epistemic_variance[:, 0])
    assert (np.abs(functions.mean(0) - predictive.mean[:, 0]) < 4.5 * sd / np.sqrt(SAMPLES)).all()
    assert (np.abs(functions.std(0) / sd - 1) < 4.5 / np.sqrt(2 * SAMPLES)).all()


def test_the_information_of_a_softmax_is_its_covariance() -> None:
    """F = diag(p) - p p^T of the logits, and the Jacobian of the logits is (x, 1) for each class."""
    likelihood = vbnn.Categorical(num_classes=3)
    space = WeightSpace.of(vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=likelihood))
    x = np.array([[0.3], [-1.2], [2.0]], np.float32)
    z = np.random.default_rng(0).normal(size=space.size).astype(np.float32)
    weights, biases = z[:3], z[3:]
    expected = np.zeros((6, 6))
    for row in x[:, 0].astype(np.float64):
        p = special.softmax(row * weights + biases)
        features = np.array([row, 1.0])
        expected += np.kron(np.outer(features, features), np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(fisher_information(space, z, x), expected, atol=1e-6)


def test_rows_beyond_those_whose_jacobians_are_held_together_count() -> None:
    """The information of 300 rows is the sum of each row's."""
    space = WeightSpace.of(LINE)
    x = RNG.normal(size=(300, 3)).astype(np.float32)
    features = np.column_stack([x.astype(np.float64), np.ones(300)]) * space.prior_scales
    found = fisher_information(space, np.zeros(4, np.float32), x)
    np.testing.assert_allclose(found, features.T @ features / 25.0**2, rtol=1e-6)


def test_too_many_weights_raise() -> None:
    """Their covariance is kept whole."""
    units = MAX_WEIGHTS // 5
    large = dataclasses.replace(LINE, hidden_units=(units,))
    expected = f"^the number of weights must be at most {MAX_WEIGHTS} for laplace, got {5 * units + 1}$"
    with pytest.raises(vbnn.FitError, match=expected):
        vbnn.Laplace(steps=1).fit(DATASET, large, 0)


def test_mixtures_are_not_supported() -> None:
    network = dataclasses.replace(LINE, likelihood=vbnn.MixtureNormal(num_components=2))
    assert vbnn.Laplace().supports(DATASET, LINE) is None
    assert str(vbnn.Laplace().supports(DATASET, network)).startswith("it does not support mixtures, got ")
    with pytest.raises(ValueError, match=r"^it does not support mixtures, got "):
        vbnn.Laplace().fit(DATASET, network, 0)
