"""Dense layers whose matrix of weights and biases has a posterior that is not a mean-field normal."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np

from variational_bnn.base.checks import is_positive, require, require_count
from variational_bnn.models.backend import full_precision, register, tf, tf_keras
from variational_bnn.models.mean_field import ATTRIBUTES, NUM_EXAMPLES, described, initial_means
from variational_bnn.models.random_numbers import sizes_of
from variational_bnn.models.stochastic import SCALE_FLOOR, Variational, lower_root, softplus_inverse

SECTIONS = f"""\
A call adds `kl_weight * KL / num_examples` to the loss of the model. Inputs have shape `[..., fan-in]`, outputs
`[..., units]`. In training, the outputs of each row are drawn from their own distribution. `vbnn.predict` and
`vbnn.sample_functions` draw the whole matrix by `weights_of`, so that each draw is one function of x.

Args:
    units: Size of the output.
{NUM_EXAMPLES}\
    activation: A Keras activation, or its name, that is applied to the outputs; None for a linear layer.
    seed: Seed of the initial values and of the random numbers; None takes one from the operating system.
    kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered posterior.
OWN
    **kwargs: Of `tf_keras.layers.Layer`, such as `name`.

Attributes:
    num_examples: N.
    loc: Posterior means `[fan-in + 1, units]`, a variable; the last row is that of the biases.
{ATTRIBUTES}
Raises:
    ValueError: If a number is out of its range, or the activation is unknown.

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


