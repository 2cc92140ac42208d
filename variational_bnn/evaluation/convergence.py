"""Convergence of Markov chains: rank-normalised split R-hat, and effective sample sizes of the bulk and of the tails.

All definitions are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021, arXiv 1903.08008), for many
quantities at once. ArviZ computes the same numbers, but it would bring xarray and file formats for two functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri
from scipy.stats import rankdata

from variational_bnn.base.checks import Array, Floats, require

_LEAST_DRAWS = 4
"""Two halves of two draws each: with fewer, a half has no variance."""

_TAILS = (0.05, 0.95)
_VALUES_AT_ONCE = 2**20


def rank_normalised_r_hat(draws: Floats) -> Array:
    """Rank-normalised split R-hat `[...]` of each quantity: the larger one of bulk and folded draws.

    Each chain is split into two halves, so that a chain that drifts is noticed. The draws are replaced by the normal
    scores of their ranks, so that heavy tails do no harm. Folded draws, which are distances to the median, notice
    chains that agree in location and differ in scale. Vehtari et al. (2021, arXiv 1903.08008) recommend to use draws
    only if R-hat is below 1.01.

    Args:
        draws: `[draws, chains, ...]`, after the warm-up, in the order in which each chain made them.

    Returns:
        `[...]`. 1 where all draws of all chains are equal, as those of a probability that rounds to 1. NaN with fewer
        than four draws, with one chain (whose halves could be compared, but which cannot show that another start leads
        elsewhere), and where a draw is not finite.

    Raises:
        ValueError: If `draws` has fewer than two dimensions, no draw, or no chain.
    """
    _require_draws(draws)
    if len(draws) < _LEAST_DRAWS or draws.shape[1] < 2:
        return np.full(draws.shape[2:], np.nan)
    return _of_each_quantity(_larger_r_hat, draws)


def effective_sample_sizes(draws: Floats) -> tuple[Array, Array]:
    """Effective sample sizes `[...]` of each quantity, in the bulk and in the tails of its distribution.

    An effective sample size is the number of independent draws that would estimate a mean as precisely as the draws of
    the chains do. In the bulk, the mean is that of the normal scores of the draws' ranks. In the tails, it is the share
    of the draws up to the 5 % quantile or up to the 95 % quantile, whichever gives the smaller size. Vehtari et al.
    (2021, arXiv 1903.08008) recommend at least 100 per chain, or 400 for four chains, of both.

    Args:
        draws: `[draws, chains, ...]`, after the warm-up, in the order in which each chain made them.

    Returns:
        `(bulk, tail)`, both `[...]`. With negative autocorrelation a size may be larger than the number S of draws of
        all chains, but not larger than S log10(S). Where all draws of all chains are equal, both sizes are S. NaN with
        fewer than four draws, and where a draw is not finite.

    Raises:
        ValueError: If `draws` has fewer than two dimensions, no draw, or no chain.
    """
    _require_draws(draws)
    if len(draws) < _LEAST_DRAWS:
        unknown = np.full(draws.shape[2:], np.nan)
        return unknown, unknown.copy()
    sizes = [_of_each_quantity(size, draws) for size in (_bulk_size, _tail_size)]
    constant = (draws == draws[0, 0]).all(axis=(0, 1))
    bulk, tail = (np.where(constant, draws.shape[0] * draws.shape[1], size) for size in sizes)
    return bulk, tail


def _require_draws(draws: Floats) -> None:
    shape = list(draws.shape)
    require(draws.ndim >= 2 and 0 not in shape[:2], f"draws must have shape [draws, chains, ...], got {shape}")


def _of_each_quantity(statistic: Callable[[Array], Array], draws: Floats) -> Array:
    """A statistic of `[quantities, chains, draws]`, of a bounded number of values at once; NaN if one is not finite."""
    quantities = draws.reshape(*draws.shape[:2], -1).T
    values = np.full(len(quantities), np.nan)
    step = max(1, _VALUES_AT_ONCE // (draws.shape[0] * draws.shape[1]))
    for first in range(0, len(values), step):
        part = np.array(quantities[first : first + step], dtype=np.float64, order="C")
        finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
        if finite.any():
            values[first : first + step][finite] = statistic(part[finite])
    return values.reshape(draws.shape[2:])


def _halves(chains: Array) -> Array:
    """`[Q, C, N]` chains as `[Q, 2 C, N // 2]`; of an odd number of draws the middle one is left out."""
    half = chains.shape[2] // 2
    return np.concatenate([chains[..., :half], chains[..., -half:]], axis=1)


def _normal_scores(chains: Array) -> Array:
    """The normal quantiles of the fractional ranks of each quantity's draws, over all its chains."""
    pooled = chains.reshape(len(chains), -1)
    scores: Array = ndtri((rankdata(pooled, axis=1) - 3 / 8) / (pooled.shape[1] + 1 / 4))
    return scores.reshape(chains.shape)


