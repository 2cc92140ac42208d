"""Stochastic hidden units: latent variables whose posterior depends on the inputs."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import is_positive, require
from variational_bnn.models.backend import register, tf, tf_keras, tfd
from variational_bnn.models.stochastic import Stochastic, positive_scale, softplus_inverse, standard_normal


@register
class NormalUnits(Stochastic):
    """Stochastic hidden units: latents z with posterior q(z given x) = N(loc, scale^2) for each row, and outputs a(z).

    The layer below gives the parameters of the posterior: of inputs `[..., 2 * units]`, the first half is loc and the
    second half the raw scale; a is an activation. The prior of each latent is N(0, 1). A call adds
    `kl_weight * KL(q || prior)` to the loss of the model, summed over the units and averaged over the rows of the batch
    (Kingma & Welling 2014, arXiv 1312.6114). Each row has its own random numbers, in training and in prediction.

    Outputs have shape `[..., units]`.

    Args:
        activation: Name of a Keras activation a; None for the latents themselves.
        initial_scale: Standard deviation of the posterior where the inputs are 0, as they nearly are at the start,
            > 0. That of the prior is 1.
        seed: Seed of the random numbers; None takes one from the entropy of the operating system.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, another one for a beta-VAE.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        kl: KL of the last call, averaged over the rows, a scalar tensor.
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `initial_scale` is not > 0, `kl_weight` is not >= 0, or the activation is unknown.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> inputs = tf_keras.Input((3,))
        >>> latents = vbnn.NormalUnits("relu", seed=0)(tf_keras.layers.Dense(2 * 5)(inputs))
        >>> latents.shape
        TensorShape([None, 5])
        >>> parameters = tf_keras.layers.Dense(2)(latents)
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(np.ones((20, 3)), np.ones((20, 1)), verbose=0)
    """

    kind = "latents"

    def __init__(
        self,
        activation: str | None = None,
        initial_scale: float = 0.1,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        super().__init__(seed=seed, kl_weight=kl_weight, **kwargs)
        self.activation = tf_keras.activations.get(activation)
        self._initial_scale = float(initial_scale)

    def posterior(self, inputs: tf.Tensor) -> tfd.Distribution:
        """The posterior q(z given x) by inputs `[..., 2 * units]`: batch shape `[...]`, event shape `[units]`."""
        loc, raw = tf.split(tf.convert_to_tensor(inputs), 2, axis=-1)
        scale = positive_scale(raw + softplus_inverse(self._initial_scale))
        return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs `[..., units]` by inputs `[..., 2 * units]`, independently for each row."""
        q = self.posterior(inputs)
        loc, scale = q.distribution.loc, q.distribution.scale
        prior = tfd.Independent(tfd.Normal(tf.zeros_like(loc), tf.ones_like(scale)), reinterpreted_batch_ndims=1)
        kl = tfd.kl_divergence(q, prior)  # A replica may have no rows of a last batch: the mean is then 0.
        self.add_kl(tf.math.divide_no_nan(tf.reduce_sum(kl), tf.cast(tf.shape(kl)[0], kl.dtype)))
        return self.activation(loc + scale * standard_normal(tf.shape(loc), self.next_seed(loc), loc.dtype))

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"activation": activation, "initial_scale": self._initial_scale, **super().settings()}
