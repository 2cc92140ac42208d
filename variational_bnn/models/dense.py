"""Dense layers with random weights and biases, one for each estimator."""

from __future__ import annotations

from typing import Any

from variational_bnn.base.checks import require_count
from variational_bnn.models.backend import register, tf, tfp
from variational_bnn.models.estimators import ByFlipout, ByLocalReparameterization, ByReparameterization
from variational_bnn.models.mean_field import ARGUMENTS, ATTRIBUTES, NUM_EXAMPLES, MeanField, described
from variational_bnn.models.random_numbers import Shape, sizes_of

SECTIONS = f"""\
The weights and biases have the posterior q = N(loc, scale^2), all independent, with trained loc and scale. The prior of
each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`.

A call adds `kl_weight * KL(q || prior) / num_examples` to the loss of the model, with the KL in closed form. A layer
that is called twice in a model adds its KL twice.

`vbnn.predict` and `vbnn.sample_functions` do not call `draw`. They sample whole kernels and biases from `posterior()`,
in `prediction/rules.py`, so that each draw is one function of x.

Inputs have shape `[..., fan-in]`, outputs `[..., units]`.

Args:
    units: Size of the output.
{NUM_EXAMPLES}{ARGUMENTS}
Attributes:
    num_examples: N.
    loc: Posterior means `[fan-in + 1, units]`, a variable; the last row is that of the biases.
    raw_scale: Variable `[fan-in + 1, units]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
    prior_scales: Prior standard deviations `[fan-in + 1, 1]`, an array.
    kernel_posterior: Posterior of the weights `[fan-in, units]`, a `tfp` distribution.
    bias_posterior: Posterior of the biases `[units]`, a `tfp` distribution; None without biases.
{ATTRIBUTES}
Raises:
    ValueError: If `units` or `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not > 0,
        `kl_weight` is not >= 0, or the activation is unknown.

Example:
    >>> import tf_keras
    >>> import variational_bnn as vbnn
    >>> x, y = np.ones((20, 3)), np.ones((20, 1))
    >>> inputs = tf_keras.Input((3,))
    >>> hidden = vbnn.NAME(8, num_examples=len(x), activation="relu", seed=0)(inputs)
    >>> parameters = vbnn.NAME(2, num_examples=len(x), seed=1)(hidden)
    >>> model = vbnn.VariationalModel(inputs, vbnn.LikelihoodHead(vbnn.Normal(), output_size=1)(parameters))
    >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
    >>> history = model.fit(x, y, verbose=0)
    >>> vbnn.predict(model, x, num_samples=10, seed=0).mean.shape
    (20, 1)
"""


class MeanFieldDense(MeanField):
    """The base class of the three Dense layers: a matrix product. A subclass has one of TFP's layers as last base."""

    def __init__(
        self,
        units: int,
        num_examples: int,
        activation: Any = None,
        use_bias: bool = True,
        prior_scale: float = 1.0,
        scale_prior_by_fan_in: bool = True,
        initial_scale: float = 0.1,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_count("units", units)
        super().__init__(
            units,
            num_examples=num_examples,
            activation=activation,
            use_bias=use_bias,
            prior_scale=prior_scale,
            scale_prior_by_fan_in=scale_prior_by_fan_in,
            initial_scale=initial_scale,
            seed=seed,
            kl_weight=kl_weight,
            **kwargs,
        )

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        return {"units": self.units, **super().settings()}

    def build(self, input_shape: Any) -> None:
        """Make the variables of the posterior."""
        self.build_weights(int(input_shape[-1]), self.units)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs `[..., units]` of inputs `[..., fan-in]`."""
        inputs = tf.convert_to_tensor(inputs, self.compute_dtype)
        return super().call(tf.concat([inputs, tf.ones_like(inputs[..., :1])], -1) if self.use_bias else inputs)

    def linear(self, inputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The product of inputs, of which the last is the constant one, and weights.

        Args:
            inputs: Inputs `[..., fan-in + 1]`.
            weights: Values `[fan-in + 1, units]`.
        """
        return tf.matmul(inputs, tf.cast(weights, inputs.dtype))

    def sign_shape(self, inputs: tf.Tensor) -> tuple[Shape, int]:
        """Each row of the inputs has signs of its own.

        Args:
            inputs: Inputs `[..., fan-in + 1]`.
        """
        return sizes_of(inputs)[:-1], self.loc.shape[0]


@register
@described(SECTIONS)
class DenseReparameterization(ByReparameterization, MeanFieldDense, tfp.layers.DenseReparameterization):
    """A dense layer with random weights and biases, drawn once for the whole batch in training.

    Each call of training draws all weights and biases once, for all rows of the batch: Bayes by Backprop (Blundell et
    al. 2015, arXiv 1505.05424).
    """


@register
@described(SECTIONS)
class DenseFlipout(ByFlipout, MeanFieldDense, tfp.layers.DenseFlipout):
    """A dense layer with random weights and biases, drawn by Flipout in training.

    Each call of training draws one perturbation dW of the weights for the batch and flips its signs at random for each
    row x: `x mean + ((x * r) dW) * s`, with random signs r and s (Wen et al. 2018, arXiv 1803.04386). So the rows have
    nearly uncorrelated noise, and the gradients a lower variance than with `DenseReparameterization`.
    """


@register
@described(SECTIONS)
class DenseLocalReparameterization(ByLocalReparameterization, MeanFieldDense, tfp.layers.DenseLocalReparameterization):
    """A dense layer with random weights and biases, whose outputs are drawn instead of them in training.

    Each call of training draws the outputs of each row x from their own distribution, N(x mean, x^2 variance),
    independently (Kingma et al. 2015, arXiv 1506.02557).
    """
