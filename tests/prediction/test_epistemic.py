"""The report of epistemic variance by region, against the closed form of a line."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from line_with_latents import line_with_latents

from variational_bnn.base import BETWEEN, BEYOND, NEAR, REGIONS, Dataset, Network
from variational_bnn.datasets import lecture
from variational_bnn.models.likelihoods import Categorical, Normal
from variational_bnn.prediction.epistemic import measure_epistemic_variance

WEIGHT, WEIGHT_SD, BIAS, BIAS_SD, NOISE = 3.0, 0.8, -1.0, 0.3, 0.5
SAMPLES = 4000
RELATIVE_ERROR = np.sqrt(2 / SAMPLES)  # Standard error of a variance of normal draws.
LINEAR = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=NOISE))


def _line(estimator: str = "flipout", weight_sd: float = WEIGHT_SD) -> Any:
    """The model y = w x + b + noise with a known posterior: Var f(x) = weight_sd^2 x^2 + bias_sd^2."""
    model = by_hand.build(estimator, LINEAR, 20)
    scales = np.array([[weight_sd], [BIAS_SD]]) - by_hand.POSTERIOR_FLOOR
    values = {"posterior_loc": np.array([[WEIGHT], [BIAS]]), "posterior_raw_scale": np.log(np.expm1(scales))}
    for variable in model.trainable_variables:
        name = variable.name.rsplit("/", 1)[-1].removesuffix(":0")
        variable.assign(values[name].astype(np.float32))
    return model


def _grid(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The query points of a one-feature dataset and their regions, from the definition and by brute force."""
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
    expected = {r: (WEIGHT_SD**2 * x[regions == r] ** 2 + BIAS_SD**2).mean() for r in REGIONS}
    assert list(report.epistemic_variance) == list(REGIONS)
    assert report.epistemic_variance == pytest.approx(expected, rel=4 * RELATIVE_ERROR)
    assert report.query_points == {r: int((regions == r).sum()) for r in REGIONS}
    assert report.aleatoric_variance == pytest.approx(dict.fromkeys(REGIONS, NOISE**2), rel=1e-5)
    assert report.latent_variance == dict.fromkeys(REGIONS, 0.0)
    assert report.between_near == report.epistemic_variance[BETWEEN] / report.epistemic_variance[NEAR]
    assert report.beyond_near == report.epistemic_variance[BEYOND] / report.epistemic_variance[NEAR]
    assert expected[BEYOND] > (1 + 20 * RELATIVE_ERROR) * expected[NEAR]  # One number for all regions would not do.


@pytest.mark.parametrize(("weight_sd", "exponent"), [(WEIGHT_SD, 1.0), (1e-4, 0.0)])
def test_far_away_the_sd_of_a_line_grows_with_distance_and_that_of_a_constant_does_not(
    weight_sd: float, exponent: float
) -> None:
    near, far = np.linspace(-0.4, 0.4, 20), np.geomspace(50, 500, 40)
    regions = np.repeat([NEAR, BEYOND], [20, 40])
    held_out = {"x_test": np.r_[near, far], "y_test": np.zeros(60), "test_regions": regions}
    dataset = dataclasses.replace(lecture(), **held_out)
    report = measure_epistemic_variance(_line(weight_sd=weight_sd), dataset, num_samples=SAMPLES)
    assert report.growth_exponent == pytest.approx(exponent, abs=0.02)
    assert report.query_points == {NEAR: 20, BEYOND: 40}
    assert np.isnan(report.between_near)


def test_growth_close_to_the_data_is_the_slope_of_the_closed_form() -> None:
    report = measure_epistemic_variance(_line(), lecture(), num_samples=SAMPLES)
    x, regions = _grid(lecture().x)
    x = x[regions == BEYOND]
    distance = np.abs(x[:, None] - lecture().x.T).min(axis=1)
    sd = np.sqrt(WEIGHT_SD**2 * x**2 + BIAS_SD**2)
    assert report.growth_exponent == pytest.approx(np.polyfit(np.log(distance), np.log(sd), 1)[0], abs=0.03)


def test_a_model_of_points_has_no_epistemic_variance() -> None:
    model = by_hand.build("output", dataclasses.replace(LINEAR, likelihood=Normal()), 20)
    by_hand.widen(model)
    report = measure_epistemic_variance(model, lecture(), num_samples=10)
    assert report.epistemic_variance == dict.fromkeys(REGIONS, 0.0)
    assert all(variance > 0 for variance in report.aleatoric_variance.values())
    assert np.isnan([report.between_near, report.beyond_near, report.growth_exponent]).all()
    assert str(report).splitlines()[-1] == "no epistemic variance in any region"


