"""Calls of a model in which some layers compute something else than their own `call`, in one thread alone.

While one thread traces such a call, others may train the same model, call it, or make predictions from it. So a layer
that is replaced asks which thread calls it, and one thread traces at a time. Nothing of TensorFlow's that the whole
process shares is changed.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from variational_bnn.models.backend import layers_of, tf, tf_keras

TRACING = threading.RLock()
"""Held by the one thread that traces calls of a model."""

BY_KERAS = frozenset({"train_function", "train_tf_function", "test_function", "predict_function"})
"""What Keras compiles. No call of a model uses it, and another thread may be making it."""

_MISSING = object()


@contextlib.contextmanager
def calling(model: tf_keras.Model, functions: Sequence[tuple[Any, Callable[[tf.Tensor], tf.Tensor]]]) -> Iterator[None]:
    """Within the context, this thread calls each layer by its function of the inputs instead of its own `call`.

    What the model's layers have compiled by `tf.function` is traced anew with each use, since a trace from before has
    the layers' own calls.

    Args:
        model: The model that will be called.
        functions: Layers of the model, each with its function.
    """
    replaced = [(layer, "call", _of_inputs_alone(function)) for layer, function in functions]
    with TRACING, contextlib.ExitStack() as restored:
        for layer, name, function in [*_compiled_by_hand(model), *replaced]:
            before = layer.__dict__.get(name, _MISSING)
            object.__setattr__(layer, name, _in_this_thread(function, getattr(layer, name)))
            restored.callback(_restore, layer, name, before)
        yield


def _of_inputs_alone(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., tf.Tensor]:
    """The function as a `call` of Keras, which may also get `training`."""
    return tf.autograph.experimental.do_not_convert(lambda inputs, *_, **__: function(inputs))


def _compiled_by_hand(model: tf_keras.Model) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    """What layers have compiled by `tf.function`: layer, name and the Python function behind it."""
    for layer in layers_of(model):
        of_class = {name: value for kind in reversed(type(layer).__mro__) for name, value in vars(kind).items()}
        for name, value in {**of_class, **vars(layer)}.items():
            if isinstance(value, tf.types.experimental.PolymorphicFunction) and name not in BY_KERAS:
                own = name in vars(layer)
                yield layer, name, value.python_function if own else functools.partial(value.python_function, layer)


def _in_this_thread(function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    thread = threading.get_ident()

    def call(*args: Any, **kwargs: Any) -> Any:
        return (function if threading.get_ident() == thread else otherwise)(*args, **kwargs)

    return call


def _restore(layer: Any, name: str, before: Any) -> None:
    if before is _MISSING:
        object.__delattr__(layer, name)
    else:
        object.__setattr__(layer, name, before)
