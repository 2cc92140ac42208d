"""Layers with a random matrix: laws, KLs in closed form, and what training finds of a linear network."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy.integrate import quad

import variational_bnn as vbnn
from variational_bnn.prediction.predict import predict

N, FAN_IN, UNITS, NOISE = 40, 3, 4, 0.5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, FAN_IN)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
Y = X @ RNG.normal(size=(FAN_IN, 2)) + NOISE * RNG.normal(size=(N, 2))
LAYERS = {"matrix": vbnn.DenseMatrixGaussian, "dropout": vbnn.DenseVariationalDropout}

everywhere = pytest.mark.parametrize("kind", LAYERS)


def _layer(kind: str, *, diagonal: bool = False, **settings: Any) -> Any:
    """A layer whose variables are random."""
    layer = LAYERS[kind](UNITS, N, seed=0, **settings)
    layer.build((None, FAN_IN))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        below = "below" in variable.name
        variable.assign(0 * variable if diagonal and below else rng.normal(size=variable.shape))
    return layer


def _draws(layer: Any, count: int) -> np.ndarray:
    """Draws of the matrix, `[count, fan-in + 1, units]`."""
    return layer.weights_of(tf.random.stateless_normal([count, *layer.loc.shape], [0, 1])).numpy().astype(np.float64)


@everywhere
def test_in_training_the_outputs_of_a_row_have_the_law_of_drawn_matrices(kind: str) -> None:
    """Mean and covariance over the units, within 5 standard errors; rows are independent of each other."""
    layer, count = _layer(kind), 20_000
    row = RNG.normal(size=FAN_IN).astype(np.float32)
    by_matrix = np.append(row, 1) @ _draws(layer, count)
    in_training = layer(np.tile(row, (count, 1)), training=True).numpy().astype(np.float64)
    error = by_matrix.std(0) / np.sqrt(count / 2)
    assert (np.abs(in_training.mean(0) - by_matrix.mean(0)) < 5 * error).all()
    cov, expected = np.cov(in_training.T), np.cov(by_matrix.T)
    sd = np.sqrt(np.diag(expected))
    assert (np.abs(cov - expected) / np.outer(sd, sd) < 5 * np.sqrt(4 / count)).all()
    if kind == "matrix":
        assert not np.allclose(expected, np.diag(np.diag(expected)), atol=0.1), "the units are correlated"
    halves = in_training[: count // 2], in_training[count // 2 :]
    assert abs(np.corrcoef(halves[0][:, 0], halves[1][:, 0])[0, 1]) < 5 / np.sqrt(count / 2)


def test_the_matrix_normals_kl_is_that_of_one_normal_of_all_numbers() -> None:
    layer = _layer("matrix", prior_scale=1.7)
    row, column = (root.numpy().astype(np.float64) for root in layer.roots())
    scales = np.repeat(layer.prior_scales, UNITS)
    root = scales[:, None] * np.kron(row, column)
    cov, mean = root @ root.T, layer.loc.numpy().ravel().astype(np.float64)
    log_ratio = 2 * np.log(scales).sum() - np.linalg.slogdet(cov)[1]
    expected = (np.trace(cov / scales**2) + (mean**2 / scales**2).sum() - len(mean) + log_ratio) / 2
    assert float(layer.weights_kl()) == pytest.approx(expected, rel=1e-5)
    drawn = _draws(layer, 20_000).reshape(20_000, -1)
    errors = np.sqrt(np.outer(np.diag(cov), np.diag(cov)) * 2 / 20_000)
    assert (np.abs(np.cov(drawn.T) - cov) < 5 * errors).all()


def test_with_diagonal_roots_it_is_the_mean_field_layer() -> None:
    """The same KL, and the same outputs of the same matrix noise."""
    layer = _layer("matrix", diagonal=True, prior_scale=1.7)
    row, column = (np.diag(root.numpy()) for root in layer.roots())
    mean_field = vbnn.DenseLocalReparameterization(UNITS, N, prior_scale=1.7, seed=0)
    mean_field.build((None, FAN_IN))
    mean_field.loc.assign(layer.loc)
    scales = layer.prior_scales[:, None] * np.outer(row, column) - 1e-5
    mean_field.raw_scale.assign(np.log(np.expm1(scales)))
    assert float(layer.weights_kl()) == pytest.approx(float(mean_field.weights_kl()), rel=1e-5)
    np.testing.assert_allclose(_draws(layer, 4000).std(0), mean_field.posterior().stddev(), rtol=0.06)
    x = tf.constant(X, tf.float32)
    np.testing.assert_allclose(layer(x, training=True), mean_field(x, training=True), rtol=2e-4, atol=2e-4)
    assert not np.allclose(_layer("matrix", prior_scale=1.7)(x), mean_field(x), rtol=0.1)


def test_the_kl_of_dropout_is_the_integral() -> None:
    """-log(alpha) / 2 + E log|1 + sqrt(alpha) e| up to a constant, within the error of the paper's polynomial."""

    def expected(alpha: float) -> float:
        def integrand(e: float) -> float:
            return float(np.log(abs(1 + np.sqrt(alpha) * e)) * np.exp(-(e**2) / 2) / np.sqrt(2 * np.pi))

        return float(quad(integrand, -12, 12, points=[-1 / np.sqrt(alpha)], limit=500)[0] - np.log(alpha) / 2)

    layer = LAYERS["dropout"](1, N, seed=0)
    layer.build((None, 1))
    for alpha in (0.02, 0.1, 0.5, 0.9):
        layer.raw_alpha.assign([np.log(alpha / (1 - alpha))])
        assert float(layer.weights_kl()) == pytest.approx(expected(alpha) - expected(1.0), abs=0.03)


