"""A user's own tf_keras models as methods: trained already, or trained for each seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow_probability as tfp
import tf_keras

import variational_bnn as vbnn

LECTURE = vbnn.lecture()
FEATURE = vbnn.Network(input_shape=(1,), output_size=1, likelihood=vbnn.Normal(scale=1.0))
LINE_X = np.linspace(-3, 5, 40)
LINE = vbnn.Dataset(name="line", x=LINE_X, y=100 + 7 * LINE_X + np.random.default_rng(0).normal(size=40))


def _flipout(num_examples: int, seed: int) -> tf_keras.Model:
    """A network of TensorFlow Probability's own layers, with normal noise."""

    def divergence(posterior: Any, prior: Any, _: Any) -> Any:
        return tfp.distributions.kl_divergence(posterior, prior) / num_examples

    model = tf_keras.Sequential(
        [
            tf_keras.Input((1,)),
            tfp.layers.DenseFlipout(4, activation="tanh", kernel_divergence_fn=divergence),
            tfp.layers.DenseFlipout(1, kernel_divergence_fn=divergence),
            tfp.layers.DistributionLambda(lambda t: tfp.distributions.Independent(tfp.distributions.Normal(t, 1.0), 1)),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(0.05), loss=lambda y, distribution: -distribution.log_prob(y))
    return model


def _linear(num_examples: int, seed: int) -> tf_keras.Model:
    """Least squares, which puts out a tensor."""
    model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])
    model.compile(tf_keras.optimizers.Adam(0.1), loss="mse")
    return model


@pytest.fixture(scope="module")
def trained() -> tf_keras.Model:
    """The bare model that a user trained on the lecture's points as they are."""
    model = _flipout(20, 0)
    model.fit(LECTURE.x, LECTURE.y, epochs=2, verbose=0)
    return model


def test_a_trained_model_predicts_as_it_is(trained: tf_keras.Model) -> None:
    """In the units that it was trained in; the seed of the fit changes nothing."""
    method = vbnn.TrainedModel(model=trained, num_examples=20)
    assert isinstance(method, vbnn.Method)
    posteriors = [method.fit(LECTURE, FEATURE, seed) for seed in (0, 1)]
    assert isinstance(posteriors[0], vbnn.Posterior)
    expected = vbnn.sample_functions(trained, LECTURE.x, num_samples=6, seed=3)
    for posterior in posteriors:
        found = posterior.sample_functions(LECTURE.x, num_samples=6, seed=3)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(
            posterior.predict(LECTURE.x, num_samples=6, seed=3).mean, expected.mean(0), rtol=1e-4, atol=1e-5
        )
    diagnostics = posteriors[0].diagnostics
    assert diagnostics.num_parameters == 2 * 4 + 4 + 2 * 4 + 1  # The kernels are drawn, the biases are not.
    assert diagnostics.num_random_variables == 4 + 4


def test_a_trained_model_is_compared_by_itself(trained: tf_keras.Model) -> None:
    """Without a wrapper; it cannot be measured with four times the data, and its row says so."""
    found = vbnn.compare(LECTURE, methods={"mine": trained}, network=FEATURE, seeds=[0], num_samples=10, progress=False)
    rows = found.results
    assert set(rows["method"]) == {"mine"}
    assert set(rows["status"]) == {"ok"}
    assert (rows["epistemic_variance"] > 0).all()
    assert "not supported: the model was trained on 20 rows, not 80" in set(rows["contraction_status"])


def test_rows_that_the_model_was_not_trained_on_are_not_supported(trained: tf_keras.Model) -> None:
    method = vbnn.TrainedModel(model=trained, num_examples=20)
    assert method.supports(LECTURE, FEATURE) is None
    assert method.supports(LINE, FEATURE) == "the model was trained on 20 rows, not 40"
    with pytest.raises(ValueError, match=r"^the model was trained on 20 rows, not 40$"):
        method.fit(LINE, FEATURE, 0)


def test_settings_of_a_trained_model_name_its_weights(trained: tf_keras.Model) -> None:
    """The digest is that of the weights: other weights have another, and the same ones the same."""
    settings = vbnn.TrainedModel(model=trained, num_examples=20).to_dict()
    assert settings["num_examples"] == 20
    assert len(settings["weights"]) == len(settings["layers"]) == 64
    assert vbnn.TrainedModel(model=trained, num_examples=20).to_dict() == settings
    other = vbnn.TrainedModel(model=_flipout(20, 0), num_examples=20).to_dict()
    assert other["weights"] != settings["weights"]


def test_an_untrained_model_is_built_and_trained_in_standard_units() -> None:
    """Least squares of a line: exact, without noise, which a model that puts out a tensor has not."""
    method = vbnn.UntrainedModel(build=_linear, epochs=100)
    assert isinstance(method, vbnn.Method)
    assert method.supports(LINE, FEATURE) is None
    posterior = method.fit(LINE, FEATURE, 0)
    predictive = posterior.predict(LINE.x, num_samples=3, seed=0)
    np.testing.assert_allclose(predictive.mean[:, 0], np.polyval(np.polyfit(LINE_X, LINE.y[:, 0], 1), LINE_X), atol=0.5)
    assert (predictive.variance == 0).all()
    with pytest.raises(ValueError, match=r"^the model puts out a tensor, not a distribution"):
        predictive.log_prob(LINE.y)
    assert posterior.diagnostics.num_parameters == 2
    assert posterior.diagnostics.num_random_variables == 0
    raw = vbnn.UntrainedModel(build=_linear, epochs=1, standardise=False).fit(LINE, FEATURE, 0)
    assert np.abs(raw.predict(LINE.x, num_samples=1, seed=0).mean - LINE.y).max() > 50


