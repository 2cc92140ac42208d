"""The Keras model of every builder: a functional model that shows the terms of its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require, require_all
from variational_bnn.models import convolutions, dense, dropout, latents, random_matrix, shared_units
from variational_bnn.models.backend import layers_of, register, tf, tf_keras
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.losses import loss_terms, term_names
from variational_bnn.models.many_steps import ManyStepsModel

NUMERIC_KINDS = "biuf"
"""Kinds of NumPy's data types that hold numbers: booleans, integers, unsigned integers and floats."""

_LOADED_WITH = (convolutions, dense, dropout, latents, random_matrix, shared_units)
"""Keras imports only this module to load a saved model; these modules register the layers that such a model names."""


@register
class VariationalModel(ManyStepsModel):
    """A functional Keras model whose `fit` and `evaluate` show the loss and its terms, all in nats per example.

    The builders return such models. It is made like any functional model, from inputs and outputs, and works like one:
    `compile`, `fit`, `evaluate`, `save`, callbacks, custom loops and distribution strategies are those of Keras.

    Compiled with `negative_log_likelihood`, it shows
    `loss`: `nll + kl_weight * kl + prior_penalty`; without point weights that have a prior, it is the negative evidence
    lower bound per example where `kl_weight` is 1;
    `nll`: the mean over the rows of -log p(y given x, one draw), or of `ConditionalUnits` K draws;
    `kl`: the KL of the weights and of shared units divided by the number of examples, plus the mean over the rows of
    the KL of the latents;
    `prior_penalty`: -log p(w) / N of the point weights, up to a constant, if they have a `NormalPrior`.
    A model with several kinds of KL also shows each, as `kl_weights`, `kl_units` and `kl_latents`. Sample weights
    multiply the nll of each example, as everywhere in Keras.

    `fit` trains on many batches in each compiled call, up to 256, since small steps are mostly overhead, and per-batch
    callbacks are called once in each of these calls. `compile` sets how many by `steps_per_execution`, and by
    `jit_compile` whether XLA compiles them; see `fit` for what holds unless it says. The same seeds give the same fit
    in either case, but for rounding. Outside `fit`, `steps_per_execution` is 1, as in Keras.

    Args:
        inputs: The input or inputs, as made by `tf_keras.Input`.
        outputs: The output: a `tfp` distribution, as a `LikelihoodHead` makes it.
        name: Name of the model.
        trainable: Whether the model's variables are trained.
        **kwargs: Further arguments of `tf_keras.Model`.

    Raises:
        ValueError: In `fit` and `evaluate`, if the arrays have a shape that does not fit the model, hold values that
            are not finite numbers, or targets to which the likelihood gives no density.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> inputs = tf_keras.Input((3,))
        >>> hidden = vbnn.DenseFlipout(8, num_examples=20, activation="relu", seed=0)(inputs)
        >>> parameters = vbnn.DenseFlipout(2, num_examples=20, seed=1)(hidden)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(np.ones((20, 3)), np.ones((20, 1)), epochs=2, verbose=0)
        >>> sorted(history.history)
        ['kl', 'loss', 'nll']
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        # These are the arguments of a functional model: by them Keras knows how to save and load a subclass.
        super().__init__(inputs, outputs, name=name, trainable=trainable, **kwargs)
        self._make_metrics()

    @tf.__internal__.tracking.no_automatic_dependency_tracking
    def _make_metrics(self) -> None:
        """Make the metrics untracked, so that their variables are not saved as weights of the model."""
        self._terms = {name: tf_keras.metrics.Mean(name) for name in term_names(self)}

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """The metrics given to `compile`, and the terms of the loss that the model has."""
        return [*super().metrics, *self._terms.values()]

    def fit(self, x: Any = None, *args: Any, validation_data: Any = None, **kwargs: Any) -> Any:
        """Train as `tf_keras.Model.fit` does, with many steps in each compiled call; see `ManyStepsModel.fit`.

        Args:
            x: As of `tf_keras.Model.fit`.
            *args: As of `tf_keras.Model.fit`, from `y` on.
            validation_data: As of `tf_keras.Model.fit`.
            **kwargs: Further arguments of `tf_keras.Model.fit`.

        Returns:
            The history, a `tf_keras.callbacks.History`.

        Raises:
            ValueError: If the arrays have a shape that does not fit the model, hold values that are not finite
                numbers, or targets to which the likelihood gives no density.
        """
        self.require_fitting(x, args[0] if args else kwargs.get("y"))
        if isinstance(validation_data, tuple):
            self.require_fitting(*validation_data[:2])
        return super().fit(x, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss and the metrics, as `tf_keras.Model.evaluate` does.

        Args:
            x: As of `tf_keras.Model.evaluate`.
            y: As of `tf_keras.Model.evaluate`.
            *args: Further arguments of `tf_keras.Model.evaluate`.
            **kwargs: Further arguments of `tf_keras.Model.evaluate`.

        Returns:
            The values in the order of `metrics_names`, or a dict with `return_dict=True`.

        Raises:
            ValueError: If the arrays have a shape that does not fit the model, hold values that are not finite
                numbers, or targets to which the likelihood gives no density.
        """
        self.require_fitting(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def save(self, filepath: Any, *args: Any, save_format: str | None = None, **kwargs: Any) -> None:
        """Save the model as `tf_keras.Model.save` does, as a `.keras` file or a directory in TensorFlow's format.

        Args:
            filepath: As of `tf_keras.Model.save`.
            *args: Further arguments of `tf_keras.Model.save`.
            save_format: As of `tf_keras.Model.save`.
            **kwargs: Further arguments of `tf_keras.Model.save`.

        Raises:
            ValueError: If the format is HDF5, from which Keras cannot load a model of this class.
        """
        ends = str(filepath).endswith((".h5", ".hdf5")) if save_format is None else save_format in ("h5", "hdf5")
        what_to_do = "save the whole model as .keras, or its weights alone by save_weights"
        require(not ends, f"a VariationalModel cannot be saved in HDF5: {what_to_do}, got {str(filepath)!r}")
        super().save(filepath, *args, save_format=save_format, **kwargs)

    def require_fitting(self, x: Any, y: Any = None) -> None:
        """Raise a `ValueError` of one line for arrays that do not fit; other kinds of data come batch by batch.

        Args:
            x: Inputs.
            y: Targets, or None.
        """
        x, y = (_as_array(values) for values in (x, y))
        if x is not None and len(self.inputs) == 1 and self.inputs[0].dtype.is_floating:
            require(x.dtype.kind in NUMERIC_KINDS, f"x must hold numbers, got {x.dtype}")
            expected = self.input_shape[1:]
            fits = x.ndim > 0 and _without_ones(x.shape[1:]) == _without_ones(expected)
            sizes = ", ".join(["N", *map(str, expected)])
            require(fits or None in expected, f"x must have shape [{sizes}], got {list(x.shape)}")
            require_all(np.isfinite(x), x, "x must be finite")
        if y is not None:
            require(y.dtype.kind in NUMERIC_KINDS, f"y must hold numbers, got {y.dtype}")
            for layer in layers_of(self):
                if isinstance(layer, LikelihoodHead):
                    layer.likelihood.require_targets(y)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Compute the total loss of a batch, a scalar, and update the metrics of its terms.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch.
            y_pred: The model's output, a distribution.
            sample_weight: Weights of the rows, or None.
        """
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        terms = loss_terms(self, y, y_pred, sample_weight)
        rows = tf.shape(terms["nll"])[0]
        for name, metric in self._terms.items():
            metric.update_state(terms[name], sample_weight=None if name == "nll" else rows)
        return loss


def _as_array(values: Any) -> npt.NDArray[Any] | None:
    """Arrays, and tensors as arrays (bfloat16, which NumPy does not have, as float32); None for other kinds of data."""
    if isinstance(values, tf.Tensor) and hasattr(values, "numpy"):
        return (tf.cast(values, tf.float32) if values.dtype == tf.bfloat16 else values).numpy()
    return values if isinstance(values, np.ndarray) else None


def _without_ones(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """A shape without last axes of size 1, which Keras adds and drops."""
    return shape if not shape or shape[-1] != 1 else _without_ones(shape[:-1])