def _exact() -> tuple[np.ndarray, np.ndarray]:
    """Mean `[4, 2]` and covariance `[4, 4]` of the exact posterior, which is the same for both outputs."""
    features = np.column_stack([X, np.ones(N)])
    cov = np.linalg.inv(features.T @ features / NOISE**2 + np.diag([3.0, 3.0, 3.0, 1.0]))
    return cov @ features.T @ Y / NOISE**2, cov


def test_of_a_linear_network_the_matrix_normal_finds_the_exact_posterior() -> None:
    """It is matrix normal there. A mean-field normal has not its correlations."""
    network = vbnn.Network(
        input_shape=(FAN_IN,), output_size=2, hidden_units=(), likelihood=vbnn.Normal(scale=NOISE), prior_scale=1.0
    )
    method = vbnn.MatrixGaussian(steps=12_000, learning_rate=0.02, standardise=False)
    layer = method.fit(vbnn.Dataset(name="line", x=X, y=Y), network, 0).model.get_layer("parameters")
    row, column = (root.numpy().astype(np.float64) for root in layer.roots())
    mean, cov = _exact()
    sd = np.sqrt(np.diag(cov))
    np.testing.assert_allclose((layer.loc.numpy() - mean) / sd[:, None], 0, atol=0.1)
    scaled = layer.prior_scales[:, None] * row
    columns = column @ column.T
    for output in range(2):
        found = scaled @ scaled.T * columns[output, output]
        np.testing.assert_allclose(found / np.outer(sd, sd), cov / np.outer(sd, sd), atol=0.07)
    assert abs(columns[0, 1]) / np.sqrt(columns[0, 0] * columns[1, 1]) < 0.07
    assert np.abs(cov / np.outer(sd, sd) - np.eye(4)).max() > 0.2, "the control: no correlations"


@everywhere
def test_a_model_is_the_same_after_it_was_saved(kind: str, tmp_path: Path) -> None:
    """And can be loaded where nothing of the package but its name was imported."""
    inputs = tf_keras.Input((FAN_IN,))
    hidden = LAYERS[kind](UNITS, num_examples=N, activation="relu", seed=0)(inputs)
    parameters = LAYERS[kind](2, num_examples=N, seed=1)(hidden)
    model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
    model.compile("adam", loss=vbnn.negative_log_likelihood)
    model.fit(X, Y[:, :1], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    script = "import sys, tf_keras, variational_bnn; tf_keras.models.load_model(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, tmp_path / "model.keras"], check=True, capture_output=True)
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(X, Y[:, :1], epochs=1, shuffle=False, verbose=0)
    found, again = (predict(one, X, num_samples=20, seed=0) for one in (model, loaded))
    np.testing.assert_array_equal(found.mean, again.mean)
    report = vbnn.audit_elbo(model, X, Y[:, :1], num_samples=5)
    assert report.temperature == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("matrix", {"prior_scale": 0}, "prior_scale must be > 0, got 0"),
        ("matrix", {"initial_scale": -1}, "initial_scale must be > 0, got -1"),
        ("dropout", {"initial_rate": 0.5}, "initial_rate must be > 0 and < 0.5, got 0.5"),
    ],
)
def test_settings_out_of_their_range_are_named(kind: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LAYERS[kind](UNITS, N, **settings)


def test_variational_dropout_says_that_it_is_no_posterior() -> None:
    network = vbnn.Network(input_shape=(FAN_IN,), output_size=2, hidden_units=(4,), likelihood=vbnn.Normal(scale=1.0))
    posterior = vbnn.VariationalDropout(steps=5).fit(
        vbnn.Dataset(name="line", x=X, y=Y), dataclasses.replace(network, likelihood=vbnn.Normal()), 0
    )
    assert "improper" in posterior.diagnostics.note
