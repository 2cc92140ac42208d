"""Many threads draw from models, others train them meanwhile, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import by_hand
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.audit import audit_elbo
from variational_bnn.prediction.predict import predict, sample_functions

tfd = tfp.distributions

X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
NETWORK = Network(input_shape=(1,), output_size=1, hidden_units=(6, 6), likelihood=Normal(scale=0.3))


class _Compiled(tf_keras.Model):
    """A model of bare TFP layers whose layers are called in a function that is compiled by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (tfp.layers.DenseReparameterization(units) for units in (4, 1))
        self.head = tfp.layers.DistributionLambda(lambda loc: tfd.Independent(tfd.Normal(loc, 0.3), 1))

    @tf.function
    def _loc(self, x: tf.Tensor) -> tf.Tensor:
        return self.second(tf.nn.tanh(self.first(x)))

    def call(self, x: tf.Tensor) -> Any:
        return self.head(self._loc(x))


def _flipout() -> Any:
    return by_hand.build("flipout", NETWORK, len(X), seed=3)


def test_threads_share_a_model_that_was_never_used() -> None:
    own, bare, trained, alone = _flipout(), _Compiled(), _flipout(), _flipout()
    bare(X)  # Its function is compiled.
    for model in (trained, alone):
        model.compile("adam", loss=negative_log_likelihood)
    eager = []

    def work(number: int) -> Any:
        calls: list[Callable[[], Any]] = [
            lambda: sample_functions(own, X, num_samples=30, seed=0),
            lambda: predict(own, X, num_samples=30, seed=0).log_prob(X),
            lambda: sample_functions(bare, X, num_samples=30, seed=0),
            lambda: sample_functions(trained, X, num_samples=30, seed=0),
        ]
        result = calls[number % 4]()
        eager.append(tf.config.functions_run_eagerly())
        return result

    with ThreadPoolExecutor(9) as threads:
        fit = threads.submit(trained.fit, X, np.sin(X), epochs=30, batch_size=10, shuffle=False, verbose=0)
        results = list(threads.map(work, range(24)))
        history = fit.result().history
    np.testing.assert_array_equal(results[0], sample_functions(own, X, num_samples=30, seed=0))
    for first, kind in enumerate(("functions", "densities", "functions")):
        for other in results[first::4]:
            np.testing.assert_array_equal(results[first], other, err_msg=kind)
    assert np.ptp(results[2], axis=0).min() > 0
    assert not any(eager)
    assert "call" not in vars(own.layers[1])
    with ThreadPoolExecutor(3) as threads:
        audits = list(threads.map(lambda _: audit_elbo(own, X, np.sin(X), num_samples=5), range(3)))
    assert len({audit.kl for audit in audits}) == 1
    expected = alone.fit(X, np.sin(X), epochs=30, batch_size=10, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
