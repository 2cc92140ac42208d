"""How methods fit: what is random in them, in which units they fit, their settings, and what they do not support."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import variational_bnn as vbnn
from variational_bnn.methods import METHODS

RNG = np.random.default_rng(0)
N, NOISE = 24, 8.0
X = np.column_stack([RNG.uniform(-1, 1, N), 1e4 * RNG.normal(size=N)])
Y = (1000 + 50 * np.sin(3 * X[:, 0]) + NOISE * RNG.normal(size=N))[:, None]
HELD_OUT = {"x_test": X[:9], "y_test": Y[:9], "test_regions": np.repeat(["near", "between", "beyond"], 3)}
DATASET = vbnn.Dataset(name="made", x=X, y=Y)
NETWORK = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(6,), likelihood=vbnn.Normal(scale=NOISE))
LINE = dataclasses.replace(NETWORK, hidden_units=())
NOT_TRAINED = (
    "pbp",
    "metropolis",
    "hmc",
    "gp",
    "linear",
    "prior",
)  # They take no gradient steps, whose rate may be too high.
NOT_RANDOM = ("gp", "linear", "prior")  # Their fit is the same from every seed.

NEED_UNITS = ("hidden", "hidden_shared", "hidden_conditional", "dropout")

everywhere = pytest.mark.parametrize("name", METHODS)


def _without(*left: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in METHODS if name not in left])


def _method(name: str, **settings: Any) -> Any:
    """The method with those of the settings that it has."""
    fields = {field.name for field in dataclasses.fields(METHODS[name])}  # type: ignore[arg-type]
    return dataclasses.replace(METHODS[name], **{k: v for k, v in settings.items() if k in fields})  # type: ignore


def _short(name: str, **settings: Any) -> Any:
    """A short fit; batches of SGLD take long to compile, so it has all rows in one."""
    batch_size = N if name == "sgld" else 16
    short = {"steps": 20, "batch_size": batch_size, "chains": 2, "warmup": 1, "draws": 4, "thinning": 1}
    return _method(name, **{**short, **settings})


def _after_a_short_fit(name: str, dataset: vbnn.Dataset, seed: int) -> Any:
    """Some function samples, or of `hmc`, whose chains are too short to be a posterior, the whole trace."""
    if name != "hmc":
        network = NETWORK if name in NEED_UNITS else LINE
        return _short(name).fit(dataset, network, seed).sample_functions(X, num_samples=4, seed=1)
    expected = r"^not converged: R-hat .* \(must be at most 1.01\), effective sample size .* \(must be at least 400\)"
    with pytest.raises(vbnn.FitError, match=expected) as raised:
        _short(name).fit(dataset, LINE, seed)
    return raised.value.diagnostics.trace  # type: ignore[union-attr]


@everywhere
def test_the_same_seed_and_training_rows_give_the_same_posterior(name: str) -> None:
    """To the bit, wherever the held-out rows are; another seed gives another one, unless nothing in it is random."""
    held_out = dataclasses.replace(DATASET, **HELD_OUT)
    shifted = dataclasses.replace(held_out, x_test=X[:9] + 1000.0, y_test=Y[:9] + 1000.0)
    first = _after_a_short_fit(name, held_out, seed=0)
    np.testing.assert_array_equal(first, _after_a_short_fit(name, shifted, seed=0))
    other = _after_a_short_fit(name, held_out, seed=1)
    assert np.isclose(first, other, rtol=1e-7).all() == (name in NOT_RANDOM)


@pytest.mark.parametrize("name", ["flipout", "hidden", "hidden_shared", "dropout"])
def test_the_units_of_the_data_do_not_matter(name: str) -> None:
    """Inputs and targets in other units give the same posterior in those units."""
    other = vbnn.Dataset(name="made", x=X * [3.0, 1e-3] + [5.0, 2.0], y=7.0 + 0.25 * Y)
    network = dataclasses.replace(NETWORK, likelihood=vbnn.Normal(scale=0.25 * NOISE))
    method = _method(name, steps=50, batch_size=64)
    first = method.fit(DATASET, NETWORK, 0).predict(DATASET.x, num_samples=30, seed=0)
    second = method.fit(other, network, 0).predict(other.x, num_samples=30, seed=0)
    np.testing.assert_allclose(second.mean, 7.0 + 0.25 * first.mean, rtol=1e-3)
    np.testing.assert_allclose(second.epistemic_variance, first.epistemic_variance / 16, rtol=2e-2)
    np.testing.assert_allclose(second.latent_variance, first.latent_variance / 16, rtol=2e-2)
    np.testing.assert_allclose(second.log_prob(other.y), first.log_prob(Y) + np.log(4), atol=0.1)


def test_without_standardisation_the_units_are_those_of_the_data() -> None:
    """Standardising by hand is the same as `standardise=True`, and leaving the values as they are is not."""
    by_hand = vbnn.Dataset(name="by hand", x=(X - X.mean(0)) / X.std(0), y=(Y - Y.mean(0)) / Y.std(0))
    network = dataclasses.replace(NETWORK, likelihood=vbnn.Normal(scale=float(NOISE / Y.std())))
    expected = _method("deterministic", steps=50).fit(DATASET, NETWORK, 0).predict(X, num_samples=5, seed=0).mean
    raw = _method("deterministic", steps=50, standardise=False)
    standard = raw.fit(by_hand, network, 0).predict(by_hand.x, num_samples=5, seed=0).mean
    np.testing.assert_allclose(Y.mean(0) + Y.std(0) * standard, expected, rtol=1e-4)
    assert not np.allclose(raw.fit(DATASET, NETWORK, 0).predict(X, num_samples=5, seed=0).mean, expected, rtol=1e-2)


@everywhere
def test_a_network_of_other_sizes_raises(name: str) -> None:
    network = vbnn.Network(input_shape=(3,), output_size=1, likelihood=vbnn.Normal())
    expected = r"network must have input_shape, output_size = \(\(2,\), 1\) for the dataset"
    with pytest.raises(ValueError, match=expected):
        METHODS[name].fit(DATASET, network, 0)


@pytest.mark.parametrize("name", NEED_UNITS)
def test_a_network_without_hidden_units_is_not_supported(name: str) -> None:
    expected = "it needs hidden units, got hidden_units=()"
    assert METHODS[name].supports(DATASET, LINE) == expected
    with pytest.raises(ValueError, match="it needs hidden units"):
        METHODS[name].fit(DATASET, LINE, 0)


@_without(*NOT_TRAINED)
def test_a_diverged_training_says_so(name: str) -> None:
    with pytest.raises(vbnn.FitError, match=r"diverged: the loss became"):
        _short(name, learning_rate=1e30).fit(DATASET, NETWORK, 0)


def test_a_constant_learning_rate_is_another_training() -> None:
    """At the first step the two are the same; later the cosine's is smaller."""
    means = {
        (schedule, steps): _method("deterministic", steps=steps, schedule=schedule)
        .fit(DATASET, NETWORK, 0)
        .predict(X, num_samples=1, seed=0)
        .mean
        for schedule in ("cosine", "constant")
        for steps in (1, 20)
    }
    np.testing.assert_array_equal(means["cosine", 1], means["constant", 1])
    assert not np.allclose(means["cosine", 20], means["constant", 20], rtol=1e-4)


