"""The three kinds of random hidden units at their default settings: how well they fit, and what shrinks with data."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import variational_bnn as vbnn

LECTURE = vbnn.lecture()
NETWORK = vbnn.Network(input_shape=(1,), output_size=1, likelihood=vbnn.Normal(scale=1.0))
SEEDS = range(5)


@functools.cache
def _fitted(method: str, *, more: bool = False) -> list[Any]:
    """The posteriors of all seeds."""
    return vbnn.METHODS[method].fit_together(LECTURE.larger_sample if more else LECTURE, NETWORK, SEEDS)  # type: ignore


def _rmse(posterior: Any) -> float:
    return float(np.sqrt(np.mean((posterior.predict(LECTURE.x, num_samples=200, seed=0).mean - LECTURE.y) ** 2)))


def _audit(posterior: Any) -> vbnn.ElboAudit:
    """Of standardised rows, on which the model was trained."""
    x, y = ((rows - rows.mean(0)) / rows.std(0) for rows in (LECTURE.x, LECTURE.y))
    return vbnn.audit_elbo(posterior.model, x, y)


@pytest.mark.parametrize("seed", SEEDS)
def test_latents_between_encoder_and_decoder_fit(seed: int) -> None:
    """The noise is 1. Stochastic layers that each pay a KL of their own end at an rmse of 2 and a loss of 5.5."""
    posterior = _fitted("hidden")[seed]
    audit = _audit(posterior)
    assert _rmse(posterior) <= 1.0
    assert -audit.elbo <= 2.0
    assert audit.warnings == ()
    assert audit.prior_penalty > 0
    assert posterior.diagnostics.note == ""


def test_shared_factors_fit_and_their_variance_shrinks_with_data() -> None:
    """In the posterior of a parameter the variance is about inverse to the number of rows; that of latents is not."""
    posterior = _fitted("hidden_shared")[0]
    assert _rmse(posterior) <= 1.2
    assert _audit(posterior).warnings == ()
    contractions = {}
    for method in ("hidden_shared", "hidden"):
        before, after = (
            [fitted.predict(LECTURE.x, num_samples=1000, seed=0).variance_over_draws.mean() for fitted in fits]
            for fits in (_fitted(method), _fitted(method, more=True))
        )
        contractions[method] = np.mean(np.divide(before, after))
    assert contractions["hidden_shared"] > 2.5
    assert contractions["hidden"] < 1.2


def test_latents_that_ignore_x_are_named() -> None:
    """With a learned noise level the bound of log p(y) is least where the latents say nothing of x."""
    network = vbnn.Network(input_shape=(1,), output_size=1, likelihood=vbnn.Normal(scale="learned"), hidden_units=(20,))
    x = np.linspace(-1, 1, 200)
    y = x + np.random.default_rng(0).normal(size=200)
    posterior = vbnn.HiddenVariation(steps=1000).fit(vbnn.Dataset(name="noisy", x=x, y=y), network, 0)
    assert "latents ignore x" in posterior.diagnostics.note
    assert "bound of log p(y)" in posterior.diagnostics.note
    assert np.ptp(posterior.predict(x[:, None], num_samples=2000, seed=0).mean) < 0.5  # Of 2 that y has.
