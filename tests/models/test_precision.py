"""Every builder's model trains, predicts and is audited in double and in mixed precision."""

from __future__ import annotations

from collections.abc import Iterator

import by_hand
import numpy as np
import pytest
import tf_keras

import variational_bnn as vbnn

X = np.linspace(-1, 1, 20)[:, None]
NETWORK = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(4,), likelihood=vbnn.Normal(scale="learned"))


@pytest.fixture(params=["mixed_float16", "float64"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "float64":
        tf_keras.backend.set_floatx("float64")
    tf_keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf_keras.backend.set_floatx("float32")
    tf_keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("kind", ["flipout", "local_reparameterization", "amortized", "shared"])
def test_variables_kl_and_likelihood_are_in_the_precision_of_variables(policy: str, kind: str) -> None:
    model = by_hand.build(kind, NETWORK, len(X))
    model.compile("adam", loss=vbnn.negative_log_likelihood)
    history = model.fit(X, np.sin(X), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    precision = "float64" if policy == "float64" else "float32"
    density = model(X)
    assert {variable.dtype.name for variable in model.trainable_variables} == {precision}
    assert density.dtype == model.losses[0].dtype == precision
    functions = vbnn.sample_functions(model, X, num_samples=20, seed=0)
    assert functions.dtype == precision
    if policy == "float64":  # Inputs are not rounded either.
        apart = np.array([[0.5], [0.5 + 1e-12]])
        slopes = np.diff(vbnn.sample_functions(model, apart, num_samples=200, seed=0), axis=1)
        assert kind == "amortized" or np.abs(slopes).max() > 0
    kl = vbnn.audit_elbo(model, X, np.sin(X), num_samples=5).kl
    copy = model.get_weights()
    tf_keras.backend.set_floatx("float32")
    tf_keras.mixed_precision.set_global_policy("float32")
    single = by_hand.build(kind, NETWORK, len(X))
    single.set_weights(copy)
    rough = 0.02 if kind == "amortized" and policy != "float64" else 1e-5  # Its KL is of inputs in half precision.
    np.testing.assert_allclose(vbnn.audit_elbo(single, X, np.sin(X), num_samples=5).kl, kl, rtol=rough)
