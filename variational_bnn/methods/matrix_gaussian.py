"""Matrix variate normal posteriors of the weights of each layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_kl_weight
from variational_bnn.methods.training import Builder, ModelMethod
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.builders.assembly import assemble
from variational_bnn.models.random_matrix import DenseMatrixGaussian


@dataclass(frozen=True, kw_only=True)
class MatrixGaussian(ModelMethod):
    """Variation in the weights: matrix variate normal posteriors of the layers.

    The matrix of a layer's weights and biases has a covariance of its inputs and one of its units, whose Kronecker
    product is that of all its numbers (Louizos & Welling 2016, arXiv 1603.04733; see `DenseMatrixGaussian`). It is
    trained by the negative evidence lower bound. In a training step the outputs of each layer are drawn for each row by
    itself (local reparameterization, Kingma et al. 2015, arXiv 1506.02557). A function sample is one draw of the
    weights.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        initial_scale: Posterior standard deviation of each weight before the training, in units of its prior's standard
            deviation, > 0.
        kl_weight: Weight of the KL divergence in the loss, >= 0; with 1 the loss is the negative evidence lower bound.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.MatrixGaussian(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    initial_scale: float = 0.1
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_kl_weight(self.kl_weight)

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of layers with a matrix variate normal posterior."""
        return partial(_build, initial_scale=self.initial_scale, kl_weight=self.kl_weight), network


def _build(network: Network, num_examples: int, *, seed: int, **settings: Any) -> tf_keras.Model:
    prior: dict[str, Any] = {"prior_scale": network.prior_scale, "scale_prior_by_fan_in": network.scale_prior_by_fan_in}

    def layer(units: int, activation: str | None, seed: int, name: str) -> Any:
        return DenseMatrixGaussian(units, num_examples, activation, seed=seed, name=name, **prior, **settings)

    return assemble(network, num_examples, seed, "matrix_gaussian", hidden=layer, output=layer)
