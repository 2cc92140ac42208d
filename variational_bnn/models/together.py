"""Training many models side by side by one program: each as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from variational_bnn.base.checks import Array, require, require_count
from variational_bnn.base.progress import report
from variational_bnn.models.backend import as_written, tf, tf_keras
from variational_bnn.models.batches import Batches, Block, Structure
from variational_bnn.models.blocks import BLOCK_NUMBERS, STEPS_PER_EXECUTION, block_size
from variational_bnn.models.fit_data import batches_of_arrays
from variational_bnn.models.many_steps import is_for_xla
from variational_bnn.models.stack import Stack, Terms, architecture, reason_against
from variational_bnn.models.variational_model import VariationalModel

STEPS_WORTH_XLA_TOGETHER = 4000
"""How many small steps make it worth to compile a stack by XLA; larger steps count as several, see `is_for_xla`."""

History: TypeAlias = tf_keras.callbacks.History


def fit_together(
    models: Sequence[VariationalModel],
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    batch_size: int = 32,
    epochs: int = 1,
    shuffle: bool = True,
) -> list[History]:
    """Train M models side by side, each exactly as its own `fit` would train it alone.

    Models of one architecture are stacked: one compiled program computes a step of all of them, in little more time
    than a step of one, if they are small. So seeds, members of an ensemble or fits to several samples cost hardly more
    than one fit, and none knows of the others: a loss that becomes NaN stays that of its model. Models of different
    architecture, of another `num_examples` or with another number of rows are stacked apart from each other.

    Results agree with those of `fit` to rounding. As `compile` was told by `jit_compile`, XLA compiles the program, and
    models for which it differs are stacked apart. Unless it was told, XLA is used by the rule of `fit`, with 4,000 in
    place of 8,000, and with the numbers that a step of the whole stack handles.

    Args:
        models: Models of this package's builders, compiled with `negative_log_likelihood`.
        x: Inputs `[N, ...]` for all models, or a list of M such arrays, one for each.
        y: Targets `[N, ...]` for all, or a list of M such arrays.
        sample_weight: Weights `[N]` of the rows for all, or a list of M such arrays; None for none.
        batch_size: Rows in each training step, >= 1.
        epochs: Passes through the rows, >= 1.
        shuffle: Whether each epoch has an order of its own. Models have different orders, which TensorFlow's global
            seed decides, as with `fit`.

    Returns:
        The history of each model, a `tf_keras.callbacks.History`, which is its `history` too.

    Raises:
        ValueError: If there is no model, a model cannot be stacked, for the reason that it says, or the arrays do not
            fit the models.

    Example:
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> network = vbnn.Network(input_shape=(3,), output_size=1, likelihood=vbnn.Normal())
        >>> models = [vbnn.build_weight_variation(network, num_examples=20, seed=seed) for seed in range(3)]
        >>> for model in models:
        ...     model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> histories = vbnn.fit_together(models, x, y, epochs=2)
        >>> [len(history.history["loss"]) for history in histories]
        [2, 2, 2]
    """
    models = list(models)
    require(bool(models), "models must hold at least one model, got none")
    require_count("batch_size", batch_size)
    require_count("epochs", epochs)
    given = {"x": x, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    each = {name: _one_each(name, values, len(models)) for name, values in given.items()}
    batches = list[Batches]()
    for number, model in enumerate(models):
        reason = reason_against(model)
        require(reason is None, f"model number {number} {reason}")
        arrays = [values[number] for values in each.values()]
        counts = [len(array) for array in arrays]
        require(len(set(counts)) == 1, f"{', '.join(each)} must have as many rows, got {counts}")
        model.require_fitting(*arrays[:2])
        batches.append(batches_of_arrays(arrays, batch_size, shuffle=shuffle))
    variables = [variable for model in models for variable in model.weights]
    optimizers = [model.optimizer for model in models]
    for what, things in (("models", models), ("optimizers", optimizers), ("variables", variables)):
        require(len(set(map(id, things))) == len(things), f"the {what} must be different objects, got one twice")
    return train_together(models, batches, epochs=epochs)


def _one_each(name: str, values: Any, count: int) -> list[Any]:
    """An array for each model."""
    if not isinstance(values, (list, tuple)):
        return [np.asarray(values)] * count
    require(len(values) == count, f"{name} must be one array or a list of {count}, one a model, got {len(values)}")
    return [np.asarray(one) for one in values]


@as_written
def train_together(
    models: Sequence[VariationalModel],
    batches: Sequence[Batches],
    *,
    epochs: int = 1,
    steps: int | None = None,
    places: Sequence[int] | None = None,
    size: int | None = None,
) -> list[History]:
    """Train each model on batches of its own, those of one architecture and shape of batches as a stack.

    How results round depends on the size of a stack and on a model's place in it, not on the other models: so a fit is
    the same to the last digit whatever it is trained with, if both are given.

    Args:
        models: The models; `reason_against` has none.
        batches: The batches of each.
        epochs: How often `steps` batches are trained on.
        steps: Batches of an epoch; None for all there are.
        places: The place of each model in its stack, below `size`; models of one place are in different stacks.
        size: The size of all stacks, whose other places are filled with copies. None for as many as there are models.

    Returns:
        The history of each model.
    """
    alike = dict[Any, list[int]]()
    for number, (model, own) in enumerate(zip(models, batches, strict=True)):
        alike.setdefault((architecture(model), own.steps, own.batch_size, own.last_rows), []).append(number)
    found = dict[int, History]()
    for numbers in alike.values():
        stack = Stack(models[numbers[0]], size or len(numbers))
        own_places = range(len(numbers)) if places is None else [places[number] for number in numbers]
        for at_places in _rounds(numbers, own_places):
            one = next(iter(at_places.values()))
            filled = [at_places.get(place, one) for place in range(stack.size)]
            stack.load([models[number] for number in filled])
            histories = _train(stack, [models[n] for n in filled], [batches[n] for n in filled], epochs, steps)
            stack.give_back(at_places)
            for place, number in at_places.items():
                found[number] = models[number].history = histories[place]
    return [found[number] for number in range(len(models))]


def _rounds(numbers: Sequence[int], places: Sequence[int]) -> list[dict[int, int]]:
    """The models of each stack by their places, of which no two are the same."""
    rounds = list[dict[int, int]]()
    for number, place in zip(numbers, places, strict=True):
        free = next((taken for taken in rounds if place not in taken), None)
        if free is None:
            rounds.append(free := {})
        free[place] = number
    return rounds


def _train(
    stack: Stack, models: list[VariationalModel], batches: list[Batches], epochs: int, steps: int | None
) -> list[History]:
    """Train the models that a stack was loaded with."""
    steps, last_rows = steps or batches[0].steps or 1, batches[0].last_rows or 0
    numbers = stack.size * (batches[0].numbers + models[0].numbers_of_step(batches[0].batch_size))
    most = max(1, min(STEPS_PER_EXECUTION, BLOCK_NUMBERS // numbers))
    # Nothing is to be done between two epochs, so a block may hold several, unless their last batches have fewer rows.
    epochs_as_one = max(1, min(epochs, most // steps)) if batches[0].even else 1
    steps_as_one = steps * epochs_as_one
    size = block_size(steps_as_one, most, numbers)
    by_xla = is_for_xla(models[0], steps * epochs, numbers, STEPS_WORTH_XLA_TOGETHER)  # As of the others.
    histories, trained = [_begun(model, steps, epochs) for model in models], _Trained(steps)
    blocks = zip(*(own.blocks(steps_as_one, size) for own in batches), strict=True)
    while trained.steps < steps * epochs:
        of_models = next(blocks)
        block = of_models[0]  # As of the others: they have the same numbers.
        count, whole = tf.constant(min(block.count, steps * epochs - trained.steps)), _stacked(of_models, "batches")
        try:
            terms = stack.train(whole, count, jit_compile=by_xla)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            if models[0].jit_compile or not by_xla:
                raise
            by_xla = False  # XLA does not know every operation.
            terms = stack.train(whole, count, jit_compile=False)
        trained.add(terms, block.rows)
        if block.num_last:  # XLA would compile each shape apart.
            last = _stacked(of_models, "last")
            trained.add(stack.train(last, tf.constant(1), jit_compile=False), last_rows)
        report(trained.steps, steps * epochs)
    for member, history in enumerate(histories):
        history.epoch, history.history = list(range(epochs)), trained.history(member)
    return histories


def _stacked(blocks: Sequence[Block], what: str) -> Structure:
    """The batches of a block of each model, `batches` or `last`, as tensors `[k, M, B, ...]`."""
    return tf.nest.map_structure(lambda *values: tf.stack(values, axis=1), *(getattr(b, what) for b in blocks))


class _Trained:
    """The terms of the losses of all models in the steps so far, and their means over the rows of each epoch.

    Args:
        per_epoch: Steps of an epoch.
    """

    def __init__(self, per_epoch: int) -> None:
        self._per_epoch, self.steps = per_epoch, 0
        self._rows, self._terms = np.zeros(0), dict[str, Array]()  # Of the steps of an epoch that is not at its end.
        self._means = dict[str, list[Array]]()

    def add(self, terms: Terms, rows: int) -> None:
        """Note the terms `[k, M]` of k steps on batches with so many rows."""
        count = len(terms["loss"])
        self.steps += count
        rows_of = np.concatenate([self._rows, np.full(count, rows)])
        whole = len(rows_of) // self._per_epoch * self._per_epoch
        weights = rows_of[:whole].reshape(-1, self._per_epoch, 1)
        for name, term in terms.items():
            values = np.concatenate([self._terms[name], term.numpy()]) if name in self._terms else term.numpy()
            epochs = values[:whole].reshape(*weights.shape[:2], values.shape[1])
            self._means.setdefault(name, []).append((epochs * weights).sum(axis=1) / weights.sum(axis=1))
            self._terms[name] = values[whole:]
        self._rows = rows_of[whole:]

    def history(self, member: int) -> dict[str, list[float]]:
        """The means of each epoch, of one of the models."""
        return {name: np.concatenate(means)[:, member].tolist() for name, means in self._means.items()}


def _begun(model: VariationalModel, steps: int, epochs: int) -> History:
    history = History()
    history.set_model(model)
    history.set_params({"verbose": 0, "epochs": epochs, "steps": steps})
    history.on_train_begin()
    return history