WRONG_SETTINGS = {
    "steps": (0, "steps must be a whole number >= 1, got 0"),
    "batch_size": (2.5, "batch_size must be a whole number >= 1, got 2.5"),
    "learning_rate": (0.0, "learning_rate must be > 0, got 0.0"),
    "schedule": ("step", "unknown schedule 'step'; known: cosine, constant"),
    "standardise": (1, "standardise must be True or False, got 1"),
    "initial_scale": (-1.0, "initial_scale must be > 0, got -1.0"),
    "kl_weight": (-0.5, "kl_weight must be >= 0, got -0.5"),
    "point_prior": ("yes", "point_prior must be True or False, got 'yes'"),
    "latent_size": (0, "latent_size must be a whole number >= 1, got 0"),
    "decoder_units": (7, "decoder_units must be a tuple of whole numbers, got 7"),
    "latent_prior_scale": (0.0, "latent_prior_scale must be > 0, got 0.0"),
    "num_draws": (0, "num_draws must be a whole number >= 1, got 0"),
    "rate": (1.0, "rate must be > 0 and < 1, got 1.0"),
    "members": (0, "members must be a whole number >= 1, got 0"),
    "chains": (0, "chains must be a whole number >= 1, got 0"),
    "warmup": ("long", "warmup must be a whole number >= 1, got 'long'"),
    "draws": (True, "draws must be a whole number >= 1, got True"),
    "thinning": (-3, "thinning must be a whole number >= 1, got -3"),
    "alpha": (1.5, "alpha must be > 0 and <= 1, got 1.5"),
    "noise_size": (0, "noise_size must be a whole number >= 1, got 0"),
    "generator_units": (0, "generator_units must be a whole number >= 1, got 0"),
    "passes": (0, "passes must be a whole number >= 1, got 0"),
    "learn_prior": ("yes", "learn_prior must be True or False, got 'yes'"),
    "initial_rate": (0.5, "initial_rate must be > 0 and < 0.5, got 0.5"),
    "descent_rate": (0.0, "descent_rate must be > 0, got 0.0"),
    "snapshots": (0, "snapshots must be a whole number >= 1, got 0"),
    "steps_apart": (0, "steps_apart must be a whole number >= 1, got 0"),
    "rank": (0, "rank must be a whole number >= 1, got 0"),
}


