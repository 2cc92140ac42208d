"""The layers: their KL in closed form, no NaN, no shared starts, stochastic biases, a floor under every scale."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from variational_bnn.models.dense import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
    MeanFieldDense,
)
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.losses import variational_layers
from variational_bnn.models.shared_units import SharedUnits
from variational_bnn.models.stochastic import softplus_inverse

LAYERS = (DenseReparameterization, DenseFlipout, DenseLocalReparameterization)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)


def _layer(kind: type[MeanFieldDense], **settings: Any) -> Any:
    layer = kind(4, 20, seed=0, **settings)
    layer(X)
    return layer


def _scales(layer: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(q.distribution.scale).numpy() for q in (layer.kernel_posterior, layer.bias_posterior)]


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (DenseReparameterization, tfp.layers.DenseReparameterization),
        (DenseFlipout, tfp.layers.DenseFlipout),
        (DenseLocalReparameterization, tfp.layers.DenseLocalReparameterization),
    ],
)
def test_each_layer_is_one_of_tfps(kind: type[MeanFieldDense], base: type) -> None:
    assert isinstance(_layer(kind), base)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("by_fan_in", [True, False])
def test_the_kl_of_weights_and_biases_is_the_closed_form_over_the_number_of_examples(
    kind: type[MeanFieldDense], by_fan_in: bool
) -> None:
    layer = _layer(kind, prior_scale=2.0, scale_prior_by_fan_in=by_fan_in, kl_weight=0.5)
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    layer(X)
    v = {variable.name.split("/")[-1][:-2]: variable.numpy().astype(np.float64) for variable in layer.variables}
    loc, scale = v["posterior_loc"], by_hand.POSTERIOR_FLOOR + by_hand.softplus(v["posterior_raw_scale"])
    total = by_hand.normal_kl(loc[:-1], scale[:-1], 2 / np.sqrt(3) if by_fan_in else 2.0).sum()
    total += by_hand.normal_kl(loc[-1], scale[-1], 2.0).sum()
    assert float(layer.weights_kl()) == pytest.approx(total, rel=1e-5)
    assert float(layer.kl) == pytest.approx(total / 20, rel=1e-5)
    assert float(layer.losses[0]) == pytest.approx(0.5 * total / 20, rel=1e-5)
    assert len(layer.losses) == 1, "nothing else may add a KL"


@pytest.mark.parametrize("kind", LAYERS)
def test_the_kl_of_a_posterior_that_is_the_prior_is_zero(kind: type[MeanFieldDense]) -> None:
    layer = _layer(kind, initial_scale=1.0, prior_scale=0.7)
    layer.loc.assign(tf.zeros([4, 4]))
    assert float(layer.weights_kl()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_posterior_starts_at_the_initial_scale(kind: type[MeanFieldDense]) -> None:
    kernel, bias = _scales(_layer(kind, initial_scale=0.2, prior_scale=3.0))
    np.testing.assert_allclose(kernel, 0.2 * 3.0 / np.sqrt(3), rtol=1e-4)
    np.testing.assert_allclose(bias, 0.2 * 3.0, rtol=1e-4)


def test_softplus_inverse_is_one() -> None:
    scales = np.array([1e-6, 1e-3, 0.5, 1.0, 30.0])
    np.testing.assert_allclose(by_hand.softplus([softplus_inverse(s) for s in scales]), scales, rtol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_biases_vary(kind: type[MeanFieldDense]) -> None:
    """Fact 5: at an input of zeros TFP's own layers put out one number; ours vary by their bias."""
    zeros = np.zeros((2000, 3), np.float32)
    layer = _layer(kind, initial_scale=0.5)
    outputs = np.concatenate([layer(zeros[:20]).numpy() for _ in range(100)])[::20]
    assert (np.abs(outputs.var(0, ddof=1) / 0.25 - 1) < 4.5 * np.sqrt(2 / 100)).all()
    bare = kind.__bases__[-1](4)
    assert np.ptp(bare(zeros).numpy(), axis=0).max() == 0.0


def _scale_gradient(layer: Any, x: np.ndarray) -> np.ndarray:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert None not in gradients
    return np.concatenate([np.ravel(gradient) for gradient in gradients])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_row_of_zeros_has_a_finite_gradient(kind: type[MeanFieldDense]) -> None:
    x = np.vstack([X, np.zeros((1, 3))]).astype(np.float32)
    assert np.isfinite(_scale_gradient(_layer(kind), x)).all()


def test_a_row_of_zeros_has_none_in_tfps_local_reparameterisation() -> None:
    """Fact 8: the control."""
    x = np.vstack([X, np.zeros((1, 3))]).astype(np.float32)
    bare = tfp.layers.DenseLocalReparameterization(4)
    bare(x)
    assert np.isnan(_scale_gradient(bare, x)).any()
    assert np.isfinite(_scale_gradient(bare, X)).all()


