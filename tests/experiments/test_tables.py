"""What a run on a table measures is what its posterior says at the query points, region by region."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from quick_methods import Line
from scipy import stats

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, NEAR, REGIONS, TAU, Dataset, FitError, Network, Predictive
from variational_bnn.datasets import lecture, lecture_sample
from variational_bnn.evaluation.regions import QUERY_POINT_SEED, RegionMap, propose_query_points
from variational_bnn.experiments.compare import compare, default_network
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods.hidden import HiddenVariation
from variational_bnn.methods.linear import LinearRegression
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.weights import Flipout
from variational_bnn.models.likelihoods import Normal

QUIET: dict[str, Any] = {"seeds": [0], "num_samples": 10, "progress": False}
LINE = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=1.0))


def _by_region(comparison: Comparison, method: str) -> dict[str, Any]:
    rows = comparison.results[comparison.results["method"] == method]
    return {row.region: row for row in rows.itertuples()}


def _held_out(seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x, regions = rng.normal(size=(60, 2)), np.repeat(REGIONS, [10, 6, 4])
    y = x @ [[20.0], [-5.0]] + rng.normal(size=(60, 1)) + 100
    return Dataset(name="t", x=x[:40], y=y[:40], x_test=x[40:], y_test=y[40:], test_regions=regions, noise_scale=1.0)


def test_the_rows_are_what_the_posterior_says_of_the_held_out_rows() -> None:
    dataset, sigma, method = _held_out(), 1.0, Flipout(steps=30)
    network = Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=Normal(scale=sigma))
    settings = {**QUIET, "seeds": [3], "num_samples": 50}
    comparison = compare(dataset, methods={"flipout": method}, network=network, **settings)
    posterior = method.fit(dataset, network, 3)
    f = posterior.sample_functions(dataset.x_test, num_samples=50, seed=3).astype(float)[..., 0]
    y = dataset.y_test[:, 0]
    log_densities = -((y - f) ** 2) / (2 * sigma**2) - np.log(2 * np.pi * sigma**2) / 2
    log_likelihood = np.logaddexp.reduce(log_densities) - np.log(50)
    rows = _by_region(comparison, "flipout")
    assert list(rows) == list(REGIONS)
    for region, row in rows.items():
        inside = dataset.test_regions == region
        assert row.query_points == inside.sum()
        assert row.epistemic_variance == pytest.approx(f[:, inside].var(axis=0).mean(), rel=1e-3)
        assert row.aleatoric_variance == pytest.approx(sigma**2, rel=1e-4)
        assert row.rmse == pytest.approx(np.sqrt(((y - f.mean(axis=0))[inside] ** 2).mean()), rel=1e-4)
        assert row.log_likelihood == pytest.approx(log_likelihood[inside].mean(), rel=1e-3)
        assert (row.parameters, row.random_variables, row.latent_variance, row.status) == (2 * (2 + 1), 2 + 1, 0, "ok")
    predictions = comparison.predictions
    np.testing.assert_allclose(predictions["mean"], f.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(predictions["y"], y)
    np.testing.assert_array_equal(predictions["query_point"], np.arange(20))
    np.testing.assert_allclose(comparison.draws["t", "flipout", 3]["functions"][..., 0], f, rtol=1e-5)
    assert predictions["x"].isna().all()  # With two features there is no one x.


def test_the_proposed_query_points_are_those_of_the_dataset() -> None:
    dataset = lecture_sample(10, seed=0)
    comparison = compare(dataset, methods={"line": Line()}, **QUIET)
    points = propose_query_points(dataset, QUERY_POINT_SEED)
    predictions = comparison.predictions
    np.testing.assert_array_equal(predictions["x"], points.x[:, 0])
    np.testing.assert_array_equal(predictions["region"], points.regions)
    np.testing.assert_allclose(predictions["distance"], RegionMap.of(dataset.x).distance(points.x), rtol=1e-12)
    slope_variance = comparison.draws[dataset.name, "line", 0]["functions"][:, 0, 0].var() / points.x[0, 0] ** 2
    for region, row in _by_region(comparison, "line").items():
        x = points.x[points.regions == region, 0]
        assert row.query_points == len(x)
        assert row.epistemic_variance == pytest.approx(slope_variance * (x**2).mean())
        assert np.isnan([row.rmse, row.log_likelihood, row.crps, row.coverage_50]).all()  # Nothing is held out.
        assert row.train_rmse > 0


def test_every_output_has_its_own_predictions() -> None:
    x = np.random.default_rng(0).normal(size=(20, 1))
    dataset = Dataset(name="two", x=x, y=np.hstack([x, -50 * x]), target_names=("a", "b"))
    network = Network(input_shape=(1,), output_size=2, likelihood=Normal())
    predictions = compare(dataset, methods={"line": Line(sd=0.0)}, network=network, **QUIET).predictions
    for name, slope in (("a", 1.0), ("b", -50.0)):
        own = predictions[predictions["output"] == name]
        np.testing.assert_allclose(own["mean"], slope * own["x"], rtol=1e-9)
        assert list(own["query_point"]) == list(range(600))


@dataclasses.dataclass(frozen=True)
class _Scales:
    """A known predictive: mean 0, no epistemic variance, and a noise whose standard deviation is |x|."""

    diagnostics = None

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        return None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> _Scales:
        return self

    def sample_functions(self, x: npt.NDArray[Any], *, num_samples: int, seed: int) -> npt.NDArray[Any]:
        return np.zeros((num_samples, len(x), 1))

    def predict(self, x: npt.NDArray[Any], *, num_samples: int, seed: int) -> Predictive:
        functions = self.sample_functions(x, num_samples=num_samples, seed=seed)
        return Predictive.from_functions(functions, noise_variance=x[:, :1] ** 2)


def _normal_crps(y: npt.NDArray[Any], mean: Any, sd: Any) -> npt.NDArray[Any]:
    z = (y - mean) / sd
    return sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_the_scores_of_a_region_are_of_its_own_rows_alone() -> None:
    """Regions of equal shares, whose noise is of other sizes and whose targets are in other quantiles of it."""
    sds, in_sds = np.repeat([1.0, 30.0, 900.0], 15), np.repeat([0.2, 1.0, 2.5], 15)
    order = np.random.default_rng(0).permutation(45)
    sds, in_sds, regions = sds[order], in_sds[order], np.repeat(REGIONS, 15)[order]
    y = in_sds * sds * np.where(np.arange(45) % 2, 1, -1)
    x = np.linspace(1, 2, 20)
    dataset = Dataset(name="scales", x=x, y=x, x_test=sds, y_test=y, test_regions=regions)
    comparison = compare(dataset, methods={"scales": _Scales()}, **{**QUIET, "num_samples": 4000})
    rows = _by_region(comparison, "scales")
    for region in REGIONS:
        inside, row = regions == region, rows[region]
        sd, z = sds[inside][0], in_sds[inside][0]
        assert row.crps == pytest.approx(_normal_crps(y[inside], 0, sds[inside]).mean(), rel=0.1), region
        assert row.rmse == pytest.approx(z * sd)
        assert row.log_likelihood == pytest.approx(stats.norm.logpdf(z * sd, 0, sd))
        assert row.joint_log_likelihood == pytest.approx(row.log_likelihood)  # The rows are independent.
        for level in LEVELS:
            half = stats.norm.ppf((1 + level) / 2)
            assert getattr(row, f"width_{100 * level:.0f}") == pytest.approx(2 * half * sd, rel=0.05), (region, level)
            assert getattr(row, f"coverage_{100 * level:.0f}") == float(z < half), (region, level)
        assert row.aleatoric_variance == pytest.approx(sd**2)


def test_the_scores_of_an_exact_posterior_are_those_of_its_predictive_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    y = 3 * x + 1 + rng.normal(size=(200, 1))
    held_out = {"x_test": x[60:], "y_test": y[60:], "test_regions": np.repeat([NEAR, BEYOND], [135, 5])}
    dataset = Dataset(name="line", x=x[:60], y=y[:60], **held_out)
    comparison = compare(dataset, methods=["linear"], network=LINE, **{**QUIET, "num_samples": 20_000})
    near, beyond = _by_region(comparison, "linear").values()
    x, y = x[60:195, 0], y[60:195, 0]
    train_x, train_y = dataset.x[:, 0], dataset.y[:, 0]
    features = np.column_stack([np.ones(60), (train_x - train_x.mean()) / train_x.std()])
    noise = 1 / train_y.std()
    precision = features.T @ features / noise**2 + np.eye(2)
    weights = np.linalg.solve(precision, features.T @ (train_y - train_y.mean()) / train_y.std() / noise**2)
    query = np.column_stack([np.ones(135), (x - train_x.mean()) / train_x.std()])
    mean = train_y.mean() + train_y.std() * query @ weights
    covariance = train_y.std() ** 2 * query @ np.linalg.inv(precision) @ query.T + np.eye(135)
    sd = np.sqrt(np.diag(covariance))
    assert near.crps == pytest.approx(_normal_crps(y, mean, sd).mean(), rel=0.01)
    for level in LEVELS:
        half = stats.norm.ppf((1 + level) / 2)
        name = f"{100 * level:.0f}"
        assert getattr(near, f"coverage_{name}") == pytest.approx((np.abs(y - mean) / sd <= half).mean(), abs=0.02)
        assert getattr(near, f"width_{name}") == pytest.approx(2 * half * sd.mean(), rel=0.02)
    assert near.log_likelihood == pytest.approx(stats.norm.logpdf(y, mean, sd).mean(), rel=1e-4)
    order = np.random.default_rng(0).permutation(135)[:130].reshape(13, TAU)
    joint = [stats.multivariate_normal.logpdf(y[rows], mean[rows], covariance[np.ix_(rows, rows)]) for rows in order]
    assert near.joint_log_likelihood == pytest.approx(np.sum(joint) / 130, rel=1e-4)
    assert np.isnan(beyond.joint_log_likelihood)  # Five rows are fewer than are scored together.
    assert np.isfinite([beyond.crps, beyond.coverage_50, beyond.width_95]).all()


def test_scores_do_not_depend_on_where_the_targets_are() -> None:
    """Single precision would lose a standard deviation of one beside an offset of a billion."""
    table = _held_out()
    far = dataclasses.replace(table, y=table.y + 1e9, y_test=table.y_test + 1e9)
    settings = {**QUIET, "num_samples": 100, "methods": {"linear": "linear", "flipout": Flipout(steps=20)}}
    here, there = (compare(data, **settings) for data in (table, far))
    scores = ["rmse", "log_likelihood", "crps", "coverage_50", "width_95", "epistemic_variance"]
    np.testing.assert_allclose(there.results[scores], here.results[scores], rtol=2e-3, atol=1e-3)


def test_of_a_variance_that_is_inverse_to_the_rows_a_larger_sample_leaves_a_quarter() -> None:
    comparison = compare(lecture(), methods={"line": Line(), "linear": "linear", "prior": "prior"}, **QUIET)
    contraction = comparison.results.pivot(index="method", columns="region", values="contraction")
    assert contraction.loc["line", NEAR] == pytest.approx(4)
    assert contraction.loc["linear", NEAR] == pytest.approx(4, rel=0.1)
    assert contraction.loc["prior", NEAR] == pytest.approx(1, abs=0.2)  # It has not seen the data.
    assert contraction[[BETWEEN, BEYOND]].isna().all(axis=None)
    assert set(comparison.results["contraction_status"]) == {"ok"}


def test_latents_and_noise_of_the_output_need_not_shrink() -> None:
    methods = {"hidden": HiddenVariation(steps=1500), "output": OutputVariation(steps=3)}
    comparison = compare(lecture(), methods=methods, **{**QUIET, "num_samples": 100})
    hidden, output = (_by_region(comparison, name)[NEAR] for name in methods)
    assert 0 < hidden.contraction < 2.5
    assert np.isnan(output.contraction)  # No variance over none.
    assert (hidden.epistemic_variance, output.epistemic_variance) == (0, 0)
    assert hidden.latent_variance > 0 == output.latent_variance
    assert (hidden.likelihood, output.likelihood) == ("Normal(scale=1)", "Normal()")
    assert "maximum likelihood" in output.note


@dataclasses.dataclass(frozen=True)
class _SmallSamples(LinearRegression):
    """Linear regression, of at most so many rows."""

    limit: int = 0
    raises: bool = False

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        return f"it supports {self.limit} rows" if len(dataset.x) > self.limit > 0 else None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> Any:
        if self.raises and dataset.larger_sample is None:
            raise FitError("diverged")
        return super().fit(dataset, network, seed)


def test_a_fit_to_the_larger_sample_that_is_not_possible_or_fails_has_a_status_of_its_own() -> None:
    methods = {"small": _SmallSamples(limit=20), "failing": _SmallSamples(raises=True)}
    comparison = compare(lecture(), methods=methods, **QUIET)
    for name, status in (("small", "not supported: it supports 20 rows"), ("failing", "diverged")):
        near, *others = _by_region(comparison, name).values()
        assert (near.status, near.contraction_status) == ("ok", status)
        assert near.epistemic_variance > 0
        assert np.isnan(near.contraction)
        assert {row.contraction_status for row in others} == {"ok"}


def test_a_prediction_that_is_not_finite_is_a_row_that_says_so() -> None:
    dataset = dataclasses.replace(lecture(), larger_sample=None)
    network = dataclasses.replace(default_network(dataset), prior_scale=1e30)
    results = compare(dataset, methods=["prior", "linear"], network=network, **QUIET).results
    status = results.groupby("method")["status"].unique().map(list).to_dict()
    assert status == {"prior": ["not finite: a prediction is infinite or NaN"], "linear": ["ok"]}
    measures = results.loc[results["method"] == "prior", ["epistemic_variance", "train_rmse", "growth_exponent"]]
    assert measures.isna().all(axis=None)


def test_the_clocks_and_the_memory_are_measured() -> None:
    results = compare(lecture_sample(10, seed=0), methods={"line": Line()}, **QUIET).results
    assert (results[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert (results["peak_memory"] >= 0).all()
