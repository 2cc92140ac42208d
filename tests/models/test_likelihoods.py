"""The likelihoods: from parameters to densities, moments and samples, against SciPy."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from scipy.special import softmax
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Likelihood, Network
from variational_bnn.models.discrete_likelihoods import Labels, as_labels, of_classes
from variational_bnn.models.likelihood_head import LikelihoodHead
from variational_bnn.models.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    MixtureNormal,
    Normal,
    likelihood_from_dict,
)
from variational_bnn.models.weight_space import WeightSpace

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(5, 2))
FORMS = (Normal(), Normal(scale="learned"), Normal(scale=0.1))
MIXTURES = (MixtureNormal(num_components=1), MixtureNormal(num_components=3, floor=0.05))
EVENTS = ((1,), (2,), (2, 3), (2, 2, 1))
OTHERS = [(m, event) for m in (*MIXTURES, Bernoulli()) for event in EVENTS] + [(Categorical(num_classes=4), (1,))]
every_other = pytest.mark.parametrize(("likelihood", "event"), OTHERS, ids=str)


def _parameters(likelihood: Likelihood, event: tuple[int, ...], *batch: int) -> np.ndarray:
    size = likelihood.num_parameters(int(np.prod(event)))
    return np.random.default_rng(1).normal(size=(*batch, size)).astype(np.float32)


def _density(likelihood: Likelihood, parameters: np.ndarray, event: tuple[int, ...]) -> tfd.Distribution:
    return likelihood.distribution(tf.constant(parameters), None, event)


def _targets(likelihood: Likelihood, event: tuple[int, ...], *batch: int) -> np.ndarray:
    """Numbers, classes, or what is 0, 1 or a third of the time between."""
    rng = np.random.default_rng(2)
    if isinstance(likelihood, Categorical):
        return rng.integers(likelihood.num_classes, size=(*batch, *event)).astype(np.float32)
    if isinstance(likelihood, Bernoulli):
        return rng.choice([0.0, 0.2, 1.0], size=(*batch, *event)).astype(np.float32)
    return rng.normal(size=(*batch, *event)).astype(np.float32)


def _scipys(likelihood: Any, parameters: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log density of flat y `[N, D]`, `[N]`, then mean and variance `[N, D]`, or `[N, K]` of K classes."""
    if isinstance(likelihood, Bernoulli):
        coin = stats.bernoulli(1 / (1 + np.exp(-parameters.astype(np.float64))))
        return (y * coin.logpmf(1) + (1 - y) * coin.logpmf(0)).sum(-1), coin.mean(), coin.var()
    if isinstance(likelihood, Categorical):
        p = softmax(parameters.astype(np.float64), axis=-1)
        one_hot = np.eye(likelihood.num_classes)[y[:, 0].astype(int)]
        log_density = [stats.multinomial(1, row / row.sum()).logpmf(y) for row, y in zip(p, one_hot, strict=True)]
        return np.array(log_density), p, p * (1 - p)
    weights, loc, scale = by_hand.mixture_of(likelihood, parameters.astype(np.float64), y.shape[-1])
    densities = stats.norm(loc, scale).pdf(y[:, None]).prod(-1)
    mean = (weights[..., None] * loc).sum(1)
    within, between = (weights[..., None] * part for part in (scale**2, (loc - mean[:, None]) ** 2))
    return np.log((weights * densities).sum(-1)), mean, within.sum(1) + between.sum(1)


@pytest.mark.parametrize("likelihood", FORMS)
def test_the_density_is_scipys(likelihood: Normal) -> None:
    parameters = RNG.normal(size=(5, likelihood.num_parameters(2))).astype(np.float32)
    shared = RNG.normal(size=likelihood.num_shared_parameters(2)).astype(np.float32)
    density = likelihood.distribution(tf.constant(parameters), tf.constant(shared), (2,))
    raw = parameters[:, 2:] if likelihood.scale is None else shared
    scale = 0.1 if likelihood.scale == 0.1 else by_hand.LIKELIHOOD_FLOOR + by_hand.softplus(raw)
    expected = stats.norm(parameters[:, :2], scale).logpdf(Y).sum(-1)
    np.testing.assert_allclose(density.log_prob(Y.astype(np.float32)), expected, rtol=1e-4)
    assert (density.batch_shape, density.event_shape) == ([5], [2])
    np.testing.assert_allclose(density.mean(), parameters[:, :2])
    np.testing.assert_allclose(density.stddev(), np.broadcast_to(scale, (5, 2)), rtol=1e-5)


