"""Callbacks of Keras that report how far a fit is; see `base.progress`."""

from __future__ import annotations

from variational_bnn.base.progress import report
from variational_bnn.models.backend import tf_keras


def report_steps(total: int) -> tf_keras.callbacks.Callback:
    """Report the steps of a fit of one epoch, after each compiled call."""
    return tf_keras.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: report(batch + 1, total))


def report_epochs(total: int) -> tf_keras.callbacks.Callback:
    """Report the epochs of a fit."""
    return tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(epoch + 1, total, "epochs"))