def test_the_summary_has_a_line_for_each_region_and_one_for_the_ratios() -> None:
    *regions, ratios = str(measure_epistemic_variance(_line(), lecture(), num_samples=SAMPLES)).splitlines()
    assert [line.split()[0] for line in regions] == list(REGIONS)
    assert all(
        re.search(r"epistemic sd 0\.\d+, latent sd 0, aleatoric sd 0\.5, \d+ query points$", line) for line in regions
    )
    assert re.fullmatch(r"epistemic variance between/near \S+, beyond/near \S+; beyond, sd ~ distance\^0\.\d+", ratios)


def test_noise_of_rows_is_reported_apart_and_neither_grows_nor_counts_in_ratios() -> None:
    """y = w x + z: Var = s^2 x^2 + t^2, of which the first part grows with x and the second does not."""
    latent_sd, near, far = 40.0, np.linspace(10, 20, 20), np.geomspace(50, 500, 40)
    regions = np.repeat([NEAR, BEYOND], [20, 40])
    held_out = {"x_test": np.r_[near, far], "y_test": np.zeros(60), "test_regions": regions}
    dataset = dataclasses.replace(lecture(), **held_out)
    model = line_with_latents(latent_sd=latent_sd, slope_sd=3.0)
    report = measure_epistemic_variance(model, dataset, num_samples=SAMPLES)
    assert report.latent_variance == pytest.approx(dict.fromkeys([NEAR, BEYOND], latent_sd**2), rel=RELATIVE_ERROR)
    expected = (far**2).mean() / (near**2).mean()
    assert report.beyond_near == pytest.approx(expected, rel=8 * RELATIVE_ERROR)
    over_draws = {r: report.epistemic_variance[r] + report.latent_variance[r] for r in (NEAR, BEYOND)}
    assert over_draws[BEYOND] / over_draws[NEAR] < 0.6 * expected, "the control: of both parts it is another ratio"
    assert report.growth_exponent == pytest.approx(1.0, abs=0.02)
    assert re.search(r"near +epistemic sd 4\d\.\d+, latent sd (39|40)\.\d+, aleatoric sd 0\.4, 20 ", str(report))


def test_a_model_of_latents_alone_has_no_epistemic_variance() -> None:
    model = by_hand.build("amortized", dataclasses.replace(LINEAR, hidden_units=(5,)), 20)
    report = measure_epistemic_variance(model, lecture(), num_samples=10)
    assert report.epistemic_variance == dict.fromkeys(REGIONS, 0.0)
    assert all(variance > 0 for variance in report.latent_variance.values())
    assert np.isnan([report.between_near, report.beyond_near, report.growth_exponent]).all()
    assert str(report).splitlines()[-1] == "no epistemic variance in any region"


def test_any_keras_model_can_be_measured() -> None:
    """Dropout on the input: w x is kept with probability 1/2, so that Var = (w x)^2."""
    model = tf_keras.Sequential([tf_keras.Input((1,)), tf_keras.layers.Dropout(0.5), tf_keras.layers.Dense(1)])
    model.set_weights([np.array([[WEIGHT]]), np.array([BIAS])])
    report = measure_epistemic_variance(model, lecture(), num_samples=SAMPLES)
    x, regions = _grid(lecture().x)
    expected = {r: (WEIGHT**2 * x[regions == r] ** 2).mean() for r in REGIONS}
    assert report.epistemic_variance == pytest.approx(expected, rel=0.01)  # A fair coin's variance is flat at 1/2.
    assert report.aleatoric_variance == dict.fromkeys(REGIONS, 0.0)


def _classes(names: tuple[str, ...]) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(name="trees", x=rng.normal(size=(60, 2)), y=np.arange(60) % 3, class_names=names)


def test_probabilities_of_classes_are_measured() -> None:
    network = Network(input_shape=(2,), output_size=1, hidden_units=(5,), likelihood=Categorical(num_classes=3))
    model = by_hand.build("flipout", network, 60)
    by_hand.widen(model)
    report = measure_epistemic_variance(model, _classes(("ash", "birch", "oak")), num_samples=50)
    assert all(0 < variance < 0.25 for variance in report.epistemic_variance.values())
    with pytest.raises(ValueError, match="the model must have 4 outputs, got 3"):
        measure_epistemic_variance(model, _classes(("ash", "birch", "oak", "yew")), num_samples=5)


def test_a_model_that_does_not_fit_the_dataset_raises() -> None:
    rng = np.random.default_rng(0)
    two = Dataset(name="two", x=rng.normal(size=(9, 2)), y=rng.normal(size=9))
    with pytest.raises(ValueError, match=r"x must have shape \[N, 1\], got \[600, 2\]"):
        measure_epistemic_variance(_line(), two)
    with pytest.raises(TypeError, match="Keras 3"):
        measure_epistemic_variance(tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1)]), lecture())
    with pytest.raises(ValueError, match="num_samples must be a whole number >= 1, got 0"):
        measure_epistemic_variance(_line(), lecture(), num_samples=0)