def test_dead_units_below_local_reparameterisation_do_no_harm() -> None:
    dead = tf_keras.layers.Dense(3, "relu", bias_initializer=tf_keras.initializers.Constant(-100.0))
    assert np.isfinite(_scale_gradient(_layer(DenseLocalReparameterization), dead(X).numpy())).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_two_layers_of_one_shape_start_apart(kind: type[MeanFieldDense]) -> None:
    """Fact 7, with TFP's own layers as the control."""
    first, second = kind(3, 20), kind(3, 20)
    first(X), second(X)
    assert not np.isclose(first.kernel_posterior.distribution.loc, second.kernel_posterior.distribution.loc).any()
    bare = [tfp.layers.DenseFlipout(3), tfp.layers.DenseFlipout(3)]
    locs = [layer(X) is not None and layer.kernel_posterior.distribution.loc.numpy() for layer in bare]
    np.testing.assert_array_equal(*locs)


@pytest.mark.parametrize("kind", LAYERS)
def test_learned_scales_have_a_floor_and_a_finite_kl_there(kind: type[MeanFieldDense]) -> None:
    layer = _layer(kind)
    for variable in layer.trainable_variables:
        if "raw_scale" in variable.name:
            variable.assign(tf.fill(variable.shape, -1e4))
    assert all((scale == np.float32(by_hand.POSTERIOR_FLOOR)).all() for scale in _scales(layer))
    assert np.isfinite(float(layer.weights_kl()))
    assert np.isfinite(_scale_gradient(layer, X)).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_noise_depends_on_the_seed_and_the_number_of_draws_alone(kind: type[MeanFieldDense]) -> None:
    first, second = _layer(kind), _layer(kind)
    a, b = first(X).numpy(), first(X).numpy()
    assert not np.isclose(a, b).any()
    np.testing.assert_array_equal(second(X).numpy(), a)
    np.testing.assert_array_equal(second(X).numpy(), b)


@pytest.mark.parametrize(("kind", "shared"), [(LAYERS[0], 1.0), (LAYERS[1], 0.0), (LAYERS[2], 0.0)])
def test_the_noise_of_equal_rows_is_one_for_reparameterisation_and_apart_for_the_others(
    kind: type[MeanFieldDense], shared: float
) -> None:
    """Fact 13, and what Flipout's random signs are for: its rows' gradients must not have one noise."""
    layer, calls = _layer(kind, initial_scale=0.5), 400
    first, second = np.stack([layer(X[[0, 0]]).numpy() for _ in range(calls)], axis=1)
    for unit in range(4):
        correlation = np.corrcoef(first[:, unit], second[:, unit])[0, 1]
        assert abs(correlation - shared) < 4.5 / np.sqrt(calls)


def test_flipout_flips_the_signs_of_inputs_and_of_outputs_for_each_row() -> None:
    """With signs of the outputs alone, equal rows would have perturbations of equal size."""
    layer = DenseFlipout(40, 20, initial_scale=0.5, seed=0)
    zeros = np.zeros((2, 3), np.float32)
    layer(zeros)
    mean = (X[:1] @ layer.loc[:-1] + layer.loc[-1]).numpy()
    first, second = layer(X[[0, 0]]).numpy() - mean
    assert (np.abs(np.abs(first) - np.abs(second)) > 1e-6).mean() > 0.5
    first, second = layer(zeros).numpy()  # Of the biases alone, which start at 0: only signs differ.
    np.testing.assert_allclose(np.abs(first), np.abs(second), rtol=1e-6)
    assert set(np.sign(first * second)) == {-1.0, 1.0}, "signs of the inputs alone would be the same for all units"


def test_normal_units_have_the_distribution_that_their_inputs_say() -> None:
    row = np.array([[0.3, -1.0, 0.5, -2.0]], np.float32)
    units = NormalUnits(seed=0)
    z = units(np.repeat(row, 20000, axis=0)).numpy().astype(np.float64)
    loc, scale = row[0, :2], by_hand.latent_scale(row[0, 2:], 0.1)
    assert (np.abs(z.mean(0) - loc) < 4.5 * scale / np.sqrt(len(z))).all()
    assert (np.abs(z.var(0) / scale**2 - 1) < 4.5 * np.sqrt(2 / len(z))).all()
    assert float(units.kl) == pytest.approx(by_hand.normal_kl(loc, scale, 1.0).sum(), rel=1e-5)


def test_normal_units_apply_their_activation_after_the_draw() -> None:
    inputs = RNG.normal(size=(50, 8)).astype(np.float32)
    np.testing.assert_allclose(NormalUnits("relu", seed=1)(inputs), tf.nn.relu(NormalUnits(seed=1)(inputs)))


