"""A network as a function of one vector is the network by hand, and its prior and functions are the builders'."""

from __future__ import annotations

import itertools
from typing import Any

import by_hand
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from variational_bnn.base import Network
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.builders.weights import build_weight_variation
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.weight_space import WeightSpace

NETWORKS = {
    "heteroscedastic": Network(input_shape=(3,), output_size=2, hidden_units=(4, 5), likelihood=Normal()),
    "learned": Network(
        input_shape=(2, 3),
        output_size=2,
        hidden_units=(4,),
        activation="tanh",
        likelihood=Normal(scale="learned"),
        prior_scale=0.7,
    ),
    "known": Network(
        input_shape=(2, 2),
        output_size=1,
        hidden_units=(5, 3),
        activation="tanh",
        likelihood=Normal(scale=0.3),
        prior_scale=1.6,
        scale_prior_by_fan_in=False,
    ),
    "line": Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=0.4), prior_scale=2.0),
    "learned line": Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=Normal(scale="learned")),
    "heteroscedastic line": Network(
        input_shape=(2,), output_size=1, hidden_units=(), likelihood=Normal(), scale_prior_by_fan_in=False
    ),
}
everywhere = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def _values(network: Network, count: tuple[int, ...] = (), seed: int = 0) -> Any:
    """Z `[*count, P]`, x `[7, *input_shape]` and y `[7, D]`."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((*count, WeightSpace.of(network).size), dtype=np.float32)
    x = rng.standard_normal((7, *network.input_shape), dtype=np.float32)
    return z, x, rng.standard_normal((7, network.output_size), dtype=np.float32)


def _layers(network: Network, z: by_hand.Array) -> tuple[list[tuple[by_hand.Array, by_hand.Array]], by_hand.Array]:
    """Weights and biases of each layer, in their own units, and what is left."""
    sizes = [int(np.prod(network.input_shape)), *network.hidden_units]
    sizes.append(network.output_size * (2 if network.likelihood.scale is None else 1))
    layers, rest = [], network.prior_scale * z.astype(np.float64)
    for fan_in, units in itertools.pairwise(sizes):
        kernel, bias, rest = np.split(rest, [fan_in * units, (fan_in + 1) * units])
        kernel = kernel / np.sqrt(fan_in) if network.scale_prior_by_fan_in else kernel
        layers.append((kernel.reshape(fan_in, units), bias))
    return layers, rest


def _by_hand(network: Network, z: by_hand.Array, x: by_hand.Array) -> tuple[by_hand.Array, by_hand.Array]:
    """Loc and scale `[N, D]` of one vector."""
    layers, shared = _layers(network, z)
    h = x.reshape(len(x), -1).astype(np.float64)
    for i, (kernel, bias) in enumerate(layers):
        h = (by_hand.ACTIVATIONS[network.activation](h) if i else h) @ kernel + bias
    size, scale = network.output_size, network.likelihood.scale
    if scale is None:
        return h[:, :size], by_hand.LIKELIHOOD_FLOOR + by_hand.softplus(h[:, size:])
    return h, np.broadcast_to(by_hand.LIKELIHOOD_FLOOR + by_hand.softplus(shared) if shared.size else scale, h.shape)


def _flat(x: by_hand.Array) -> tf.Tensor:
    return tf.constant(x.reshape(len(x), -1))


@everywhere
def test_outputs_and_densities_are_those_of_the_network_by_hand(network: Network) -> None:
    """One vector at a time, from a batch of them."""
    space = WeightSpace.of(network)
    z, x, y = _values(network, count=(2, 3))
    outputs = space.outputs(tf.constant(z), _flat(x))
    assert outputs.shape == (2, 3, 7, space.num_outputs)
    distribution = space.distribution(outputs)
    log_likelihood = space.log_likelihood(tf.constant(z), _flat(x), tf.constant(y)).numpy()
    log_prior = space.log_prior(tf.constant(z)).numpy()
    for i in np.ndindex(2, 3):
        loc, scale = _by_hand(network, z[i], x)
        np.testing.assert_allclose(distribution.mean()[i], loc, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(distribution.stddev()[i], scale, rtol=1e-4)
        assert log_likelihood[i] == pytest.approx(stats.norm.logpdf(y, loc, scale).sum(), rel=1e-4)
    expected = stats.norm.logpdf(z.astype(np.float64)).sum(-1) - stats.norm.logpdf(np.zeros(space.size)).sum()
    np.testing.assert_allclose(log_prior, expected, rtol=1e-5)
    assert np.ptp(log_likelihood) > 1, "other weights have another likelihood"


def test_each_vector_may_have_rows_of_its_own() -> None:
    network = NETWORKS["learned"]
    space = WeightSpace.of(network)
    z, *_ = _values(network, count=(4,))
    rows = [_values(network, seed=seed)[1:] for seed in range(4)]
    x, y = (np.stack(values) for values in zip(*rows, strict=True))
    together = space.log_likelihood(tf.constant(z), tf.constant(x.reshape(4, 7, -1)), tf.constant(y))
    apart = [space.log_likelihood(tf.constant(z[i]), _flat(x[i]), tf.constant(y[i])) for i in range(4)]
    np.testing.assert_allclose(together, apart, rtol=1e-5)


@everywhere
def test_the_prior_is_the_builders(network: Network) -> None:
    """Where q's mean moves by a, its KL rises by |a / prior sd|^2 / 2: by minus the log prior of z = a / prior sd."""
    space = WeightSpace.of(network)
    z, *_ = _values(network)
    layers, shared = _layers(network, z)
    z[space.size - len(shared) :] = 0
    model = build_weight_variation(network, num_examples=10, seed=0)
    stochastic = [model.get_layer(name) for name in by_hand.layer_names(network)]

    def kl(share: float) -> float:
        for layer, (kernel, bias) in zip(stochastic, layers, strict=True):
            layer.loc.assign(share * np.vstack([kernel, bias]))
        return float(sum(layer.weights_kl() for layer in stochastic))

    rise = kl(1.0) - kl(0.0)
    assert rise == pytest.approx(-float(space.log_prior(tf.constant(z))), rel=1e-4)
    assert rise != pytest.approx(-float(space.log_prior(tf.constant(1.05 * z))), rel=1e-2)
    scales = [np.broadcast_to(layer.prior_scales, layer.loc.shape).ravel() for layer in stochastic]
    np.testing.assert_allclose(space.prior_scales[: sum(map(len, scales))], np.concatenate(scales), rtol=1e-7)
    np.testing.assert_array_equal(space.prior_scales[sum(map(len, scales)) :], network.prior_scale)


@everywhere
def test_functions_are_those_of_a_builders_model_with_the_same_weights(network: Network) -> None:
    z, x, _ = _values(network)
    layers, shared = _layers(network, z)
    model = build_output_variation(network, num_examples=10, seed=0)
    for name, (kernel, bias) in zip(by_hand.layer_names(network), layers, strict=True):
        model.get_layer(name).set_weights([kernel, bias])
    if shared.size:
        model.get_layer("y").shared.assign(shared)
    built = model(tf.constant(x))
    space = WeightSpace.of(network)
    results = space.distribution(space.outputs(tf.constant(z), _flat(x)))
    np.testing.assert_allclose(results.mean(), built.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(results.stddev(), built.stddev(), rtol=1e-4)
    turned = space.distribution(space.outputs(tf.constant(z[::-1].copy()), _flat(x)))
    assert not np.allclose(turned.mean(), built.mean(), atol=0.01), "the order of the weights matters"
