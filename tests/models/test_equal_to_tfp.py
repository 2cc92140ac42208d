"""The head and the Dense layers are those of TensorFlow Probability, but for the floors and the biases' posterior."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from variational_bnn.models.dense import DenseFlipout, DenseLocalReparameterization, DenseReparameterization
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Normal

PAIRS = {
    DenseReparameterization: tfp.layers.DenseReparameterization,
    DenseFlipout: tfp.layers.DenseFlipout,
    DenseLocalReparameterization: tfp.layers.DenseLocalReparameterization,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3)).astype(np.float32)
UNITS, NUM_EXAMPLES, PRIOR, DRAWS = 2, 20, 1.7, 4000
each_layer = pytest.mark.parametrize("kind", PAIRS)


def _raw(scale: by_hand.Array) -> by_hand.Array:
    """The number whose softplus is the scale."""
    return scale + np.log(-np.expm1(-scale))


def test_the_head_with_normal_noise_is_tfps_independent_normal_but_for_the_floor() -> None:
    parameters, y = RNG.normal(size=(50, 6)).astype(np.float32), RNG.normal(size=(50, 3)).astype(np.float32)
    ours = LikelihoodHead(Normal(), output_size=3)(parameters)
    loc, raw = np.split(parameters.astype(np.float64), 2, axis=-1)
    floor = by_hand.LIKELIHOOD_FLOOR
    with_floor = np.concatenate([loc, _raw(floor + by_hand.softplus(raw))], axis=-1).astype(np.float32)
    theirs = tfp.layers.IndependentNormal(3)(with_floor)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    np.testing.assert_allclose(ours.log_prob(y), theirs.log_prob(y), rtol=1e-5)
    np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=1e-6)
    np.testing.assert_allclose(ours.stddev(), theirs.stddev(), rtol=1e-5)
    np.testing.assert_allclose(tf.convert_to_tensor(ours), loc, rtol=1e-6)  # That of theirs is a draw.
    bare = tfp.layers.IndependentNormal(3)(parameters)
    np.testing.assert_allclose(ours.stddev() - bare.stddev(), floor, rtol=1e-3)
    assert not np.allclose(ours.log_prob(y), bare.log_prob(y), rtol=1e-5)


def _prior(scale: float) -> Any:
    """A function as TFP's layers take them: independent N(0, scale^2)."""

    def prior(dtype: tf.DType, shape: Any, *_: Any) -> tfd.Distribution:
        return tfd.Independent(tfd.Normal(tf.zeros(shape, dtype), scale), reinterpreted_batch_ndims=len(shape))

    return prior


def _pair(kind: Any, *, point_bias: bool = False, stretch: float = 1.0) -> tuple[Any, Any]:
    """Our layer and TFP's, with the same posterior and prior.

    With point biases, the posterior of ours is at its floor and TFP's biases are point estimates, as by default. The
    sds of TFP's kernel are stretched.
    """
    ours = kind(UNITS, NUM_EXAMPLES, prior_scale=PRIOR, seed=0)
    ours(X)
    loc, raw = RNG.normal(size=(4, UNITS)), RNG.normal(-0.5, 0.3, size=(4, UNITS))
    raw[-1] = by_hand.QUIET if point_bias else raw[-1]
    ours.loc.assign(loc)
    ours.raw_scale.assign(raw)
    scale = by_hand.POSTERIOR_FLOOR + by_hand.softplus(raw)
    biases = {} if point_bias else {"bias_posterior_fn": tfp.layers.default_mean_field_normal_fn()}
    theirs = PAIRS[kind](
        UNITS, kernel_prior_fn=_prior(PRIOR / 3**0.5), bias_prior_fn=None if point_bias else _prior(PRIOR), **biases
    )
    theirs(X)
    values = {"kernel": (loc[:-1], scale[:-1] * stretch), "bias": (loc[-1], scale[-1])}
    for variable in theirs.trainable_variables:
        loc, scale = values["kernel" if "kernel" in variable.name else "bias"]
        variable.assign(_raw(scale) if "untransformed" in variable.name else loc)
    return ours, theirs


@each_layer
def test_kernel_and_bias_have_tfps_posterior_density_and_the_whole_kl_is_tfps(kind: Any) -> None:
    ours, theirs = _pair(kind)
    for part, shape in {"kernel_posterior": (3, UNITS), "bias_posterior": (UNITS,)}.items():
        own, other = getattr(ours, part), getattr(theirs, part)
        values = RNG.normal(size=(5, *shape)).astype(np.float32)
        np.testing.assert_allclose(own.log_prob(values), other.log_prob(values), rtol=1e-5)
        np.testing.assert_allclose(own.mean(), other.mean(), rtol=1e-6)
        np.testing.assert_allclose(own.stddev(), other.stddev(), rtol=1e-5)
    ours(X), theirs(X)
    kl = float(tf.add_n(theirs.losses))
    assert len(theirs.losses) == 2
    assert float(ours.weights_kl()) == pytest.approx(kl, rel=1e-5)
    assert float(ours.losses[0]) == pytest.approx(kl / NUM_EXAMPLES, rel=1e-5), "TFP does not divide it"
    _, stretched = _pair(kind, stretch=1.01)
    stretched(X)
    assert float(ours.weights_kl()) != pytest.approx(float(tf.add_n(stretched.losses)), rel=1e-4)


def _outputs(layer: Any) -> by_hand.Array:
    """Draws of the outputs of both rows, `[S, 2 * units]`."""
    call = tf.function(lambda: layer(X))
    return np.array([call().numpy().ravel() for _ in range(DRAWS)], np.float64)


def _alike(first: by_hand.Array, second: by_hand.Array) -> bool:
    """Whether two samples agree in means and covariances, within 4.5 standard errors."""
    moments = []
    for sample in (first, second):
        off = sample - sample.mean(0)
        products = off[:, :, None] * off[:, None, :]
        both = np.concatenate([sample, products.reshape(len(sample), -1)], axis=1)
        moments.append((both.mean(0), both.std(0, ddof=1) / np.sqrt(len(sample))))
    (mean, error), (other, other_error) = moments
    return bool((np.abs(mean - other) < 4.5 * np.hypot(error, other_error)).all())


@each_layer
def test_outputs_of_two_rows_have_tfps_mean_and_covariance(kind: Any) -> None:
    """With one draw of the kernel for all rows, or one for each, as TFP's layer of the same name has it."""
    ours, theirs = _pair(kind, point_bias=True)
    own = _outputs(ours)
    assert _alike(own, _outputs(theirs))
    _, stretched = _pair(kind, point_bias=True, stretch=1.2)
    for variable, values in zip(stretched.trainable_variables, theirs.trainable_variables, strict=True):
        if "untransformed" not in variable.name:
            variable.assign(values)
    assert not _alike(own, _outputs(stretched)), "another sd"


def test_the_comparison_tells_one_draw_for_all_rows_from_one_for_each() -> None:
    ours, _ = _pair(DenseReparameterization, point_bias=True)
    theirs = DenseFlipout(UNITS, NUM_EXAMPLES, seed=1)
    theirs(X)
    theirs.set_weights(ours.get_weights())
    assert not _alike(_outputs(ours), _outputs(theirs))
