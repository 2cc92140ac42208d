"""Between two clusters (Foong et al. 2020, arXiv 1909.00719): which posteriors are uncertain there, which are not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import two_clusters
from clusters import NOISE, Setting, diagonal, read_clusters

from variational_bnn.base.checks import Array

STEPS = 4000


def _arc_cosine(setting: Setting, a: Array, b: Array) -> Array:
    """The paper's covariance `[N, M]` of function values at `[N, 2]` and `[M, 2]`, with infinitely many ReLUs."""
    weight = setting.sigma_w**2
    of_a, of_b = (1 + weight * (x**2).mean(axis=1) for x in (a, b))
    covariance: Array = 1 + weight * (a @ b.T) / 2
    for _ in range(setting.layers):
        size = np.sqrt(np.outer(of_a, of_b))
        cosine = np.clip(covariance / size, -1, 1)
        relu = np.sqrt(1 - cosine**2) + (np.pi - np.arccos(cosine)) * cosine  # Cho & Saul 2009.
        covariance = 1 + weight * size * relu / (2 * np.pi)
        of_a, of_b = 1 + weight * of_a / 2, 1 + weight * of_b / 2
    return covariance


def test_the_exact_posterior_is_many_times_less_certain_between_the_clusters(data_dir: Path) -> None:
    setting = Setting(layers=1, sigma_w=math.sqrt(2), warmup=300, draws=300)
    row, _ = two_clusters.run(data_dir, setting, "hmc")
    assert row.status == "ok", row.status  # It has converged at the query points.
    assert row.r_hat <= 1.01
    assert row.ess >= 400
    assert row.ratio > 10
    assert row.met == "yes"
    assert row.train_rmse < 0.12  # The noise's sd is 0.1.
    assert 0.5 < row.lowest <= row.highest < 1.25  # Not far from infinitely many units.
    prior, _ = two_clusters.run(data_dir, setting, "prior")
    assert prior.ratio < 1  # Negative control: without data there is no such ratio.
    assert prior.train_rmse > 1


@pytest.mark.parametrize("name", ["flipout", "local_reparameterization", "dropout"])
def test_mean_field_and_dropout_of_one_hidden_layer_cannot_be(data_dir: Path, name: str) -> None:
    setting = Setting(layers=1, sigma_w=math.sqrt(2), draws=100)
    row, _ = two_clusters.run(data_dir, setting, name, STEPS)
    assert row.train_rmse < 0.15
    assert row.bounds[1] <= math.sqrt(2)  # The paper's theorems.
    assert row.met == "yes"
    assert row.highest > 3  # Where the limit's sd is several times theirs,
    assert row.lowest < 1  # and where it is not.


@pytest.mark.parametrize("sigma_w", [math.sqrt(2), 4.0])
def test_in_its_units_the_network_has_the_prior_of_the_paper(data_dir: Path, sigma_w: float) -> None:
    setting = Setting(layers=1, sigma_w=sigma_w, draws=1)
    x = np.array([[0.0, 0.0], [1.0, 1.0], [-0.6, 0.3]])
    dataset, network = two_clusters.dataset_of(data_dir, setting), two_clusters.network_of(setting)
    prior = two_clusters.method_of("prior", setting).fit(dataset, network, seed=0)
    functions = prior.sample_functions(sigma_w * x, num_samples=20_000, seed=0)[..., 0].astype(np.float64) / sigma_w
    products = functions[:, :, None] * functions[:, None, :]
    errors = products.std(axis=0) / np.sqrt(len(products))
    limit = _arc_cosine(setting, x, x)  # With one hidden layer, exact for any number of units.
    assert (np.abs(products.mean(axis=0) - limit) < 4 * errors).all()
    wrong = _arc_cosine(Setting(layers=1, sigma_w=1.2 * sigma_w, draws=1), x, x)
    assert (np.abs(products.mean(axis=0) - wrong) > 4 * errors).any()


def test_the_data_are_in_units_of_the_prior_scale_and_reported_in_the_paper_s(data_dir: Path) -> None:
    setting = Setting(layers=1, sigma_w=4.0, draws=1)
    dataset, (x, y) = two_clusters.dataset_of(data_dir, setting), read_clusters(data_dir)
    np.testing.assert_allclose(dataset.x, 4 * x)
    np.testing.assert_allclose(dataset.y, 4 * y)
    assert dataset.noise_scale == pytest.approx(4 * NOISE)
    row, limit = two_clusters.run(data_dir, setting, two_clusters.LIMIT)
    assert (row.lowest, row.highest) == (1, 1)
    assert row.at < limit.max() < 2  # In the paper's units the prior's sd at the origin is about 3.


@pytest.mark.parametrize("layers", [1, 2])
def test_the_limit_is_the_posterior_of_the_paper_s_covariance(data_dir: Path, layers: int) -> None:
    """In the paper's units, whatever the prior scale."""
    setting, (x, y), points = Setting(layers=layers, sigma_w=3.0, draws=1), read_clusters(data_dir), diagonal()
    gain = np.linalg.solve(_arc_cosine(setting, x, x) + NOISE**2 * np.eye(len(x)), _arc_cosine(setting, x, points)).T
    mean, sd = two_clusters.infinite_width(setting, x, y)
    np.testing.assert_allclose(mean, gain @ y, atol=1e-3)
    cov = _arc_cosine(setting, points, points) - gain @ _arc_cosine(setting, x, points)
    np.testing.assert_allclose(sd, np.sqrt(np.diag(cov)), rtol=1e-2)
