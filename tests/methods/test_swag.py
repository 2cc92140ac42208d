"""SWAG: the moments of the iterates of gradient descent, which are known of a linear network with known noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import solve_discrete_lyapunov

import variational_bnn as vbnn

Array = npt.NDArray[np.float64]

N, NOISE, BATCH, RATE = 40, 0.5, 4, 0.02
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
Y = 3 * X[:, :1] + 1 + NOISE * RNG.normal(size=(N, 1))
DATASET = vbnn.Dataset(name="line", x=X, y=Y)
LINE = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=NOISE))
SWAG = vbnn.SWAG(batch_size=BATCH, descent_rate=RATE, snapshots=2000, rank=1000, steps=1000, standardise=False)


def _moments(posterior: Any) -> tuple[Array, Array]:
    """Mean and covariance of z."""
    layer = posterior.model.get_layer("network")
    root = layer.root.numpy().astype(np.float64)
    return layer.loc.numpy(), root @ root.T + np.diag(layer.scale.numpy() ** 2)


def _stationary(rate: float, batch: int) -> tuple[Array, Array]:
    """Mean and covariance of gradient descent on batches drawn with replacement, of the loss over N, in the limit.

    With the gradient A (z - mode) + noise, the covariance S solves S = (1 - rate A) S (1 - rate A) + rate^2 C, where C
    is the noise's covariance, of the single rows' gradients over the rows of a batch, at the mean over S.
    """
    features = np.column_stack([X / np.sqrt(2), np.ones(N)])
    precision = features.T @ features / NOISE**2 / N + np.eye(3) / N
    mode = np.linalg.solve(precision, features.T @ Y[:, 0] / NOISE**2 / N)
    cov = np.zeros((3, 3))
    for _ in range(100):  # C depends on S.
        errors = features @ mode - Y[:, 0]
        squares = errors**2 + np.einsum("ni,ij,nj->n", features, cov, features)
        each = np.einsum("n,ni,nj->ij", squares, features, features) / N / NOISE**4
        steps = features.T @ features / N / NOISE**2
        mean_gradient = features.T @ errors / N / NOISE**2
        noise = (each - steps @ cov @ steps - np.outer(mean_gradient, mean_gradient)) / batch
        cov = solve_discrete_lyapunov(np.eye(3) - rate * precision, rate**2 * noise)
    return mode, cov


def test_mean_and_covariance_are_those_of_the_descent_in_the_limit() -> None:
    """The diagonal, half of all iterates and half of the last 1,000, within a tenth; with twice the rate it is not."""
    mean, cov = _moments(SWAG.fit(DATASET, LINE, 0))
    mode, expected = _stationary(RATE, BATCH)
    sd = np.sqrt(np.diag(expected))
    np.testing.assert_allclose((mean - mode) / sd, 0, atol=0.15)
    np.testing.assert_allclose(np.diag(cov) / sd**2, 1, atol=0.15)
    off = (cov / np.outer(sd, sd))[0, 1]
    assert off == pytest.approx(expected[0, 1] / (sd[0] * sd[1]) / 2, abs=0.1)  # Only the deviations have covariances.
    _, wider = _stationary(2 * RATE, BATCH)
    assert (np.diag(cov) / np.diag(wider) < 0.7).all()


def test_a_batch_of_all_rows_leaves_no_variance() -> None:
    posterior = vbnn.SWAG(batch_size=N, steps=2000, standardise=False).fit(DATASET, LINE, 0)
    _, cov = _moments(posterior)
    assert np.sqrt(np.diag(cov)).max() < 5e-3


def test_a_rate_at_which_the_descent_diverges_is_an_error() -> None:
    with pytest.raises(vbnn.FitError, match="diverged"):
        vbnn.SWAG(descent_rate=10.0, standardise=False).fit(DATASET, LINE, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 1}, "rank must be >= 2, got 1"),
        ({"snapshots": 10, "rank": 11}, "rank must be at most snapshots = 10, got 11"),
    ],
)
def test_settings_out_of_their_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vbnn.SWAG(**settings)
