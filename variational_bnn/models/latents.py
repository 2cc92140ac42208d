"""Stochastic hidden units of each row: latent variables whose distribution depends on the inputs."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import full_precision, register, tf, tf_keras, tfd
from variational_bnn.models.random_numbers import sizes_of
from variational_bnn.models.stochastic import Stochastic, Variational, positive_scale, softplus_inverse


def normal_of(parameters: tf.Tensor, initial_scale: float) -> tfd.Distribution:
    """The distribution N(loc, scale^2) of latents by parameters `[..., 2 * units]`: loc, and then raw scales.

    Args:
        parameters: What the layer below puts out.
        initial_scale: Standard deviation where the parameters are 0.

    Returns:
        A distribution of batch shape `[...]` and event shape `[units]`.
    """
    loc, raw = tf.split(tf.convert_to_tensor(parameters), 2, axis=-1)
    scale = positive_scale(raw + softplus_inverse(initial_scale))
    return tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1)


@register
class NormalUnits(Variational):
    """Stochastic hidden units: latents z with posterior q(z given x) = N(loc, scale^2) for each row, and outputs a(z).

    The layer below gives the parameters of the posterior: of inputs `[..., 2 * units]`, the first half is loc and the
    second half the raw scale; a is an activation. The prior of each latent is N(0, 1). A call adds
    `kl_weight * KL(q || prior)` to the loss of the model, summed over the units and averaged over the rows of the batch
    (Kingma & Welling 2014, arXiv 1312.6114). Each row has its own random numbers, in training and in prediction: the
    latents are noise of the row, not uncertainty about parameters (Depeweg et al. 2018, arXiv 1710.07283).

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
        super().__init__(seed=seed, kl_weight=kl_weight, **full_precision(kwargs))
        self.activation = tf_keras.activations.get(activation)
        self._initial_scale = float(initial_scale)

    def posterior(self, inputs: tf.Tensor) -> tfd.Distribution:
        """The posterior q(z given x) by inputs `[..., 2 * units]`: batch shape `[...]`, event shape `[units]`."""
        return normal_of(inputs, self._initial_scale)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs `[..., units]` by inputs `[..., 2 * units]`, independently for each row."""
        q = self.posterior(inputs)
        loc, scale = q.distribution.loc, q.distribution.scale
        prior = tfd.Independent(tfd.Normal(tf.zeros_like(loc), tf.ones_like(scale)), reinterpreted_batch_ndims=1)
        kl = tfd.kl_divergence(q, prior)  # A replica may have no rows of a last batch: the mean is then 0.
        self.add_kl(tf.math.divide_no_nan(tf.reduce_sum(kl), tf.cast(tf.shape(kl)[0], kl.dtype)))
        return self.activation(loc + scale * self.random(loc).normal(sizes_of(loc), loc.dtype))

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        activation = tf_keras.activations.serialize(self.activation)
        return {"activation": activation, "initial_scale": self._initial_scale, **super().settings()}


@register
class ConditionalUnits(Stochastic):
    """Stochastic hidden units with a learned prior: K draws of latents z from p(z given x) = N(loc, scale^2) a row.

    The layer below gives the parameters of the prior: of inputs `[..., 2 * units]`, the first half is loc and the
    second half the raw scale. Outputs have shape `[..., K, units]`; a `MixtureHead` makes a distribution of y of what
    the layers above make of them. Its density is the mean over the K draws, so the loss

        -log (1/K sum_k p(y given x, z_k))

    is, in expectation, an upper bound of -log p(y given x), which falls to it as K grows (Burda et al. 2015,
    arXiv 1509.00519, with the prior as proposal; Tang & Salakhutdinov 2013, Learning Stochastic Feedforward Neural
    Networks). There is no KL. The latents are noise of the row, not uncertainty about parameters. A prediction draws
    one z for each row and draw. Layers above this one must have point weights or draw once for a row and all its
    latents, as `SharedUnits` and `DenseReparameterization` do: those that draw for each of the K latents apart, as
    `DenseFlipout` does in training, are trained by another bound.

    Args:
        num_draws: K, >= 1.
        initial_scale: Standard deviation of the latents where the inputs are 0, as they nearly are at the start, > 0.
        seed: Seed of the random numbers; None takes one from the entropy of the operating system.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        num_draws: K.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `num_draws` is not a whole number >= 1, or `initial_scale` is not > 0.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> inputs = tf_keras.Input((3,))
        >>> latents = vbnn.ConditionalUnits(num_draws=10, seed=0)(tf_keras.layers.Dense(2 * 5)(inputs))
        >>> latents.shape
        TensorShape([None, 10, 5])
        >>> parameters = tf_keras.layers.Dense(2)(latents)
        >>> model = vbnn.VariationalModel(inputs, vbnn.MixtureHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(np.ones((20, 3)), np.ones((20, 1)), verbose=0)
    """

    def __init__(self, num_draws: int = 10, initial_scale: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        require_count("num_draws", num_draws)
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        super().__init__(seed=seed, **full_precision(kwargs))
        self.num_draws, self._initial_scale = int(num_draws), float(initial_scale)

    def prior(self, inputs: tf.Tensor) -> tfd.Distribution:
        """The prior p(z given x) by inputs `[..., 2 * units]`: batch shape `[...]`, event shape `[units]`."""
        return normal_of(inputs, self._initial_scale)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw latents `[..., K, units]` by inputs `[..., 2 * units]`, independently for each row."""
        p = self.prior(inputs).distribution
        loc, scale = p.loc[..., None, :], p.scale[..., None, :]
        shape = [*sizes_of(loc)[:-2], self.num_draws, loc.shape[-1]]
        return loc + scale * self.random(loc).normal(shape, loc.dtype)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        return {"num_draws": self.num_draws, "initial_scale": self._initial_scale, **super().settings()}
