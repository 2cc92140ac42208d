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
from variational_bnn.prediction.function_samples import Blocks, FunctionSamples, Sampler

NO_DENSITY = "the model puts out a tensor, not a distribution, so it has neither density nor noise"


def predict(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 200, seed: int = 0) -> Predictive:
    """Predict y at N inputs from S function samples of a model, with the variance of y split by its source.

    A function sample is one draw of everything random in the model: weights, masks and factors of units once for all
    rows, latents for each row. The variance of y over the samples is the variance of their means, epistemic as far as
    it comes from what is drawn once for all rows and latent as far as it comes from what is drawn for each row, plus
    the mean of their variances (aleatoric). In a model with both, each sample has 8 draws of the latents, by which
    the two parts are estimated; where all is latent, a small epistemic variance may be left.

    Any tf_keras model will do. Function samples of the dense variational layers of this package and of TensorFlow
    Probability, of `SharedUnits`, `NormalUnits` and `ConditionalUnits` and of Keras's Dropout are drawn in compiled
    blocks. Other random layers draw in their own way, in one call a sample for all inputs; what differs there between
    copies of a row counts as drawn for each row, and so do the signs of TFP's convolutions by Flipout. A model that
    puts out a tensor instead of a distribution has no aleatoric variance, no density and no noise to sample.

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
        >>> parts = predictive.epistemic_variance, predictive.latent_variance, predictive.aleatoric_variance
        >>> bool((predictive.variance == sum(parts)).all())
        True
        >>> predictive.log_prob(np.zeros(5)).shape, predictive.sample(seed=0).shape
        ((5,), (50, 5, 1))
    """
    samples = FunctionSamples.of(model, x, num_samples, seed)
    sampler = samples.sampler
    weights, classes = [variable.numpy() for variable in sampler.variables], sampler.classes
    chunks = [_moments(blocks, sampler) for blocks in samples.moments()]
    mean, epistemic, latent, aleatoric, latent_information, expected_entropy = map(
        np.concatenate, zip(*chunks, strict=True)
    )

    def log_likelihood(y: Array, tau: int) -> Array:
        require(sampler.has_density, NO_DENSITY)
        if classes:
            classes.require_targets(y)
        with _assigned(sampler.variables, weights):
            chunks = samples.again().log_densities(y)
            # Without anything that rows share they are independent, so that their densities multiply.
            return _log_mean(chunks, tau) if sampler.shared else _sums(_log_mean(chunks, 1), tau)

    def sample(noise_seed: int) -> Float32Array:
        require(sampler.has_density, NO_DENSITY)
        with _assigned(sampler.variables, weights):
            return _first_copies(samples.again().noisy(noise_seed))

    return Predictive(
        mean=mean,
        epistemic_variance=epistemic,
        latent_variance=latent,
        aleatoric_variance=aleatoric,
        log_likelihood=log_likelihood,
        sampler=sample,
        entropy=classes.entropy(mean) if classes else None,
        expected_entropy=expected_entropy if classes else None,
        latent_information=latent_information if classes else None,
    )


