"""The likelihoods: from parameters to densities, against SciPy."""

from __future__ import annotations

from typing import Any

import by_hand
import numpy as np
import pytest
from scipy import stats

from variational_bnn._keras import tf
from variational_bnn.base import Likelihood
from variational_bnn.likelihoods import Normal, likelihood_from_dict

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(5, 2))
FORMS = (Normal(), Normal(scale="learned"), Normal(scale=0.1))


@pytest.mark.parametrize("likelihood", FORMS)
def test_the_density_is_scipys(likelihood: Normal) -> None:
    parameters = RNG.normal(size=(5, likelihood.num_parameters(2))).astype(np.float32)
    shared = RNG.normal(size=likelihood.num_shared_parameters(2)).astype(np.float32)
    density = likelihood.distribution(tf.constant(parameters), tf.constant(shared))
    raw = parameters[:, 2:] if likelihood.scale is None else shared
    scale = 0.1 if likelihood.scale == 0.1 else by_hand.LIKELIHOOD_FLOOR + by_hand.softplus(raw)
    wanted = stats.norm(parameters[:, :2], scale).logpdf(Y).sum(-1)
    np.testing.assert_allclose(density.log_prob(Y.astype(np.float32)), wanted, rtol=1e-4)
    assert (density.batch_shape, density.event_shape) == ([5], [2])
    np.testing.assert_allclose(density.mean(), parameters[:, :2])
    np.testing.assert_allclose(density.stddev(), np.broadcast_to(scale, (5, 2)), rtol=1e-5)


def test_each_form_says_how_many_numbers_it_takes() -> None:
    assert [form.num_parameters(3) for form in FORMS] == [6, 3, 3]
    assert [form.num_shared_parameters(3) for form in FORMS] == [0, 3, 0]


@pytest.mark.parametrize("likelihood", FORMS[:2])
@pytest.mark.parametrize("floor", [1e-3, 0.2])
def test_a_trained_scale_has_a_floor_so_the_density_of_exact_targets_is_bounded(
    likelihood: Normal, floor: float
) -> None:
    """Fact 9: without it, the log density of targets that are met exactly grows without bound."""
    likelihood = Normal(scale=likelihood.scale, floor=floor)
    heights = []
    for raw in (-1e2, -1e4):
        parameters = tf.constant([[0.5, raw]] if likelihood.scale is None else [[0.5]])
        density = likelihood.distribution(parameters, tf.constant([raw]))
        assert density.stddev().numpy().item() == pytest.approx(floor)
        heights.append(float(density.log_prob([[0.5]])[0]))
    assert heights == pytest.approx([stats.norm(0, floor).logpdf(0)] * 2)
    assert stats.norm(0, by_hand.softplus(-1e2)).logpdf(0) > 90, "the control: a bare softplus"


def test_known_noise_is_rescaled_with_y_and_learned_noise_is_not() -> None:
    assert Normal(scale=0.6).in_units_of(np.array([3.0])) == Normal(scale=0.6 / 3.0)
    assert Normal(scale=0.6).in_units_of(np.array([2.0, 2.0])) == Normal(scale=0.3)
    for form in FORMS[:2]:
        assert form.in_units_of(np.array([3.0, 7.0])) is form
    with pytest.raises(ValueError, match=r"known noise wants outputs of one scale, got .* \[1\.0, 2\.0\]"):
        Normal(scale=0.6).in_units_of(np.array([1.0, 2.0]))


@pytest.mark.parametrize("likelihood", [*FORMS, Normal(floor=0.02)])
def test_a_likelihood_comes_back_from_its_plain_values(likelihood: Normal) -> None:
    assert likelihood_from_dict(likelihood.to_dict()) == likelihood
    assert isinstance(likelihood, Likelihood)


def test_a_whole_number_is_a_scale() -> None:
    assert Normal(scale=2).to_dict()["scale"] == 2.0
    assert Normal(scale=2).in_units_of(np.array([4.0])) == Normal(scale=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": -0.1}, r"scale must be None, 'learned' or a number > 0, got -0\.1"),
        ({"scale": 0}, "a number > 0, got 0"),
        ({"scale": np.inf}, "a number > 0, got inf"),
        ({"scale": "learnt"}, "'learned' or a number > 0, got 'learnt'"),
        ({"scale": True}, "got True"),
        ({"floor": 0.0}, r"floor must be > 0, got 0\.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normal(**settings)


def test_an_unknown_likelihood_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown likelihood 'Cauchy'; known: Normal"):
        likelihood_from_dict({"name": "Cauchy"})
