"""Variation in the output."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


@dataclass(frozen=True, kw_only=True)
class OutputVariation(GradientMethod):
    """Variation in the output: point weights, and a noise level that depends on x.

    The network puts out the mean and the scale of a normal distribution for each x (Nix & Weigend 1994) and is trained
    by maximum likelihood. Its variance is aleatoric alone, near the data and far from it. A `Normal` likelihood with
    known or learned noise is replaced by one whose noise depends on x; other likelihoods stay as they are.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. Predictions are in the dataset's units in either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.OutputVariation(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the network by maximum likelihood.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        likelihood = network.likelihood
        if isinstance(likelihood, Normal):
            likelihood = dataclasses.replace(likelihood, scale=None)
        heteroscedastic = dataclasses.replace(network, likelihood=likelihood)
        return self.train(build_output_variation, dataset, heteroscedastic, seed)
