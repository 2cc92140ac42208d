"""The variance and the entropy of y by source: drawn once for all rows, drawn for each row, noise of the likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from line_with_latents import LATENT_SD, NOISE, SLOPE, SLOPE_SD, line_with_latents
from scipy import stats
from scipy.special import entr, expit
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.dense import DenseFlipout
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.predict import predict

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 3)).astype(np.float32)
LINE = np.array([[-2.0], [0.0], [0.5], [3.0]])
COPIES = 8  # Of each row in a sample, where both kinds of noise are drawn.
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(5,), activation="tanh", likelihood=Normal())


class _RowNoise(tf_keras.layers.Layer):
    """A user's layer that draws for each row in its own way."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * tf.exp(tf.random.normal(tf.shape(inputs)))


def _weights_and_latents() -> tf_keras.Model:
    dense = DenseFlipout(4, num_examples=12, initial_scale=0.5, seed=0)
    return tf_keras.Sequential([tf_keras.Input((3,)), dense, NormalUnits(seed=1), *_head()])


def _gaussian_noise() -> tf_keras.Model:
    inputs = tf_keras.Input((3,))
    values = tf_keras.layers.GaussianNoise(0.5)(inputs, training=True)
    for layer in _head():
        values = layer(values)
    return tf_keras.Model(inputs, values)


def _row_noise() -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input((3,)), _RowNoise(), *_head()])


def _own_weights() -> tf_keras.Model:
    def posterior(kernel: int, bias: int, dtype: Any) -> Any:
        loc = tfp.layers.VariableLayer(kernel + bias, dtype=dtype, initializer=tf_keras.initializers.Constant(0.3))
        return tf_keras.Sequential(
            [loc, tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 0.2), 1))]
        )

    def prior(kernel: int, bias: int, dtype: Any) -> Any:
        return lambda _: tfd.Independent(tfd.Normal(tf.zeros(kernel + bias, dtype), 1.0), 1)

    dense = tfp.layers.DenseVariational(4, posterior, prior)
    return tf_keras.Sequential([tf_keras.Input((3,)), dense, tfp.layers.IndependentNormal(2)])


def _head() -> list[Any]:
    return [tf_keras.layers.Dense(4), tfp.layers.IndependentNormal(2)]


def _built(kind: str) -> Any:
    model = by_hand.build(kind, NETWORK, 12)
    by_hand.widen(model)
    return model


MODELS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "deterministic": (lambda: _built("output"), set()),
    "weights": (lambda: _built("flipout"), {"epistemic"}),
    "shared factors": (lambda: _built("shared"), {"epistemic"}),
    "amortized": (lambda: _built("amortized"), {"latent"}),
    "conditional": (lambda: _built("conditional"), {"latent"}),
    "weights and latents": (_weights_and_latents, {"epistemic", "latent"}),
    "own weights": (_own_weights, {"epistemic"}),
    "Keras GaussianNoise": (_gaussian_noise, {"latent"}),
    "own noise of rows": (_row_noise, {"latent"}),
}
OWN_NOISE = ("Keras GaussianNoise", "own noise of rows")
"""That nothing else is random in them is not known: their epistemic variance is estimated, and is small."""


@pytest.mark.parametrize("name", MODELS)
def test_the_variance_is_exactly_the_sum_of_its_sources(name: str) -> None:
    make, sources = MODELS[name]
    predictive = predict(make(), X, num_samples=200, seed=0)
    parts = {"epistemic": predictive.epistemic_variance, "latent": predictive.latent_variance}
    np.testing.assert_array_equal(predictive.variance, sum(parts.values()) + predictive.aleatoric_variance)
    np.testing.assert_array_equal(predictive.variance_over_draws, sum(parts.values()))
    assert (predictive.aleatoric_variance > 0).all()
    for source, variance in parts.items():
        if source in sources:
            assert (variance > 1e-5).all()
        elif name in OWN_NOISE:
            assert (variance >= 0).all()
            assert variance.mean() < 0.05 * predictive.latent_variance.mean()
        else:
            assert (variance == 0.0).all()


def test_the_sources_of_a_line_with_latents_have_their_closed_form() -> None:
    """Var_w(E[y given w]) = s^2 x^2 and E_w(Var_z(w x + z)) = t^2, within 4.5 standard errors."""
    samples = 8000
    predictive = predict(line_with_latents(), LINE, num_samples=samples, seed=0)
    epistemic, latent = SLOPE_SD**2 * LINE**2, np.full(LINE.shape, LATENT_SD**2)
    of_means = np.sqrt(2 / samples) * (epistemic + latent / COPIES)
    of_copies = np.sqrt(2 / samples / (COPIES - 1)) * latent
    error = np.sqrt(of_means**2 + (of_copies / COPIES) ** 2)
    assert (np.abs(predictive.epistemic_variance - epistemic) < 4.5 * error).all()
    assert (np.abs(predictive.latent_variance - latent) < 4.5 * of_copies).all()
    np.testing.assert_allclose(predictive.aleatoric_variance, NOISE**2, rtol=1e-5)
    mean_error = np.sqrt((epistemic + latent / COPIES) / samples)
    assert (np.abs(predictive.mean - SLOPE * LINE) < 4.5 * mean_error).all()
    of_the_means = predictive.epistemic_variance + predictive.latent_variance / COPIES
    uncorrected = predictive.latent_variance * (COPIES - 1) / COPIES
    assert (np.abs(of_the_means - epistemic) > 10 * error)[1:3].all(), "the control: means of copies vary by latents"
    assert (np.abs(uncorrected - latent) > 10 * of_copies).all()
    assert (np.abs(predictive.variance_over_draws - epistemic) > 10 * error)[1:3].all()


