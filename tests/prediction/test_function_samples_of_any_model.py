"""Function samples and predictions of any tf_keras model: TFP layers, Dropout, and random layers without a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy.special import logsumexp
from tensorflow_probability import distributions as tfd

from variational_bnn.prediction.predict import predict, sample_functions

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(10, 1))
NOISE = 0.3
KINDS = (tfp.layers.DenseReparameterization, tfp.layers.DenseFlipout, tfp.layers.DenseLocalReparameterization)


def _density(loc: tf.Tensor) -> tfd.Distribution:
    return tfd.Independent(tfd.Normal(loc, NOISE), 1)


def _head() -> Any:
    return tfp.layers.DistributionLambda(_density)


class _Subclassed(tf_keras.Model):
    """Two dense layers of a kind, under `call` as somebody may write it."""

    def __init__(self, dense: Any) -> None:
        super().__init__()
        self.first, self.second, self.head = dense(4, activation="tanh"), dense(1), _head()

    def call(self, x: tf.Tensor) -> tfd.Distribution:
        return self.head(self.second(self.first(x)))


class _Compiled(_Subclassed):
    """Its `call` is compiled by hand."""

    @tf.function
    def _loc(self, x: tf.Tensor) -> tf.Tensor:
        return self.second(self.first(x))

    def call(self, x: tf.Tensor) -> tfd.Distribution:
        return self.head(self._loc(x))


def _sequential(dense: Any) -> tf_keras.Model:
    return tf_keras.Sequential([dense(4, activation="tanh"), dense(1), _head()])


def _functional(dense: Any) -> tf_keras.Model:
    inputs = tf_keras.Input((3,))
    return tf_keras.Model(inputs, _head()(dense(1)(dense(4, activation="tanh")(inputs))))


def _variational(units: int) -> Any:
    """TFP's DenseVariational, for which there is no rule."""

    def posterior(kernel: int, bias: int, dtype: Any) -> Any:
        spread = tfp.layers.VariableLayer(kernel + bias, dtype=dtype, initializer=tf_keras.initializers.Constant(0.3))
        return tf_keras.Sequential(
            [spread, tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 0.2), 1))]
        )

    def prior(kernel: int, bias: int, dtype: Any) -> Any:
        return lambda _: tfd.Independent(tfd.Normal(tf.zeros(kernel + bias, dtype), 1.0), 1)

    return tfp.layers.DenseVariational(units, posterior, prior)


def _with_latents() -> tf_keras.Model:
    latents = tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 0.5), 1))
    dense = tf_keras.layers.Dense
    return tf_keras.Sequential([tf_keras.Input((3,)), dense(4), latents, dense(1), _head()])


def _log_prob_of(functions: np.ndarray) -> np.ndarray:
    """The log of the mean density over draws of the mean."""
    loc = functions[:, :, 0].astype(np.float64)
    log_densities = -0.5 * np.log(2 * np.pi) - np.log(NOISE) - (Y[:, 0] - loc) ** 2 / (2 * NOISE**2)
    return logsumexp(log_densities, axis=0) - np.log(len(loc))


@pytest.mark.parametrize("dense", KINDS)
@pytest.mark.parametrize("make", [_sequential, _functional, _Subclassed, _Compiled])
def test_models_of_bare_tfp_layers_draw_functions(make: Callable[[Any], Any], dense: Any) -> None:
    model = make(dense)
    rows = np.concatenate([X, X[:3]])
    if make is _Compiled:
        model(rows)
    functions = sample_functions(model, rows, num_samples=110, seed=0)
    np.testing.assert_array_equal(functions[:, :3], functions[:, 10:])
    np.testing.assert_array_equal(functions, sample_functions(model, rows, num_samples=110, seed=0))
    assert len(np.unique(functions[:, 0])) == 110
    log_prob = predict(model, X, num_samples=110, seed=0).log_prob(Y)
    np.testing.assert_allclose(log_prob, _log_prob_of(functions[:, :10]), rtol=1e-4)


@pytest.mark.parametrize("make", [_sequential, _functional])
def test_layers_are_as_they_were_after_predicting(make: Callable[[Any], Any]) -> None:
    model = make(tfp.layers.DenseFlipout)
    predict(model, X, num_samples=3).log_prob(Y)
    assert all("call" not in vars(layer) for layer in model.submodules)
    assert model.layers[-2].output.shape.as_list()[-1] == 1
    assert not np.allclose(model(X).mean(), model(X).mean())


def test_layers_are_as_they_were_after_an_error() -> None:
    inputs = tf_keras.Input((3,))
    hidden = tfp.layers.DenseFlipout(4)
    model = tf_keras.Model(inputs, [hidden(inputs), inputs])
    with pytest.raises(ValueError, match="the model must have one output"):
        predict(model, X)
    assert "call" not in vars(hidden)


