"""What the function samples of a model say of y: its predictive, the functions themselves, and mean log densities."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Predictive
from variational_bnn.base.checks import Array, Float32Array, finite_table, flattened, require
from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.likelihoods import Bernoulli, Categorical
from variational_bnn.prediction.function_samples import Blocks, FunctionSamples

NO_DENSITY = "the model puts out a tensor, not a distribution, so it has neither density nor noise"


def predict(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 200, seed: int = 0) -> Predictive:
    """Predict y at N inputs from S function samples of a model, with the variance of y split by its source.

    A function sample is one draw of everything random in the model, which serves all inputs. The variance of y over
    the samples is the variance of their means (epistemic) plus the mean of their variances (aleatoric).

    Any tf_keras model will do. Function samples of the dense variational layers of this package and of TensorFlow
    Probability, of `NormalUnits` and of Keras's Dropout are drawn in compiled blocks, and do not depend on the number
    of inputs. Other random layers draw in their own way, in one call a sample for all inputs; whether such a sample is
    one function at all inputs is up to the layer. A model that puts out a tensor instead of a distribution has no
    aleatoric variance, no density and no noise to sample. For stochastic hidden units (`build_hidden_variation`) the
    epistemic variance is that of the units' noise, which is not uncertainty about parameters.

    Args:
        model: The model as it is now. Training it further does not change a predictive that was made before.
        x: Inputs `[N, ...]` of the shape that the model takes; `[N]` if it takes one feature.
        num_samples: S, a whole number >= 1.
        seed: Seed of the function samples, >= 0. The same seed gives the same samples.

    Returns:
        The predictive of D outputs in the units that the model was trained in. Its log densities and its draws of y use
        the same S function samples, which are computed again for each of them.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x does not fit the model or is not finite, num_samples < 1 or seed < 0.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_weight_variation(network, num_examples=20, seed=0)
        >>> predictive = vbnn.predict(model, np.linspace(-1, 1, 5), num_samples=50, seed=0)
        >>> predictive.mean.shape
        (5, 1)
        >>> total = predictive.epistemic_variance + predictive.aleatoric_variance
        >>> bool((predictive.variance == total).all())
        True
        >>> predictive.log_prob(np.zeros(5)).shape, predictive.sample(seed=0).shape
        ((5,), (50, 5, 1))
    """
    samples = FunctionSamples.of(model, x, num_samples, seed)
    sampler = samples.sampler
    weights, classes = [variable.numpy() for variable in sampler.variables], sampler.classes
    chunks = [_moments(blocks, classes) for blocks in samples.moments()]
    mean, epistemic, aleatoric, expected_entropy = map(np.concatenate, zip(*chunks, strict=True))

    def log_likelihood(y: Array, tau: int) -> Array:
        require(sampler.has_density, NO_DENSITY)
        if classes:
            classes.require_targets(y)
        with _assigned(sampler.variables, weights):
            return np.concatenate([_log_mean(blocks, tau) for blocks in samples.again().log_densities(y, tau)])

    def sample(noise_seed: int) -> Float32Array:
        require(sampler.has_density, NO_DENSITY)
        with _assigned(sampler.variables, weights):
            return _joined(samples.again().noisy(noise_seed))

    return Predictive(
        mean=mean,
        epistemic_variance=epistemic,
        aleatoric_variance=aleatoric,
        log_likelihood=log_likelihood,
        sampler=sample,
        entropy=classes.entropy(mean) if classes else None,
        expected_entropy=expected_entropy if classes else None,
    )


def sample_functions(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 200, seed: int = 0) -> Float32Array:
    """Draw S function samples of a model at N inputs: E[y given x, sample].

    Each sample is one function, the same at every x, however many inputs there are; see `predict` for the models of
    which this holds.

    Args:
        model: Any tf_keras model.
        x: Inputs `[N, ...]` of the shape that the model takes; `[N]` if it takes one feature.
        num_samples: S, a whole number >= 1.
        seed: Seed of the function samples, >= 0. Fewer samples of the same seed are the first of more.

    Returns:
        `[S, N, D]`, in the units that the model was trained in; of a class, the probabilities of all classes.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x does not fit the model or is not finite, num_samples < 1 or seed < 0.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_weight_variation(network, num_examples=20, seed=0)
        >>> x = np.linspace(-1, 1, 5)
        >>> functions = vbnn.sample_functions(model, x, num_samples=50, seed=0)
        >>> functions.shape
        (50, 5, 1)
        >>> at_the_ends = vbnn.sample_functions(model, x[[0, -1]], num_samples=50, seed=0)
        >>> np.allclose(at_the_ends, functions[:, [0, -1]], atol=1e-5)
        True
    """
    functions = _joined(FunctionSamples.of(model, x, num_samples, seed).moments())
    return functions if len(functions) == num_samples else np.repeat(functions, num_samples, axis=0)


def mean_log_prob(model: tf_keras.Model, x: npt.ArrayLike, y: npt.ArrayLike, *, num_samples: int, seed: int) -> Array:
    """The mean over S function samples of log p(y given x, sample): the data's part of the evidence lower bound.

    `Predictive.log_prob` is the log of the mean density instead of the mean of the log density.

    Args:
        model: Any tf_keras model whose output is a distribution.
        x: Inputs `[N, ...]`; `[N]` if the model takes one feature.
        y: Targets `[N, D]`, or `[N]` if D = 1.
        num_samples: S, a whole number >= 1.
        seed: Seed of the function samples, >= 0.

    Returns:
        `[N]`, in nats.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x or y does not fit the model or is not finite, or the model puts out no distribution.
    """
    samples, targets = FunctionSamples.of(model, x, num_samples, seed), finite_table("y", flattened(y))
    sampler = samples.sampler
    require(sampler.has_density, NO_DENSITY)
    expected = [len(samples.x), sampler.num_targets]
    require(list(targets.shape) == expected, f"y must have shape {expected}, got {list(targets.shape)}")
    if sampler.classes:
        sampler.classes.require_targets(targets)
    return _joined(samples.log_densities(targets)).mean(axis=0, dtype=np.float64)


@contextlib.contextmanager
def _assigned(variables: list[tf.Variable], values: list[Any]) -> Iterator[None]:
    """Within the context, the variables have these values."""
    present = [variable.numpy() for variable in variables]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(variables, present, strict=True):
            variable.assign(value)


def _joined(chunks: Iterable[Blocks]) -> Float32Array:
    """The first array of every block, as one array `[S, N, ...]`."""
    return np.concatenate([np.concatenate([first for first, *_ in blocks]) for blocks in chunks], axis=1)


def _moments(blocks: Blocks, classes: Bernoulli | Categorical | None) -> tuple[Array, Array, Array, Array]:
    """Mean, epistemic and aleatoric variance `[R, D]`, and the expected entropy, `[R, 0]` if y is not a class.

    Deviations from the first sample are summed, so that the variance is exactly 0 if all samples are equal.
    """
    count, first = 0, np.zeros(())
    total = squares = noise = entropies = np.zeros(())
    for means, variances in blocks:
        first = first if count else means[0].astype(np.float64)
        deviation = means - first
        total = total + deviation.sum(axis=0)
        squares = squares + (deviation**2).sum(axis=0)
        noise = noise + variances.sum(axis=0, dtype=np.float64)
        entropy = classes.entropy(means.astype(np.float64)) if classes else np.zeros((1, len(first), 0))
        entropies = entropies + entropy.sum(axis=0)
        count += len(means)
    shift = total / count
    return first + shift, np.maximum(squares / count - shift**2, 0), noise / count, entropies / count


def _log_mean(blocks: Blocks, tau: int) -> Array:
    """Log of the mean over the samples of the joint density of tau rows at a time, `[R // tau]`."""
    total, count = np.array(-np.inf), 0
    for (log_densities,) in blocks:
        whole = log_densities[:, : log_densities.shape[1] // tau * tau]
        joint = whole.reshape(len(whole), -1, tau).sum(axis=-1, dtype=np.float64)
        total = np.logaddexp(total, np.logaddexp.reduce(joint, axis=0))
        count += len(joint)
    return total - np.log(count)
