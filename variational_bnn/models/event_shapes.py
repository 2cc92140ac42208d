"""Distributions of targets of several axes, such as images."""

from __future__ import annotations

from variational_bnn.models.backend import tf, tfd

Shape = tuple[int, ...]
"""Shape of the targets of one row: `(D,)`, or that of an image of D pixels."""


def shaped(values: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Reshape values `[..., P]` to `[..., *shape]`, where the shape has P elements."""
    if len(shape) == 1:
        return values
    return tf.reshape(values, tf.concat([tf.shape(values)[:-1], shape], 0))


def independent(distribution: tfd.Distribution, event_shape: Shape) -> tfd.Distribution:
    """Make the last axes of a distribution's batch its event, whose elements are independent."""
    return tfd.Independent(distribution, reinterpreted_batch_ndims=len(event_shape))
