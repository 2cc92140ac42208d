"""The terms of a model's loss, by passes of rows through it that leave the model as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array
from variational_bnn.models.backend import layers_of, tf, tf_keras, tfd, traced
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.layer_audit import kl_of, layers_with_kl, recorded_latents
from variational_bnn.prediction.replaced_calls import TRACING

ROWS = 1024
"""The largest batch whose loss is looked at."""

PASSES = 20
"""Passes over that batch, over which a penalty is averaged: some of TFP's layers estimate theirs by a draw."""

SMALL = 4
"""Rows in the small batches; the large ones have twice as many."""

BATCHES = 16
"""Small and large batches, each."""

CHANGE = 0.1
"""Standard deviation of the changes of the trained variables for such a batch, relative to their size."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Terms:
    """What one pass of rows through a model gives, of L layers with a KL; all in nats.

    Attributes:
        rows: The indices of the rows `[n]`.
        kls: KL of each layer's weights, not divided by the number of examples, or mean KL of its latents, `[L]`.
        mean_kls: KL of each layer's weights, averaged over the weights, `[L]`.
        penalties: What each layer adds to the loss, `[L]`.
        added: All that the model adds to the compiled loss.
        compiled_loss: What the compiled loss is of these rows, without what is added; 0 if there is none.
        nll: -log p(y given the pass) of each row, `[n]`; NaN if the output is a tensor.
        output: What the compiled loss takes for the output, as a tensor `[n, D]`.
        mean: The mean of the distribution of y, `[n, D]`; NaN if it is not known; a tensor itself.
    """

    rows: npt.NDArray[np.int64]
    kls: Array
    mean_kls: Array
    penalties: Array
    added: float
    compiled_loss: float
    nll: Array
    output: Array
    mean: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement:
    """Passes of different batches through a model.

    Attributes:
        batch: 20 passes of the first 1,024 rows.
        half: 20 passes of the first half of them.
        small: Passes of small batches of rows and trained weights that differ from pass to pass; empty if the model is
            not compiled.
        large: Passes of such batches of twice as many rows; of as many, if there is one row only.
        num_replicas: Number of replicas that train the model together.
        precise: Whether the model computes in at least single precision.
    """

    batch: list[Terms]
    half: list[Terms]
    small: list[Terms]
    large: list[Terms]
    num_replicas: int
    precise: bool


def measure(
    model: tf_keras.Model, x: npt.NDArray[Any], y: npt.NDArray[Any], sample_weight: Array | None
) -> Measurement:
    """Pass batches through a model, and leave it as it was; one thread at a time, since it changes the weights.

    Args:
        model: The model.
        x: Inputs `[N, ...]`.
        y: Targets `[N, ...]`, as `fit` takes them.
        sample_weight: Weights of the rows `[N]`, or None.
    """
    with TRACING, _unchanged(model):
        passes = _Passes(model, x, y, sample_weight)
        rng, count, replicas = np.random.default_rng(0), min(len(x), ROWS), passes.num_replicas
        small = replicas * max(1, min(SMALL, len(x) // 2) // replicas)
        batch, half = ([passes(np.arange(rows)) for _ in range(PASSES)] for rows in (count, max(1, count // 2)))
        probes: list[list[Terms]] = [[], []]
        for _ in range(BATCHES if model.compiled_loss is not None else 0):
            with _other_weights(model, rng):
                for terms, rows in zip(probes, (small, 2 * small if len(x) > 1 else small), strict=True):
                    terms.append(passes(rng.choice(len(x), rows, replace=rows > len(x))))
    half_precision = {"float16", "bfloat16"} & {layer.compute_dtype for layer in layers_of(model)}
    return Measurement(
        batch=batch,
        half=half,
        small=probes[0],
        large=probes[1],
        num_replicas=replicas,
        precise=not half_precision,
    )


class _Passes:
    """A model compiled to give the terms of its loss for rows of the data, as its strategy distributes them.

    A model of several replicas is given as many rows in each. What a replica adds to the loss is averaged over them,
    and its compiled loss summed, as Keras does.

    Args:
        model: The model.
        x: Inputs `[N, ...]`.
        y: Targets `[N, ...]`, as `fit` takes them.
        sample_weight: Weights of the rows `[N]`, or None.

    Attributes:
        num_replicas: Number of replicas that train the model together.
    """

    def __init__(
        self, model: tf_keras.Model, x: npt.NDArray[Any], y: npt.NDArray[Any], sample_weight: Array | None
    ) -> None:
        self._model, self._x, self._y, self._weights = model, x, y, sample_weight
        self._strategy = model.distribute_strategy
        self.num_replicas = int(self._strategy.num_replicas_in_sync)
        floats = tf.as_dtype(tf_keras.backend.floatx())
        dtype = floats if y.dtype.kind == "f" else tf.as_dtype(y.dtype)
        self._compiled = traced(
            self._run,
            tf.TensorSpec([self.num_replicas, None, *x.shape[1:]], floats),
            tf.TensorSpec([self.num_replicas, None, *y.shape[1:]], dtype),
            tf.TensorSpec([self.num_replicas, None], floats),
        )
        self._dtypes = floats.as_numpy_dtype, dtype.as_numpy_dtype, floats.as_numpy_dtype

    def __call__(self, rows: npt.NDArray[np.int64]) -> Terms:
        """The terms of one pass of these rows, some of which come twice if the replicas would have unequal numbers."""
        count = self.num_replicas
        rows = np.resize(rows, -(-len(rows) // count) * count)
        weights = np.ones(len(self._x)) if self._weights is None else self._weights
        shares = [
            values[rows].reshape(count, -1, *values.shape[1:]).astype(dtype)
            for values, dtype in zip((self._x, self._y, weights), self._dtypes, strict=True)
        ]
        results = self._compiled(*map(tf.constant, shares))
        kls, mean_kls, penalties, added, compiled_loss, *of_rows = (result.numpy() for result in results)
        nll, output, mean = (values.reshape(len(rows), *values.shape[2:]) for values in of_rows)
        return Terms(
            rows=rows,
            kls=kls.mean(axis=0),
            mean_kls=mean_kls.mean(axis=0),
            penalties=penalties.mean(axis=0),
            added=float(added.mean()),
            compiled_loss=float(compiled_loss.sum()),
            nll=nll,
            output=output,
            mean=mean,
        )

    def _run(self, *shares: tf.Tensor) -> list[tf.Tensor]:
        results = self._strategy.run(self._terms, shares)
        return [tf.stack(self._strategy.experimental_local_results(result)) for result in results]

    def _terms(self, *shares: tf.Tensor) -> list[tf.Tensor]:
        """The terms of one replica's share of the rows, in double precision."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        x, y, weights = (share[replica] for share in shares)
        model, layers = self._model, layers_with_kl(self._model)
        with recorded_latents(layers) as latents:
            output = model(x, training=False)
        kls = [kl_of(layer, latents) for layer, _ in layers]
        penalties = [_total(layer.losses) for layer, _ in layers]
        compiled_loss = self._compiled_loss(x, y, output, None if self._weights is None else weights)
        tensor = _by_row(tf.convert_to_tensor(output))
        nll, mean = tf.fill(tf.shape(tensor)[:1], np.nan), tensor
        if isinstance(output, tfd.Distribution):
            nll, mean = -tf.reduce_sum(_by_row(output.log_prob(_as_targets(y, output))), -1), _mean(output, tensor)
        of_layers = [[kl for kl, _ in kls], [mean_kl for _, mean_kl in kls], penalties]
        stacked = [tf.stack(values) if values else tf.zeros(0, tf.float64) for values in of_layers]
        return [
            *stacked,
            _total(model.losses),
            compiled_loss,
            tf.cast(nll, tf.float64),
            tensor,
            tf.cast(mean, tf.float64),
        ]

    def _compiled_loss(self, x: tf.Tensor, y: tf.Tensor, output: Any, weights: tf.Tensor | None) -> tf.Tensor:
        """The loss of the data alone, which a model that computes its loss in its own way gives together with others.

        It is taken from Keras directly where that is possible, since a difference of two large losses is inexact.
        """
        model = self._model
        if model.compiled_loss is None:
            return tf.zeros((), tf.float64)
        if type(model).compute_loss in (tf_keras.Model.compute_loss, VariationalModel.compute_loss):
            loss = model.compiled_loss(y, output, weights)
            return tf.zeros((), tf.float64) if loss is None else tf.cast(loss, tf.float64)
        return tf.cast(model.compute_loss(x, y, output, weights), tf.float64) - _total(model.losses) / self.num_replicas


