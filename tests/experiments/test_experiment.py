"""What is measured by region is the variance that a model has, and a cell's rows are what its posterior says."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy import stats

from variational_bnn.base import BETWEEN, BEYOND, LEVELS, NEAR, REGIONS, TAU, Dataset, Network, Training
from variational_bnn.datasets import lecture
from variational_bnn.experiments.memory import peak_memory
from variational_bnn.experiments.tables import Cell, run_cell
from variational_bnn.methods import METHODS, FitError
from variational_bnn.models.likelihoods import Normal
from variational_bnn.prediction.epistemic import measure_epistemic_variance

SAMPLES = 4000
RELATIVE_ERROR = np.sqrt(2 / SAMPLES)
"""Standard error of a normal sample variance; of a mean of such, all of the same draws, it is an upper bound."""

WEIGHT, WEIGHT_SD, BIAS, BIAS_SD, NOISE = 3.0, 0.8, -1.0, 0.3, 0.5
LINEAR = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=NOISE))


def _line(estimator: str = "flipout", weight_sd: float = WEIGHT_SD, bias_sd: float = BIAS_SD) -> Any:
    """A model that is y = w x + b, with w and b normal and known."""
    model = by_hand.build(estimator, LINEAR, num_examples=20)
    scales = np.array([[weight_sd], [bias_sd]])
    values = {
        "posterior_loc": np.array([[WEIGHT], [BIAS]]),
        "posterior_raw_scale": np.log(np.expm1(scales - by_hand.POSTERIOR_FLOOR)),
    }
    for variable in model.trainable_variables:
        name = variable.name.rsplit("/", 1)[-1].removesuffix(":0")
        variable.assign(values[name].astype(np.float32))
    return model


def _grid(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The queries of a one-feature dataset, and their regions, from the definition and by brute force."""
    width = np.ptp(x)
    grid = np.linspace(x.min() - width, x.max() + width, 600)
    between_rows = np.abs(x - x.T) + np.diag(np.full(len(x), np.inf))
    near = np.abs(grid[:, None] - x.T).min(axis=1) <= np.quantile(between_rows.min(axis=1), 0.95) * (1 + 1e-9)
    inside = (grid >= x.min()) & (grid <= x.max())
    return grid, np.where(near, NEAR, np.where(inside, BETWEEN, BEYOND))


@pytest.mark.parametrize("estimator", by_hand.ESTIMATORS)
def test_the_variance_of_a_line_is_measured_in_every_region(estimator: str) -> None:
    report = measure_epistemic_variance(_line(estimator), lecture(), num_samples=SAMPLES)
    x, regions = _grid(lecture().x)
    wanted = {r: (WEIGHT_SD**2 * x[regions == r] ** 2 + BIAS_SD**2).mean() for r in REGIONS}
    assert list(report.epistemic_variance) == list(REGIONS)
    assert report.epistemic_variance == pytest.approx(wanted, rel=4 * RELATIVE_ERROR)
    assert report.query_points == {r: int((regions == r).sum()) for r in REGIONS}
    assert report.aleatoric_variance == pytest.approx(dict.fromkeys(REGIONS, NOISE**2), rel=1e-5)
    assert report.between_near == report.epistemic_variance[BETWEEN] / report.epistemic_variance[NEAR]
    assert report.beyond_near == report.epistemic_variance[BEYOND] / report.epistemic_variance[NEAR]
    assert wanted[BEYOND] > (1 + 20 * RELATIVE_ERROR) * wanted[NEAR]  # One number for all regions would not do.


