"""Whole networks as layers: each member is drawn equally often, a tangent is a tangent, and both can be saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.generated_network import generated_model
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.weight_space import WeightSpace
from variational_bnn.models.whole_networks import normal_model, sampled_model
from variational_bnn.prediction.predict import predict, sample_functions
from variational_bnn.prediction.random_variables import num_random_variables

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((30, 2, 2), dtype=np.float32), RNG.standard_normal((30, 1), dtype=np.float32)
NETWORK = Network(
    input_shape=(2, 2),
    output_size=1,
    hidden_units=(3, 2),
    activation="tanh",
    likelihood=Normal(scale="learned"),
    prior_scale=1.4,
)
SPACE = WeightSpace.of(NETWORK)
LOC, ROOT = RNG.normal(size=SPACE.size), 0.2 * RNG.normal(size=(SPACE.size, SPACE.size))
CONSTANT = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=1.0))
DRAWS = 10_000


def _numbered(count: int) -> Any:
    """A model whose member k is the constant function k."""
    return sampled_model(CONSTANT, np.column_stack([np.zeros(count), np.arange(count)]))


def _members(model: Any, draws: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Which member each draw is."""
    functions = sample_functions(model, [[-2.0], [0.0], [5.0]], num_samples=draws, seed=seed)[..., 0]
    np.testing.assert_array_equal(functions, functions[:, :1].repeat(3, axis=1))
    return functions[:, 0].astype(np.int64)


def _as_often(members: npt.NDArray[np.int64], count: int) -> bool:
    """Whether in a block each of them is there as often as any other, but for the one round that may be unfinished."""
    often = np.bincount(members, minlength=count)
    return bool(often.max() - often.min() <= 1) and len(often) == count


@pytest.mark.parametrize(("count", "draws"), [(1, 5), (4, 100), (3, 100), (7, 60), (100, 100), (250, 100)])
def test_in_a_block_each_member_is_drawn_equally_often(count: int, draws: int) -> None:
    members = _members(_numbered(count), draws)
    assert _as_often(members, count)
    if count > 1:
        assert not _as_often(np.random.default_rng(0).integers(count, size=draws), count), "drawn alone, they are not"
        assert (members != np.arange(draws) % count).any(), "in random order"


def test_the_order_is_the_seeds_and_each_round_has_its_own() -> None:
    model = _numbered(10)
    members = _members(model, 300).reshape(30, 10)
    np.testing.assert_array_equal(np.sort(members), np.tile(np.arange(10), (30, 1)))
    assert len(np.unique(members, axis=0)) == 30
    np.testing.assert_array_equal(_members(model, 300).reshape(30, 10), members)
    assert (_members(model, 300, seed=1).reshape(30, 10) != members).any()
    np.testing.assert_array_equal(_members(model, 25), members.ravel()[:25])


def test_over_all_blocks_members_of_a_large_sample_come_equally_often() -> None:
    """Half of 200 in each block of 100: the number of blocks that a member is in is binomial."""
    blocks = 400
    often = np.bincount(_members(_numbered(200), 100 * blocks), minlength=200)
    assert (np.abs(often - blocks / 2) < 4.5 * np.sqrt(blocks / 4)).all()


