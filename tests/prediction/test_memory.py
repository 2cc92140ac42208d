"""Building, training and predicting leaves nothing behind once the model is gone."""

from __future__ import annotations

import gc

import by_hand
import numpy as np
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.predict import predict

X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
NETWORK = Network(input_shape=(1,), output_size=1, hidden_units=(4,), likelihood=Normal(scale="learned"))


def _graphs() -> int:
    for _ in range(5):  # What one round frees may have held what the next one frees.
        gc.collect()
    return sum(isinstance(thing, tf.Graph) for thing in gc.get_objects())


def _use(kind: str) -> None:
    model = by_hand.build(kind, NETWORK, len(X))
    model.compile(tf_keras.optimizers.Adam(), loss=negative_log_likelihood)
    model.fit(X, X, epochs=2, verbose=0)
    predict(model, X, num_samples=5, seed=0).log_prob(X)


def test_graphs_do_not_accumulate() -> None:
    for kind in ("flipout", "shared"):
        _use(kind)
    before = _graphs()
    for kind in ("flipout", "shared", "flipout", "shared"):
        _use(kind)
    assert _graphs() <= before
    bare = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dense(1)])
    bare.compile("adam", loss="mse")
    bare.fit(X, X, verbose=0)
    del bare
    assert _graphs() > before, "Keras's own training leaves graphs behind, and this would be seen"
