"""Every method with every likelihood that it supports."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from variational_bnn import Bernoulli, Categorical, Dataset, MixtureNormal, Network, compare
from variational_bnn.base import REGIONS, Likelihood
from variational_bnn.methods import METHODS

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
NEED_NORMAL = ("linear", "gp", "pbp")
NOT_SUPPORTED = {(method, name) for method in NEED_NORMAL for name in LIKELIHOODS} | {("laplace", "MixtureNormal")}
POINTS = ("deterministic", "output")
LATENTS = ("hidden", "hidden_conditional")


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_rows_by_every_likelihood(method: str, name: str) -> None:
    likelihood, fields = LIKELIHOODS[name]
    dataset = Dataset(name="d", x=X, **fields)
    outputs = dataset.y.shape[1]
    network = Network(
        input_shape=(1,), output_size=outputs, hidden_units=(2,), activation="tanh", likelihood=likelihood
    )
    settings = {"steps": 30, "warmup": 200, "draws": 400 if method == "hmc" else 100, "thinning": 2}
    fields = {field.name for field in dataclasses.fields(METHODS[method])}  # type: ignore[arg-type]
    small = dataclasses.replace(METHODS[method], **{k: v for k, v in settings.items() if k in fields})  # type: ignore
    if (method, name) in NOT_SUPPORTED:
        assert small.supports(dataset, network).startswith(("it needs ", "it does not support "))
        with pytest.raises(ValueError, match=r"^it (needs|does not support) .*, got "):
            small.fit(dataset, network, 0)
        return
    assert small.supports(dataset, network) is None
    found = compare(dataset, methods={method: small}, network=network, seeds=[0], num_samples=20, progress=False)
    assert list(found.results["region"]) == list(REGIONS)
    assert set(found.results["status"]) == {"ok"}
    assert found.draws["d", method, 0]["functions"].shape == (20, 600, len(dataset.output_names))
    discrete = name != "MixtureNormal"
    for row in found.results.itertuples():
        assert (row.epistemic_variance > 0) == (method not in (*POINTS, *LATENTS))
        assert (row.latent_variance > 0) == (method in LATENTS)
        assert row.aleatoric_variance > 0
        assert np.isnan([row.entropy, row.mutual_information, row.train_accuracy]).all() == (not discrete)
        if discrete:
            assert (row.mutual_information > 0) == (method not in (*POINTS, *LATENTS))
            assert (row.latent_information > 0) == (method in LATENTS)
            assert row.mutual_information + row.latent_information < row.entropy < np.log(3)