@every_other
def test_densities_means_and_variances_are_scipys(likelihood: Likelihood, event: tuple[int, ...]) -> None:
    """Of a mixture by the law of total variance; of a fraction under `Bernoulli`, the expected log density."""
    parameters, y = _parameters(likelihood, event, 5), _targets(likelihood, event, 5)
    density = _density(likelihood, parameters, event)
    log_density, mean, variance = _scipys(likelihood, parameters, y.reshape(5, -1))
    np.testing.assert_allclose(density.log_prob(y), log_density, rtol=1e-5)
    assert not np.allclose(density.log_prob(y[::-1]), log_density, rtol=1e-2)
    assert (density.batch_shape, density.event_shape) == ([5], list(event))
    np.testing.assert_allclose(tf.reshape(density.mean(), [5, -1]), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tf.reshape(density.variance(), [5, -1]), variance, rtol=1e-4)
    np.testing.assert_allclose(tf.reshape(density.stddev(), [5, -1]), np.sqrt(variance), rtol=1e-4)


@every_other
def test_samples_have_the_mean_and_the_variance(likelihood: Likelihood, event: tuple[int, ...]) -> None:
    """Within 4.5 standard errors; those of a class, as its one-hot vector."""
    count = 4000
    density = _density(likelihood, _parameters(likelihood, event, 3), event)
    y = density.sample(count, seed=0).numpy().astype(np.float64)
    assert y.shape == (count, 3, *event)
    if isinstance(likelihood, Categorical):
        y = np.eye(likelihood.num_classes)[y[..., 0].astype(int)]
    mean, variance = (values.numpy().astype(np.float64) for values in (density.mean(), density.variance()))
    squares = (y - mean) ** 2
    assert (np.abs(y.mean(0) - mean) < 4.5 * np.sqrt(variance / count)).all()
    assert (np.abs(squares.mean(0) - variance) <= 4.5 * squares.std(0) / np.sqrt(count)).all()
    assert (np.abs(y.mean(0) - np.roll(mean, 1, axis=0)) > 4.5 * np.sqrt(variance / count)).any(), "the rows differ"


@pytest.mark.parametrize("event", [(2,), (2, 1)])
def test_the_outputs_of_a_mixture_share_the_component(event: tuple[int, ...]) -> None:
    """Their covariance is that of the components' locs, within 4.5 standard errors."""
    mixture, count = MIXTURES[1], 4000
    parameters = _parameters(mixture, event, 3)
    weights, loc, _ = by_hand.mixture_of(mixture, parameters, 2)
    off = loc - (weights[..., None] * loc).sum(1, keepdims=True)
    expected = (weights * off.prod(-1)).sum(1)
    y = _density(mixture, parameters, event).sample(count, seed=1).numpy().astype(np.float64).reshape(count, 3, 2)
    products = (y - y.mean(0)).prod(-1)
    error = 4.5 * products.std(0) / np.sqrt(count)
    assert (np.abs(products.mean(0) - expected) < error).all()
    assert (np.abs(products.mean(0)) > error).any(), "independent outputs would have none"


def test_a_mixture_of_one_component_is_the_heteroscedastic_normal() -> None:
    parameters, y = _parameters(MIXTURES[0], (2,), 5), Y.astype(np.float32)
    normal = _density(Normal(), parameters[:, 1:], (2,))
    np.testing.assert_allclose(_density(MIXTURES[0], parameters, (2,)).log_prob(y), normal.log_prob(y), rtol=1e-5)


@every_other
def test_leading_axes_are_batches(likelihood: Likelihood, event: tuple[int, ...]) -> None:
    """As of many networks at once; the targets `[N, ...]` are those of each."""
    parameters, y = _parameters(likelihood, event, 2, 3, 5), _targets(likelihood, event, 5)
    density = _density(likelihood, parameters, event)
    assert density.batch_shape == [2, 3, 5]
    together = density.log_prob(y)
    for i in np.ndindex(2, 3):
        alone = _density(likelihood, parameters[i], event)
        np.testing.assert_allclose(together[i], alone.log_prob(y), rtol=1e-5)
        np.testing.assert_allclose(density.mean()[i], alone.mean(), rtol=1e-5)
        np.testing.assert_allclose(density.variance()[i], alone.variance(), rtol=1e-5)


