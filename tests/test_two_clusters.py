"""Between two clusters (Foong et al. 2020, arXiv 1909.00719): who knows that it does not know, and who cannot."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from variational_bnn.base import Training
from variational_bnn.methods import METHODS

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "two_clusters.py"
STEPS = 4000


@pytest.fixture(scope="module")
def clusters() -> ModuleType:
    spec = importlib.util.spec_from_file_location("two_clusters", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["two_clusters"] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def test_the_exact_posterior_is_many_times_less_certain_between_the_clusters(
    clusters: ModuleType, data_dir: Path
) -> None:
    setting = clusters.Setting(layers=1, sigma_w=math.sqrt(2), warmup=300, draws=300)
    row, _ = clusters.run(data_dir, setting, "hmc")
    assert row.status == "ok", row.status  # It has passed its gate, at the queries.
    assert row.r_hat <= 1.01
    assert row.ess >= 400
    assert row.ratio > 10
    assert row.met == "yes"
    assert row.train_rmse < 0.12  # The noise's sd is 0.1.
    assert 0.5 < row.lowest <= row.highest < 1.25  # Not far from infinitely many units.
    prior, _ = clusters.run(data_dir, setting, "prior")
    assert prior.ratio < 1  # Negative control: it takes data.
    assert prior.train_rmse > 1


@pytest.mark.parametrize("method", ["flipout", "local_reparameterization", "dropout"])
def test_one_hidden_layer_of_theirs_cannot_be(clusters: ModuleType, data_dir: Path, method: str) -> None:
    setting = clusters.Setting(layers=1, sigma_w=math.sqrt(2), draws=100)
    row, _ = clusters.run(data_dir, setting, method, STEPS)
    assert row.train_rmse < 0.15
    assert row.bounds[1] <= math.sqrt(2)  # Their theorems.
    assert row.met == "yes"
    assert row.highest > 3  # Where the limit's sd is several times theirs,
    assert row.lowest < 1  # and where it is not.


@pytest.mark.parametrize("sigma_w", [math.sqrt(2), 4.0])
def test_in_its_units_the_network_has_the_prior_of_the_paper(
    clusters: ModuleType, data_dir: Path, sigma_w: float
) -> None:
    setting = clusters.Setting(layers=1, sigma_w=sigma_w, draws=1)
    x = np.array([[0.0, 0.0], [1.0, 1.0], [-0.6, 0.3]])
    with clusters.units_of(setting):
        prior = METHODS["prior"](clusters.read(data_dir, setting), clusters.network_of(setting), Training(), 0)
    functions = prior.sample_functions(x, num_samples=20_000, seed=0)[..., 0].astype(np.float64)
    products = functions[:, :, None] * functions[:, None, :]
    errors = products.std(axis=0) / np.sqrt(len(products))
    limit = clusters.arc_cosine(setting, x, x)  # With one hidden layer, exact for any number of units.
    assert (np.abs(products.mean(axis=0) - limit) < 4 * errors).all()
    wrong = clusters.arc_cosine(clusters.Setting(layers=1, sigma_w=1.2 * sigma_w, draws=1), x, x)
    assert (np.abs(products.mean(axis=0) - wrong) > 4 * errors).any()


def test_the_limit_goes_through_its_data_and_away_from_them_is_as_its_prior(clusters: ModuleType) -> None:
    setting, x = clusters.Setting(layers=2, sigma_w=3.0, draws=1), clusters.diagonal()
    prior_sd = np.sqrt(np.diag(clusters.arc_cosine(setting, x, x)))
    known = x[[0, 150, 299]]
    y = np.array([[1.0], [-2.0], [3.0]])
    mean, sd = clusters.infinite_width(setting, known, y)
    np.testing.assert_allclose(mean[[0, 150, 299]], y, atol=3 * clusters.NOISE)
    assert (sd[[0, 150, 299]] < clusters.NOISE).all()
    assert (sd < prior_sd).all()
    assert sd[75] > 3 * clusters.NOISE
    _, unmoved = clusters.infinite_width(setting, 1e-9 * known, 0 * y)  # At the origin they say nothing but the bias's.
    assert unmoved[0] > 0.8 * prior_sd[0]
