"""Models that are trained side by side are trained as if each were alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Categorical, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.together import fit_together
from variational_bnn.models.variational_model import VariationalModel

N, BATCH = 10, 5
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 2)).astype(np.float32), RNG.normal(size=(N, 1)).astype(np.float32)
WEIGHTS = RNG.uniform(0.5, 1.5, size=N).astype(np.float32)


def _model(kind: str = "flipout", seed: int = 0, optimizer: Any = None, **fields: Any) -> Any:
    likelihood: Likelihood = Normal(scale="learned")
    network = Network(**{"input_shape": (2,), "output_size": 1, "hidden_units": (), "likelihood": likelihood, **fields})
    model = by_hand.build(kind, network, N, seed=seed)
    model.compile(optimizer or tf_keras.optimizers.Adam(0.02), loss=negative_log_likelihood)
    return model


def _agree(model: Any, alone: Any, rtol: float = 1e-4) -> None:
    """The same weights, among them the numbers of draws, and the same state of the optimizer."""
    pairs = [*zip(model.weights, alone.weights, strict=True)]
    for own, other in [*pairs, *zip(model.optimizer.variables, alone.optimizer.variables, strict=True)]:
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=rtol, atol=1e-6, err_msg=own.name)


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_after_200_steps_each_model_is_what_it_would_be_alone(kind: str) -> None:
    models = [_model(kind, seed, hidden_units=(4,)) for seed in range(3)]
    histories = fit_together(models, X, Y, batch_size=BATCH, epochs=100, shuffle=False)
    alone = _model(kind, 1, hidden_units=(4,))
    expected = alone.fit(X, Y, BATCH, 100, shuffle=False, verbose=0).history
    _agree(models[1], alone)
    assert set(histories[1].history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(histories[1].history[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert int(models[1].optimizer.iterations) == 200
    with pytest.raises(AssertionError):
        _agree(models[0], alone)


@pytest.fixture(scope="module")
def trained() -> list[Any]:
    """Four models, each with data of its own, whose last batch has two rows."""
    return _trained_together()


def _data(number: int) -> tuple[np.ndarray, ...]:
    return X + number, Y * (1 + number), WEIGHTS**number


def _trained_together(spoil: Callable[[Any], None] = lambda model: None) -> list[Any]:
    models = [_model(seed=seed) for seed in range(4)]
    spoil(models[2])
    x, y, weights = (list(values) for values in zip(*(_data(number) for number in range(4)), strict=True))
    fit_together(models, x, y, sample_weight=weights, batch_size=4, epochs=3, shuffle=False)
    return models


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_a_model_that_fails_leaves_the_others_what_they_are_to_the_bit(trained: list[Any], value: float) -> None:
    def spoil(model: Any) -> None:
        model.trainable_variables[0].assign(tf.fill(model.trainable_variables[0].shape, value))

    spoiled = _trained_together(spoil)
    assert not np.isfinite(np.concatenate([np.ravel(w) for w in spoiled[2].get_weights()])).all() or value == 1e30
    for number in (0, 1, 3):
        _agree(spoiled[number], trained[number], rtol=0)


def test_trained_further_alone_a_model_is_as_if_it_had_always_been(trained: list[Any]) -> None:
    model, alone = trained[3], _model(seed=3)
    x, y, weights = _data(3)
    for one, epochs in ((model, 2), (alone, 5)):
        one.fit(x, y, 4, epochs, sample_weight=weights, shuffle=False, verbose=0)
    _agree(model, alone)
    for one in (model, alone):
        fit_together([one], x, y, batch_size=BATCH, shuffle=False)
    _agree(model, alone)


def test_models_of_several_kinds_and_numbers_of_rows_are_trained_in_one_call() -> None:
    """Each by those of its kind; a vector of targets is a column; a single model is trained as well."""
    cases = [("flipout", N), ("output", N), ("flipout", 6)]
    made = [[_model(kind, seed) for seed, (kind, _) in enumerate(cases)] for _ in range(2)]
    xs, ys = [X[:rows] for _, rows in cases], [Y[:rows, 0] for _, rows in cases]
    fit_together(made[0], xs, ys, batch_size=20, epochs=2, shuffle=False)
    for model, alone, x, y in zip(*made, xs, ys, strict=True):
        alone.fit(x, y, 20, 2, shuffle=False, verbose=0)
        _agree(model, alone)


def test_labels_an_optimizer_with_a_schedule_and_other_numbers_of_draws() -> None:
    def model(seed: int) -> Any:
        rate = tf_keras.optimizers.schedules.CosineDecay(0.1, 4)
        optimizer = tf_keras.optimizers.SGD(rate, momentum=0.9, clipvalue=0.5)
        return _model("amortized", seed, optimizer, likelihood=Categorical(num_classes=3), hidden_units=(4,))

    labels, models, alone = RNG.integers(3, size=(N, 1)), [model(0), model(1)], model(1)
    for one in (models[1], alone):
        one(X)  # So that it has drawn before, as the others have not.
    fit_together(models, X, labels, batch_size=BATCH, epochs=2, shuffle=False)
    alone.fit(X, labels, BATCH, 2, shuffle=False, verbose=0)
    _agree(models[1], alone)


def test_orders_of_rows_are_those_of_fit_and_differ_between_models() -> None:
    models, alone = [_model("output", 0), _model("output", 0)], _model("output", 0)
    tf_keras.utils.set_random_seed(1)
    fit_together(models, X, Y, batch_size=BATCH)
    tf_keras.utils.set_random_seed(1)
    alone.fit(X, Y, BATCH, verbose=0)
    _agree(models[0], alone)
    with pytest.raises(AssertionError):
        _agree(models[1], alone)


def _with_dropout() -> Any:
    inputs = tf_keras.Input((2,))
    dropped = tf_keras.layers.Dropout(0.5)(tf_keras.layers.Dense(2)(inputs))
    model = VariationalModel(inputs, LikelihoodHead(Normal(), 1)(dropped))
    model.compile("sgd", loss=negative_log_likelihood)
    return model


def _compiled(**settings: Any) -> Any:
    model = _model()
    model.compile(**{"optimizer": "sgd", "loss": negative_log_likelihood, **settings})
    return model


def _twice() -> list[Any]:
    return [_model()] * 2


def _one_optimizer() -> list[Any]:
    optimizer = tf_keras.optimizers.SGD()
    return [_model(optimizer=optimizer) for _ in range(2)]


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        (list, {}, "at least one model"),
        (lambda: [_compiled(loss="mse")], {}, "negative_log_likelihood"),
        (lambda: [_compiled(metrics=["mse"])], {}, "metrics"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.Adam(clipnorm=1.0))], {}, "norm"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.Adam(global_clipnorm=1.0))], {}, "norm"),
        (lambda: [_compiled(optimizer=tf_keras.optimizers.legacy.Adam())], {}, "optimizer"),
        (lambda: [_with_dropout()], {}, "dropout"),
        (
            lambda: [by_hand.build("flipout", Network(input_shape=(2,), output_size=1, likelihood=Normal()), N)],
            {},
            "compiled",
        ),
        (lambda: [tf_keras.Sequential([tf_keras.layers.Dense(1)])], {}, "VariationalModel, got Sequential"),
        (_twice, {}, "models must be different objects"),
        (_one_optimizer, {}, "optimizers must be different objects"),
        (lambda: [_model()], {"y": Y[:9]}, "as many rows"),
        (lambda: [_model()], {"x": [X, X]}, "list of 1"),
        (lambda: [_model()], {"x": X[:, :1]}, "x must have shape"),
        (lambda: [_model()], {"x": X * np.nan}, "x must be finite"),
        (lambda: [_model()], {"batch_size": 0}, "batch_size"),
        (lambda: [_model()], {"epochs": 0}, "epochs"),
    ],
)
def test_what_cannot_be_trained_together_is_an_error_of_one_line(
    models: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as error:
        fit_together(models(), **{"x": X, "y": Y, **arguments})
    assert "\n" not in str(error.value)