def _own_weights() -> tf_keras.Model:
    return tf_keras.Sequential([_variational(4), _variational(1), _head()])


@pytest.mark.parametrize("make", [_own_weights, _with_latents])
def test_a_model_with_randomness_of_its_own_is_seeded(make: Callable[[], Any]) -> None:
    model = make()
    functions = sample_functions(model, X, num_samples=40, seed=3)
    np.testing.assert_array_equal(functions, sample_functions(model, X, num_samples=40, seed=3))
    assert not np.isclose(functions, sample_functions(model, X, num_samples=40, seed=4)).any()
    assert len(np.unique(functions[:, 0])) == 40
    one, two = (predict(model, X, num_samples=40, seed=3) for _ in range(2))
    for name in ("mean", "epistemic_variance", "latent_variance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(one.log_prob(Y), two.log_prob(Y))


def test_predictions_of_weights_that_draw_in_their_own_way_are_those_of_the_function_samples() -> None:
    model = _own_weights()
    predictive = predict(model, X, num_samples=40, seed=3)
    functions = sample_functions(model, X, num_samples=40, seed=3)
    np.testing.assert_allclose(predictive.mean, functions.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictive.epistemic_variance, functions.var(0), rtol=1e-4)
    assert (predictive.latent_variance == 0).all()
    np.testing.assert_allclose(predictive.log_prob(Y), _log_prob_of(functions), rtol=1e-4)


def test_the_variance_of_latents_has_its_closed_form() -> None:
    """A linear map of latents of scale 0.5 has variance 0.25 sum w^2: within 4.5 standard errors.

    They draw in their own way, for each row. Of 8 copies of a row, the mean in each draw has an eighth of the variance.
    """
    model = _with_latents()
    draws = 2000
    variance = 0.25 * (model.layers[-2].kernel.numpy() ** 2).sum()
    predictive = predict(model, X, num_samples=draws, seed=0)
    assert (np.abs(predictive.latent_variance / variance - 1) < 4.5 * np.sqrt(2 / draws)).all()
    assert (predictive.epistemic_variance / variance < 4.5 * np.sqrt(2 / draws) / 8).all()


def test_dropout_has_the_variance_of_its_masks() -> None:
    """Var[sum w x m / (1 - p)] = p / (1 - p) sum (w x)^2, within 4.5 standard errors."""
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dropout(0.4), tf_keras.layers.Dense(1)])
    draws = 4000
    weights = model.layers[-1].kernel.numpy()
    predictive = predict(model, X, num_samples=draws, seed=0)
    variance = 0.4 / 0.6 * (X**2 @ weights**2)
    functions = sample_functions(model, X, num_samples=draws, seed=0).astype(np.float64)
    deviation = (functions - X @ weights) ** 2
    assert (np.abs(predictive.epistemic_variance - variance) < 4.5 * deviation.std(0) / np.sqrt(draws)).all()
    assert (np.abs(predictive.mean - X @ weights) < 4.5 * np.sqrt(variance / draws)).all()
    assert (predictive.aleatoric_variance == 0).all()
    masks = np.unique(np.round(functions[:, 0, 0], 5))
    assert len(masks) == 8, "three features, each kept or not"
    with pytest.raises(ValueError, match="puts out a tensor, not a distribution"):
        predictive.log_prob(Y)


@pytest.mark.parametrize(
    "dropout", [tf_keras.layers.SpatialDropout1D(0.5), tf_keras.layers.Dropout(0.5, noise_shape=(None, 1, 3))]
)
def test_dropout_of_whole_channels_drops_whole_channels(dropout: Any) -> None:
    layers = [tf_keras.Input((None, 3)), dropout, tf_keras.layers.Reshape((15,))]
    functions = sample_functions(tf_keras.Sequential(layers), np.ones((2, 5, 3)), num_samples=50, seed=0)
    kept = functions.reshape(50, 2, 5, 3) > 0
    assert (kept == kept[:, :1, :1]).all()
    assert 0 < kept.mean() < 1


def test_gaussian_noise_is_off_as_keras_has_it_and_a_plain_model_does_not_vary() -> None:
    layers = [tf_keras.Input((3,)), tf_keras.layers.GaussianNoise(1.0), tf_keras.layers.Dense(1)]
    predictive = predict(tf_keras.Sequential(layers), X, num_samples=20)
    assert (predictive.variance == 0.0).all()


