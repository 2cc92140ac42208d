"""Many models of one architecture, trained side by side as one: their variables are stacked along a first axis.

A step computes the losses of all M models in operations on stacked values, and their sum is differentiated. No value of
a model depends on another model, so each is trained as if it were alone, and a loss that becomes NaN stays its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from variational_bnn.models.backend import layers_of, tf, tf_keras
from variational_bnn.models.batches import Structure
from variational_bnn.models.blocks import each_once
from variational_bnn.models.losses import negative_log_likelihood, variational_layers
from variational_bnn.models.point_prior import prior_penalties
from variational_bnn.models.random_numbers import RandomNumbers, drawing_from
from variational_bnn.models.stochastic import Stochastic

Terms = dict[str, tf.Tensor]
"""The terms of the loss by name, as `VariationalModel` shows them: scalars in nats per example."""


class Stack:
    """M models as one: a model of the same architecture that is called with values in place of its variables.

    Args:
        models: The models. What they have in common is taken from the first.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self._models = models
        # A copy: while it is called with other values, nobody else may call it.
        self._template = type(models[0]).from_config(models[0].get_config())
        kl_weights = [[layer.kl_weight for layer in variational_layers(model)] for model in [self._template, *models]]
        self._names = [*self._template.trainable_variables, *kl_weights[0]]
        self._trained = len(self._template.trainable_variables)
        own = [[*model.trainable_variables, *of] for model, of in zip(models, kl_weights[1:], strict=True)]
        self._own = list(zip(*own, strict=True))
        self.values = [tf.Variable(tf.stack(list(same))) for same in self._own]
        self.optimizer = _stacked(models)
        self.optimizer.build(self.values[: self._trained])
        self._own_state = list(zip(*(model.optimizer.variables for model in models), strict=True))
        for variable, same in zip(self.optimizer.variables, self._own_state, strict=True):
            variable.assign(tf.stack(list(same)) if variable.shape != same[0].shape else same[0])

    def write_back(self, steps: int) -> None:
        """Give the models the values that were trained, and their optimizers their state."""
        for variable, same in [*zip(self.values, self._own, strict=True), *zip(self.optimizer.variables, self._own_state, strict=True)]:
            stacked = variable.shape != same[0].shape
            for number, one in enumerate(same):
                one.assign(variable[number] if stacked else variable)
        for model in self._models:
            for layer in _stochastic(model):
                layer.draws.assign_add(steps)

    @tf.function(autograph=False)
    def train(self, batches: Structure, steps: tf.Tensor, jit_compile: bool) -> Terms:
        """Run a step on each of the batches `[k, M, B, ...]`; the sums `[M]` over the steps of the terms of the losses.

        Args:
            batches: A structure `(x, y)` or `(x, y, sample_weight)` of tensors.
            steps: How many of the batches to train on, a scalar tensor.
            jit_compile: Whether XLA compiles the loop over the steps.
        """
        calls, outer = tf.shape(tf.nest.flatten(batches)[0])[0], tf.compat.v1.get_default_graph()
        layers = zip(*map(_stochastic, [self._template, *self._models]), strict=True)
        first = {own: [RandomNumbers(one.noise_seed, one.draws + 1) for one in same] for own, *same in layers}
        names = self._template.metrics_names if False else self._term_names()

        @tf.function(jit_compile=jit_compile, autograph=False)
        def loop(batches: Structure, steps: tf.Tensor) -> Any:
            graphs = outer, tf.compat.v1.get_default_graph()

            def step(number: tf.Tensor, sums: Terms) -> tuple[tf.Tensor, Terms]:
                batch = tf.nest.map_structure(lambda values: values[number], batches)
                terms = self._step(batch, lambda member: each_once(first, calls, graphs, number, member))
                return number + 1, {name: sums[name] + terms[name] for name in sums}

            zeros = {name: tf.zeros(len(self._models)) for name in names}
            return tf.while_loop(lambda number, _: number < steps, step, [0, zeros], parallel_iterations=1)[1]

        return loop(batches, steps)

    def _step(self, batch: Structure, source_of: Any) -> Terms:
        """Train on a batch; the terms of the losses `[M]`."""
        values = [tf.convert_to_tensor(variable) for variable in self.values]

        def of_member(parts: Any) -> tuple[Terms, list[tf.Tensor]]:
            member, own, own_batch = parts
            trained = own[: self._trained]
            with tf.GradientTape() as tape, self._with_values(own), drawing_from(source_of(member)):
                tape.watch(trained)
                terms = self._terms(*own_batch)
            return terms, tape.gradient(terms["loss"], trained, unconnected_gradients="zero")

        members = tf.range(len(self._models)), values, batch
        terms, gradients = tf.vectorized_map(of_member, members, fallback_to_while_loop=False)
        pairs = zip(gradients, self.values[: self._trained], strict=True)
        self.optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
        return terms

    def _term_names(self) -> list[str]:
        kinds = sorted({layer.kind for layer in variational_layers(self._template)})
        parts = [f"kl_{kind}" for kind in kinds if len(kinds) > 1]
        return ["loss", "nll", "kl", *parts, *(["prior_penalty"] if prior_penalties(self._template) else [])]

    def _terms(self, x: Any, y: Any, sample_weight: Any = None) -> Terms:
        """The loss of a model with the values that it has, and its terms."""
        nll = negative_log_likelihood(y, self._template(x, training=True))
        if sample_weight is not None:
            nll *= tf.reshape(tf.cast(sample_weight, nll.dtype), tf.shape(nll))
        layers = variational_layers(self._template)
        zero = tf.zeros((), nll.dtype)
        terms = {"nll": tf.reduce_mean(nll), "kl": sum((layer.kl for layer in layers), zero)}
        weighted = sum((layer.kl_weight * layer.kl for layer in layers), zero)
        for name in self._term_names():
            if name.startswith("kl_"):
                terms[name] = sum((layer.kl for layer in layers if f"kl_{layer.kind}" == name), zero)
        penalties = prior_penalties(self._template)
        if penalties:
            terms["prior_penalty"] = tf.add_n(penalties)
        terms["loss"] = terms["nll"] + weighted + terms.get("prior_penalty", zero)
        return {name: tf.cast(value, tf.float32) for name, value in terms.items()}

    @contextlib.contextmanager
    def _with_values(self, values: Sequence[tf.Tensor]) -> Iterator[None]:
        """Within the context, the layers of the template have these values in place of their variables."""
        by_variable = {id(name): value for name, value in zip(self._names, values, strict=True)}
        replaced = []
        for layer in layers_of(self._template):
            for name, value in list(vars(layer).items()):
                if id(value) in by_variable:
                    replaced.append((layer, name, value))
                    object.__setattr__(layer, name, by_variable[id(value)])
        try:
            yield
        finally:
            for layer, name, value in replaced:
                object.__setattr__(layer, name, value)


def _stochastic(model: Any) -> list[Stochastic]:
    return [layer for layer in layers_of(model) if isinstance(layer, Stochastic)]


def _stacked(models: Sequence[Any]) -> tf_keras.optimizers.Optimizer:
    """An optimizer like those of the models."""
    for model in models:
        model.optimizer.build(model.trainable_variables)
    own = models[0].optimizer
    return type(own).from_config(own.get_config())
