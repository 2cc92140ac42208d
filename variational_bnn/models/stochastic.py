"""The base classes of the layers that draw random numbers, and the one place where a KL enters the loss."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np

from variational_bnn.base.checks import require_kl_weight
from variational_bnn.models.backend import layers_of, tf, tf_keras, tfp
from variational_bnn.models.random_numbers import RandomNumbers, drawn_ahead

SCALE_FLOOR = 1e-5
"""Lower bound of every trained posterior standard deviation, so that no KL and no gradient is infinite."""


def softplus_inverse(scale: float) -> float:
    """The number x for which log(1 + e^x) is the scale."""
    return float(scale + np.log(-np.expm1(-scale)))


def positive_scale(raw: tf.Tensor) -> tf.Tensor:
    """The standard deviation of a posterior, `SCALE_FLOOR + softplus(raw)`, elementwise."""
    return SCALE_FLOOR + tf.nn.softplus(raw)


def lower_root(raw_scale: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
    """The root `[n, n]` of a posterior covariance: lower triangular, with `positive_scale(raw_scale)` on its diagonal.

    The entries below the diagonal are divided by the root of n. Adam moves every variable by about the learning rate;
    so the entries of a row move together about as far as its scale.

    Args:
        raw_scale: `[n]`.
        below: `[n, n]`, of which only the entries below the diagonal are used.
    """
    triangle = tf.linalg.band_part(below, -1, 0) / np.sqrt(below.shape[0])
    return tf.linalg.set_diag(triangle, positive_scale(raw_scale))


RANDOM = (
    tf_keras.__internal__.layers.BaseRandomLayer,
    *(
        getattr(tfp.layers, f"{kind}{estimator}")
        for kind in ("Dense", "Convolution1D", "Convolution2D", "Convolution3D")
        for estimator in ("Reparameterization", "Flipout")
    ),
    tfp.layers.DenseLocalReparameterization,
)
"""The stochastic layers of Keras and TFP; those of this package are subclasses that draw by `RandomNumbers`."""


class Stochastic(tf_keras.layers.Layer, abc.ABC):
    """A layer that draws random numbers in each call.

    The random numbers are a function of the layer's seed and of the number of draws so far. That number is saved with
    the weights, so a loaded model continues exactly as the saved one would have. The replicas of a distributed model
    draw different numbers.

    Args:
        *args: Of the next base class.
        seed: Seed of the random numbers; None takes one from the entropy of the operating system.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        noise_seed: The seed, a whole number.
        draws: Number of calls so far, a scalar variable. It exists once the layer is built.
    """

    def __init__(self, *args: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noise_seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)

    def build(self, input_shape: Any) -> None:
        """Make the counter of draws."""
        self.draws = self.add_weight(
            name="draws",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        super().build(input_shape)

    def random(self, inputs: tf.Tensor) -> RandomNumbers:
        """Count a draw, and return its random numbers, which no other draw of this layer has.

        Args:
            inputs: The inputs of the call. Only when they have been computed is the draw counted, so a step that fails
                because data has ended leaves the counter as it was.
        """
        if (ahead := drawn_ahead(self)) is not None:
            return ahead
        with tf.control_dependencies([inputs]):
            call = self.draws.assign_add(1)
        replica = tf.distribute.get_replica_context()
        shared = replica is None or replica.num_replicas_in_sync == 1
        return RandomNumbers(self.noise_seed, call, 0 if shared else replica.replica_id_in_sync_group)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments that belong to this class and its subclasses."""
        return {"seed": self.noise_seed}

    def get_config(self) -> dict[str, Any]:
        """Plain values for `from_config`; the configuration of TFP's layers would store functions as bytecode."""
        return {**tf_keras.layers.Layer.get_config(self), **self.settings()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Stochastic:
        """Make the layer from the values of `get_config`."""
        return cls(**config)


def stochastic_layers(model: tf_keras.Model) -> list[Stochastic]:
    """Return the layers of a model that draw by this package's random numbers, also those of nested models."""
    return [layer for layer in layers_of(model) if isinstance(layer, Stochastic)]


def unseeded_layers(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Return the layers of a model that draw in the way of Keras or TensorFlow Probability, also of nested models."""
    return [layer for layer in layers_of(model) if isinstance(layer, RANDOM) and not isinstance(layer, Stochastic)]


class Variational(Stochastic):
    """A stochastic layer with a posterior and a prior, which adds their KL divergence to the loss of its model.

    Args:
        *args: Of the next base class.
        kl_weight: Weight of the KL in the loss, >= 0; 1 for the evidence lower bound.
        **kwargs: `seed`, and arguments of `tf_keras.layers.Layer` such as `name`.

    Attributes:
        kind: What is random: "weights", "units" (shared by all rows) or "latents" (of each row).
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets. It exists once the layer is
            built.
        kl: KL of the last call, in nats per example, a scalar tensor.

    Raises:
        ValueError: If `kl_weight` is not a finite number >= 0.
    """

    kind: ClassVar[str]

    def __init__(self, *args: Any, kl_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_kl_weight(kl_weight)
        self._initial_kl_weight = float(kl_weight)

    def build(self, input_shape: Any) -> None:
        """Make the weight of the KL."""
        self.kl_weight = self.add_weight(
            name="kl_weight",
            shape=(),
            initializer=tf_keras.initializers.Constant(self._initial_kl_weight),
            trainable=False,
            experimental_autocast=False,
        )
        super().build(input_shape)

    def add_kl(self, kl: tf.Tensor) -> None:
        """Add `kl_weight * kl` to the loss of the model.

        Args:
            kl: A scalar, in nats per example.
        """
        self.kl = kl
        self.add_loss(self.kl_weight * kl)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments that belong to this class and its subclasses."""
        return {**super().settings(), "kl_weight": self._initial_kl_weight}