def _joint_error(y: np.ndarray, samples: int) -> float:
    """Standard error of the joint density of all rows: a mean over weights of products of means over 8 latents."""
    rng = np.random.default_rng(1)
    w = rng.normal(SLOPE, SLOPE_SD, size=(samples, 1, 1))
    z = rng.normal(0, LATENT_SD, size=(samples, COPIES, len(y)))
    densities = stats.norm.pdf(y, w * LINE[:, 0] + z, NOISE).mean(axis=1).prod(axis=1)
    return float(densities.std() / np.sqrt(samples))


def test_the_joint_density_of_a_line_with_latents_is_a_multivariate_normal() -> None:
    """Rows have the weight in common, and neither the latents nor the noise."""
    samples, y = 8000, np.array([-1.5, 0.4, 0.2, 2.0])
    predictive = predict(line_with_latents(), LINE, num_samples=samples, seed=0)
    error, mean, own = _joint_error(y, samples), SLOPE * LINE[:, 0], (LATENT_SD**2 + NOISE**2) * np.eye(4)
    [measured] = np.exp(predictive.joint_log_prob(y, tau=4))
    weight = SLOPE_SD**2 * LINE @ LINE.T
    assert abs(measured - stats.multivariate_normal(mean, weight + own).pdf(y)) < 4.5 * error
    all_apart = np.diag(np.diag(weight + own))
    all_shared = weight + LATENT_SD**2 + NOISE**2 * np.eye(4)
    for wrong in (all_apart, all_shared):
        assert abs(measured - stats.multivariate_normal(mean, wrong).pdf(y)) > 10 * error
    alone = stats.norm(mean, np.sqrt(np.diag(weight + own))).logpdf(y)
    np.testing.assert_allclose(predictive.log_prob(y), alone, atol=4.5 * 2 / np.sqrt(samples))
    assert abs(predictive.log_prob(y).sum() - np.log(measured)) > 0.1, "not the product of the marginals"


def test_samples_of_a_line_with_latents_have_the_covariance_of_its_rows() -> None:
    """Within 4.5 standard errors; those of equal rows differ by latents and noise."""
    samples = 8000
    x = np.concatenate([LINE, LINE])
    draws = predict(line_with_latents(), x, num_samples=samples, seed=0).sample(seed=0)[:, :, 0].astype(np.float64)
    expected = SLOPE_SD**2 * x @ x.T + (LATENT_SD**2 + NOISE**2) * np.eye(8)
    measured, variance = np.cov(draws, rowvar=False), np.diag(expected)
    error = np.sqrt((np.outer(variance, variance) + expected**2) / samples)
    assert (np.abs(measured - expected) < 4.5 * error).all()


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    return entr(p) + entr(1 - p)


def test_the_sources_of_the_entropy_of_a_class_are_those_of_the_integrals() -> None:
    """y is 1 with probability p = sigmoid(w x + z): I[y, w] and I[y, z given w] by quadrature.

    Within 4.5 standard deviations of the estimate, and the bias of up to 0.0015 that K / (K - 1) leaves.
    """
    samples, slope_sd, latent_sd = 2000, 1.5, 1.2
    model = line_with_latents(lambda t: tfd.Bernoulli(logits=t), 0.5, slope_sd, latent_sd)
    predictive = predict(model, LINE, num_samples=samples, seed=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    p = expit((0.5 + slope_sd * nodes[:, None, None]) * LINE[:, 0] + latent_sd * nodes[:, None])
    given_w = np.einsum("wzn,z->wn", p, weights)
    entropy = _binary_entropy(weights @ given_w)
    of_latents = weights @ (_binary_entropy(given_w) - np.einsum("wzn,z->wn", _binary_entropy(p), weights))
    of_weights = entropy - weights @ _binary_entropy(given_w)
    expected = {"mutual_information": of_weights, "latent_information": of_latents}
    rng, size = np.random.default_rng(0), (100, samples, 1, 1)
    w, z = rng.normal(0.5, slope_sd, size=size), latent_sd * rng.normal(size=(*size[:2], COPIES, len(LINE)))
    copies = expit(w * LINE[:, 0] + z)
    noise = _binary_entropy(copies).mean(axis=(1, 2))
    latent = COPIES / (COPIES - 1) * (_binary_entropy(copies.mean(axis=2)).mean(axis=1) - noise)
    mutual = np.maximum(_binary_entropy(copies.mean(axis=(1, 2))) - noise - latent, 0)
    errors = {"mutual_information": 4.5 * mutual.std(0) + 1.5e-3, "latent_information": 4.5 * latent.std(0) + 1.5e-3}
    for name, values in expected.items():
        measured = getattr(predictive, name)[:, 0]
        assert (measured >= 0).all()
        assert (np.abs(measured - values) < errors[name]).all()
        uncorrected = of_latents / COPIES
        assert (uncorrected > errors[name])[1:3].all(), "the control: without the correction it would fail"
    assert predictive.entropy is not None
    assert predictive.latent_information is not None
    parts = predictive.mutual_information, predictive.latent_information, predictive.expected_entropy
    np.testing.assert_allclose(sum(parts), predictive.entropy, rtol=1e-12)
    np.testing.assert_allclose(predictive.variance, predictive.mean * (1 - predictive.mean), rtol=1e-5)