class RandomMatrix(Variational, abc.ABC):
    """The base class: a dense layer with a random matrix of weights `[fan-in + 1, units]`, whose last row is biases."""

    kind = "weights"

    def __init__(
        self,
        units: int,
        num_examples: int,
        activation: Any = None,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_count("units", units)
        require_count("num_examples", num_examples)
        super().__init__(seed=seed, kl_weight=kl_weight, **full_precision(kwargs))
        self.units, self.num_examples = int(units), int(num_examples)
        self.activation = tf_keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Make the variables of the posterior."""
        rows = int(input_shape[-1]) + 1
        self.loc = self.add_weight(name="posterior_loc", shape=(rows, self.units), initializer=self._initial_loc)
        self.build_variation(rows, self.units)
        super().build(input_shape)

    def _initial_loc(self, shape: Any, dtype: tf.DType, **_: Any) -> tf.Tensor:
        return initial_means(shape, dtype, self.noise_seed, 1)

    @abc.abstractmethod
    def build_variation(self, rows: int, units: int) -> None:
        """Make the variables of what varies around `loc`.

        Args:
            rows: fan-in + 1.
            units: Number of units.
        """

    @property
    def num_random(self) -> int:
        """How many numbers of the matrix are random."""
        return int(np.prod(self.loc.shape))

    @abc.abstractmethod
    def weights_of(self, noise: tf.Tensor) -> tf.Tensor:
        """Draws of the matrix from the posterior `[..., fan-in + 1, units]`, of standard normal noise of that shape."""

    @abc.abstractmethod
    def variation(self, inputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """How the outputs of a batch before the activation differ from their means in training, each row by itself.

        Args:
            inputs: Inputs with a one `[..., fan-in + 1]`.
            noise: Standard normal noise `[..., units]`.
        """

    @abc.abstractmethod
    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of the matrix in nats, a scalar; not divided by `num_examples`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw the outputs of each row from their own distribution, and add the KL to the loss."""
        inputs = tf.convert_to_tensor(inputs, self.compute_dtype)
        random, with_one = self.random(inputs), tf.concat([inputs, tf.ones_like(inputs[..., :1])], -1)
        mean = tf.matmul(with_one, self.loc)
        self.add_kl(self.weights_kl() / self.num_examples)
        return self.activation(mean + self.variation(with_one, random.normal(sizes_of(mean), mean.dtype)))

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        activation = tf_keras.activations.serialize(self.activation)
        return {
            "units": self.units,
            "num_examples": self.num_examples,
            "activation": activation,
            **super().settings(),
        }


PRIOR = """\
    prior_scale: s, > 0.
    scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.
    initial_scale: Posterior standard deviation of each weight and bias at the start, divided by that of its prior, > 0.
        Small values start near a network of point weights."""


@register
@described(SECTIONS.replace("OWN", PRIOR))
class DenseMatrixGaussian(RandomMatrix):
    """A dense layer whose weights have a matrix variate normal posterior: correlated by rows and by columns.

    The matrix W of weights and biases has the posterior q of W = loc + s A E B^T, with E of independent standard normal
    numbers, the prior's standard deviations s of the rows, and trained lower triangular A of the inputs and B of the
    units (Louizos & Welling 2016, arXiv 1603.04733, whose A and B are diagonal; without their pseudo-data). The prior
    of each weight is N(0, s^2 / fan-in) and that of each bias N(0, s^2), where s is `prior_scale`. The KL is in closed
    form. With diagonal A and B the posterior is a mean-field normal, whose variances are products.
    """

    def __init__(
        self,
        units: int,
        num_examples: int,
        activation: Any = None,
        prior_scale: float = 1.0,
        scale_prior_by_fan_in: bool = True,
        initial_scale: float = 0.1,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require(is_positive(prior_scale), f"prior_scale must be > 0, got {prior_scale!r}")
        require(is_positive(initial_scale), f"initial_scale must be > 0, got {initial_scale!r}")
        super().__init__(units, num_examples, activation, seed, kl_weight, **kwargs)
        self._numbers = {
            "prior_scale": float(prior_scale),
            "scale_prior_by_fan_in": bool(scale_prior_by_fan_in),
            "initial_scale": float(initial_scale),
        }

    def build_variation(self, rows: int, units: int) -> None:
        """Make the variables of A `[fan-in + 1, fan-in + 1]` and B `[units, units]`."""
        numbers = self._numbers
        kernel_scale = numbers["prior_scale"] / math.sqrt(rows - 1 if numbers["scale_prior_by_fan_in"] else 1)
        self.prior_scales = np.array([kernel_scale] * (rows - 1) + [numbers["prior_scale"]])
        raw = tf_keras.initializers.Constant(softplus_inverse(math.sqrt(numbers["initial_scale"])))
        self.raw_row_scale = self.add_weight(name="raw_row_scale", shape=(rows,), initializer=raw)
        self.raw_column_scale = self.add_weight(name="raw_column_scale", shape=(units,), initializer=raw)
        self.rows_below = self.add_weight(name="rows_below", shape=(rows, rows), initializer="zeros")
        self.columns_below = self.add_weight(name="columns_below", shape=(units, units), initializer="zeros")

    def roots(self) -> tuple[tf.Tensor, tf.Tensor]:
        """A `[fan-in + 1, fan-in + 1]` and B `[units, units]`, lower triangular."""
        return lower_root(self.raw_row_scale, self.rows_below), lower_root(self.raw_column_scale, self.columns_below)

    def weights_of(self, noise: tf.Tensor) -> tf.Tensor:
        """Draws of the matrix `[..., fan-in + 1, units]`, of standard normal noise of that shape."""
        row, column = self.roots()
        return self.loc + self._scales[:, None] * (row @ noise @ tf.transpose(column))

    def variation(self, inputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """|A^T s x| B noise."""
        row, column = self.roots()
        size = tf.norm(tf.matmul(inputs * self._scales, row), axis=-1, keepdims=True)
        return size * tf.matmul(noise, column, transpose_b=True)

    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of the R x U matrix in nats, a scalar; not divided by `num_examples`.

        With M = loc / s it is (|A|^2 |B|^2 + |M|^2 - R U) / 2 - U log det A - R log det B, by sums of squares.
        """
        (row, column), (rows, units) = self.roots(), self.loc.shape
        squares = tf.reduce_sum(row**2) * tf.reduce_sum(column**2)
        squares += tf.reduce_sum((self.loc / self._scales[:, None]) ** 2)
        log_row, log_column = (tf.reduce_sum(tf.math.log(tf.linalg.diag_part(root))) for root in (row, column))
        return (squares - rows * units) / 2 - units * log_row - rows * log_column

    @property
    def _scales(self) -> tf.Tensor:
        return tf.constant(self.prior_scales, self.loc.dtype)

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        return {**super().settings(), **self._numbers}


RATE = """\
    initial_rate: Rate of the dropout with as much noise as there is at the start, > 0 and < 0.5."""


@register
@described(SECTIONS.replace("OWN", RATE))
class DenseVariationalDropout(RandomMatrix):
    """A dense layer with multiplicative normal noise of learned rates: variational dropout.

    Each weight has the posterior N(loc, alpha loc^2), where alpha, between 0 and 1, is learned for each input: as much
    noise as dropout of rate alpha / (1 + alpha) (Kingma, Salimans & Welling 2015, arXiv 1506.02557, with independent
    noise of the weights). Biases are points. The prior of each weight is uniform in log|w|, for which KL(q || prior)
    depends on alpha alone, up to a constant, that of alpha = 1; it is the paper's polynomial.

    That prior is improper, and in general so is the posterior: what is trained is no approximation of any posterior,
    and the loss no bound (Hron, Matthews & Ghahramani 2018, arXiv 1807.01969).
    """

    def __init__(
        self,
        units: int,
        num_examples: int,
        activation: Any = None,
        initial_rate: float = 0.05,
        seed: int | None = None,
        kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require(
            is_positive(initial_rate) and initial_rate < 0.5,
            f"initial_rate must be > 0 and < 0.5, got {initial_rate!r}",
        )
        super().__init__(units, num_examples, activation, seed, kl_weight, **kwargs)
        self._initial_rate = float(initial_rate)

    def build_variation(self, rows: int, units: int) -> None:
        """Make the variable of the rates of the inputs."""
        alpha = self._initial_rate / (1 - self._initial_rate)
        raw = tf_keras.initializers.Constant(math.log(alpha / (1 - alpha)))
        self.raw_alpha = self.add_weight(name="raw_alpha", shape=(rows - 1,), initializer=raw)

    @property
    def num_random(self) -> int:
        """How many weights there are: biases are points."""
        return int(np.prod(self.loc.shape)) - self.units

    @property
    def alpha(self) -> tf.Tensor:
        """Variance of the noise of each input `[fan-in]`."""
        return tf.sigmoid(self.raw_alpha)

    def weights_of(self, noise: tf.Tensor) -> tf.Tensor:
        """Draws of the matrix `[..., fan-in + 1, units]`, of standard normal noise of that shape."""
        return self.loc * (1 + self._noise_scales[:, None] * noise)

    def variation(self, inputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Square root of x^2 alpha loc^2, times noise."""
        variance = tf.matmul((inputs * self._noise_scales) ** 2, self.loc**2)
        return tf.sqrt(variance + SCALE_FLOOR**2) * noise

    @property
    def _noise_scales(self) -> tf.Tensor:
        """Standard deviations of the noise, `[fan-in + 1]`; the biases have none."""
        return tf.concat([tf.sqrt(self.alpha), tf.zeros([1], self.loc.dtype)], 0)

    def weights_kl(self) -> tf.Tensor:
        """KL(q || prior) of all weights in nats, a scalar, up to a constant; not divided by `num_examples`."""
        alpha = self.alpha
        kl = -(tf.math.log_sigmoid(self.raw_alpha) / 2 + sum(c * alpha**power for power, c in enumerate(POLYNOMIAL, 1)))
        return self.units * tf.reduce_sum(kl + sum(POLYNOMIAL))

    def settings(self) -> dict[str, Any]:
        """Plain values of the arguments of this class."""
        return {**super().settings(), "initial_rate": self._initial_rate}


POLYNOMIAL = 1.16145124, -1.50204118, 0.58629921
"""Coefficients of alpha, alpha^2 and alpha^3 in -KL(q || prior), of Kingma et al. 2015, equation 14."""
