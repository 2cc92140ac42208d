"""Predictions of classes: probabilities, entropies and their parts against NumPy; samples; users' own models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy.special import log_softmax, logsumexp
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network, Predictive
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from variational_bnn.prediction.predict import predict, sample_functions

N, CLASSES, S = 12, 4, 130
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
LABELS, COINS = RNG.integers(CLASSES, size=(N, 1)), RNG.integers(2, size=(N, 3))
REPEATS = 172  # So that N rows become more than two chunks of 1,024.
LIKELIHOODS = {"categorical": (Categorical(num_classes=CLASSES), LABELS), "bernoulli": (Bernoulli(), COINS)}
KINDS = ("output", "flipout", "shared", "amortized")


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A model of each kind for each likelihood, by "kind likelihood"."""
    built = {}
    for name, (likelihood, y) in LIKELIHOODS.items():
        network = Network(input_shape=(3,), output_size=y.shape[1], hidden_units=(6,), likelihood=likelihood)
        for kind in KINDS:
            settings = {"initial_scale": 0.3} if kind == "amortized" else {}
            built[f"{kind} {name}"] = model = by_hand.build(kind, network, N, **settings)
            by_hand.widen(model, seed=3)
            if kind == "amortized":  # Latents of a spread that tells on the class.
                model.get_layer("latent_parameters").bias.assign_add(np.repeat([0.0, 3.0], 2))
            if kind == "shared":  # And so have the factors.
                model.get_layer("hidden_1_factors").raw_scale.assign_add(np.full(6, 2.0))
    return built


@pytest.fixture(params=[f"{kind} {name}" for name in LIKELIHOODS for kind in KINDS])
def case(request: pytest.FixtureRequest, models: dict[str, Any]) -> tuple[Any, str, str, np.ndarray]:
    """A model, its kind, its likelihood's name, and targets."""
    kind, name = request.param.split()
    return models[request.param], kind, name, LIKELIHOODS[name][1]


def _entropy(p: np.ndarray, classes: int) -> np.ndarray:
    """Of each output apart: of K classes each, or of a coin if `classes` is 1, whose two sides are told by one."""
    sides = p.reshape(*p.shape[:-1], -1, classes) if classes > 1 else np.stack([p, 1 - p], axis=-1)
    return -(sides * np.log(sides)).sum(-1)


