"""The check of inputs against what a model takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Floats, require
from variational_bnn.models.backend import tf_keras


def require_inputs(model: tf_keras.Model, x: npt.ArrayLike) -> Floats:
    """Return x `[N, ...]` as float32, or float64 if the model takes it; `[N]` becomes `[N, 1]` for one feature.

    Raises:
        ValueError: If the model has several inputs or outputs, or x has another shape than the model takes, no rows, or
            values that are not finite numbers.
    """
    known = model.built and model.inputs
    outputs = len(model.outputs) if known else 1
    require(outputs == 1, f"the model must have one output, got {outputs}")
    try:
        rows: Floats = np.array(x, dtype=np.float64 if known and model.inputs[0].dtype == "float64" else np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"x must hold numbers in rows of one length: {str(error).splitlines()[0]}") from error
    expected = model.input_shape if known else (None, *rows.shape[1:])
    require(isinstance(expected, tuple), f"the model must have one input, got {expected}")
    if rows.ndim == 1 and tuple(expected) == (None, 1):
        rows = rows[:, None]
    sizes = zip(expected[1:], rows.shape[1:], strict=False)
    fits = rows.ndim == len(expected) and all(size in (None, actual) for size, actual in sizes)
    shape = ", ".join(["N", *map(str, expected[1:])])
    require(fits and len(rows) > 0, f"x must have shape [{shape}], got {list(rows.shape)}")
    bad = np.count_nonzero(~np.isfinite(rows))
    require(bad == 0, f"x must be finite, got {bad} values that are not")
    return rows
