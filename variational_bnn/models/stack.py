"""Many models of one architecture as one: their variables are stacked along a first axis, and trained by one program.

A step computes the losses of all M models and their gradients by operations on stacked values. No value of a model
depends on another model, so each is trained as if it were alone, and a loss that becomes NaN stays its own.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from variational_bnn.base.checks import require
from variational_bnn.models.backend import as_written, layers_of, tf, tf_keras
from variational_bnn.models.batches import Structure
from variational_bnn.models.blocks import CalledTwiceError, numbers_drawn_ahead
from variational_bnn.models.losses import loss_terms, negative_log_likelihood, term_names, variational_layers
from variational_bnn.models.many_steps import NO_STRATEGY
from variational_bnn.models.point_prior import priors_of
from variational_bnn.models.random_numbers import RandomNumbers, Source, drawing_from, signed
from variational_bnn.models.stochastic import stochastic_layers, unseeded_layers
from variational_bnn.models.variational_model import VariationalModel

Terms = dict[str, tf.Tensor]
"""The terms of the loss by name, as `VariationalModel` shows them, in nats per example."""

ELEMENTWISE = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "RMSprop", "SGD")
"""The optimizers of Keras that treat each number apart, and so can treat several models at once."""

NOT_SUPPORTED = ("metrics", "weighted_metrics", "loss_weights", "run_eagerly")
"""Arguments of `compile` that a model of a stack cannot have."""

REFERENCES = ("inbound_nodes", "input_layers", "output_layers")
"""Where the configuration of a functional model refers to layers by their names."""


class Stack:
    """M models that are trained as one: a copy of their architecture is called with values in place of its variables.

    Args:
        model: A model of the architecture; see `reason_against`.
        size: M.
    """

    def __init__(self, model: VariationalModel, size: int) -> None:
        # A copy: nobody else calls it while it has other values.
        self._copy, self.size = as_written(type(model).from_config)(model.get_config()), size
        self._members: Sequence[VariationalModel] = ()
        self._places = _values_of(self._copy)
        self._values = [tf.Variable(tf.zeros([size, *place.shape], place.dtype)) for place in self._places]
        self._trained = self._values[: len(self._copy.trainable_variables)]
        self._optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self._optimizer.build(self._trained)
        self._layers = stochastic_layers(self._copy)
        self._seeds, self._draws = ([tf.Variable(tf.zeros(size, tf.int64)) for _ in self._layers] for _ in range(2))

    def load(self, members: Sequence[VariationalModel]) -> None:
        """Take the values of M models, some of which may be the same one, and the state of their optimizers."""
        self._members = members
        for member in members:
            member.optimizer.build(member.trainable_variables)
        for stacked, same in self._pairs():
            stacked.assign(tf.stack(same) if stacked.shape != same[0].shape else same[0])
        for seeds, same in zip(self._seeds, zip(*map(stochastic_layers, members), strict=True), strict=True):
            seeds.assign([signed(layer.noise_seed) for layer in same])

    def give_back(self, places: Iterable[int]) -> None:
        """Give the models at some places the values that were trained, and their optimizers their state."""
        for stacked, same in self._pairs():
            for place in places:
                same[place].assign(stacked[place] if stacked.shape != same[place].shape else stacked)

    def _pairs(self) -> Iterator[tuple[tf.Variable, tuple[tf.Variable, ...]]]:
        """What is trained and what changes with it: of the stack, and of each member."""
        stacked = [*self._values, *self._optimizer.variables, *self._draws]
        own = [
            [*_values_of(member), *member.optimizer.variables, *(layer.draws for layer in stochastic_layers(member))]
            for member in self._members
        ]
        return zip(stacked, zip(*own, strict=True), strict=True)

    @tf.function(autograph=False)
    @as_written
    def train(self, batches: Structure, steps: tf.Tensor, *, jit_compile: bool) -> Terms:
        """Run a step on each of the first batches.

        Args:
            batches: Tensors `[k, M, B, ...]` in a structure `(x, y)` or `(x, y, sample_weight)`.
            steps: How many of the batches to train on, a scalar tensor.
            jit_compile: Whether XLA compiles the loop over the steps.

        Returns:
            The terms of the loss of each model in each step, `[steps, M]`.
        """
        calls, outer = tf.shape(tf.nest.flatten(batches)[0])[0], tf.compat.v1.get_default_graph()
        first = {
            layer: [RandomNumbers(seeds[place], draws[place] + 1) for place in range(self.size)]
            for layer, seeds, draws in zip(self._layers, self._seeds, self._draws, strict=True)
        }

        @tf.function(jit_compile=jit_compile, autograph=False)
        def loop(batches: Structure, steps: tf.Tensor) -> list[tf.Tensor]:
            graphs = outer, tf.compat.v1.get_default_graph()

            def step(number: tf.Tensor, kept: Any) -> Any:
                batch = tf.nest.map_structure(lambda values: values[number], batches)
                terms = self._step(batch, lambda member: numbers_drawn_ahead(first, calls, graphs, number, member))
                return number + 1, [
                    array.write(number, terms[name]) for name, array in zip(self._names, kept, strict=True)
                ]

            kept = [tf.TensorArray(tf.float32, calls, element_shape=[self.size]) for _ in self._names]
            _, kept = tf.while_loop(lambda number, _: number < steps, step, [0, kept], parallel_iterations=1)
            return [array.stack() for array in kept]

        terms = loop(batches, steps)
        with tf.control_dependencies(terms):  # If XLA cannot compile the loop, nothing has been drawn.
            for draws in self._draws:
                draws.assign_add(tf.fill([self.size], tf.cast(steps, tf.int64)))
        return {name: values[:steps] for name, values in zip(self._names, terms, strict=True)}

    def _step(self, batch: Structure, source_of: Callable[[tf.Tensor], Source]) -> Terms:
        """Train on a batch; the terms of the losses `[M]`."""

        @as_written
        def of_member(parts: Any) -> tuple[Terms, list[tf.Tensor]]:
            member, values, own_batch = parts
            trained, source, called = values[: len(self._trained)], source_of(member), list[str]()

            def noting(layer: Any) -> RandomNumbers | None:
                called.append(layer.name)
                return source(layer)

            try:
                with tf.GradientTape() as tape, self._with_values(values), drawing_from(noting):
                    tape.watch(trained)
                    terms = self._terms(*own_batch)
            except CalledTwiceError:
                message = f"each stochastic layer must be called once in a model, but {called[-1]} is called again"
                raise ValueError(message) from None
            gradients = tape.gradient(terms["loss"], trained)
            unused = [place.name for place, gradient in zip(self._places, gradients, strict=False) if gradient is None]
            require(not unused, f"the loss must depend on each trained variable, but not on {', '.join(unused)}")
            return terms, gradients

        members = tf.range(self.size), [tf.convert_to_tensor(stacked) for stacked in self._values], batch
        terms, gradients = tf.vectorized_map(of_member, members, fallback_to_while_loop=False)
        pairs = zip(gradients, self._trained, strict=True)
        self._optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
        return dict(terms)

    @property
    def _names(self) -> list[str]:
        """Names of the terms."""
        return ["loss", *term_names(self._copy)]

    def _terms(self, x: Any, y: Any, sample_weight: Any = None) -> Terms:
        """The loss of the copy with the values that it has, and its terms, scalars."""
        terms = loss_terms(self._copy, y, self._copy(x, training=True), sample_weight)
        terms["nll"] = tf.reduce_mean(terms["nll"])
        kl = sum((layer.kl_weight * layer.kl for layer in variational_layers(self._copy)), 0.0)
        terms["loss"] = terms["nll"] + kl + terms.get("prior_penalty", 0.0)
        return {name: tf.cast(term, tf.float32) for name, term in terms.items()}

    @contextlib.contextmanager
    def _with_values(self, values: Sequence[tf.Tensor]) -> Iterator[None]:
        """Within the context, the layers of the copy have these values in place of their variables."""
        by_variable = {id(place): value for place, value in zip(self._places, values, strict=True)}
        replaced = [(x, n, v) for x in layers_of(self._copy) for n, v in vars(x).items() if id(v) in by_variable]
        for layer, name, variable in replaced:
            object.__setattr__(layer, name, by_variable[id(variable)])
        try:
            yield
        finally:
            for layer, name, variable in replaced:
                object.__setattr__(layer, name, variable)


def _values_of(model: VariationalModel) -> list[tf.Variable]:
    """The variables on which the loss of a model depends."""
    return [*model.trainable_variables, *(layer.kl_weight for layer in variational_layers(model))]


def architecture(model: VariationalModel) -> str:
    """What models of a stack have in common, as text: layers and optimizer, without the seeds and names of layers."""
    common = [
        _nameless({"class_name": type(model).__name__, "config": model.get_config()}),
        _nameless(tf_keras.optimizers.serialize(model.optimizer)),
        int(model.optimizer.iterations),
        model.jit_compile,
    ]
    return json.dumps(common, sort_keys=True, default=repr)


def _nameless(config: Any, numbers: Mapping[str, int] | None = None) -> Any:
    """A configuration without seeds, without names of layers, and with numbers for the references to layers.

    Args:
        config: Of anything that Keras writes down.
        numbers: The layers of the functional model that it is a part of, by their names.
    """
    if isinstance(config, (list, tuple)):
        return [_nameless(value, numbers) for value in config]
    if not isinstance(config, dict):
        return config
    if "input_layers" in config:
        numbers = {layer["name"]: number for number, layer in enumerate(config["layers"])}
    kept = {name: value for name, value in config.items() if name != "seed"}
    if "class_name" in config:  # Only objects of Keras have names that mean nothing.
        kept.pop("name", None)
        if isinstance(own := config.get("config"), dict):
            kept["config"] = {name: value for name, value in own.items() if name != "name"}
    return {
        name: _numbered(value, numbers or {}) if name in REFERENCES else _nameless(value, numbers)
        for name, value in kept.items()
    }


def _numbered(references: Any, numbers: Mapping[str, int]) -> Any:
    """References to layers, which are lists `[name, int, int, ...]`, with numbers for the names."""
    if isinstance(references, dict):
        return {name: _numbered(value, numbers) for name, value in references.items()}
    if not isinstance(references, (list, tuple)):
        return references
    values = [_numbered(value, numbers) for value in references]
    if [type(value) for value in values[:3]] == [str, int, int]:
        values[0] = numbers.get(values[0], values[0])
    return values


def reason_against(model: Any) -> str | None:
    """Why a model cannot be trained together with others, as the end of a sentence; None if it can."""
    if not isinstance(model, VariationalModel):
        return f"must be a VariationalModel, got {type(model).__name__}"
    compiled = model.get_compile_config()
    if compiled is None or model.loss is not negative_log_likelihood:
        return "must be compiled with negative_log_likelihood"
    if given := [name for name in NOT_SUPPORTED if compiled[name]]:
        return f"must be compiled without {', '.join(given)}"
    if not isinstance(model.distribute_strategy, NO_STRATEGY):
        return f"must have no distribution strategy, got {type(model.distribute_strategy).__name__}"
    optimizer = model.optimizer
    settings = optimizer.get_config() if isinstance(optimizer, tf_keras.optimizers.Optimizer) else {}
    norms = any(settings.get(name, True) for name in ("clipnorm", "global_clipnorm"))  # Legacy ones have no such names.
    if type(optimizer).__name__ not in ELEMENTWISE or norms:
        return f"must have an optimizer that treats each number apart, without norms, got {type(optimizer).__name__}"
    if settings["use_ema"]:
        return "must have an optimizer without moving averages of the weights, got use_ema=True"
    if any(getattr(optimizer, f"_exclude_from_weight_decay{end}", None) for end in ("", "_names")):
        return "must have an optimizer whose weight decay excludes no variables"
    for name in ("train_step", "compute_loss"):
        if getattr(type(model), name) is not getattr(VariationalModel, name):
            return f"must have no {name} of its own"
    trained = model.trainable_variables
    if constrained := [v.name for v in trained if v.constraint is not None]:
        return f"must have no variables with a constraint, got {', '.join(constrained)}"
    attributes = {id(value) for layer in layers_of(model) for value in vars(layer).values()}
    if hidden := [v.name for v in trained if id(v) not in attributes]:
        return f"must have variables that are attributes of layers, not in lists or dicts, got {', '.join(hidden)}"
    apart = [layer.draws for layer in stochastic_layers(model)] + [
        layer.kl_weight for layer in variational_layers(model)
    ]
    others = [v.name for v in model.non_trainable_variables if not any(v is own for own in apart)]
    if others:
        return f"must have no variables that training changes in another way, got {', '.join(others)}"
    if found := [layer.name for layer in unseeded_layers(model)]:
        return f"must have no stochastic layers of other packages, got {', '.join(found)}"
    if len(model.losses) != len(variational_layers(model)) + len(priors_of(model)):
        return "must have no losses but those of this package's layers and priors, each once"
    return None
