"""Stochastic hidden units that all rows share: one random factor for each unit."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import full_precision, register, tf, tf_keras, tfd
from variational_bnn.models.random_numbers import sizes_of
from variational_bnn.models.stochastic import Variational, positive_scale, softplus_inverse


@register
class SharedUnits(Variational):
    """One random factor for each unit, which multiplies the unit's output and is the same for all rows.

    The factors have the posterior q = N(loc, scale^2), all independent, with trained loc and scale, and the prior
    N(1, s^2). They are parameters, and their variance is epistemic: a network of point weights with such factors is a
    posterior over functions with one random number a unit instead of one a weight (Dusenberry et al. 2020,
    arXiv 2005.07186; Trinh et al. 2022, arXiv 2206.02435). A call adds `kl_weight * KL(q || prior) / num_examples` to
    the loss of the model, in closed form.

    In training, each row draws factors of its own. The expected log-likelihood of a row is the same as with factors
    drawn once for the batch, and its gradient varies less, as with local reparameterisation (Kingma et al. 2015,
    arXiv 1506.02557). `vbnn.predict` and `vbnn.sample_functions` draw the factors once for all rows, so that each draw
    is one function of x.

    Inputs and outputs have shape `[..., units]`.

    Args:
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it.
        prior_scale: s, > 0.
        initial_scale: Posterior standard deviation of each factor at the start, divided by that of its prior, > 0.
        seed: Seed of the random numbers; None takes one from the entropy of the operating system.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
        **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

    Attributes:
        num_examples: N.
        loc: Posterior means `[units]`, a variable; they start at 1.
        raw_scale: Variable `[units]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
        kl: KL of the last call divided by `num_examples`, a scalar tensor.
        kl_weight: Weight of the KL in the loss, a scalar variable that `KLAnnealing` sets.
        draws: Number of calls so far, a scalar variable that is saved with the weights.

    Raises:
        ValueError: If `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not > 0, or
            `kl_weight` is not >= 0.

    Example:
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> inputs = tf_keras.Input((3,))
        >>> hidden = tf_keras.layers.Dense(8, "relu")(inputs)
        >>> parameters = tf_keras.layers.Dense(2)(vbnn.SharedUnits(num_examples=len(x), seed=0)(hidden))
        >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, y, verbose=0)
        >>> vbnn.sample_functions(model, x, num_samples=10, seed=0).shape
        (10, 20, 1)
    """

    kind = "units"

    def __init__(
        self,
        num_examples: int,
        prior_scale: float = 1.0,
        initial_scale: float = 0.2,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_count("num_examples", num_examples)
        require(is_positive(prior_scale), f"prior_scale must be > 0, got {prior_scale!r}")
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        super().__init__(seed=seed, kl_weight=kl_weight, **full_precision(kwargs))
        self.num_examples = int(num_examples)
        self._prior_scale, self._initial_scale = float(prior_scale), float(initial_scale)

    def build(self, input_shape: Any) -> None:
        """Make the variables of the posterior."""
        raw = tf_keras.initializers.Constant(softplus_inverse(self._initial_scale * self._prior_scale))
        self.loc = self.add_weight(name="posterior_loc", shape=input_shape[-1:], initializer="ones")
        self.raw_scale = self.add_weight(name="posterior_raw_scale", shape=input_shape[-1:], initializer=raw)
        super().build(input_shape)

    def posterior(self) -> tfd.Distribution:
        """The posterior of the factors: batch shape `[]`, event shape `[units]`."""
        q = tfd.Normal(tf.convert_to_tensor(self.loc), positive_scale(self.raw_scale))
        return tfd.Independent(q, reinterpreted_batch_ndims=1)

    def units_kl(self) -> tf.Tensor:
        """KL(q || prior) of all factors in nats, a scalar, in closed form; not divided by `num_examples`."""
        q = self.posterior()
        prior = tfd.Independent(tfd.Normal(tf.ones_like(q.mean()), self._prior_scale), reinterpreted_batch_ndims=1)
        return tfd.kl_divergence(q, prior)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Multiply inputs `[..., units]` by factors that each row draws for itself."""
        inputs = tf.convert_to_tensor(inputs, self.compute_dtype)
        self.add_kl(self.units_kl() / self.num_examples)
        q = self.posterior().distribution
        within_row = [1] * (len(inputs.shape) - 2)  # All elements of a row have the same factors.
        shape = [sizes_of(inputs)[0], *within_row, inputs.shape[-1]]
        noise = self.random(inputs).normal(shape, inputs.dtype)
        return inputs * (q.loc + q.scale * noise)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        scales = {"prior_scale": self._prior_scale, "initial_scale": self._initial_scale}
        return {"num_examples": self.num_examples, **scales, **super().settings()}
