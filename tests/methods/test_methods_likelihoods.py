"""Every method with every likelihood that it can have, and what is peculiar to probabilities in some of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from variational_bnn.base import REGIONS, Dataset, Likelihood, Network, Training
from variational_bnn.experiments.tables import Cell, run_cell
from variational_bnn.methods import METHODS
from variational_bnn.methods.chains import diagnose
from variational_bnn.methods.laplace import _information
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal
from variational_bnn.models.weight_space import WeightSpace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 1))
NOISY = X + 0.3 * RNG.normal(size=X.shape)
LIKELIHOODS: dict[str, tuple[Likelihood, dict[str, Any]]] = {
    "Categorical": (
        Categorical(num_classes=3),
        {"y": np.digitize(NOISY, [-0.5, 0.5]), "class_names": ("low", "middle", "high")},
    ),
    "Bernoulli": (Bernoulli(), {"y": np.hstack([X > 0, NOISY > 0.3])}),
    "MixtureNormal": (MixtureNormal(num_components=2), {"y": NOISY}),
}
REFUSED = {("linear", name) for name in LIKELIHOODS} | {("laplace", "MixtureNormal")}
POINTS = ("deterministic", "output")


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_rows_by_every_likelihood(method: str, name: str) -> None:
    likelihood, fields = LIKELIHOODS[name]
    dataset = Dataset(name="d", x=X, **fields)
    outputs = dataset.y.shape[1]
    network = Network(
        input_shape=(1,), output_size=outputs, hidden_units=(2,), activation="tanh", likelihood=likelihood
    )
    training = Training(steps=30, warmup=200, draws=400 if method == "hmc" else 100, thinning=2)
    cell = Cell(method=method, seed=0, dataset=dataset, network=network, training=training, num_samples=20)
    if (method, name) in REFUSED:
        with pytest.raises(ValueError, match=f"{method} wants"):
            run_cell(cell)
        return
    finished = run_cell(cell)
    assert [(row.region, row.status) for row in finished.rows] == [(region, "ok") for region in REGIONS]
    assert finished.draws["functions"].shape == (20, 600, len(dataset.output_names))
    discrete = name != "MixtureNormal"
    for row in finished.rows:
        assert (row.epistemic_variance == 0) == (method in POINTS)
        assert row.aleatoric_variance > 0
        found = [row.entropy, row.mutual_information, row.train_accuracy]
        assert np.isnan(found).all() == (not discrete)
        if discrete:
            assert (row.mutual_information == 0) == (method in POINTS)
            assert 0 <= row.mutual_information < row.entropy < np.log(3)


def _space(classes: int) -> WeightSpace:
    likelihood = Categorical(num_classes=classes)
    return WeightSpace.of(Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=likelihood))


def test_chains_whose_probabilities_round_to_the_same_agree() -> None:
    """At x = 0 the logits are far apart in every draw; at x = 1 they are not."""
    space, rng = _space(2), np.random.default_rng(0)
    draws = rng.normal(size=(100, 4, space.size))  # Weights [2] and then biases [2].
    draws[..., 2:] += [400, -400]
    draws[..., :2] -= [400, -400]
    draws = draws.astype(np.float32)
    sure, unsure = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    assert diagnose(space, draws, sure) == (1.0, 400.0)
    r_hat, ess = diagnose(space, draws, unsure)
    assert diagnose(space, draws, np.concatenate([sure, unsure])) == (max(r_hat, 1.0), min(ess, 400.0))
    assert diagnose(space, draws[:, :1], sure)[1] == 100
    draws[:, 3] = -draws[:, 3]  # One chain is as sure of the other class.
    assert not diagnose(space, draws, sure)[0] < 1.1


def test_the_information_of_a_softmax_is_its_covariance() -> None:
    """F = diag(p) - p p^T of the logits, and the Jacobian of the logits is (x, 1) for each class."""
    space, x = _space(3), np.array([[0.3], [-1.2], [2.0]], np.float32)
    z = np.random.default_rng(0).normal(size=space.size).astype(np.float32)
    weights, biases = z[:3], z[3:]
    wanted = np.zeros((6, 6))
    for row in x[:, 0].astype(np.float64):
        p = special.softmax(row * weights + biases)
        features = np.array([row, 1.0])
        wanted += np.kron(np.outer(features, features), np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(_information(space, z, x), wanted, atol=1e-6)
