"""Bad models, layers and inputs of models: an error of one line, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from bad_input import assert_raises

import variational_bnn as vbnn

L = tf_keras.layers
CALLS: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {}
"""For each case a call, which gets an empty directory, and the error and the words that it must raise."""


def _sequential(*layers: Any, shape: tuple[int, ...] = (3,)) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input(shape), *layers])


def _convolutional(**settings: Any) -> tf_keras.Model:
    return _sequential(L.Conv1D(2, 2, name="conv", **settings), shape=(5, 2))


def _twice() -> tf_keras.Model:
    inputs, layer = tf_keras.Input((3,)), L.Dense(3, name="shared")
    return tf_keras.Model(inputs, layer(layer(inputs)))


def _subclassed() -> tf_keras.Model:
    class Subclassed(tf_keras.Model):
        """A model that only its own code can compute."""

    return Subclassed()


def _convert(build: Callable[[], Any], **settings: Any) -> Callable[[Path], Any]:
    return lambda _: vbnn.to_variational(build(), **{"num_examples": 4, **settings})


def _dense() -> tf_keras.Model:
    return _sequential(L.Dense(2, name="dense"))


CALLS |= {
    "converted: Keras 3": (
        _convert(tf.keras.Sequential),
        TypeError,
        "got keras.src.models.sequential.Sequential, a Keras 3 model: TFP works with Keras 2",
    ),
    "converted: subclassed": (
        _convert(_subclassed),
        ValueError,
        "must be Sequential or functional to be copied layer by layer, got a subclassed model",
    ),
    "converted: input shape unknown": (
        _convert(lambda: tf_keras.Sequential([L.Dense(2)])),
        ValueError,
        "the model's input shape must be known: give it an Input, or call it",
    ),
    "converted: no such estimator": (
        _convert(_dense, estimator="vogn"),
        ValueError,
        "unknown estimator 'vogn'; known: reparameterization, flipout, local_",
    ),
    "converted: no such estimator of convolutions": (
        _convert(
            lambda: _sequential(L.Conv2D(2, 2, name="conv"), shape=(4, 4, 1)), estimator="local_reparameterization"
        ),
        ValueError,
        "conv: a Conv2D has no estimator 'local_reparameterization'; use estimator 'reparameterization' or",
    ),
    "converted: no such layer": (_convert(_dense, layers=["head"]), ValueError, "unknown layer 'head'; known: dense"),
    "converted: layers in one word": (
        _convert(_dense, layers="dense"),
        ValueError,
        "layers must be a sequence of names, got 'dense'",
    ),
    "converted: no layers": (_convert(_dense, layers=[]), ValueError, "layers must name at least one layer, got none"),
    "converted: none to replace": (
        _convert(lambda: _sequential(L.Flatten())),
        ValueError,
        "the model must have a layer of Dense, Conv1D, Conv2D, Conv3D to be",
    ),
    "converted: called twice": (
        _convert(_twice),
        ValueError,
        "shared must be called once, since each call adds its KL to the loss",
    ),
    "converted: too few outputs": (
        _convert(_dense, likelihood=vbnn.Categorical(num_classes=3)),
        ValueError,
        "must put out [N, 3] for Categorical(num_classes=3) of one target, got [N, 2]",
    ),
    "converted: too many outputs": (
        _convert(lambda: _sequential(L.Dense(3)), likelihood=vbnn.Normal()),
        ValueError,
        "the model must put out [N, 2] for Normal() of one target, got [N, 3]",
    ),
    "converted: images as outputs": (
        _convert(_convolutional, likelihood=vbnn.Normal()),
        ValueError,
        "must put out [N, 2] for Normal() of one target, got [N, 4, 2]",
    ),
    "converted: relu at the end": (
        _convert(lambda: _sequential(L.Dense(2, activation="relu", name="last")), likelihood=vbnn.Normal()),
        ValueError,
        "last: the last layer must have no activation for Normal(), got 'relu'",
    ),
    "converted: softmax of a Normal": (
        _convert(lambda: _sequential(L.Dense(2, activation="softmax", name="last")), likelihood=vbnn.Normal()),
        ValueError,
        "last: the last layer must have no activation for Normal(), got 'softmax'",
    ),
    "converted: likelihood a class": (
        _convert(_dense, likelihood=vbnn.Normal),
        TypeError,
        "likelihood must be a Likelihood such as Normal(), got <class",
    ),
    "converted: groups": (
        _convert(lambda: _convolutional(groups=2)),
        ValueError,
        "conv: groups must be 1 in a variational layer, got 2",
    ),
    "converted: causal padding": (
        _convert(lambda: _convolutional(padding="causal")),
        ValueError,
        "conv: padding must be 'valid' or 'same' in a variational layer, got 'causal'",
    ),
    "converted: channels first": (
        _convert(lambda: _convolutional(data_format="channels_first")),
        ValueError,
        "conv: data_format must be 'channels_last' in a variational layer, got",
    ),
    "converted: constraint of weights": (
        _convert(lambda: _sequential(L.Dense(2, name="dense", kernel_constraint="non_neg"))),
        ValueError,
        "dense: kernel_constraint must be None in a variational layer, got NonNeg",
    ),
    "converted: constraint of biases": (
        _convert(lambda: _convolutional(bias_constraint="non_neg")),
        ValueError,
        "conv: bias_constraint must be None in a variational layer, got",
    ),
    "converted: no examples": (
        _convert(_dense, num_examples=0),
        ValueError,
        "num_examples must be a whole number >= 1, got 0",
    ),
    "converted: seed below zero": (_convert(_dense, seed=-1), ValueError, "seed must be a whole number >= 0, got -1"),
    "converted: prior of width zero": (_convert(_dense, prior_scale=0), ValueError, "prior_scale must be > 0, got 0"),
    "converted: KL below zero": (_convert(_dense, kl_weight=-1), ValueError, "kl_weight must be >= 0, got -1"),
    "converted: a layer": (
        _convert(lambda: L.Dense(2)),
        TypeError,
        "model must be a tf_keras.Model, got tf_keras.src.layers.core.dense.Dense",
    ),
}


def _convolution(**settings: Any) -> Callable[[Path], Any]:
    given = {"filters": 2, "kernel_size": 2, "num_examples": 4, **settings}
    return lambda _: vbnn.Convolution1DFlipout(**given)


CALLS |= {
    "convolution: no filters": (_convolution(filters=0), ValueError, "filters must be a whole number >= 1, got 0"),
    "convolution: no examples": (
        _convolution(num_examples=0),
        ValueError,
        "num_examples must be a whole number >= 1, got 0",
    ),
    "convolution: prior of width zero": (_convolution(prior_scale=0), ValueError, "prior_scale must be > 0, got 0"),
    "convolution: posterior of width below zero": (
        _convolution(initial_scale=-1),
        ValueError,
        "initial_scale must be > 0, got -1",
    ),
    "convolution: KL below zero": (_convolution(kl_weight=-1), ValueError, "kl_weight must be >= 0, got -1"),
    "convolution: channels first": (
        _convolution(data_format="channels_first"),
        ValueError,
        "data_format must be 'channels_last', got 'channels_first'",
    ),
    "convolution: activation": (_convolution(activation="step"), ValueError, "Unknown activation function 'step'"),
    "convolution: causal padding": (
        _convolution(padding="causal"),
        ValueError,
        "The `padding` argument must be one of",
    ),
    "saved in HDF5": (
        lambda path: vbnn.to_variational(_dense(), 4, likelihood=vbnn.Normal()).save(path / "m.h5"),
        ValueError,
        "cannot be saved in HDF5: save the whole model as .keras, or its weights alone by save_weights",
    ),
}

X, Y = np.arange(12.0).reshape(4, 3), np.arange(4.0)


def _regression() -> tf_keras.Model:
    model = vbnn.to_variational(_dense(), len(X), likelihood=vbnn.Normal(), seed=0)
    model.compile("sgd", loss=vbnn.negative_log_likelihood)
    return model


def _audit(build: Callable[[], Any] = _regression, y: Any = Y, **settings: Any) -> Callable[[Path], Any]:
    return lambda _: vbnn.audit_elbo(build(), X, y, **settings)


def _predict(build: Callable[[], Any] = _regression, x: Any = X, **settings: Any) -> Callable[[Path], Any]:
    return lambda _: vbnn.predict(build(), x, **{"num_samples": 2, **settings})


def _sample(build: Callable[[], Any] = _regression, x: Any = X, **settings: Any) -> Callable[[Path], Any]:
    return lambda _: vbnn.sample_functions(build(), x, **{"num_samples": 2, **settings})


CALLS |= {
    "audited: Keras 3": (_audit(tf.keras.Sequential), TypeError, "a Keras 3 model: TFP works with Keras 2"),
    "audited: too few targets": (_audit(y=Y[:3]), ValueError, "y must have shape [4, 1], got [3, 1]"),
    "audited: a target not finite": (
        _audit(y=[np.nan, *Y[1:]]),
        ValueError,
        "y must be finite, got nan in row 0, column 0",
    ),
    "audited: fewer examples than rows": (
        _audit(num_examples=3),
        ValueError,
        "num_examples must be at least the 4 rows of x, got 3",
    ),
    "audited: too few weights": (
        _audit(sample_weight=np.ones(3)),
        ValueError,
        "sample_weight must have shape [4], got [3]",
    ),
    "audited: no weight": (
        _audit(sample_weight=np.zeros(4)),
        ValueError,
        "sample_weight must have a weight above 0, got zeros",
    ),
    "audited: weights below zero": (
        _audit(sample_weight=-np.ones(4)),
        ValueError,
        "sample_weight must be finite and >= 0, got -1.0",
    ),
    "audited: no samples": (_audit(num_samples=0), ValueError, "num_samples must be a whole number >= 1, got 0"),
    "audited: seed below zero": (_audit(seed=-1), ValueError, "seed must be a whole number >= 0, got -1"),
    "audited: not compiled": (
        _audit(_dense),
        ValueError,
        "puts out a tensor, not a distribution, so it has neither density nor",
    ),
}
for name, call in {"predicted": _predict, "sampled": _sample}.items():
    CALLS |= {
        f"{name}: Keras 3": (call(tf.keras.Sequential), TypeError, "a Keras 3 model: TFP works with Keras 2"),
        f"{name}: no model": (call(lambda: None), TypeError, "model must be a tf_keras.Model, got builtins.NoneType"),
        f"{name}: no samples": (call(num_samples=0), ValueError, "num_samples must be a whole number >= 1, got 0"),
        f"{name}: half a sample": (
            call(num_samples=2.5),
            ValueError,
            "num_samples must be a whole number >= 1, got 2.5",
        ),
        f"{name}: seed below zero": (call(seed=-1), ValueError, "seed must be a whole number >= 0, got -1"),
        f"{name}: x not finite": (
            call(x=np.full((4, 3), np.nan)),
            ValueError,
            "x must be finite, got 12 values that are not",
        ),
        f"{name}: too few features": (call(x=X[:, :2]), ValueError, "x must have shape [N, 3], got [4, 2]"),
        f"{name}: no rows": (call(x=X[:0]), ValueError, "x must have shape [N, 3], got [0, 3]"),
        f"{name}: x in words": (
            call(x=[["a", "b", "c"]]),
            ValueError,
            "x must hold numbers in rows of one length: could not convert string to float: 'a'",
        ),
    }


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_call(case: str, tmp_path: Path) -> None:
    assert_raises(*CALLS[case], tmp_path)
