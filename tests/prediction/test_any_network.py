"""For any network, batch and seed: losses and gradients are finite, shapes as promised, and copies equal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import tensorflow as tf
import tf_keras
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from variational_bnn.base import ACTIVATIONS, Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.predict import predict, sample_functions

FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # Each example compiles a model: shrinking one would take minutes.
    suppress_health_check=[HealthCheck.too_slow],
)
SIZES = st.integers(1, 5)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    return Network(
        input_shape=tuple(draw(st.lists(SIZES, min_size=1, max_size=2))),
        output_size=draw(SIZES),
        hidden_units=tuple(draw(st.lists(SIZES, min_size=1, max_size=3))),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        likelihood=Normal(scale=draw(st.sampled_from([None, "learned", 0.1, 2.0]))),
        prior_scale=draw(st.sampled_from([0.1, 1.0, 10.0])),
        scale_prior_by_fan_in=draw(st.booleans()),
    )


def _rows(network: Network, num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of every size, rows of zeros among them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, *network.input_shape)) * rng.choice([0, 1, 100], size=num_rows).reshape(
        -1, *[1] * len(network.input_shape)
    )
    return x.astype(np.float32), rng.normal(size=(num_rows, network.output_size)).astype(np.float32)


@FEW
@given(
    network=networks(),
    kind=st.sampled_from(by_hand.KINDS),
    num_rows=st.integers(1, 9),
    batch_size=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
def test_losses_and_gradients_are_finite_shapes_as_promised_and_a_loaded_model_equal(
    network: Network, kind: str, num_rows: int, batch_size: int, seed: int
) -> None:
    x, y = _rows(network, num_rows, seed)
    model = by_hand.build(kind, network, num_rows, seed=seed)
    with tf.GradientTape() as tape:
        nll = negative_log_likelihood(y, model(x))
        loss = tf.reduce_mean(nll) + sum(model.losses)
    assert nll.shape == (num_rows,)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)

    model.compile("adam", loss=negative_log_likelihood)
    logs = model.fit(x, y, batch_size=batch_size, verbose=0).history
    assert list(logs) == ["loss", "nll", "kl"] + ["prior_penalty"] * (kind in by_hand.POINT)
    assert np.isfinite(list(logs.values())).all()
    np.testing.assert_allclose(logs.pop("loss"), np.sum(list(logs.values()), axis=0), rtol=1e-4)

    predictive = predict(model, x, num_samples=3, seed=seed)
    shape = (num_rows, network.output_size)
    assert sample_functions(model, x, num_samples=3, seed=seed).shape == (3, *shape)
    parts = predictive.epistemic_variance, predictive.latent_variance, predictive.aleatoric_variance
    for part in (predictive.mean, predictive.variance, *parts):
        assert part.shape == shape
        assert np.isfinite(part).all()
    assert (np.stack(parts) >= 0).all()
    assert (predictive.aleatoric_variance > 0).all()
    assert predictive.log_prob(y).shape == (num_rows,)

    with tempfile.TemporaryDirectory() as directory:
        model.save(Path(directory, "model.keras"))
        loaded: Any = tf_keras.models.load_model(Path(directory, "model.keras"))
    for own, other in zip(model.layers, loaded.layers, strict=True):
        assert all(map(np.array_equal, own.get_weights(), other.get_weights()))
    draws = [sample_functions(m, x, num_samples=4, seed=seed) for m in (model, loaded)]
    np.testing.assert_array_equal(*draws)
    np.testing.assert_array_equal(model(x).mean(), loaded(x).mean())


@FEW
@given(
    network=networks(),
    kind=st.sampled_from(by_hand.KINDS[1:]),
    num_samples=st.integers(1, 230),
    fewer=st.integers(1, 230),
    seed=st.integers(0, 2**40),
)
def test_fewer_samples_are_the_first_of_many(
    network: Network, kind: str, num_samples: int, fewer: int, seed: int
) -> None:
    x, _ = _rows(network, 3, 0)
    model = by_hand.build(kind, network, 3)
    many = sample_functions(model, x, num_samples=num_samples, seed=seed)
    few = sample_functions(model, x, num_samples=min(fewer, num_samples), seed=seed)
    np.testing.assert_allclose(few, many[: len(few)], rtol=1e-4, atol=1e-5)
