"""The control: nothing varies but a constant noise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.training import Builder, PointWeights
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


@dataclass(frozen=True, kw_only=True)
class Deterministic(PointWeights):
    """A control: one network with point weights, and one noise level, known or learned.

    It is trained to the mode of the posterior of its weights (MAP). It has no epistemic variance, and its noise is the
    same at every x: the network's known noise, or one level that is learned where the network's likelihood is
    `Normal()`. Other likelihoods stay as they are; results show the likelihood of each method.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        point_prior: Whether the weights have the network's prior as a penalty; otherwise the fit is of maximum
            likelihood.
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
        >>> posterior = vbnn.Deterministic(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of point weights, and the network with a noise level that all rows share."""
        likelihood = network.likelihood
        if isinstance(likelihood, Normal) and likelihood.scale is None:
            likelihood = dataclasses.replace(likelihood, scale="learned")
        constant = dataclasses.replace(network, likelihood=likelihood)
        return partial(build_output_variation, point_prior=self.point_prior), constant
