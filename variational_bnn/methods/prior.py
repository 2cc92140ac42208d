"""The control that has seen no data."""

from __future__ import annotations

from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod
from variational_bnn.models.backend import tf
from variational_bnn.models.builders.weights import build_weight_variation
from variational_bnn.models.losses import variational_layers
from variational_bnn.models.mean_field import MeanField


@dataclass(frozen=True, kw_only=True)
class Prior(NetworkMethod):
    """A control: the prior, which has seen no targets; fitted methods must be better than it.

    Function samples are those of weights that are drawn from the network's prior. Of the data it has the means and
    standard deviations alone, if it standardises.

    Args:
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Prior().fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """The prior, in the units of the dataset.

        Raises:
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        model = build_weight_variation(problem.network, len(problem.x), initial_scale=1.0, seed=seed)
        for layer in variational_layers(model):
            assert isinstance(layer, MeanField)
            layer.loc.assign(tf.zeros_like(layer.loc))
        return problem.posterior(model, num_parameters=0)