def test_shared_factors_of_each_row_have_the_distribution_of_the_posterior_in_training() -> None:
    """Each row draws its own: those of equal rows are uncorrelated. The KL is zero where the posterior is the prior."""
    units = SharedUnits(20, prior_scale=0.7, initial_scale=1.0, kl_weight=0.5, seed=0)
    x = np.tile(np.array([[2.0, -1.0, 0.5]], np.float32), (20000, 1))
    units(x)
    assert float(units.units_kl()) == pytest.approx(0.0, abs=1e-6)
    loc, raw = np.array([0.4, 1.0, -0.3]), np.array([-1.0, 0.2, 0.5])
    units.loc.assign(loc)
    units.raw_scale.assign(raw)
    factors, scale = (units(x) / x).numpy().astype(np.float64), by_hand.POSTERIOR_FLOOR + by_hand.softplus(raw)
    assert (np.abs(factors.mean(0) - loc) < 4.5 * scale / np.sqrt(len(x))).all()
    assert (np.abs(factors.var(0) / scale**2 - 1) < 4.5 * np.sqrt(2 / len(x))).all()
    correlations = np.corrcoef(factors[::2].T, factors[1::2].T)[np.triu_indices(6, 1)]
    assert (np.abs(correlations) < 4.5 / np.sqrt(len(x) / 2)).all(), "of units and of rows"
    kl = by_hand.normal_kl(loc - 1.0, scale, 0.7).sum()
    assert float(units.units_kl()) == pytest.approx(kl, rel=1e-5)
    assert float(units.kl) == pytest.approx(kl / 20, rel=1e-5)
    assert float(units.losses[0]) == pytest.approx(0.5 * kl / 20, rel=1e-5)


def test_conditional_units_draw_independently_from_the_prior_that_their_inputs_say() -> None:
    row = np.array([[0.3, -1.0, 0.5, -2.0]], np.float32)
    units = ConditionalUnits(num_draws=3, initial_scale=0.4, seed=0)
    z = units(np.repeat(row, 20000, axis=0)).numpy().astype(np.float64)
    assert z.shape == (20000, 3, 2)
    loc, scale = row[0, :2], by_hand.latent_scale(row[0, 2:], 0.4)
    assert (np.abs(z.mean(0) - loc) < 4.5 * scale / np.sqrt(len(z))).all()
    assert (np.abs(z.var(0) / scale**2 - 1) < 4.5 * np.sqrt(2 / len(z))).all()
    flat = z.reshape(10000, 12)  # Two rows, three draws, two units.
    assert (np.abs(np.corrcoef(flat.T)[np.triu_indices(12, 1)]) < 4.5 / np.sqrt(len(flat))).all()
    assert units.losses == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SharedUnits(0), "num_examples must be a whole number >= 1, got 0"),
        (lambda: SharedUnits(2.5), r"num_examples must be a whole number >= 1, got 2\.5"),
        (lambda: SharedUnits(10, prior_scale=0.0), r"prior_scale must be > 0, got 0\.0"),
        (lambda: SharedUnits(10, initial_scale=-1.0), r"initial_scale must be > 0, got -1\.0"),
        (lambda: SharedUnits(10, kl_weight=-0.1), r"kl_weight must be >= 0, got -0\.1"),
        (lambda: ConditionalUnits(0), "num_draws must be a whole number >= 1, got 0"),
        (lambda: ConditionalUnits(2.0), r"num_draws must be a whole number >= 1, got 2\.0"),
        (lambda: ConditionalUnits(initial_scale=np.nan), "initial_scale must be > 0, got nan"),
        (lambda: NormalUnits(initial_scale=0.0), r"initial_scale must be > 0, got 0\.0"),
        (lambda: NormalUnits(kl_weight=-1), "kl_weight must be >= 0, got -1"),
    ],
)
def test_bad_arguments_of_random_units_raise_an_error_of_one_line(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_variational_layers_are_found_in_nested_models() -> None:
    inner = tf_keras.Sequential([tf_keras.Input((3,)), DenseFlipout(4, 20), tf_keras.layers.Dense(4)])
    assert len(variational_layers(tf_keras.Sequential([inner, NormalUnits(), DenseFlipout(1, 20)]))) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_examples": 0}, "num_examples must be a whole number >= 1, got 0"),
        ({"num_examples": 2.5}, r"num_examples must be a whole number >= 1, got 2\.5"),
        ({"prior_scale": -1.0}, r"prior_scale must be > 0, got -1\.0"),
        ({"initial_scale": 0.0}, r"initial_scale must be > 0, got 0\.0"),
        ({"kl_weight": -0.1}, r"kl_weight must be >= 0, got -0\.1"),
        ({"activation": "rleu"}, "rleu"),
    ],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_settings_out_of_range_raise_errors(kind: type[MeanFieldDense], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(4, **{"num_examples": 10, **settings})
