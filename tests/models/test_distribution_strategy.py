"""Two replicas say what one device says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# The devices must be set before TensorFlow starts, hence a process of its own for all that is measured.
SCRIPT = """
import json, sys
import by_hand
import numpy as np
from variational_bnn import layers
from variational_bnn._keras import tf, tf_keras
from variational_bnn.base import Network
from variational_bnn.likelihoods import Normal
from variational_bnn.losses import negative_log_likelihood

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(25, 3)).astype("float32"), rng.normal(size=(25, 2)).astype("float32")
network = Network(input_shape=(3,), output_size=2, hidden_units=(4,), activation="tanh", likelihood=Normal())
noise, found = layers._noise, {}
for kind in ("output", "flipout", "hidden"):
    layers._noise = lambda shape, seed, dtype: tf.zeros(shape, dtype)
    with strategy.scope():
        model = by_hand.build(kind, network, 25)
        by_hand.spread(model)
        model.compile(tf_keras.optimizers.SGD(0.0), loss=negative_log_likelihood)
    nll, kl = by_hand.nll_and_kl(kind, model, network, x, y, 25)
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    fitted = model.fit(x, y, batch_size=8, verbose=0).history
    weights = model.get_weights()

    layers._noise = noise
    with strategy.scope():
        noisy = by_hand.build(kind, network, 25)
        noisy.set_weights(weights)
        noisy.compile(tf_keras.optimizers.Adam(0.01), loss=negative_log_likelihood)
    losses = noisy.fit(x, y, batch_size=8, epochs=20, verbose=0).history["loss"]
    outputs = strategy.run(tf.function(lambda: noisy(tf.constant(x)).mean()))
    apart = [replica.numpy() for replica in strategy.experimental_local_results(outputs)]
    unknown = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).filter(lambda *_: True)
    more = noisy.fit(unknown, verbose=0).history["loss"]
    found[kind] = {
        "by hand": {"loss": nll.mean() + kl, "nll": nll.mean(), "kl": float(kl)},
        "evaluate": evaluated,
        "fit": {name: values[0] for name, values in fitted.items()},
        "losses": losses + more,
        "equal": bool(np.isclose(*apart).all()),
        "different": bool((~np.isclose(*apart)).all()),
    }
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("replicas") / "found.json"
    here = Path(__file__).parent
    script = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["output", "flipout", "hidden"])
@pytest.mark.parametrize("by", ["evaluate", "fit"])
def test_two_replicas_show_the_numbers_of_numpy_a_last_batch_of_one_row_included(
    found: Any, kind: str, by: str
) -> None:
    assert found[kind][by] == pytest.approx(found[kind]["by hand"], rel=1e-5)


@pytest.mark.parametrize("kind", ["output", "flipout", "hidden"])
def test_two_replicas_train(found: Any, kind: str) -> None:
    losses = found[kind]["losses"]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:3])


@pytest.mark.parametrize("kind", ["flipout", "hidden"])
def test_each_replica_has_noise_of_its_own(found: Any, kind: str) -> None:
    assert found[kind]["different"]
    assert found["output"]["equal"], "the control: without noise they agree"
