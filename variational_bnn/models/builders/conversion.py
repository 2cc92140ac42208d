"""An ordinary Keras model with the weights of its layers made random."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from variational_bnn.base import Likelihood, require_likelihood
from variational_bnn.base.checks import require, require_count, require_known, require_seed
from variational_bnn.models.backend import require_model, tf_keras
from variational_bnn.models.builders.weights import ESTIMATORS
from variational_bnn.models.convolutions import (
    Convolution1DFlipout,
    Convolution1DReparameterization,
    Convolution2DFlipout,
    Convolution2DReparameterization,
    Convolution3DFlipout,
    Convolution3DReparameterization,
)
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import Bernoulli, Categorical
from variational_bnn.models.mean_field import MeanField
from variational_bnn.models.variational_model import VariationalModel

CONVOLUTIONS: dict[type, dict[str, type[MeanField]]] = {
    tf_keras.layers.Conv1D: {"reparameterization": Convolution1DReparameterization, "flipout": Convolution1DFlipout},
    tf_keras.layers.Conv2D: {"reparameterization": Convolution2DReparameterization, "flipout": Convolution2DFlipout},
    tf_keras.layers.Conv3D: {"reparameterization": Convolution3DReparameterization, "flipout": Convolution3DFlipout},
}
VARIATIONAL: dict[type, dict[str, type[MeanField]]] = {tf_keras.layers.Dense: {**ESTIMATORS}, **CONVOLUTIONS}
"""For each kind of layer, its variational ones by estimator."""

OF_LOGITS = {"softmax": Categorical, "sigmoid": Bernoulli}
"""The likelihoods that apply an activation themselves."""


def to_variational(
    model: tf_keras.Model,
    num_examples: int,
    *,
    estimator: str = "flipout",
    layers: Sequence[str] | None = None,
    likelihood: Likelihood | None = None,
    keep_weights: bool = False,
    prior_scale: float = 1.0,
    scale_prior_by_fan_in: bool = True,
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> tf_keras.Model:
    """Copy an ordinary Keras model, with variational layers in place of its Dense and convolutional ones.

    The weights and biases of the layers that are replaced get a mean-field normal posterior and a prior, as in
    `build_weight_variation`. All other layers are copied with their weights. The model that is given stays as it is.

    With a `likelihood`, the copy puts out the distribution of y and is ready for `negative_log_likelihood`, `predict`,
    `audit_elbo` and `compare`. A softmax of the last layer is then taken off for a `Categorical`, and a sigmoid for a
    `Bernoulli`, since these likelihoods apply it. Without one, the copy puts out what the model does; its loss, such as
    the cross-entropy, must then be a mean over the rows.

    Replaced are layers of exactly these types, those of nested models included; not what is inside a wrapper such as
    `Bidirectional`. The prior takes the place of their regularisers.

    Args:
        model: A `tf_keras.Sequential` or functional model whose input shape is known.
        num_examples: Number of rows N that the copy will be trained on. The KL is divided by it.
        estimator: How training draws: "reparameterization", "flipout" or, without convolutions,
            "local_reparameterization", as in `build_weight_variation`.
        layers: Names of the layers to replace; None for all Dense, Conv1D, Conv2D and Conv3D.
        likelihood: The likelihood whose parameters the model puts out; None if its output is to stay.
        keep_weights: Whether the weights of the replaced layers are the posterior means at the start; otherwise these
            are initialised anew.
        prior_scale: s, > 0: the prior standard deviation of the biases.
        scale_prior_by_fan_in: Whether the prior variance of the weights is s^2 / fan-in instead of s^2.
        initial_scale: Posterior standard deviation at the start, divided by that of the prior, > 0.
        kl_weight: Weight of the KL in the loss, >= 0.
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the entropy of
            the operating system.

    Returns:
        The copy, to be compiled: a `VariationalModel` if there is a likelihood, otherwise a model of the given kind.

    Raises:
        TypeError: If `model` is not a tf_keras model, or `likelihood` is not a likelihood.
        ValueError: If the model is neither Sequential nor functional or its input shape is unknown; if it has no layer
            to replace, or not those of `layers`; if a layer to replace is called twice, or has constraints, groups or a
            padding for which there is no variational layer, or a layer cannot be copied; if the model's output has not
            the size or the last layer not the activation that the likelihood needs; or if a number is out of its range.

    Example:
        >>> import numpy as np
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 6, 6, 1)), np.arange(20) % 3
        >>> relu = tf_keras.layers.Conv2D(4, 3, activation="relu")
        >>> logits = tf_keras.layers.Dense(3, activation="softmax")
        >>> ordinary = tf_keras.Sequential([tf_keras.Input((6, 6, 1)), relu, tf_keras.layers.Flatten(), logits])
        >>> classes = vbnn.Categorical(num_classes=3)
        >>> model = vbnn.to_variational(ordinary, num_examples=len(x), likelihood=classes, seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, y, verbose=0)
        >>> vbnn.predict(model, x, num_samples=10, seed=0).probabilities.shape
        (20, 3)
    """
    require_model(model)
    _require_copyable(model)
    require(bool(model.built and model.inputs), "the model's input shape must be known: give it an Input, or call it")
    require_count("num_examples", num_examples)
    if seed is not None:
        require_seed(seed)
    replaced = _layers_to_replace(model, layers, estimator)
    settings = {
        "num_examples": num_examples,
        "prior_scale": prior_scale,
        "scale_prior_by_fan_in": scale_prior_by_fan_in,
        "initial_scale": initial_scale,
        "kl_weight": kl_weight,
    }
    seeds = np.random.SeedSequence(seed).generate_state(len(replaced))
    variational = {
        layer: _variational(layer, estimator, seed=int(seed), **settings)
        for layer, seed in zip(replaced, seeds, strict=True)
    }
    output_size = 0
    if likelihood is not None:
        require_likelihood(likelihood)
        output_size = _output_size(model, likelihood)
        _without_activation(model, likelihood, variational)
    copies: dict[Any, Any] = {}
    copy = _copied(model, variational, copies)
    for layer, new in copies.items():
        once = variational.keys().isdisjoint(_layers_within(layer)) or len(new.inbound_nodes) == 1
        require(once, f"{layer.name} must be called once, since each call adds its KL to the loss")
        if layer not in variational and not isinstance(layer, tf_keras.Model):
            new.set_weights(layer.get_weights())
        elif layer in variational and keep_weights:
            rows = [np.reshape(weights, [-1, weights.shape[-1]]) for weights in layer.get_weights()]
            new.loc.assign(np.concatenate(rows))
    if likelihood is None:
        return copy
    in_double: dict[str, Any] = {"dtype": "float64"} if copy.outputs[0].dtype == "float64" else {}
    head = LikelihoodHead(likelihood, output_size, name="y", **in_double)
    return VariationalModel(copy.inputs, head(copy.outputs[0]), name=model.name)


def _require_copyable(model: tf_keras.Model) -> None:
    """Raise a `ValueError` unless a model consists of layers that are known."""
    copyable = isinstance(model, tf_keras.Sequential) or model._is_graph_network
    require(
        copyable, f"{model.name} must be Sequential or functional to be copied layer by layer, got a subclassed model"
    )


def _layers_to_replace(model: tf_keras.Model, names: Sequence[str] | None, estimator: str) -> list[Any]:
    """The layers of these names, or all of the types that can be replaced."""
    require_known("estimator", estimator, tuple(ESTIMATORS))
    able = [layer for layer in _layers_within(model) if type(layer) in VARIATIONAL]
    kinds = ", ".join(kind.__name__ for kind in VARIATIONAL)
    require(bool(able), f"the model must have a layer of {kinds} to be replaced, got none")
    require(not isinstance(names, str), f"layers must be a sequence of names, got {names!r}")
    for name in names or ():
        require_known("layer", name, tuple(layer.name for layer in able))
    replaced = [layer for layer in able if names is None or layer.name in names]
    require(bool(replaced), "layers must name at least one layer, got none")
    for layer in replaced:
        _require_replaceable(layer, estimator)
    return replaced


def _layers_within(model: tf_keras.layers.Layer) -> list[Any]:
    """The layers of a model and of those nested in it, each once, but not what is inside them; of a layer, itself."""
    if not isinstance(model, tf_keras.Model):
        return [model]
    return list(dict.fromkeys(inner for layer in model.layers for inner in _layers_within(layer)))


def _require_replaceable(layer: Any, estimator: str) -> None:
    """Raise a `ValueError` if there is no variational layer that computes what this one does."""
    kinds = VARIATIONAL[type(layer)]
    instead = f"use estimator {' or '.join(map(repr, kinds))}, or leave it out of `layers`"
    require(estimator in kinds, f"{layer.name}: a {type(layer).__name__} has no estimator {estimator!r}; {instead}")
    needed: dict[str, Any] = {"kernel_constraint": None, "bias_constraint": None}
    if type(layer) in CONVOLUTIONS:
        needed |= {"groups": 1, "data_format": "channels_last"}
        able = layer.padding in ("valid", "same")
        require(able, f"{layer.name}: padding must be 'valid' or 'same' in a variational layer, got {layer.padding!r}")
    for name, value in needed.items():
        got = getattr(layer, name)
        shown = type(got).__name__ if value is None else repr(got)
        require(got == value, f"{layer.name}: {name} must be {value!r} in a variational layer, got {shown}")


def _variational(layer: Any, estimator: str, **settings: Any) -> MeanField:
    """The variational layer in place of a Dense or convolutional one."""
    taken = ["units"]
    if type(layer) in CONVOLUTIONS:
        taken = ["filters", "kernel_size", "strides", "padding", "dilation_rate"]
    taken += ["activation", "use_bias", "name", "trainable", "activity_regularizer"]
    own = {name: getattr(layer, name) for name in taken}
    return VARIATIONAL[type(layer)][estimator](**own, dtype=layer.dtype_policy, **settings)


def _output_size(model: tf_keras.Model, likelihood: Likelihood) -> int:
    """D, the number of targets that the likelihood has for the numbers that the model puts out."""
    shapes = [tuple(output.shape) for output in model.outputs]
    got = " and ".join("[" + ", ".join(["N", *map(str, shape[1:])]) + "]" for shape in shapes)
    one_table = len(shapes) == 1 and len(shapes[0]) == 2
    for size in range(1, shapes[0][1] + 1 if one_table else 1):
        with contextlib.suppress(ValueError):  # A likelihood of classes has one target.
            if likelihood.num_parameters(size) == shapes[0][1]:
                return size
    needed = likelihood.num_parameters(1)
    raise ValueError(f"the model must put out [N, {needed}] for {likelihood} of one target, got {got}")


def _without_activation(model: tf_keras.Model, likelihood: Likelihood, variational: dict[Any, MeanField]) -> None:
    """Take off the softmax or sigmoid of the last layer that the likelihood applies itself."""
    last = model.outputs[0].node.layer
    activation = getattr(last, "activation", tf_keras.activations.linear)
    name = "softmax" if isinstance(last, tf_keras.layers.Softmax) else tf_keras.activations.serialize(activation)
    if name == "linear":
        return
    taken_off = last in variational and isinstance(likelihood, OF_LOGITS.get(name, ()))
    require(taken_off, f"{last.name}: the last layer must have no activation for {likelihood}, got {name!r}")
    variational[last].activation = tf_keras.activations.linear


def _copied(model: tf_keras.Model, variational: dict[Any, MeanField], copies: dict[Any, Any]) -> tf_keras.Model:
    """Copy a model and those nested in it, and note the copy of each layer.

    Args:
        model: A Sequential or functional model.
        variational: The layers that are replaced, each with its variational layer.
        copies: Filled with all layers and nested models, and their copies.
    """
    _require_copyable(model)

    def copied(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            copies[layer] = _copied(layer, variational, copies)
            return copies[layer]
        try:
            copies[layer] = variational[layer] if layer in variational else layer.from_config(layer.get_config())
        except NotImplementedError as error:
            raise ValueError(f"{layer.name} cannot be copied: {type(layer).__name__} needs a get_config") from error
        return copies[layer]

    sequential = isinstance(model, tf_keras.Sequential)
    inputs = [tf_keras.Input(type_spec=spec.type_spec, name=spec.name) for spec in model.inputs] if sequential else None
    return tf_keras.models.clone_model(model, input_tensors=inputs, clone_function=copied)
