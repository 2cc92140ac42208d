"""Variation in the hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_kl_weight
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.hidden import build_hidden_variation


@dataclass(frozen=True, kw_only=True)
class HiddenVariation(GradientMethod):
    """Variation in the hidden units: noise of the units, not uncertainty about parameters.

    Each hidden unit is normal, with a mean and a scale that the layer below puts out for each x, and with the prior
    N(0, 1); the weights are points. It is trained by the negative evidence lower bound, whose KL divergence is that of
    the units, for each row. The variance that the units' noise gives to functions does not shrink with more data.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        initial_scale: Standard deviation of the units' noise before the training, > 0; that of their prior is 1.
        kl_weight: Weight of the KL divergence in the loss, >= 0; with 1 the loss is the negative evidence lower bound.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. Predictions are in the dataset's units in either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset,
            or has no hidden units.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.HiddenVariation(steps=20).fit(vbnn.lecture(), network, seed=0)
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

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network is not supported: it has no hidden units. None if it has some."""
        return None if network.hidden_units else "it needs hidden units, got hidden_units=()"

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network with normal hidden units by the negative evidence lower bound.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset or has no hidden units.
        """
        build = partial(build_hidden_variation, initial_scale=self.initial_scale, kl_weight=self.kl_weight)
        return self.train(build, dataset, network, seed)
