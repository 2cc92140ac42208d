"""The only module that imports TensorFlow, `tf_keras` and TensorFlow Probability (TFP), for all others.

The layers of TFP are layers of Keras 2, which is the package `tf_keras`. `tf.keras` of TensorFlow 2.16 and later is
Keras 3, whose models do not accept them. So everything here is built with `tf_keras`, and `require_model` says so to
those who pass a model of Keras 3.

TensorFlow prints messages to standard error while it is imported, before it reads its own log level. They are
suppressed if the environment variable `TF_CPP_MIN_LOG_LEVEL` is 3.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Discard what is written to standard error meanwhile."""
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

__all__ = [
    "PACKAGE",
    "as_written",
    "full_precision",
    "layers_of",
    "register",
    "require_model",
    "tf",
    "tf_keras",
    "tfd",
    "tfp",
]

tfd = tfp.distributions

PACKAGE = "variational_bnn"
"""The package name under which classes and functions are registered with Keras, so that `.keras` files hold no code."""

Registered = TypeVar("Registered")


class _SavedByKeras2:
    """What Keras 3 finds in place of the classes of this package."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> None:
        """Raise a `ValueError` that says how the file is loaded."""
        raise ValueError("the file is of tf_keras (Keras 2): load it by tf_keras.models.load_model, not by Keras 3")


def register(value: Registered) -> Registered:
    """Decorator of the classes and functions that saved models name; Keras finds them as `variational_bnn>Name`."""
    if keras := sys.modules.get("keras"):  # TensorFlow imports it.
        keras.saving.get_custom_objects()[f"{PACKAGE}>{value.__name__}"] = _SavedByKeras2  # type: ignore[attr-defined]
    return tf_keras.saving.register_keras_serializable(PACKAGE)(value)


Function = TypeVar("Function", bound=Callable[..., Any])


NEEDS_AUTOGRAPH = tf.errors.OperatorNotAllowedInGraphError
"""What a trace without AutoGraph raises where Python's control flow depends on tensors, as in a layer of the user's."""


def as_written(function: Function) -> Function:
    """Decorator of a function in which AutoGraph translates nothing: the control flow is Python's own.

    Translating takes longer than all else of a trace.
    """
    decorated: Function = tf.autograph.experimental.do_not_convert(function)
    return decorated


def traced(function: Callable[..., Any], *specs: tf.TypeSpec) -> Any:
    """The function compiled for tensors of these kinds, with AutoGraph only where some layer cannot do without."""
    try:
        return tf.function(as_written(function), autograph=False).get_concrete_function(*specs)
    except NEEDS_AUTOGRAPH:
        return tf.function(function).get_concrete_function(*specs)


def full_precision(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a layer that computes in the precision of variables, unless they say otherwise.

    A KL, a variance or a log-likelihood is too fine for the half precision in which layers compute under a policy such
    as "mixed_float16".
    """
    return {"dtype": tf_keras.mixed_precision.global_policy().variable_dtype, **settings}


def layers_of(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Return the model and all its layers, also those of nested models; each layer once."""
    return list(model._flatten_layers())


def require_model(model: Any) -> None:
    """Raise a `TypeError` unless `model` is a `tf_keras.Model`; the message says so if it is a model of Keras 3."""
    if isinstance(model, tf_keras.Model):
        return
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    hint = ""
    if kind.startswith("keras.") or any(c.__module__.startswith("keras.") for c in type(model).__mro__):
        hint = ", a Keras 3 model: TFP works with Keras 2, so build it with `import tf_keras` instead of `tf.keras`"
    raise TypeError(f"model must be a tf_keras.Model, got {kind}{hint}")
