"""The one place that imports tf_keras and TensorFlow Probability.

TFP's layers live on `tf_keras` (Keras 2); `tf.keras` of TensorFlow 2.16 and later is Keras 3 and does not take them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow's start-up messages, printed before it reads its own log level, from standard error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _quiet() if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3" else contextlib.nullcontext():
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras

if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
    tf.get_logger().setLevel("ERROR")

__all__ = ["PACKAGE", "layers_of", "require_model", "tf", "tf_keras", "tfd", "tfp"]

tfd = tfp.distributions

PACKAGE = "variational_bnn"
"""Under which classes and functions are registered, so that `.keras` files name them instead of holding code."""


def layers_of(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """The model's layers, nested ones too, and the model itself; `model.submodules` would look into every property."""
    return list(model._flatten_layers())


def require_model(model: Any) -> None:
    """Refuse what is not a tf_keras model.

    Raises:
        TypeError: If the model is one of Keras 3, or none at all.
    """
    if isinstance(model, tf_keras.Model):
        return
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    hint = ""
    if kind.startswith("keras.") or any(c.__module__.startswith("keras.") for c in type(model).__mro__):
        hint = ", a Keras 3 model: TFP works with Keras 2, so build it with `import tf_keras` instead of `tf.keras`"
    raise TypeError(f"model must be a tf_keras.Model, got {kind}{hint}")
