"""The loss of every model, and annealing of the weight of its KL."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import require, require_count
from variational_bnn.models.backend import layers_of, register, tf, tf_keras, tfd
from variational_bnn.models.point_prior import prior_penalties, priors_of
from variational_bnn.models.stochastic import Variational


@register
def negative_log_likelihood(y_true: tf.Tensor, y_pred: tfd.Distribution) -> tf.Tensor:
    """Compute -log p(y given x, one draw) of each row, in nats: the loss to compile every model with.

    Layers with a KL add `kl_weight * KL` to this loss themselves. With `kl_weight=1` the total is the negative evidence
    lower bound per example: mean over rows of -log p(y given x, draw) + KL(weights and shared units) / N + mean over
    rows of KL(latents). Point weights with a `NormalPrior` add their penalty.

    Args:
        y_true: Targets `[N, D]`, or `[N]` if D is 1.
        y_pred: The output of the model: a `tfp` distribution of batch shape `[N]` and event shape `[D]`.

    Returns:
        A tensor `[N]`.

    Raises:
        TypeError: If `y_pred` is not a `tfp` distribution.
        ValueError: If the shape of the targets is not that of the distribution.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(3,), output_size=1, likelihood=vbnn.Normal())
        >>> model = vbnn.build_weight_variation(network, num_examples=20, seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> vbnn.negative_log_likelihood(np.ones((20, 1)), model(np.ones((20, 3)))).shape
        TensorShape([20])
    """
    if not isinstance(y_pred, tfd.Distribution):
        kind = type(y_pred).__name__
        raise TypeError(f"the model's output must be a tfp distribution for negative_log_likelihood, got {kind}")
    # A distribution of integers would cut the targets between 0 and 1 to 0.
    y = tf.cast(y_true, y_pred.dtype if y_pred.dtype.is_floating else tf.float32)
    shape = y_pred.batch_shape.concatenate(y_pred.event_shape)
    if y.shape.rank is None:  # Keras drops the rank after targets of [N] and of [N, 1].
        y = tf.reshape(y, tf.concat([y_pred.batch_shape_tensor(), y_pred.event_shape_tensor()], 0))
    elif y.shape.rank == shape.rank - 1 and shape[-1] == 1:
        y = y[..., None]
    if not shape.is_compatible_with(y.shape):
        expected, got = ("[" + ", ".join("N" if n is None else str(n) for n in s) + "]" for s in (shape, y.shape))
        raise ValueError(f"targets must have shape {expected}, got {got}")
    return -y_pred.log_prob(y)


def variational_layers(model: tf_keras.Model) -> list[Variational]:
    """Return the layers of a model that add a KL to its loss, also those of nested models."""
    return [layer for layer in layers_of(model) if isinstance(layer, Variational)]


def term_names(model: tf_keras.Model) -> list[str]:
    """Return the names of the terms of a model's loss: `nll`, `kl`, its parts if it has several, `prior_penalty`."""
    kinds = sorted({layer.kind for layer in variational_layers(model)})
    parts = [f"kl_{kind}" for kind in kinds if len(kinds) > 1]
    return ["nll", "kl", *parts, *(["prior_penalty"] if priors_of(model) else [])]


def loss_terms(
    model: tf_keras.Model, y_true: tf.Tensor, y_pred: tfd.Distribution, sample_weight: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Return the terms of a model's loss by name: `nll` is that of each row `[B]`, the others are scalars.

    Args:
        model: The model, whose last call gave `y_pred`.
        y_true: Targets.
        y_pred: The output of the model.
        sample_weight: Weights `[B]` of the rows, which multiply their nll, or None.
    """
    nll = negative_log_likelihood(y_true, y_pred)
    if sample_weight is not None:
        nll *= tf.reshape(tf.cast(sample_weight, nll.dtype), tf.shape(nll))
    layers = variational_layers(model)
    terms = {"nll": nll, "kl": sum((layer.kl for layer in layers), 0.0)}
    for kind in {layer.kind for layer in layers}:
        terms[f"kl_{kind}"] = sum(layer.kl for layer in layers if layer.kind == kind)
    terms["prior_penalty"] = sum(prior_penalties(model), 0.0)
    return {name: terms[name] for name in term_names(model)}


class KLAnnealing(tf_keras.callbacks.Callback):
    """A Keras callback that changes the weight of the KL linearly over the first epochs.

    A small weight at the start keeps latents and weights from falling back to their prior before the network has
    learned to use them (Bowman et al. 2016, arXiv 1511.06349). It sets `kl_weight` of every layer with a KL in the
    model at the beginning of each epoch, and replaces the weight that the layer was made with.

    Args:
        epochs: Number of epochs after which the weight is `end`, >= 1.
        start: Weight in the first epoch, >= 0.
        end: Weight from epoch number `epochs` on, counted from 0, >= 0; 1 for the evidence lower bound.

    Raises:
        ValueError: If `epochs` is not a whole number >= 1, or a weight is < 0; in `fit`, if the model has no
            layer with a KL.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(3,), output_size=1, likelihood=vbnn.Normal())
        >>> model = vbnn.build_hidden_variation(network, num_examples=20, seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> annealing = vbnn.KLAnnealing(epochs=4, start=0.2)
        >>> history = model.fit(np.ones((20, 3)), np.ones((20, 1)), epochs=6, callbacks=[annealing], verbose=0)
        >>> float(model.get_layer("latents").kl_weight)
        1.0
    """

    def __init__(self, epochs: int, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__()
        require_count("epochs", epochs)
        require(start >= 0 and end >= 0, f"KL weights must be >= 0, got start={start!r}, end={end!r}")
        self.epochs, self.start, self.end = epochs, start, end

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the weight of the KL of every layer that has one.

        Args:
            epoch: Number of the epoch, counted from 0.
            logs: Not used.
        """
        layers = variational_layers(self.model)
        require(bool(layers), "the model of KLAnnealing must have a layer of variational_bnn with a KL, got none")
        progress = min(epoch / self.epochs, 1.0)
        for layer in layers:
            layer.kl_weight.assign(self.start + (self.end - self.start) * progress)