@contextlib.contextmanager
def _unchanged(model: tf_keras.Model) -> Iterator[None]:
    """After the context, the model's variables, its metrics and its compiled loss are as they were before."""
    loss = model.compiled_loss
    metrics = [*model.metrics, *([] if loss is None else [loss._total_loss_mean])]
    variables = [*model.variables, *(variable for metric in metrics for variable in metric.variables)]
    # A layer counts its draws; training must not depend on whether it was audited.
    before = [(part, part.numpy()) for variable in variables for part in _parts(variable)]
    state = {} if loss is None else dict(vars(loss))
    try:
        yield
    finally:
        for part, value in before:
            part.assign(value)
        if loss is not None:
            vars(loss).clear()
            vars(loss).update(state)


@contextlib.contextmanager
def _other_weights(model: tf_keras.Model, rng: np.random.Generator) -> Iterator[None]:
    """Within the context, all trained variables are a little different, as after some training."""
    before = [(variable, variable.numpy()) for variable in model.trainable_variables]
    try:
        for variable, value in before:
            size = CHANGE * float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) + CHANGE / 5
            variable.assign(value + size * rng.standard_normal(value.shape).astype(value.dtype))
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _parts(variable: Any) -> tuple[Any, ...]:
    """The variable of each replica."""
    return getattr(variable, "values", None) or (variable,)


def _total(losses: list[tf.Tensor]) -> tf.Tensor:
    """Sum of losses, in double precision."""
    return sum((tf.cast(tf.reduce_sum(loss), tf.float64) for loss in losses), tf.zeros((), tf.float64))


def _by_row(values: tf.Tensor) -> tf.Tensor:
    """Values `[n, ...]` as `[n, D]`, in double precision."""
    return tf.reshape(tf.cast(values, tf.float64), [tf.shape(values)[0], -1])


def _mean(density: tfd.Distribution, tensor: tf.Tensor) -> tf.Tensor:
    """The mean of a distribution in the shape of a tensor; NaN if it has none of that shape."""
    try:
        mean = _by_row(density.mean())
    except NotImplementedError:
        return tf.fill(tf.shape(tensor), tf.constant(np.nan, tf.float64))
    return (
        mean
        if mean.shape.is_compatible_with(tensor.shape)
        else tf.fill(tf.shape(tensor), tf.constant(np.nan, tf.float64))
    )


def _as_targets(y: tf.Tensor, density: tfd.Distribution) -> tf.Tensor:
    """Targets in the shape and the data type that the density takes."""
    dtype = density.dtype if density.dtype.is_floating else tf.float32
    shape = tf.concat([density.batch_shape_tensor(), density.event_shape_tensor()], 0)
    return tf.reshape(tf.cast(y, dtype), shape)
