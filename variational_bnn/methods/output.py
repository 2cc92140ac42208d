"""Variation in the output."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import Builder, GradientMethod, PointWeights
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Normal


@dataclass(frozen=True, kw_only=True)
class OutputVariation(PointWeights):
    """Variation in the output: point weights, and noise of the likelihood alone.

    The network puts out the parameters of the distribution of y for each x and is trained to the mode of the posterior
    of its weights (MAP). Its variance is aleatoric, near the data and far from it. With `Normal()` the noise depends on
    x (Nix & Weigend 1994). The lecture's dataset asks for the fit of the lecture (`Dataset.output_as_in_lecture`): by
    maximum likelihood, and with `Normal()` in place of a `Normal` likelihood with known noise. Results show the
    likelihood of each method.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        point_prior: Whether the weights have the network's prior as a penalty; otherwise the fit is of maximum
            likelihood. None for maximum likelihood on the lecture's data, and the prior on all others.
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

    point_prior: bool | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.point_prior is None:
            GradientMethod.__post_init__(self)
        else:
            super().__post_init__()

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of point weights, and the network with the likelihood that is fitted."""
        likelihood, in_lecture = network.likelihood, dataset.output_as_in_lecture
        if in_lecture and isinstance(likelihood, Normal) and isinstance(likelihood.scale, float):
            network = dataclasses.replace(network, likelihood=dataclasses.replace(likelihood, scale=None))
        return partial(build_output_variation, point_prior=self._has_prior(dataset)), network

    def finished(self, posterior: ModelPosterior, dataset: Dataset, network: Network) -> ModelPosterior:
        """The posterior, with a note if the fit is that of the lecture."""
        by_likelihood = "" if self._has_prior(dataset) else "by maximum likelihood, "
        note = f"fitted {by_likelihood}as in the lecture"
        return posterior.with_note(note) if dataset.output_as_in_lecture else posterior

    def _has_prior(self, dataset: Dataset) -> bool:
        """Whether the weights have the network's prior."""
        return not dataset.output_as_in_lecture if self.point_prior is None else self.point_prior