@pytest.mark.parametrize(("weight_sd", "power"), [(WEIGHT_SD, 1.0), (1e-4, 0.0)])
def test_far_away_the_sd_of_a_line_grows_with_distance_and_that_of_a_constant_does_not(
    weight_sd: float, power: float
) -> None:
    near, far = np.linspace(-0.4, 0.4, 20), np.geomspace(50, 500, 40)
    regions = np.repeat([NEAR, BEYOND], [20, 40])
    held_out = {"x_test": np.r_[near, far], "y_test": np.zeros(60), "test_regions": regions}
    dataset = dataclasses.replace(lecture(), **held_out)
    report = measure_epistemic_variance(_line(weight_sd=weight_sd), dataset, num_samples=SAMPLES)
    assert report.growth_exponent == pytest.approx(power, abs=0.02)
    assert report.query_points == {NEAR: 20, BEYOND: 40}
    assert np.isnan(report.between_near)


def test_growth_near_the_data_is_the_slope_of_the_closed_form() -> None:
    report = measure_epistemic_variance(_line(), lecture(), num_samples=SAMPLES)
    x, regions = _grid(lecture().x)
    x = x[regions == BEYOND]
    distance = np.abs(x[:, None] - lecture().x.T).min(axis=1)
    sd = np.sqrt(WEIGHT_SD**2 * x**2 + BIAS_SD**2)
    assert report.growth_exponent == pytest.approx(np.polyfit(np.log(distance), np.log(sd), 1)[0], abs=0.03)


def test_a_model_without_draws_has_none() -> None:
    model = by_hand.build("output", dataclasses.replace(LINEAR, likelihood=Normal()), 20)
    by_hand.spread(model)
    report = measure_epistemic_variance(model, lecture(), num_samples=10)
    assert report.epistemic_variance == dict.fromkeys(REGIONS, 0.0)
    assert all(variance > 0 for variance in report.aleatoric_variance.values())
    assert np.isnan([report.between_near, report.beyond_near, report.growth_exponent]).all()
    assert str(report).splitlines()[-1] == "no epistemic variance anywhere"


def test_it_reads_well() -> None:
    *regions, ratios = str(measure_epistemic_variance(_line(), lecture(), num_samples=SAMPLES)).splitlines()
    assert [line.split()[0] for line in regions] == list(REGIONS)
    assert all(re.search(r"epistemic sd 0\.\d+, aleatoric sd 0\.5, \d+ inputs$", line) for line in regions)
    assert re.fullmatch(r"epistemic variance between/near \S+, beyond/near \S+; beyond, sd ~ distance\^0\.\d+", ratios)


def test_what_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(0)
    two = Dataset(name="two", x=rng.normal(size=(9, 2)), y=rng.normal(size=9))
    with pytest.raises(ValueError, match=r"x must have shape \[N, 1\], got \[600, 2\]"):
        measure_epistemic_variance(_line(), two)
    with pytest.raises(TypeError, match="Keras 3"):
        measure_epistemic_variance(tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1)]), lecture())
    with pytest.raises(ValueError, match="num_samples must be a whole number >= 1, got 0"):
        measure_epistemic_variance(_line(), lecture(), num_samples=0)


def test_any_keras_model_can_be_measured() -> None:
    """Dropout on the input: w x survives with probability 1/2, so that Var = (w x)^2."""
    model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dropout(0.5), tf_keras.layers.Dense(1)])
    model.set_weights([np.array([[WEIGHT]]), np.array([BIAS])])
    report = measure_epistemic_variance(model, lecture(), num_samples=SAMPLES)
    x, regions = _grid(lecture().x)
    wanted = {r: (WEIGHT**2 * x[regions == r] ** 2).mean() for r in REGIONS}
    assert report.epistemic_variance == pytest.approx(wanted, rel=0.01)  # A fair coin's variance is flat at 1/2.
    assert report.aleatoric_variance == dict.fromkeys(REGIONS, 0.0)


