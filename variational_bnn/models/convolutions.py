"""Convolutions in one, two and three dimensions with random weights and biases, by two estimators.

There is none by local reparameterisation: the outputs of one image share their weights, so they are correlated, and
noise drawn apart for each of them would be that of another model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from variational_bnn.base.checks import require, require_count
from variational_bnn.models.backend import register, tf, tfp
from variational_bnn.models.estimators import ByFlipout, ByReparameterization
from variational_bnn.models.mean_field import ARGUMENTS, ATTRIBUTES, NUM_EXAMPLES, MeanField, described
from variational_bnn.models.random_numbers import Shape, sizes_of

SECTIONS = f"""\
The weights and biases have the posterior q = N(loc, scale^2), all independent, with trained loc and scale. The prior of
each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`; the fan-in is the number of
elements of the kernel's window times that of channels.

A call adds `kl_weight * KL(q || prior) / num_examples` to the loss of the model, with the KL in closed form. A layer
that is called twice in a model adds its KL twice. `vbnn.predict` and `vbnn.sample_functions` sample whole kernels and
biases, so that each draw is one function of x.

Inputs have shape `[N, ..., channels]`, outputs `[N, ..., filters]`.

Args:
    filters: Number of filters.
    kernel_size: Size of the kernel's window along each dimension, or one number for all.
{NUM_EXAMPLES}    strides: Step of the window along each dimension, or one number for all.
    padding: "valid" or "same".
    dilation_rate: Distance between elements of the window, along each dimension or one number for all.
{ARGUMENTS}
Attributes:
    num_examples: N.
    loc: Posterior means `[fan-in + 1, filters]`, a variable; the last row is that of the biases.
    raw_scale: Variable `[fan-in + 1, filters]`; the posterior standard deviations are 1e-5 + softplus(raw_scale).
    prior_scales: Prior standard deviations `[fan-in + 1, 1]`, an array.
    kernel_posterior: Posterior of the weights `[*kernel_size, channels, filters]`, a `tfp` distribution.
    bias_posterior: Posterior of the biases `[filters]`, a `tfp` distribution; None without biases.
{ATTRIBUTES}
Raises:
    ValueError: If `filters` or `num_examples` is not a whole number >= 1, `prior_scale` or `initial_scale` is not > 0,
        `kl_weight` is not >= 0, the activation is unknown, or the channels are not the last axis.

Example:
    >>> import tf_keras
    >>> import variational_bnn as vbnn
    >>> x, y = np.ones((10, *SIZES, 1)), np.ones((10, 1))
    >>> inputs = tf_keras.Input((*SIZES, 1))
    >>> features = vbnn.NAME(2, 3, num_examples=len(x), activation="relu", seed=0)(inputs)
    >>> logits = vbnn.DenseFlipout(2, num_examples=len(x), seed=1)(tf_keras.layers.Flatten()(features))
    >>> y_given_x = vbnn.LikelihoodHead(vbnn.Categorical(num_classes=2), output_size=1)(logits)
    >>> model = vbnn.VariationalModel(inputs, y_given_x)
    >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
    >>> history = model.fit(x, y, verbose=0)
    >>> vbnn.predict(model, x, num_samples=10, seed=0).probabilities.shape
    (10, 2)
"""


class MeanFieldConvolution(MeanField):
    """The base class of the convolutions. A subclass has one of TFP's layers as last base."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        num_examples: int,
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        dilation_rate: int | tuple[int, ...] = 1,
        activation: Any = None,
        use_bias: bool = True,
        prior_scale: float = 1.0,
        scale_prior_by_fan_in: bool = True,
        initial_scale: float = 0.1,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_count("filters", filters)
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            dilation_rate=dilation_rate,
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
        last = self.data_format == "channels_last"
        require(last, f"data_format must be 'channels_last', got {self.data_format!r}")

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        names = "filters", "kernel_size", "strides", "padding", "dilation_rate"
        return {**{name: getattr(self, name) for name in names}, **super().settings()}

    def build(self, input_shape: Any) -> None:
        """Make the variables of the posterior."""
        self.build_weights(int(np.prod(self.kernel_size)) * int(input_shape[-1]), self.filters)
        super().build(input_shape)

    def linear(self, inputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The convolution of images with a kernel, plus the bias.

        Args:
            inputs: Images `[N, ..., channels]`.
            weights: Values `[fan-in + 1, filters]`.
        """
        weights = tf.cast(weights, inputs.dtype)
        kernel, bias = (weights[:-1], weights[-1]) if self.use_bias else (weights, 0.0)
        kernel = tf.reshape(kernel, [*self.kernel_size, self.input_spec.axes[-1], self.filters])
        return bias + tf.nn.convolution(
            inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate
        )

    def sign_shape(self, inputs: tf.Tensor) -> tuple[Shape, int]:
        """Each image has signs of its own, for each channel: the same at all its pixels, as its weights are.

        Args:
            inputs: Images `[N, ..., channels]`.
        """
        return [*sizes_of(inputs)[:1], *[1] * self.rank], self.input_spec.axes[-1]


@register
@described(SECTIONS.replace("*SIZES", "5"))
class Convolution1DReparameterization(
    ByReparameterization, MeanFieldConvolution, tfp.layers.Convolution1DReparameterization
):
    """A convolution in one dimension with random weights and biases, drawn once for the whole batch in training.

    Each call of training draws all weights and biases once, for all images of the batch: Bayes by Backprop (Blundell et
    al. 2015, arXiv 1505.05424).
    """


@register
@described(SECTIONS.replace("*SIZES", "5"))
class Convolution1DFlipout(ByFlipout, MeanFieldConvolution, tfp.layers.Convolution1DFlipout):
    """A convolution in one dimension with random weights and biases, drawn by Flipout in training.

    Each call of training draws one perturbation of the weights for the batch, whose signs each image flips at random
    (Wen et al. 2018, arXiv 1803.04386).
    """


@register
@described(SECTIONS.replace("*SIZES", "5, 5"))
class Convolution2DReparameterization(
    ByReparameterization, MeanFieldConvolution, tfp.layers.Convolution2DReparameterization
):
    """A convolution in two dimensions with random weights and biases, drawn once for the whole batch in training.

    Each call of training draws all weights and biases once, for all images of the batch: Bayes by Backprop (Blundell et
    al. 2015, arXiv 1505.05424).
    """


@register
@described(SECTIONS.replace("*SIZES", "5, 5"))
class Convolution2DFlipout(ByFlipout, MeanFieldConvolution, tfp.layers.Convolution2DFlipout):
    """A convolution in two dimensions with random weights and biases, drawn by Flipout in training.

    Each call of training draws one perturbation of the weights for the batch, whose signs each image flips at random
    (Wen et al. 2018, arXiv 1803.04386).
    """


@register
@described(SECTIONS.replace("*SIZES", "5, 5, 5"))
class Convolution3DReparameterization(
    ByReparameterization, MeanFieldConvolution, tfp.layers.Convolution3DReparameterization
):
    """A convolution in three dimensions with random weights and biases, drawn once for the whole batch in training.

    Each call of training draws all weights and biases once, for all images of the batch: Bayes by Backprop (Blundell et
    al. 2015, arXiv 1505.05424).
    """


@register
@described(SECTIONS.replace("*SIZES", "5, 5, 5"))
class Convolution3DFlipout(ByFlipout, MeanFieldConvolution, tfp.layers.Convolution3DFlipout):
    """A convolution in three dimensions with random weights and biases, drawn by Flipout in training.

    Each call of training draws one perturbation of the weights for the batch, whose signs each image flips at random
    (Wen et al. 2018, arXiv 1803.04386).
    """
