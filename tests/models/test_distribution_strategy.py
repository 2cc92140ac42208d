"""Two replicas say what one device says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import by_hand
import numpy as np
import pytest

# The devices must be set before TensorFlow starts, hence a process of its own for all that is measured.
SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
import tf_keras

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():  # Nothing of the package was imported outside it.
    import by_hand
    from variational_bnn.base import Network
    from variational_bnn.models.likelihoods import Normal
    from variational_bnn.models.losses import negative_log_likelihood
rng = np.random.default_rng(0)
x, y = rng.normal(size=(25, 3)).astype("float32"), rng.normal(size=(25, 2)).astype("float32")
network = Network(input_shape=(3,), output_size=2, hidden_units=(4,), activation="tanh", likelihood=Normal())
results = {}
for kind in ("output", "flipout", *by_hand.HIDDEN):
    with strategy.scope():
        model = by_hand.build(kind, network, 25)
        by_hand.widen(model)
        weights = model.get_weights()
        by_hand.quieten(model)
        model.compile(tf_keras.optimizers.SGD(0.0, clipnorm=1.0), loss=negative_log_likelihood)
    nll, kl = by_hand.nll_and_kl(kind, model, network, x, y, 25)
    expected = by_hand.logs_of(kind, model, network, nll.mean(), float(kl), 25)
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    fitted = model.fit(x, y, batch_size=8, verbose=0).history

    with strategy.scope():
        model.set_weights(weights)
        model.optimizer.learning_rate = 0.02
    losses = model.fit(x, y, batch_size=8, epochs=12, verbose=0).history["loss"]
    outputs = strategy.run(tf.function(lambda: model(tf.constant(x)).mean()))
    apart = [replica.numpy() for replica in strategy.experimental_local_results(outputs)]
    unknown = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).filter(lambda *_: True)
    more = model.fit(unknown, verbose=0).history["loss"]
    model.reset_metrics()
    results[kind] = {
        "by hand": expected,
        "evaluate": evaluated,
        "fit": {name: values[0] for name, values in fitted.items()},
        "losses": losses + more,
        "reset": [float(metric.result()) for metric in model.metrics],
        "equal": bool(np.isclose(*apart).all()),
        "different": bool((~np.isclose(*apart)).all()),
    }
json.dump(results, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("replicas") / "results.json"
    here = Path(__file__).parent
    script = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["output", "flipout", *by_hand.HIDDEN])
@pytest.mark.parametrize("by", ["evaluate", "fit"])
def test_two_replicas_show_the_numbers_of_numpy_a_last_batch_of_one_row_included(
    results: Any, kind: str, by: str
) -> None:
    assert results[kind][by] == pytest.approx(results[kind]["by hand"], rel=1e-4)


@pytest.mark.parametrize("kind", ["output", "flipout", *by_hand.HIDDEN])
def test_two_replicas_train(results: Any, kind: str) -> None:
    """And forget the means of an epoch."""
    assert not any(results[kind]["reset"])
    losses = results[kind]["losses"]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:3])


@pytest.mark.parametrize("kind", ["flipout", *by_hand.HIDDEN])
def test_each_replica_has_noise_of_its_own(results: Any, kind: str) -> None:
    assert results[kind]["different"]
    assert results["output"]["equal"], "the control: without noise they agree"
