"""Deep ensembles."""

from __future__ import annotations

from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import require_count
from variational_bnn.methods.optimisation import optimise
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.whole_networks import sampled_model


@dataclass(frozen=True, kw_only=True)
class Ensemble(GradientMethod):
    """A deep ensemble: networks of maximum likelihood from different initial weights.

    Each member starts from a draw of the prior and is trained by maximum likelihood, without the prior; all members are
    trained at once (Lakshminarayanan, Pritzel & Blundell 2017, arXiv 1612.01474, without adversarial examples). A
    function sample is one of the members.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        members: Number of networks, >= 1.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Ensemble(members=3, steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    members: int = 5

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("members", self.members)

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train all members by maximum likelihood.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        members = optimise(problem, problem.space.prior_draws(self.members, seed), self, seed, prior=False)
        return problem.posterior(sampled_model(problem.network, members), members.size)