@pytest.mark.parametrize("likelihood", [MixtureNormal(num_components=3), Bernoulli(), Categorical(num_classes=4)])
def test_networks_as_vectors_have_the_same_densities(likelihood: Likelihood) -> None:
    """The log likelihood of each of several vectors of weights is NumPy's, by what each network puts out."""
    outputs = 1 if isinstance(likelihood, Categorical) else 2
    network = Network(input_shape=(3,), output_size=outputs, hidden_units=(4,), likelihood=likelihood)
    space = WeightSpace.of(network)
    z, x, y = space.prior_draws(6, seed=0), RNG.normal(size=(7, 3)), _targets(likelihood, (outputs,), 7)
    put_out = space.outputs(tf.constant(z), tf.constant(x, tf.float32))
    expected = [-by_hand.row_nll(None, network, values.astype(np.float64), y).sum() for values in put_out.numpy()]
    results = space.log_likelihood(tf.constant(z), tf.constant(x, tf.float32), tf.constant(y))
    np.testing.assert_allclose(results, expected, rtol=1e-5)
    assert np.ptp(expected) > 1, "other weights have another likelihood"


@pytest.mark.parametrize("likelihood", [Normal(), MixtureNormal(num_components=2), Bernoulli()], ids=str)
def test_the_head_makes_images_of_the_same_density_as_rows(likelihood: Likelihood) -> None:
    parameters = tf.constant(_parameters(likelihood, (12,), 5))
    y = _targets(likelihood, (2, 3, 2), 5)
    images, rows = (LikelihoodHead(likelihood, 12, event_shape=shape)(parameters) for shape in ((2, 3, 2), None))
    np.testing.assert_allclose(images.log_prob(y), rows.log_prob(y.reshape(5, 12)), rtol=1e-5)
    np.testing.assert_allclose(images.mean(), tf.reshape(rows.mean(), y.shape), rtol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(images), images.mean(), rtol=1e-6)
    assert not np.allclose(images.log_prob(y), rows.log_prob(y.transpose(0, 3, 1, 2).reshape(5, 12)), rtol=1e-2)


def test_the_head_says_which_event_it_has_and_what_of_a_class_is_a_tensor() -> None:
    head = LikelihoodHead(Bernoulli(), 6, event_shape=(2, 3))
    assert LikelihoodHead.from_config(head.get_config()).event_shape == (2, 3)
    labels = LikelihoodHead(Categorical(num_classes=3), 1)(tf.constant(Y[:, [0, 1, 0]]))
    np.testing.assert_allclose(tf.convert_to_tensor(labels), softmax(Y[:, [0, 1, 0]], axis=-1), rtol=1e-5)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_logits_far_out_leave_densities_finite(sign: float) -> None:
    parameters = sign * np.array([[1e4, -1e4]], np.float32)
    heads = 0.0 if sign > 0 else 1.0
    for y, expected in (([1 - heads, heads], 0.0), ([heads, 1 - heads], -2e4)):
        assert float(_density(Bernoulli(), parameters, (2,)).log_prob([y])[0]) == pytest.approx(expected)
    for label, expected in ((heads, 0.0), (1 - heads, -2e4)):
        assert float(_density(Categorical(num_classes=2), parameters, (1,)).log_prob([[label]])[0]) == expected


def test_tfps_classes_become_labels_and_nothing_else_does() -> None:
    logits = RNG.normal(size=(5, 4)).astype(np.float32)
    numbers, labels = np.arange(5) % 4, Categorical(num_classes=4).distribution(tf.constant(logits), None, (1,))
    for own in (tfd.Categorical(logits=logits), tfd.Categorical(probs=softmax(logits, axis=-1))):
        for output in (own, tfp.layers.DistributionLambda(lambda _, own=own: own)(logits)):
            results = as_labels(output)
            assert isinstance(results, Labels)
            assert results.event_shape == [1]
            np.testing.assert_allclose(results.mean(), softmax(logits, axis=-1), rtol=1e-5)
            np.testing.assert_allclose(results.log_prob(numbers[:, None]), own.log_prob(numbers), rtol=1e-5)
            assert of_classes(results) == Categorical(num_classes=4)
    for other in (labels, tfd.Normal(logits, 1.0), tfd.Bernoulli(logits), tfd.OneHotCategorical(logits), logits):
        assert as_labels(other) is other
    coins = tfd.Bernoulli(logits)
    results = [of_classes(d) for d in (labels, coins, tfd.Independent(coins, 1), _density(Bernoulli(), logits, (2, 2)))]
    assert results == [Categorical(num_classes=4), Bernoulli(), Bernoulli(), Bernoulli()]
    mixture = _density(MixtureNormal(num_components=2), RNG.normal(size=(5, 6)).astype(np.float32), (1,))
    for number in (tfd.Normal(logits, 1.0), tfd.Independent(tfd.Normal(logits, 1.0), 1), mixture, tf.constant(logits)):
        assert of_classes(number) is None