def sample_functions(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 200, seed: int = 0) -> Float32Array:
    """Draw S function samples of a model at N inputs: E[y given x, sample].

    Each sample is one function, the same at every x, however many inputs there are; see `predict` for the models of
    which this holds. Latents are drawn for each row: given x, the rows of a sample are then independent.

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
    functions = _first_copies(FunctionSamples.of(model, x, num_samples, seed).moments())
    return functions if len(functions) == num_samples else np.repeat(functions, num_samples, axis=0)


def mean_log_prob(
    model: tf_keras.Model, x: npt.ArrayLike, y: npt.ArrayLike, *, num_samples: int, num_draws: int = 1, seed: int
) -> Array:
    """The mean over S function samples of log p(y given x, sample): the data's part of the evidence lower bound.

    `Predictive.log_prob` is the log of the mean density instead of the mean of the log density.

    Args:
        model: Any tf_keras model whose output is a distribution.
        x: Inputs `[N, ...]`; `[N]` if the model takes one feature.
        y: Targets `[N, D]`, or `[N]` if D = 1.
        num_samples: S, a whole number >= 1.
        num_draws: K, a whole number >= 1: the log of the mean density over K draws of each row's latents in a sample,
            as in the bound of `ConditionalUnits`.
        seed: Seed of the function samples, >= 0.

    Returns:
        `[N]`, in nats.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x or y does not fit the model or is not finite, or the model puts out no distribution.
    """
    samples, targets = FunctionSamples.of(model, x, num_samples, seed, num_draws), finite_table("y", flattened(y))
    sampler = samples.sampler
    require(sampler.has_density, NO_DENSITY)
    expected = [len(samples.x), sampler.num_targets]
    require(list(targets.shape) == expected, f"y must have shape {expected}, got {list(targets.shape)}")
    if sampler.classes:
        sampler.classes.require_targets(targets)
    chunks = ([block.astype(np.float64) for (block,) in blocks] for blocks in samples.log_densities(targets))
    means = [np.concatenate([_log_mean_exp(block, axis=1) for block in blocks]).mean(axis=0) for blocks in chunks]
    return np.concatenate(means)


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


def _first_copies(chunks: Iterable[Blocks]) -> Float32Array:
    """The first array of every block as one array `[S, N, ...]`, of the first of the copies of each row."""
    return np.concatenate([np.concatenate([first[:, 0] for first, *_ in blocks]) for blocks in chunks], axis=1)


def _moments(blocks: Blocks, sampler: Sampler) -> tuple[Array, ...]:
    """Mean, three variances, latent information and expected entropy of R rows, `[R, D]`; see `Predictive`.

    The last two are `[R, 0]` if y is not a class. Deviations from the first sample are summed, so that variance and
    information are exactly 0 if all samples are equal.
    """
    count, first = 0, np.zeros(())
    total = squares = within = noise = entropies = entropies_of_means = np.zeros(())
    for means, variances in blocks:
        first = first if count else means[0, 0].astype(np.float64)
        deviation = means - first
        total = total + deviation.sum(axis=(0, 1))
        squares = squares + (deviation**2).sum(axis=(0, 1))
        noise = noise + variances.sum(axis=(0, 1), dtype=np.float64)
        entropies = entropies + (_entropy(sampler, means) - _entropy(sampler, first)).sum(axis=(0, 1))
        if sampler.copies > 1:
            within = within + sampler.copies * deviation.var(axis=1).sum(axis=0)
            of_means = _entropy(sampler, means.mean(axis=1, dtype=np.float64))
            change = (of_means - _entropy(sampler, first)).sum(axis=0)
            entropies_of_means = entropies_of_means + sampler.copies * change
        count += len(means) * sampler.copies
    shift = total / count
    mean, expected_entropy = first + shift, _entropy(sampler, first) + entropies / count
    variance = np.maximum(squares / count - shift**2, 0)
    information = np.maximum(_entropy(sampler, mean) - expected_entropy, 0)
    epistemic = _epistemic(sampler, variance, within / count)
    mutual_information = _epistemic(sampler, information, (entropies_of_means - entropies) / count)
    return mean, epistemic, variance - epistemic, noise / count, information - mutual_information, expected_entropy


def _entropy(sampler: Sampler, means: Array | Float32Array) -> Array:
    """Entropy `[..., D]` of y by its mean `[..., K]` if y is a class, otherwise `[..., 0]`."""
    return sampler.classes.entropy(means.astype(np.float64)) if sampler.classes else np.zeros((*means.shape[:-1], 0))


def _epistemic(sampler: Sampler, total: Array, within: Array) -> Array:
    """The part of a total variance or information that comes from what is drawn once for all rows.

    Args:
        sampler: The sampler.
        total: Of all samples and all copies of the rows.
        within: That of the K copies within a sample, its mean over the samples. K / (K - 1) times it is an unbiased
            estimate of the latent part.
    """
    if not sampler.per_row:
        return total
    if not sampler.shared:
        return np.zeros_like(total)
    return np.maximum(total - sampler.copies / (sampler.copies - 1) * within, 0)


def _log_mean(chunks: Iterable[Blocks], tau: int) -> Array:
    """Log of the mean over the samples of the joint density of tau rows at a time, `[N // tau]`.

    The density of a row given a sample is the mean over the copies of the row.
    """
    found, waiting = [], np.zeros((1, 0))
    for blocks in chunks:
        densities = np.concatenate([_log_mean_exp(block.astype(np.float64), axis=1) for (block,) in blocks])
        begun = np.broadcast_to(waiting, (len(densities), waiting.shape[1]))
        rows = np.concatenate([begun, densities], axis=1)
        whole = rows.shape[1] // tau * tau
        found.append(_log_mean_exp(_sums(rows[:, :whole], tau), axis=0))
        waiting = rows[:, whole:]  # The first rows of a group that ends in the next chunk.
    return np.concatenate(found)


def _sums(values: Array, tau: int) -> Array:
    """Sums of tau at a time along the last axis; the last values modulo tau are left out."""
    whole = values.shape[-1] // tau * tau
    return np.asarray(values[..., :whole].reshape(*values.shape[:-1], -1, tau).sum(axis=-1))


def _log_mean_exp(values: Array, axis: int) -> Array:
    """Log of the mean of the exponentials along an axis."""
    return np.asarray(np.logaddexp.reduce(values, axis=axis) - np.log(values.shape[axis]))