def test_the_mean_over_whole_rounds_is_the_members_mean() -> None:
    samples = RNG.normal(size=(20, SPACE.size))
    model = sampled_model(NETWORK, samples)
    inputs = tf.constant(X.reshape(30, -1))
    members = SPACE.distribution(SPACE.outputs(tf.constant(samples, tf.float32), inputs))
    predictive = predict(model, X, num_samples=40)
    np.testing.assert_allclose(predictive.mean, members.mean().numpy().mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predictive.epistemic_variance, members.mean().numpy().var(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predictive.aleatoric_variance, members.variance().numpy().mean(0), rtol=1e-4)
    densities = members.log_prob(Y).numpy().astype(np.float64)
    np.testing.assert_allclose(predictive.log_prob(Y), np.log(np.exp(densities).mean(0)), rtol=1e-4, atol=1e-5)
    assert not np.allclose(predictive.aleatoric_variance, members.variance().numpy()[0], rtol=0.01)


def test_a_plain_call_is_one_member_for_the_batch_and_another_the_next_time() -> None:
    model = _numbered(4)
    calls = np.array([model(np.zeros((3, 1), np.float32)).mean().numpy()[:, 0] for _ in range(200)])
    np.testing.assert_array_equal(calls, calls[:, :1].repeat(3, axis=1))
    often = np.bincount(calls[:, 0].astype(int), minlength=4)
    assert len(often) == 4
    assert (np.abs(often - 50) < 4.5 * np.sqrt(200 * 0.25 * 0.75)).all()


def _functions(model: Any, x: Any, draws: int = DRAWS) -> Array:
    """Of a model with one output, `[S, N]`."""
    return sample_functions(model, x, num_samples=draws)[..., 0].astype(np.float64)


def _outputs(z: Array, x: npt.NDArray[np.float32]) -> Array:
    """What the network puts out `[N, K]`, in double precision."""
    return SPACE.outputs(tf.constant(z, tf.float64), tf.constant(x.reshape(len(x), -1), tf.float64)).numpy()


def _jacobian() -> Array:
    """Of the outputs at X by the weights `[N, K, P]`, by finite differences."""
    steps = 1e-5 * np.eye(SPACE.size)
    return np.stack([(_outputs(LOC + step, X) - _outputs(LOC - step, X)) / 2e-5 for step in steps], axis=-1)


def _agree(draws: Array, mean: Array, covariance: Array) -> bool:
    """Whether normal draws `[S, M]` have this mean and covariance, within 5 standard errors."""
    sd = np.sqrt(np.diag(covariance))
    off_mean = np.abs(draws.mean(0) - mean) / sd * np.sqrt(len(draws))
    errors = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / len(draws))
    return bool((off_mean < 5).all() and (np.abs(np.cov(draws.T) - covariance) < 5 * errors).all())


def test_the_tangents_functions_are_normal_with_covariance_j_r_rt_jt() -> None:
    draws = _functions(normal_model(NETWORK, LOC, root=ROOT, linearised=True), X[:8])
    root = _jacobian()[:8, 0] @ ROOT
    mean = _outputs(LOC, X[:8])[:, 0]
    assert _agree(draws, mean, root @ root.T)
    turned = _jacobian()[:8, 0] @ ROOT.T
    assert not _agree(draws, mean, turned @ turned.T), "R^T R is another covariance"
    network = sampled_model(NETWORK, LOC + RNG.normal(size=(DRAWS, SPACE.size)) @ ROOT.T)
    assert not _agree(_functions(network, X[:8]), mean, root @ root.T)


def test_every_draw_of_the_tangent_is_on_it() -> None:
    """Draws less the function at the centre are J times something, exactly; those of the network itself are not."""
    jacobian, centre = _jacobian()[:, 0], _outputs(LOC, X)[:, 0]

    def off(model: Any) -> Array:
        draws = _functions(model, X, draws=20) - centre
        on_it = draws @ np.linalg.pinv(jacobian, rcond=1e-9).T @ jacobian.T
        return np.linalg.norm(draws - on_it, axis=1) / np.linalg.norm(draws, axis=1)

    assert (off(normal_model(NETWORK, LOC, root=ROOT, linearised=True)) < 1e-5).all()
    assert (off(sampled_model(NETWORK, LOC + RNG.normal(size=(20, SPACE.size)) @ ROOT.T)) > 1e-3).all()