def _log_probabilities(p: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Of each row's targets `[N, D]` by probabilities `[S, N, ...]`: `[S, N]`."""
    if classes == 1:
        return np.log(np.where(y == 1, p, 1 - p)).sum(-1)
    apart = p.reshape(*p.shape[:-1], -1, classes)
    return np.log(np.take_along_axis(apart, y[None, ..., None], axis=-1)[..., 0]).sum(-1)


def _check(
    predictive: Predictive, functions: np.ndarray, y: np.ndarray, classes: int, source: str = "epistemic"
) -> None:
    """All that a predictive says of classes, by the draws of their probabilities `[S, N, K]`.

    They vary by what is drawn once for all rows ("epistemic") or by what is drawn for each row ("latent"), by which the
    rows are independent.
    """
    p = functions.astype(np.float64)
    mean, count = p.mean(0), len(p)
    np.testing.assert_allclose(predictive.mean, mean, rtol=1e-5, atol=1e-7)
    assert predictive.probabilities is predictive.mean
    np.testing.assert_allclose(predictive.entropy, _entropy(mean, classes), rtol=1e-5)
    expected = _entropy(p, classes).mean(0)
    np.testing.assert_allclose(predictive.expected_entropy, expected, rtol=1e-5)
    assert predictive.entropy is not None
    assert predictive.entropy.shape == y.shape
    parts = {
        "epistemic": (predictive.mutual_information, predictive.epistemic_variance),
        "latent": (predictive.latent_information, predictive.latent_variance),
    }
    information, variance = parts.pop(source)
    np.testing.assert_allclose(information, _entropy(mean, classes) - expected, atol=1e-6)
    np.testing.assert_allclose(variance, p.var(0), rtol=1e-4, atol=1e-9)
    sources = predictive.mutual_information, predictive.latent_information, predictive.expected_entropy
    np.testing.assert_allclose(sum(sources), predictive.entropy, rtol=1e-12)
    [others] = parts.values()
    assert all((other == 0).all() for other in others)
    np.testing.assert_allclose(predictive.aleatoric_variance, (p * (1 - p)).mean(0), rtol=1e-4)
    np.testing.assert_allclose(predictive.variance, mean * (1 - mean), rtol=1e-4)
    rows = _log_probabilities(p, y, classes)
    log_prob, joint = predictive.log_prob(y), predictive.joint_log_prob(y, tau=5)
    np.testing.assert_allclose(log_prob, logsumexp(rows, axis=0) - np.log(count), rtol=1e-4)
    starts = range(0, len(y) - 4, 5)
    together = logsumexp([rows[:, start : start + 5].sum(1) for start in starts], axis=1) - np.log(count)
    apart = [(logsumexp(rows, axis=0) - np.log(count))[start : start + 5].sum() for start in starts]
    np.testing.assert_allclose(joint, apart if source == "latent" else together, rtol=1e-4)
    assert not np.allclose(predictive.log_prob(np.roll(y, 1, axis=0)), log_prob, rtol=1e-2), "the targets matter"


def test_a_predictive_of_classes_is_that_of_the_sampled_probabilities(case: tuple[Any, str, str, np.ndarray]) -> None:
    """Also if rows come in several chunks."""
    model, kind, name, y = case
    x, many = np.tile(X, (REPEATS, 1)), np.tile(y, (REPEATS, 1))
    classes = CLASSES if name == "categorical" else 1
    source = "latent" if kind == "amortized" else "epistemic"
    functions = sample_functions(model, x, num_samples=S, seed=0)
    _check(predict(model, x, num_samples=S, seed=0), functions, many, classes, source)
    functions = sample_functions(model, X, num_samples=S, seed=0)
    predictive = predict(model, X, num_samples=S, seed=0)
    _check(predictive, functions, y, classes, source)
    log_prob, joint = predictive.log_prob(y), predictive.joint_log_prob(y, tau=4)
    assert np.allclose(log_prob.reshape(-1, 4).sum(1), joint, rtol=1e-5) == (kind in ("output", "amortized"))
    if name == "categorical":
        np.testing.assert_allclose(functions.sum(-1), 1.0, rtol=1e-5)
        np.testing.assert_allclose(log_prob, np.log(predictive.probabilities[np.arange(N), y[:, 0]]), rtol=1e-4)


def test_probabilities_are_the_softmax_of_what_the_network_puts_out(models: dict[str, Any]) -> None:
    model = models["output categorical"]
    hidden, last = (by_hand.variables(model, layer) for layer in ("hidden_1", "parameters"))
    h = np.maximum(X @ hidden["kernel"] + hidden["bias"], 0)
    log_probabilities = log_softmax(h @ last["kernel"] + last["bias"], axis=-1)
    np.testing.assert_allclose(predict(model, X).probabilities, np.exp(log_probabilities), rtol=1e-4)


def test_samples_that_agree_have_exactly_no_information(case: tuple[Any, str, str, np.ndarray]) -> None:
    """Other samples have some at every row; rounding makes no value negative."""
    model, kind, *_ = case
    predictive = predict(model, X, num_samples=S)
    information = predictive.latent_information if kind == "amortized" else predictive.mutual_information
    assert information is not None
    assert (information == 0).all() if kind == "output" else (information > 1e-3).all()
    assert predictive.entropy is not None
    rounded = dataclasses.replace(predictive, expected_entropy=np.nextafter(predictive.entropy, 9))
    assert (rounded.mutual_information == 0).all()


def test_samples_are_classes_as_often_as_they_are_probable(case: tuple[Any, str, str, np.ndarray]) -> None:
    """Within 4.5 standard errors, given the draws; so are two equal rows of one draw, which share its parameters."""
    model, kind, name, y = case
    count, rows = 2000, np.concatenate([X, X])
    predictive = predict(model, rows, num_samples=count, seed=0)
    p = sample_functions(model, rows, num_samples=count, seed=0).astype(np.float64)
    samples = predictive.sample(seed=1)
    classes = CLASSES if name == "categorical" else 2
    assert samples.shape == (count, 2 * N, y.shape[1])
    assert set(np.unique(samples)) == set(range(classes))
    hits = samples == np.arange(CLASSES) if name == "categorical" else samples
    error = 4.5 * np.sqrt(predictive.aleatoric_variance / count)
    assert (np.abs(hits.mean(0) - predictive.mean) < error).all()
    assert (np.abs(hits.mean(0) - np.roll(predictive.mean, 1, axis=-1)) > error).any()
    first, second = np.split(hits.astype(bool), 2, axis=1)
    twice, square = (first & second).mean(0), p[:, :N] * p[:, N:]
    spread = 4.5 * np.sqrt((square * (1 - square)).mean(0) / count)
    assert (np.abs(twice - square.mean(0)) < spread).all()
    if kind in ("flipout", "shared"):
        assert (np.abs(twice - predictive.mean[:N] ** 2) > spread).any(), "rows that share no function meet less often"


BAD = {
    "categorical": [
        (LABELS + CLASSES, r"y must be whole numbers from 0 to 3 for Categorical, got \d\.0$"),
        (LABELS - CLASSES, r"y must be whole numbers from 0 to 3 for Categorical, got -\d\.0$"),
        (LABELS + 0.5, r"y must be whole numbers from 0 to 3 for Categorical, got \d\.5$"),
        (np.eye(CLASSES)[LABELS[:, 0]], r"y must have shape \[12, 1\], got \[12, 4\]$"),
    ],
    "bernoulli": [
        (COINS * 255, r"y must be in \[0, 1\] for Bernoulli, got 255\.0$"),
        (COINS - 0.1, r"y must be in \[0, 1\] for Bernoulli, got -0\.1$"),
        (COINS[:, :2], r"y must have shape \[12, 3\], got \[12, 2\]$"),
    ],
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_targets_that_are_not_classes_raise_one_line(models: dict[str, Any], name: str) -> None:
    y = LIKELIHOODS[name][1]
    missing = np.where(np.arange(N)[:, None] == 3, np.nan, y)
    rows = (y[1:], rf"y must have shape \[12, {y.shape[1]}\], got \[11, {y.shape[1]}\]$")
    predictive = predict(models[f"flipout {name}"], X, num_samples=3)
    for bad, message in [*BAD[name], rows, (missing, "y must be finite, got nan in row 3, column 0$")]:
        for score in (predictive.log_prob, predictive.joint_log_prob):
            with pytest.raises(ValueError, match=message) as caught:
                score(bad)
            assert "\n" not in str(caught.value)


def test_labels_may_be_a_vector_of_any_kind_of_number(models: dict[str, Any]) -> None:
    predictive = predict(models["flipout categorical"], X, num_samples=3)
    for y in (LABELS[:, 0], LABELS.astype(np.uint8), LABELS.astype(np.float32), LABELS[:, 0].tolist()):
        np.testing.assert_array_equal(predictive.log_prob(y), predictive.log_prob(LABELS))


@pytest.mark.parametrize("likelihood", [Normal(), MixtureNormal(num_components=2)], ids=str)
def test_a_number_has_no_probabilities_of_classes(likelihood: Any) -> None:
    network = Network(input_shape=(3,), output_size=2, hidden_units=(4,), likelihood=likelihood)
    predictive = predict(by_hand.build("flipout", network, N), X, num_samples=3)
    assert (predictive.entropy, predictive.expected_entropy) == (None, None)
    with pytest.raises(ValueError, match=r"y is a number here: it has a mean, and no probabilities of classes$"):
        _ = predictive.probabilities
    with pytest.raises(ValueError, match=r"y is a number here: its epistemic part is epistemic_variance$"):
        _ = predictive.mutual_information


def test_a_mixtures_moments_and_density_are_those_of_all_draws_components() -> None:
    """A mixture of mixtures: the draws' own means and variances, by the law of total variance."""
    likelihood = MixtureNormal(num_components=3)
    network = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=likelihood)
    model = by_hand.build("flipout", network, N)
    by_hand.widen(model)
    y = RNG.normal(size=(N, 2))
    parameters = sample_functions(tf_keras.Sequential(model.layers[:-1]), X, num_samples=S, seed=0).astype(np.float64)
    weights, loc, scale = by_hand.mixture_of(likelihood, parameters, 2)
    mean = (weights[..., None] * loc).sum(-2)
    predictive = predict(model, X, num_samples=S, seed=0)
    np.testing.assert_allclose(predictive.mean, mean.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predictive.epistemic_variance, mean.var(0), rtol=1e-4)
    second = (weights[..., None] * (loc**2 + scale**2)).sum(-2).mean(0)
    np.testing.assert_allclose(predictive.variance, second - mean.mean(0) ** 2, rtol=1e-4)
    rows = -by_hand.row_nll(model, network, parameters, y)
    np.testing.assert_allclose(predictive.log_prob(y), logsumexp(rows, axis=0) - np.log(S), rtol=1e-4)


def _model(density: Callable[[tf.Tensor], tfd.Distribution], units: int) -> tf_keras.Model:
    dense = tfp.layers.DenseFlipout(
        units,
        kernel_posterior_fn=tfp.layers.default_mean_field_normal_fn(
            untransformed_scale_initializer=tf_keras.initializers.Constant(0.0)
        ),
    )
    return tf_keras.Sequential([tf_keras.Input((3,)), dense, tfp.layers.DistributionLambda(density)])


def _apart(t: tf.Tensor) -> tf.Tensor:
    return tf.reshape(t, [-1, 2, 4])


OWN: dict[str, tuple[Callable[[tf.Tensor], tfd.Distribution], int, np.ndarray, int]] = {
    "categorical": (lambda t: tfd.Categorical(logits=t), 4, LABELS, 4),
    "categorical, by probabilities": (lambda t: tfd.Categorical(probs=tf.nn.softmax(t)), 4, LABELS, 4),
    "two of them": (lambda t: tfd.Categorical(logits=_apart(t)), 8, np.hstack([LABELS, LABELS[::-1]]), 4),
    "bernoulli": (lambda t: tfd.Bernoulli(logits=t), 3, COINS, 1),
    "bernoulli, by probabilities": (lambda t: tfd.Bernoulli(probs=tf.nn.sigmoid(t)), 3, COINS, 1),
    "independent bernoulli": (lambda t: tfd.Independent(tfd.Bernoulli(logits=t), 1), 3, COINS, 1),
}


@pytest.mark.parametrize("name", OWN)
def test_users_own_models_of_classes_have_probabilities_and_entropies(name: str) -> None:
    density, units, y, classes = OWN[name]
    model = _model(density, units)
    predictive = predict(model, X, num_samples=S, seed=0)
    _check(predictive, sample_functions(model, X, num_samples=S, seed=0), y, classes)
    assert (predictive.mutual_information > 1e-3).all()
    samples = predictive.sample(seed=0)
    assert samples.shape == (S, *y.shape)
    assert set(np.unique(samples)) == set(range(max(classes, 2)))


def test_a_users_one_hot_vector_has_densities_and_no_entropies() -> None:
    """It is no number of a class, so its targets are vectors too."""
    model = _model(lambda t: tfd.OneHotCategorical(logits=t), CLASSES)
    predictive, by_number = (predict(m, X, num_samples=S) for m in (model, _numbered(model)))
    assert (predictive.entropy, predictive.expected_entropy) == (None, None)
    np.testing.assert_allclose(predictive.mean, by_number.mean, rtol=1e-5)
    np.testing.assert_allclose(predictive.variance, by_number.variance, rtol=1e-4)
    one_hot = np.eye(CLASSES)[LABELS[:, 0]]
    np.testing.assert_allclose(predictive.log_prob(one_hot), by_number.log_prob(LABELS), rtol=1e-5)
    assert predictive.sample(seed=0).sum(-1).tolist() == np.ones((S, N)).tolist()
    with pytest.raises(ValueError, match=r"y must have shape \[12, 4\], got \[12, 1\]"):
        predictive.log_prob(LABELS)


def _numbered(model: tf_keras.Model) -> tf_keras.Model:
    """The same network, whose y is the number of a class."""
    return tf_keras.Sequential([*model.layers[:-1], tfp.layers.DistributionLambda(lambda t: tfd.Categorical(t))])


def test_a_fraction_under_a_users_bernoulli_of_whole_numbers_stays_a_fraction() -> None:
    """Its log density is the expected one, of point weights linear in the target; 0.7 is not rounded to 0."""
    coins = tfp.layers.DistributionLambda(lambda t: tfd.Bernoulli(logits=t))
    predictive = predict(tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(3), coins]), X)
    ones, zeros = (predictive.log_prob(np.full((N, 3), side)) for side in (1, 0))
    np.testing.assert_allclose(predictive.log_prob(np.full((N, 3), 0.7)), 0.7 * ones + 0.3 * zeros, rtol=1e-5)


def test_classes_of_a_model_that_draws_in_its_own_way() -> None:
    shared = tf_keras.layers.Lambda(lambda t: t + tf.random.normal([1, 4]))
    classes = tfp.layers.DistributionLambda(lambda t: tfd.Categorical(logits=t))
    dense = tf_keras.layers.Dense
    model = tf_keras.Sequential([tf_keras.Input((3,)), dense(4), shared, dense(CLASSES), classes])
    functions = sample_functions(model, X, num_samples=20, seed=2)
    predictive = predict(model, X, num_samples=20, seed=2)
    _check(predictive, functions, LABELS, CLASSES)
    assert (predictive.mutual_information > 0).all()