@everywhere
def test_a_wrong_setting_raises_and_is_named(name: str) -> None:
    for field in dataclasses.fields(METHODS[name]):  # type: ignore[arg-type]
        value, message = WRONG_SETTINGS[field.name]
        with pytest.raises(ValueError, match=r"must be|unknown") as raised:
            dataclasses.replace(METHODS[name], **{field.name: value})  # type: ignore[type-var]
        assert str(raised.value) == message


@everywhere
def test_the_docstring_describes_every_setting(name: str) -> None:
    """Its first line is what `variational-bnn list` shows."""
    text = type(METHODS[name]).__doc__ or ""
    first, *_ = text.splitlines()
    assert len(first) <= 90
    arguments = text.split("Args:")[1].split("\n\n")[0]
    for field in dataclasses.fields(METHODS[name]):  # type: ignore[arg-type]
        assert f"\n        {field.name}: " in arguments
    for section in ("Raises:", "Example:"):
        assert section in text


def test_fits_that_fail_are_rows_that_say_so() -> None:
    """A training that diverged has no measures; chains that did not converge keep what they say of themselves."""
    methods = {
        "diverged": _short("flipout", learning_rate=1e30),
        "short chains": _short("hmc"),
        "good": _short("flipout"),
    }
    comparison = vbnn.compare(DATASET, methods=methods, network=LINE, seeds=[0], num_samples=10, progress=False)
    results = comparison.results.set_index("method")
    assert set(results.loc["good", "status"]) == {"ok"}
    assert set(results.loc["good", "region"]) >= {"near", "beyond"}
    for name in methods:
        assert list(results.loc[name, "region"]) == list(results.loc["good", "region"])
        assert results.loc[name, "epistemic_variance"].isna().all() == (name != "good")
    assert results.loc["diverged", "status"].str.startswith("diverged: the loss became").all()
    assert results.loc["diverged", "r_hat"].isna().all()
    assert comparison.draws["made", "diverged", 0] == {}
    chains = results.loc["short chains"]
    assert chains["status"].str.startswith("not converged: R-hat ").all()
    assert ((chains["r_hat"] > 1.01) | (chains["ess"] < 400)).all()
    assert chains["acceptance"].between(0, 1).all()
    assert (chains["ess"] > 0).all()
    kept = comparison.draws["made", "short chains", 0]
    assert kept["trace"].shape == (100 + 4, 2)
    assert kept["warmup"] == 100
    assert set(comparison.predictions["method"]) == {"good"}