def test_the_seed_and_the_training_rows_decide_what_an_untrained_model_becomes() -> None:
    """To the bit, wherever the held-out rows are, though layers of other packages draw from the global seeds."""
    method = vbnn.UntrainedModel(build=_flipout, epochs=1)
    held_out = {"y_test": LECTURE.y[:3], "test_regions": ["near"] * 3}
    datasets = [
        vbnn.Dataset(name="d", x=LECTURE.x, y=LECTURE.y, x_test=LECTURE.x[:3] + shift, **held_out)
        for shift in (0.0, 1000.0)
    ]
    first, again = (method.fit(dataset, FEATURE, 7).model.get_weights() for dataset in datasets)
    other = method.fit(datasets[0], FEATURE, 8).model.get_weights()
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_build_is_told_how_many_rows_there_are_and_the_seed() -> None:
    told = []

    def build(num_examples: int, seed: int) -> tf_keras.Model:
        told.append((num_examples, seed))
        return _linear(num_examples, seed)

    vbnn.UntrainedModel(build=build, epochs=1).fit(LINE, FEATURE, 5)
    assert told == [(40, 5)]


def test_a_model_of_classes_has_their_probabilities() -> None:
    """The numbers of the classes are not standardised."""

    def build(num_examples: int, seed: int) -> tf_keras.Model:
        head = vbnn.LikelihoodHead(vbnn.Categorical(num_classes=3), output_size=1)
        model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(3), head])
        model.compile(tf_keras.optimizers.Adam(0.1), loss=lambda y, distribution: -distribution.log_prob(y))
        return model

    dataset = vbnn.Dataset(name="classes", x=LINE_X, y=np.arange(40) // 14, class_names=("low", "middle", "high"))
    predictive = (
        vbnn.UntrainedModel(build=build, epochs=60).fit(dataset, FEATURE, 0).predict(dataset.x, num_samples=2, seed=0)
    )
    assert predictive.mean.shape == (40, 3)
    assert (predictive.mean.argmax(1) == dataset.y[:, 0]).mean() > 0.8


def test_a_training_that_diverges_raises() -> None:
    def build(num_examples: int, seed: int) -> tf_keras.Model:
        model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])
        model.compile(tf_keras.optimizers.SGD(1e30), loss="mse")
        return model

    with pytest.raises(vbnn.FitError, match=r"^diverged: the loss became "):
        vbnn.UntrainedModel(build=build, epochs=3).fit(LINE, FEATURE, 0)


def _without_compiling(num_examples: int, seed: int) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])


def _three_outputs(num_examples: int, seed: int) -> tf_keras.Model:
    model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(3)])
    model.compile("sgd", loss="mse")
    return model


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: vbnn.TrainedModel(model="model", num_examples=20),
            TypeError,
            "model must be a tf_keras.Model, got builtins.str",
        ),
        (
            lambda: vbnn.TrainedModel(model=_linear(1, 0), num_examples=0),
            ValueError,
            "num_examples must be a whole number >= 1, got 0",
        ),
        (
            lambda: vbnn.UntrainedModel(build="build"),
            ValueError,
            "build must be a function (num_examples, seed) -> model, got 'build'",
        ),
        (
            lambda: vbnn.UntrainedModel(build=_linear, epochs=0),
            ValueError,
            "epochs must be a whole number >= 1, got 0",
        ),
        (
            lambda: vbnn.UntrainedModel(build=_linear, batch_size=1.5),
            ValueError,
            "batch_size must be a whole number >= 1, got 1.5",
        ),
        (
            lambda: vbnn.UntrainedModel(build=_linear, standardise="yes"),
            ValueError,
            "standardise must be True or False, got 'yes'",
        ),
        (
            lambda: vbnn.UntrainedModel(build=lambda num_examples, seed: None).fit(LINE, FEATURE, 0),
            TypeError,
            "model must be a tf_keras.Model, got builtins.NoneType",
        ),
        (
            lambda: vbnn.UntrainedModel(build=_without_compiling).fit(LINE, FEATURE, 0),
            ValueError,
            "build must return a compiled model, got one that is not compiled",
        ),
        (
            lambda: vbnn.UntrainedModel(build=_three_outputs, epochs=1).fit(LINE, FEATURE, 0),
            ValueError,
            "the model must put out 1 columns for the dataset, got 3",
        ),
        (
            lambda: vbnn.TrainedModel(model=_three_outputs(1, 0), num_examples=40).fit(LINE, FEATURE, 0),
            ValueError,
            "the model must put out 1 columns for the dataset, got 3",
        ),
    ],
)
def test_wrong_things_raise_in_one_line(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message


def test_a_model_of_other_inputs_raises() -> None:
    model = tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="x must have"):
        vbnn.TrainedModel(model=model, num_examples=40).fit(LINE, FEATURE, 0)
