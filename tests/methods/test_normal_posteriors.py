"""Normal posteriors of all weights, of a linear network with known noise: each against what is known of it there.

The exact posterior is normal, and a full covariance holds it. A mean-field normal does not, and is the minimum of an
energy that is known in closed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

import variational_bnn as vbnn

Array = npt.NDArray[np.float64]

N, NOISE = 40, 5.0
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.7]])
Y = 3 * X[:, :1] - 2 * X[:, 1:2] + 4 + NOISE * RNG.normal(size=(N, 1))
DATASET = vbnn.Dataset(name="line", x=X, y=Y)
LINE = vbnn.Network(
    input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=NOISE), prior_scale=3.0
)
LONG: dict[str, Any] = {"steps": 4000, "standardise": False}


def _exact() -> tuple[Array, Array]:
    """Mean `[4]` and covariance `[4, 4]` of the three weights and the bias."""
    features = np.column_stack([X, np.ones(N)])
    prior_variance = np.array([9.0 / 3] * 3 + [9.0])
    cov = np.linalg.inv(features.T @ features / NOISE**2 + np.diag(1 / prior_variance))
    return cov @ features.T @ Y[:, 0] / NOISE**2, cov


def _found(posterior: Any) -> tuple[Array, Array]:
    """Mean and covariance of the weights."""
    layer = posterior.model.get_layer("network")
    scales = layer.space.prior_scales
    root = layer.root.numpy().astype(np.float64)
    cov = root @ root.T + np.diag(layer.scale.numpy() ** 2 if layer.diagonal else np.zeros(len(root)))
    return scales * layer.loc.numpy(), np.outer(scales, scales) * cov


def test_with_a_full_covariance_it_is_the_exact_posterior() -> None:
    """To the digits of Adam: the gradient has no noise there. Its predictions are the closed form's."""
    posterior = vbnn.FullCovariance(**LONG).fit(DATASET, LINE, 0)
    (mean, cov), (exact_mean, exact_cov) = _found(posterior), _exact()
    sd = np.sqrt(np.diag(exact_cov))
    np.testing.assert_allclose((mean - exact_mean) / sd, 0, atol=2e-3)
    np.testing.assert_allclose(cov / np.outer(sd, sd), exact_cov / np.outer(sd, sd), atol=2e-3)
    assert not np.allclose(cov / np.outer(sd, sd), np.eye(4), atol=0.1), "the control: no correlations"


def test_of_batches_it_is_still_the_exact_posterior() -> None:
    """Up to the noise of batches of 10 of the 40 rows: the likelihood of a batch counts four times."""
    posterior = vbnn.FullCovariance(batch_size=10, **LONG).fit(DATASET, LINE, 0)
    (mean, cov), (exact_mean, exact_cov) = _found(posterior), _exact()
    sd = np.sqrt(np.diag(exact_cov))
    np.testing.assert_allclose((mean - exact_mean) / sd, 0, atol=0.1)
    np.testing.assert_allclose(cov / np.outer(sd, sd), exact_cov / np.outer(sd, sd), atol=0.1)


def _energy(parameters: Array, alpha: float) -> float:
    """Black-box alpha's energy of N(mean, diag(sd^2)), in closed form: of each row, it is an integral of a normal.

    The integrand q(w) (p(y | w) (p(w) / q(w))^(1 / N))^alpha is exp(constant + h w - w A w / 2).
    """
    mean, variance, prior = parameters[:4], np.exp(2 * parameters[4:]), np.array([3.0, 3.0, 3.0, 9.0])
    share, total = alpha / N, 0.0
    constant = -(1 - share) * (np.log(2 * np.pi * variance) + mean**2 / variance).sum() / 2
    constant -= share * np.log(2 * np.pi * prior).sum() / 2 - 2 * np.log(2 * np.pi)
    for x, y in zip(np.column_stack([X, np.ones(N)]), Y[:, 0], strict=True):
        a = np.diag((1 - share) / variance + share / prior) + alpha * np.outer(x, x) / NOISE**2
        h = (1 - share) * mean / variance + alpha * y * x / NOISE**2
        of_y = -alpha * (np.log(2 * np.pi * NOISE**2) + y**2 / NOISE**2) / 2
        total += constant + of_y + h @ np.linalg.solve(a, h) / 2 - np.linalg.slogdet(a)[1] / 2
    return -total / alpha


@pytest.mark.parametrize("alpha", [1e-3, 0.5, 1.0])
def test_alpha_finds_the_minimum_of_its_energy(alpha: float) -> None:
    """By many draws, whose mean is in a logarithm. As alpha approaches 0, it is that of the evidence lower bound.

    With alpha = 1 it is wider than the exact marginals: all rows have the same factor.
    """
    exact_mean, exact_cov = _exact()
    by_elbo, marginal = np.diag(np.linalg.inv(exact_cov)) ** -0.5, np.sqrt(np.diag(exact_cov))
    least = optimize.minimize(_energy, np.append(exact_mean, np.log(by_elbo)), (alpha,)).x
    posterior = vbnn.AlphaDivergence(alpha=alpha, num_draws=256, **LONG).fit(DATASET, LINE, 0)
    mean, cov = _found(posterior)
    np.testing.assert_allclose((mean - least[:4]) / marginal, 0, atol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), np.exp(least[4:]), rtol=0.05)
    if alpha < 0.5:
        np.testing.assert_allclose(np.exp(least[4:]), by_elbo, rtol=1e-2)
    if alpha == 1:
        assert (np.exp(least[4:]) > 1.1 * marginal).all()