def test_keras_own_predict_is_one_draw_and_another_each_time() -> None:
    """So it must not be summarised; `predict` of the package gives the same for the same seed."""
    model = _sequential(tfp.layers.DenseReparameterization)
    model.compile()
    assert not np.isclose(model.predict(X, verbose=0), model.predict(X, verbose=0)).any()
    np.testing.assert_array_equal(predict(model, X, num_samples=9).mean, predict(model, X, num_samples=9).mean)


def test_a_keras_3_model_takes_no_tfp_layer() -> None:
    """Therefore the package uses tf_keras."""
    with pytest.raises(ValueError, match=r"Only instances of `keras\.Layer` can be added"):
        keras.Sequential([tfp.layers.DenseFlipout(1)])


def test_a_keras_3_model_raises_one_line_that_says_so() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    for function in (predict, sample_functions):
        with pytest.raises(TypeError, match=r"a Keras 3 model.*import tf_keras") as caught:
            function(model, X)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match=r"must be a tf_keras.Model, got builtins.list$"):
        predict([], X)


@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (np.full((2, 3), np.nan), {}, "x must be finite, got 6 values that are not"),
        (np.zeros((2, 4)), {}, r"x must have shape \[N, 3\], got \[2, 4\]"),
        (np.zeros((0, 3)), {}, r"x must have shape \[N, 3\], got \[0, 3\]"),
        (np.zeros(3), {}, r"x must have shape \[N, 3\], got \[3\]"),
        (X, {"num_samples": 0}, "num_samples must be a whole number >= 1, got 0"),
        (X, {"num_samples": 2.5}, r"num_samples must be a whole number >= 1, got 2\.5"),
        (X, {"seed": -1}, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_inputs_and_numbers_that_do_not_fit_raise(x: np.ndarray, settings: dict[str, Any], message: str) -> None:
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=message):
        predict(model, x, **settings)
    with pytest.raises(ValueError, match=message):
        sample_functions(model, x, **settings)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((9, 1)), r"y must have shape \[10, 1\], got \[9, 1\]"),
        (np.zeros((10, 2)), r"y must have shape \[10, 1\], got \[10, 2\]"),
        (np.full(10, np.inf), "y must be finite, got inf in row 0"),
    ],
)
def test_targets_that_do_not_fit_raise(y: np.ndarray, message: str) -> None:
    predictive = predict(_sequential(tfp.layers.DenseFlipout), X, num_samples=2)
    with pytest.raises(ValueError, match=message):
        predictive.log_prob(y)


class _Generator(tf_keras.layers.Layer):
    """Noise from a generator with a state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = tf.random.Generator.from_seed(1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + self.generator.normal([])


class _Mapped(tf_keras.layers.Layer):
    """Noise drawn within a loop of the graph."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda row: row + tf.random.normal([1]), inputs)


@pytest.mark.parametrize(("layer", "source"), [(_Generator, "epistemic"), (_Mapped, "latent")])
def test_randomness_that_hides_is_found(layer: type, source: str) -> None:
    model = tf_keras.Sequential([tf_keras.Input((1,)), layer()])
    variance = getattr(predict(model, np.zeros((5, 1)), num_samples=400, seed=0), f"{source}_variance")
    np.testing.assert_allclose(variance, 1, atol=4 * np.sqrt(2 / 400))


def test_a_model_that_changed_is_sampled_as_it_is() -> None:
    dropout, x = tf_keras.layers.Dropout(0.1), np.ones((4, 1))
    model = tf_keras.Sequential([tf_keras.Input((1,)), dropout])
    for rate in (0.1, 0.5):
        dropout.rate = rate
        expected = rate / (1 - rate)
        np.testing.assert_allclose(predict(model, x, num_samples=4000).epistemic_variance, expected, rtol=0.2)
    model.add(tf_keras.layers.Dense(3))
    assert predict(model, x).mean.shape == (4, 3)
    model.pop()
    assert predict(model, x).mean.shape == (4, 1)


def test_a_model_that_was_built_by_a_call_takes_any_number_of_rows() -> None:
    model = tf_keras.Sequential([tf_keras.layers.Dense(2)])
    model(np.zeros((1, 3), np.float32))
    assert predict(model, np.zeros((7, 3))).mean.shape == (7, 2)


def test_a_model_of_other_precision_has_a_density() -> None:
    tf_keras.backend.set_floatx("float64")
    try:
        inputs = tf_keras.Input((1,))
        outputs = tfp.layers.IndependentNormal(1)(tf_keras.layers.Dense(2)(inputs))
        model = tf_keras.Model(inputs, outputs)
        assert np.isfinite(predict(model, np.zeros((3, 1))).log_prob(np.zeros(3))).all()
    finally:
        tf_keras.backend.set_floatx("float32")