def test_of_a_linear_network_the_tangent_is_the_network() -> None:
    """Each draw is a line, and their covariance is that of the weights, also with a scale and a root of low rank."""
    network = Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=Normal(scale=1.0), prior_scale=2.0)
    loc, root = np.array([0.3, -0.7]), np.array([[1.0, 0.0], [-0.6, 0.5]])
    x = np.linspace(-1, 2, 6)
    draws = _functions(normal_model(network, loc, root=root, linearised=True), x)
    np.testing.assert_allclose(np.diff(draws, n=2), 0, atol=1e-5)
    features = 2 * np.column_stack([x, np.ones(6)])
    covariance = features @ root @ root.T @ features.T
    assert _agree(draws, features @ loc, covariance)
    sampled = sampled_model(network, loc + RNG.normal(size=(DRAWS, 2)) @ root.T)
    assert _agree(_functions(sampled, x), features @ loc, covariance)
    assert not _agree(draws, features @ loc, 1.1 * covariance)

    scale = np.array([0.4, 0.9])
    with_scale = _functions(normal_model(network, loc, scale=scale, root=root[:, :1]), x)
    covariance = features @ (root[:, :1] @ root[:, :1].T + np.diag(scale**2)) @ features.T
    assert _agree(with_scale, features @ loc, covariance)
    assert not _agree(with_scale, features @ loc, 1.1 * covariance)


def test_without_spread_the_tangent_is_the_network_at_its_centre() -> None:
    model = normal_model(NETWORK, LOC, root=np.zeros_like(ROOT), linearised=True)
    plain = model(tf.constant(X))
    expected = SPACE.distribution(tf.constant(_outputs(LOC, X), tf.float32))
    np.testing.assert_allclose(plain.mean(), expected.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(plain.stddev(), expected.stddev(), rtol=1e-4)
    assert (predict(model, X, num_samples=10).epistemic_variance == 0).all()
    moved = normal_model(NETWORK, LOC, root=ROOT, linearised=True)
    assert not np.array_equal(moved(tf.constant(X)).mean(), moved(tf.constant(X)).mean()), "a plain call draws"


@pytest.mark.parametrize("likelihood", [Normal(), Normal(scale="learned", floor=0.01), Normal(scale=0.3)])
@pytest.mark.parametrize("kind", ["sampled", "linearised", "normal", "generated"])
def test_a_saved_model_predicts_the_same(kind: str, likelihood: Normal, tmp_path: Path) -> None:
    """In safe mode, with plain values in its configuration."""
    network = Network(
        input_shape=(2, 2),
        output_size=1,
        hidden_units=(3,),
        activation="tanh",
        likelihood=likelihood,
        scale_prior_by_fan_in=False,
    )
    size = WeightSpace.of(network).size
    values = np.random.default_rng(1).normal(size=(size, size))
    made: dict[str, Callable[[], tf_keras.Model]] = {
        "sampled": lambda: sampled_model(network, values),
        "linearised": lambda: normal_model(network, values[0], root=0.1 * values, linearised=True),
        "normal": lambda: normal_model(network, values[0], scale=0.1 * np.abs(values[1]), root=0.1 * values[:, :2]),
        "generated": lambda: generated_model(network, 3, 4, 0.1, seed=0),
    }
    model = made[kind]()
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    results = [predict(m, X, num_samples=20, seed=3) for m in (model, loaded)]
    for name in ("mean", "epistemic_variance", "aleatoric_variance"):
        np.testing.assert_array_equal(*(getattr(predictive, name) for predictive in results))
    np.testing.assert_array_equal(*(predictive.log_prob(Y) for predictive in results))
    numbers = {"sampled": 1, "linearised": size, "normal": size + 2, "generated": 3}[kind]
    assert num_random_variables(loaded) == num_random_variables(model) == numbers
    assert loaded.get_layer("network").space.network == network
    assert bool(loaded.trainable_variables) == (kind == "generated")
    loaded.get_layer("network").variables[0].assign_add(tf.ones_like(loaded.get_layer("network").variables[0]))
    assert not np.array_equal(predict(loaded, X, num_samples=20, seed=3).mean, results[0].mean), "other weights differ"


def test_no_members_raise_an_error() -> None:
    with pytest.raises(ValueError, match="count must be a whole number >= 1, got 0"):
        sampled_model(CONSTANT, np.zeros((0, 2)))