def _larger_r_hat(chains: Array) -> Array:
    halves = _halves(chains)
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    return np.maximum(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def _r_hat(chains: Array) -> Array:
    """The root of the pooled variance over that within chains; 1 where all values are equal, infinite for 0 within."""
    count = chains.shape[2]
    within = (chains - chains[..., :1]).var(axis=2, ddof=1).mean(axis=1)  # Equal draws differ by 0, not by rounding.
    between = (chains.mean(axis=2) - chains[:, :1].mean(axis=2)).var(axis=1, ddof=1)
    equal = (chains == chains[:, :1, :1]).all(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(equal, 1.0, np.sqrt(between / within + (count - 1) / count))


def _bulk_size(chains: Array) -> Array:
    return _effective_size(_normal_scores(_halves(chains)))


def _tail_size(chains: Array) -> Array:
    below = [chains <= np.quantile(chains, tail, axis=(1, 2), keepdims=True) for tail in _TAILS]
    low, high = (_effective_size(_halves(each.astype(np.float64))) for each in below)
    return np.minimum(low, high)


def _effective_size(chains: Array) -> Array:
    """Draws of all chains over their integrated autocorrelation time, by Geyer's initial monotone sequence."""
    count, total = chains.shape[2], chains[0].size
    covariance = _mean_autocovariance(chains)
    within = covariance[:, :1] * count / (count - 1)
    variance = covariance[:, :1] + chains.mean(axis=2).var(axis=1, ddof=1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - covariance) / variance
    correlation[:, 0] = 1.0
    time = np.maximum(_autocorrelation_time(correlation), 1 / np.log10(total))
    equal = (chains == chains[:, :1, :1]).all(axis=(1, 2))
    return np.where(equal, total, total / time)


def _mean_autocovariance(chains: Array) -> Array:
    """The autocovariances `[Q, N]` at all lags, of which each is over N terms, averaged over the chains."""
    count = chains.shape[2]
    length = next_fast_len(2 * count, real=True)
    spectrum = rfft(chains - chains.mean(axis=2, keepdims=True), length, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance: Array = irfft(power, length, axis=1)[:, :count] / count
    return covariance


def _autocorrelation_time(correlation: Array) -> Array:
    """1 + 2 times the sum of the autocorrelations `[Q, N]` at lags from 1 on, up to where noise takes over.

    Sums of the pairs at lags 2 k and 2 k + 1 are positive and fall with k (Geyer 1992, doi 10.1214/ss/1177011137). They
    are added up to the first that is not positive, of which only a positive value at the even lag counts, once; a sum
    that is larger than an earlier one counts as that.
    """
    num_pairs = max(1, (correlation.shape[1] - 1) // 2)
    even, odd = (correlation[:, start : 2 * num_pairs : 2] for start in (0, 1))
    pairs = even + odd
    ended = pairs <= 0
    last = np.where(ended.any(axis=1), ended.argmax(axis=1), num_pairs - 1)[:, None]
    before = np.arange(num_pairs) < last
    falling = np.where(before, np.minimum.accumulate(pairs, axis=1), 0.0).sum(axis=1)
    last_even, last_pair = (np.take_along_axis(values, last, axis=1)[:, 0] for values in (even, pairs))
    return -1 + 2 * falling + np.where((last_even > 0) | (last_pair >= 0), last_even, 0.0)