def _held_out(seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x, regions = rng.normal(size=(60, 2)), np.repeat(REGIONS, [10, 6, 4])
    y = x @ [[20.0], [-5.0]] + rng.normal(size=(60, 1)) + 100
    return Dataset(name="t", x=x[:40], y=y[:40], x_test=x[40:], y_test=y[40:], test_regions=regions, noise_scale=1.0)


def test_a_cells_rows_are_what_its_posterior_says_of_the_held_out_rows() -> None:
    dataset, sigma = _held_out(), 1.0
    network = Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=Normal(scale=sigma))
    training = Training(steps=30)
    cell = Cell(method="flipout", seed=3, dataset=dataset, network=network, training=training, num_samples=50)
    finished = run_cell(cell)
    rows, predictions = finished.rows, finished.predictions
    posterior = METHODS["flipout"](dataset, network, training, 3)
    f = posterior.sample_functions(dataset.x_test, num_samples=50, seed=3).astype(float)[..., 0]
    y = dataset.y_test[:, 0]
    log_densities = -((y - f) ** 2) / (2 * sigma**2) - np.log(2 * np.pi * sigma**2) / 2
    log_likelihood = np.logaddexp.reduce(log_densities) - np.log(50)
    assert [row.region for row in rows] == list(REGIONS)
    for row in rows:
        inside = dataset.test_regions == row.region
        assert row.query_points == inside.sum()
        assert row.epistemic_variance == pytest.approx(f[:, inside].var(axis=0).mean(), rel=1e-3)
        assert row.aleatoric_variance == pytest.approx(sigma**2, rel=1e-4)
        assert row.rmse == pytest.approx(np.sqrt(((y - f.mean(axis=0))[inside] ** 2).mean()), rel=1e-4)
        assert row.log_likelihood == pytest.approx(log_likelihood[inside].mean(), rel=1e-3)
        assert (row.parameters, row.random_variables, row.status) == (2 * (2 + 1), 2 + 1, "ok")
    np.testing.assert_allclose(predictions["mean"], f.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(predictions["y"], y)
    np.testing.assert_array_equal(finished.draws["functions"][..., 0], f)
    assert predictions["x"].isna().all()  # Two features have no one x.


def test_every_output_has_its_own_predictions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 1))
    dataset = Dataset(name="d", x=x, y=np.hstack([x, -50 * x]), target_names=("a", "b"))
    network = Network(input_shape=(1,), output_size=2, hidden_units=(), likelihood=Normal())
    finished = run_cell(
        Cell(method="output", seed=0, dataset=dataset, network=network, training=Training(steps=400), num_samples=2)
    )
    rows, predictions = finished.rows, finished.predictions
    a, b = (predictions[predictions["output"] == name]["mean"].to_numpy() for name in "ab")
    grid, _ = _grid(x)
    np.testing.assert_allclose(a, grid, atol=0.05)
    np.testing.assert_allclose(b, -50 * grid, atol=2.5)
    assert all(np.isnan([row.rmse, row.log_likelihood]).all() for row in rows)  # Nothing was held out to score.


