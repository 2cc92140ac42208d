"""Variation in the weights: a distribution over every weight and bias."""

from __future__ import annotations

from typing import Any

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require_known
from variational_bnn.models.builders.assembly import LayerMaker, assemble
from variational_bnn.models.dense import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
    MeanFieldDense,
)
from variational_bnn.models.variational_model import VariationalModel

ESTIMATORS: dict[str, type[MeanFieldDense]] = {
    "reparameterization": DenseReparameterization,
    "flipout": DenseFlipout,
    "local_reparameterization": DenseLocalReparameterization,
}


def build_weight_variation(
    network: Network,
    num_examples: int,
    *,
    estimator: str = "flipout",
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build a network with a mean-field normal posterior over its weights and biases.

    Each weight and each bias has an independent normal posterior, with trained mean and standard deviation, and the
    prior of the network. Training minimises the mean negative log-likelihood plus KL / N (Graves 2011, Practical
    Variational Inference for Neural Networks; Blundell et al. 2015, arXiv 1505.05424).

    Args:
        network: The network to build, with its prior.
        num_examples: Number of rows N that the model will be trained on. The KL is divided by it.
        estimator: How training draws: "reparameterization" (`DenseReparameterization`, Blundell et al. 2015,
            arXiv 1505.05424), "flipout" (`DenseFlipout`, Wen et al. 2018, arXiv 1803.04386) or
            "local_reparameterization" (`DenseLocalReparameterization`, Kingma et al. 2015, arXiv 1506.02557). The
            family of posteriors is the same.
        initial_scale: Posterior standard deviation of each weight at the start, divided by that of its prior, > 0.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for a tempered ("cold")
            posterior.
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the
            entropy of the operating system.

    Returns:
        A model from inputs `[N, *input_shape]` to a distribution of targets `[N, D]`, to be compiled with
        `negative_log_likelihood`.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If `num_examples` is not a whole number >= 1, `initial_scale` is not > 0, `kl_weight` is not >= 0,
            `seed` is not a whole number >= 0, or the estimator is unknown.

    Example:
        >>> import variational_bnn as vbnn
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(8,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_weight_variation(network, num_examples=len(x), seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, np.sin(x), epochs=2, verbose=0)
        >>> predictive = vbnn.predict(model, x, num_samples=10, seed=0)
        >>> predictive.mean.shape, bool((predictive.epistemic_variance > 0).all())
        ((20, 1), True)
    """
    require_network(network)
    stochastic = mean_field(
        estimator,
        num_examples,
        prior_scale=network.prior_scale,
        scale_prior_by_fan_in=network.scale_prior_by_fan_in,
        initial_scale=initial_scale,
        kl_weight=kl_weight,
    )
    return assemble(network, num_examples, seed, f"weight_variation_{estimator}", hidden=stochastic, output=stochastic)


def mean_field(estimator: str, num_examples: int, **settings: Any) -> LayerMaker:
    """Return the function that makes the layers of an estimator.

    Args:
        estimator: One of `ESTIMATORS`.
        num_examples: Number of rows N by which the KL is divided.
        **settings: Further arguments of the layers, the same for all of them.

    Raises:
        ValueError: If the estimator is unknown.
    """
    require_known("estimator", estimator, tuple(ESTIMATORS))

    def layer(units: int, activation: str | None, seed: int, name: str) -> Any:
        return ESTIMATORS[estimator](units, num_examples, activation, seed=seed, name=name, **settings)

    return layer