def test_each_form_says_how_many_numbers_it_takes() -> None:
    assert [form.num_parameters(3) for form in FORMS] == [6, 3, 3]
    assert [form.num_shared_parameters(3) for form in FORMS] == [0, 3, 0]
    assert [mixture.num_parameters(3) for mixture in MIXTURES] == [7, 21]
    assert (Bernoulli().num_parameters(3), Categorical(num_classes=7).num_parameters(1)) == (3, 7)
    assert all(likelihood.num_shared_parameters(1) == 0 for likelihood, _ in OTHERS)


def test_several_classes_a_row_raise_an_error() -> None:
    categorical = Categorical(num_classes=3)
    for call in (
        lambda: categorical.num_parameters(2),
        lambda: Network(input_shape=(1,), output_size=2, likelihood=categorical),
    ):
        with pytest.raises(ValueError, match="output_size must be 1 for Categorical, got 2"):
            call()


@pytest.mark.parametrize("likelihood", [*FORMS[:2], MIXTURES[0]])
@pytest.mark.parametrize("floor", [1e-3, 0.2])
def test_a_trained_scale_has_a_floor_so_the_density_of_exact_targets_is_bounded(likelihood: Any, floor: float) -> None:
    """Fact 9: without it, the log density of targets that are met exactly grows without bound."""
    likelihood = dataclasses.replace(likelihood, floor=floor)
    heights = []
    for raw in (-1e2, -1e4):
        parameters = {2: [[0.5, raw]], 1: [[0.5]], 3: [[0.0, 0.5, raw]]}[likelihood.num_parameters(1)]
        density = likelihood.distribution(tf.constant(parameters), tf.constant([raw]), (1,))
        assert density.stddev().numpy().item() == pytest.approx(floor)
        heights.append(float(density.log_prob([[0.5]])[0]))
    assert heights == pytest.approx([stats.norm(0, floor).logpdf(0)] * 2)
    assert stats.norm(0, by_hand.softplus(-1e2)).logpdf(0) > 90, "the control: a bare softplus"


def test_known_noise_is_rescaled_with_y_and_learned_noise_is_not() -> None:
    assert Normal(scale=0.6).in_units_of(np.array([3.0])) == Normal(scale=0.6 / 3.0)
    assert Normal(scale=0.6).in_units_of(np.array([2.0, 2.0])) == Normal(scale=0.3)
    for form in FORMS[:2]:
        assert form.in_units_of(np.array([3.0, 7.0])) is form
    with pytest.raises(
        ValueError, match=r"standard deviations of y must be equal where Normal has a known scale, got \[1\.0, 2\.0\]"
    ):
        Normal(scale=0.6).in_units_of(np.array([1.0, 2.0]))


@pytest.mark.parametrize("likelihood", [*MIXTURES, Bernoulli(), Categorical(num_classes=3)], ids=str)
def test_what_is_learned_or_a_class_is_not_rescaled(likelihood: Likelihood) -> None:
    assert likelihood.in_units_of(np.array([3.0])) is likelihood


@pytest.mark.parametrize("likelihood", [*FORMS, Normal(floor=0.02), *MIXTURES, Bernoulli(), Categorical(num_classes=3)])
def test_a_likelihood_comes_back_from_its_plain_values(likelihood: Likelihood) -> None:
    plain = json.loads(json.dumps(likelihood.to_dict()))
    assert likelihood_from_dict(plain) == likelihood
    assert isinstance(likelihood, Likelihood)
    assert plain["name"] == type(likelihood).__name__ in LIKELIHOODS
    assert likelihood.discrete == isinstance(likelihood, Bernoulli | Categorical)


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
def test_settings_out_of_range_raise_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normal(**settings)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (MixtureNormal, {"num_components": 0}, "num_components must be a whole number >= 1, got 0"),
        (MixtureNormal, {"num_components": 2.0}, r"num_components must be a whole number >= 1, got 2\.0"),
        (MixtureNormal, {"num_components": True}, "num_components must be a whole number >= 1, got True"),
        (MixtureNormal, {"num_components": 2, "floor": 0}, "floor must be > 0, got 0"),
        (MixtureNormal, {"num_components": 2, "floor": np.nan}, "floor must be > 0, got nan"),
        (Categorical, {"num_classes": 1}, "num_classes must be at least 2, got 1"),
        (Categorical, {"num_classes": "3"}, "num_classes must be a whole number >= 1, got '3'"),
    ],
)
def test_counts_and_floors_out_of_range_raise_errors(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_the_error_of_an_unknown_likelihood_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'Cauchy'; known: Normal, MixtureNormal, Bernoulli, Categorical"):
        likelihood_from_dict({"name": "Cauchy"})