def test_the_scores_of_held_out_rows_are_those_of_the_predictive_in_closed_form() -> None:
    """Of many draws of an exact posterior: CRPS, coverage, width and joint density of a normal, by hand."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    y = 3 * x + 1 + rng.normal(size=(200, 1))
    held_out = {"x_test": x[60:], "y_test": y[60:], "test_regions": np.repeat([NEAR, BEYOND], [135, 5])}
    dataset = Dataset(name="line", x=x[:60], y=y[:60], **held_out)
    network = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=1.0))
    cell = Cell(method="linear", seed=0, dataset=dataset, network=network, training=Training(), num_samples=20_000)
    near, beyond = run_cell(cell).rows
    x, y = x[60:195, 0], y[60:195, 0]
    train_x, train_y = dataset.x[:, 0], dataset.y[:, 0]
    features = np.column_stack([np.ones(60), (train_x - train_x.mean()) / train_x.std()])
    noise = 1 / train_y.std()
    precision = features.T @ features / noise**2 + np.eye(2)
    weights = np.linalg.solve(precision, features.T @ (train_y - train_y.mean()) / train_y.std() / noise**2)
    asked = np.column_stack([np.ones(135), (x - train_x.mean()) / train_x.std()])
    mean = train_y.mean() + train_y.std() * asked @ weights
    covariance = train_y.std() ** 2 * asked @ np.linalg.inv(precision) @ asked.T + np.eye(135)
    sd = np.sqrt(np.diag(covariance))
    z = (y - mean) / sd
    crps = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert near.crps == pytest.approx(crps.mean(), rel=0.01)
    for level in LEVELS:
        half = stats.norm.ppf((1 + level) / 2)
        name = f"{100 * level:.0f}"
        assert getattr(near, f"coverage_{name}") == pytest.approx((np.abs(z) <= half).mean(), abs=0.02)
        assert getattr(near, f"width_{name}") == pytest.approx(2 * half * sd.mean(), rel=0.02)
    assert near.log_likelihood == pytest.approx(stats.norm.logpdf(y, mean, sd).mean(), rel=1e-4)
    order = np.random.default_rng(0).permutation(135)[:130].reshape(13, TAU)
    joint = [stats.multivariate_normal.logpdf(y[rows], mean[rows], covariance[np.ix_(rows, rows)]) for rows in order]
    assert near.joint_log_likelihood == pytest.approx(np.sum(joint) / 130, rel=1e-4)
    assert np.isnan(beyond.joint_log_likelihood)  # Five rows are fewer than are scored together.
    assert np.isfinite([beyond.crps, beyond.coverage_50, beyond.width_95]).all()


@pytest.fixture(scope="module")
def contracted() -> dict[str, Any]:
    """The rows near the lecture's data of some methods."""
    network = Network(input_shape=(1,), output_size=1, likelihood=Normal(scale=1.0))
    settings: dict[str, Any] = {"dataset": lecture(), "network": network, "num_samples": 200, "seed": 0}
    methods = ("linear", "flipout", "prior", "output", "hidden", "dropout")
    return {name: run_cell(Cell(method=name, training=Training(steps=2000), **settings)).rows for name in methods}


def test_four_times_the_data_leave_a_quarter_of_the_variance_of_parameters(contracted: dict[str, Any]) -> None:
    assert contracted["linear"][0].contraction == pytest.approx(4, rel=0.1)
    assert 2 < contracted["flipout"][0].contraction < 6


def test_no_data_change_what_has_not_seen_them_and_noise_of_units_need_not_shrink(contracted: dict[str, Any]) -> None:
    assert contracted["prior"][0].contraction == pytest.approx(1, abs=0.2)
    assert contracted["hidden"][0].contraction < 2.5
    assert contracted["dropout"][0].contraction < 2  # The masks are as random as before.
    assert np.isnan(contracted["output"][0].contraction)


def test_contraction_is_of_the_variance_near_alone(contracted: dict[str, Any]) -> None:
    for rows in contracted.values():
        assert [row.region for row in rows] == list(REGIONS)
        assert all(np.isnan(row.contraction) for row in rows[1:])
        assert {row.contraction_status for row in rows} == {"ok"}


def test_a_fit_that_fails_with_four_times_the_data_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_on_more(dataset: Dataset, network: Network, training: Training, seed: int) -> Any:
        if dataset.larger_sample is None:
            raise FitError("diverged")
        return METHODS["linear"](dataset, network, training, seed)

    monkeypatch.setitem(METHODS, "flipout", fails_on_more)
    network = Network(input_shape=(1,), output_size=1, likelihood=Normal(scale=1.0))
    near, *others = run_cell(
        Cell(method="flipout", seed=0, dataset=lecture(), network=network, training=Training(), num_samples=10)
    ).rows
    assert (near.status, near.contraction_status) == ("ok", "diverged")
    assert np.isnan(near.contraction)
    assert {row.contraction_status for row in others} == {"ok"}


def test_the_peak_of_memory_is_what_was_held_at_once_beyond_before() -> None:
    with peak_memory() as peak:
        held = np.ones(2**24)  # 128 MiB
        time.sleep(0.1)
        del held
        time.sleep(0.1)
        assert peak() == pytest.approx(128, abs=30)
    with peak_memory() as peak:
        assert peak() < 30
