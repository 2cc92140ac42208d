"""From the draws of a model to a `Predictive`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Predictive
from variational_bnn.base.checks import Array, Float32Array, finite_table, flattened, require
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.likelihoods import Bernoulli, Categorical
from variational_bnn.prediction.sampling import NO_DENSITY, Draws, values_of


def predict(model: tf_keras.Model, x: npt.ArrayLike, *, num_samples: int = 200, seed: int = 0) -> Predictive:
    """The predictive of a model: what S coherent draws of it say of y at N inputs.

    The same seed gives the same draws, however many rows there are. Any tf_keras model will do. The dense variational
    layers of this package and of TFP, and Dropout, draw coherently and fast. Other random layers draw in their own way,
    one call a draw of all rows, as coherent and as seeded as they are themselves. A model that puts out a tensor has no
    aleatoric variance, and neither a density nor samples of y. Latent noise (`build_hidden_variation`) counts as
    epistemic here, since draws differ by it, but is not uncertainty about parameters.

    Args:
        model: As it is now: training it further does not change what was predicted.
        x: Inputs `[N, ...]`; `[N]` where the model takes one feature.
        num_samples: S.
        seed: Of the draws, >= 0.

    Returns:
        The predictive, in the units that the model was trained in. Its densities and samples go through the same draws
        once more.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the inputs do not fit the model or are not finite, or a number is out of range.
    """
    draws = Draws.of(model, x, num_samples, seed)
    sampler = draws.sampler()
    weights = [variable.numpy() for variable in sampler.variables]
    classes = sampler.of_classes
    parts = [_moments(blocks, classes) for blocks in draws.chunks(sampler)]
    mean, epistemic, aleatoric, expected_entropy = map(np.concatenate, zip(*parts, strict=True))

    def once_more(**asked: Any) -> Iterator[Iterator[list[Float32Array]]]:
        require(sampler.has_density, NO_DENSITY)
        with values_of(sampler.variables, weights):
            yield from draws.chunks(draws.sampler(), **asked)

    def log_likelihood(y: Array, tau: int) -> Array:
        if classes:
            classes.require_targets(y)
        return np.concatenate([_log_mean(blocks, tau) for blocks in once_more(score=y, tau=tau)])

    def sample(noise_seed: int) -> Float32Array:
        return _functions(once_more(noise_seed=noise_seed))

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
    """Coherent draws of E[y given x, draw]: each is one function, the same at every x and for every chunk of rows.

    Args:
        model: Any tf_keras model, as for `predict`.
        x: Inputs `[N, ...]`; `[N]` where the model takes one feature.
        num_samples: S.
        seed: Of the draws, >= 0; the first draws of a larger S are the same.

    Returns:
        `[S, N, D]`, in the units that the model was trained in.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the inputs do not fit the model or are not finite, or a number is out of range.
    """
    draws = Draws.of(model, x, num_samples, seed)
    functions = _functions(draws.chunks(draws.sampler()))
    return functions if len(functions) == num_samples else np.repeat(functions, num_samples, axis=0)


def mean_log_prob(model: tf_keras.Model, x: npt.ArrayLike, y: npt.ArrayLike, *, num_samples: int, seed: int) -> Array:
    """E_draws[log p(y given x, draw)] `[N]`, the data's part of the evidence lower bound.

    `Predictive.log_prob` has the log of the mean density instead of the mean of its log.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the inputs or targets do not fit the model or are not finite, or it puts out no distribution.
    """
    draws, targets = Draws.of(model, x, num_samples, seed), finite_table("y", flattened(y))
    sampler = draws.sampler()
    require(sampler.has_density, NO_DENSITY)
    wanted = [len(draws.x), sampler.num_targets]
    require(list(targets.shape) == wanted, f"y must have shape {wanted}, got {list(targets.shape)}")
    if sampler.of_classes:
        sampler.of_classes.require_targets(targets)
    return _functions(draws.chunks(sampler, score=targets)).mean(axis=0, dtype=np.float64)


def _functions(chunks: Iterable[Iterable[list[Float32Array]]]) -> Float32Array:
    """The first of each block's values, put together: `[S, N, ...]`."""
    return np.concatenate([np.concatenate([first for first, *_ in blocks]) for blocks in chunks], axis=1)


def _moments(
    blocks: Iterable[list[Float32Array]], classes: Bernoulli | Categorical | None
) -> tuple[Array, Array, Array, Array]:
    """Mean, epistemic and aleatoric variance `[R, D]`, and the expected entropy, `[R, 0]` where there is none.

    Summed are deviations from the first draw: if all draws are equal, their variance is exactly 0.
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


def _log_mean(blocks: Iterable[list[Float32Array]], tau: int) -> Array:
    """Log of the mean over the draws of the joint density of tau rows, `[R // tau]`."""
    total, count = np.array(-np.inf), 0
    for (log_densities,) in blocks:
        whole = log_densities[:, : log_densities.shape[1] // tau * tau]
        joint = whole.reshape(len(whole), -1, tau).sum(axis=-1, dtype=np.float64)
        total = np.logaddexp(total, np.logaddexp.reduce(joint, axis=0))
        count += len(joint)
    return total - np.log(count)
