"""Variation in the weights, by each of the three estimators."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_kl_weight
from variational_bnn.methods.training import Builder, ModelMethod
from variational_bnn.models.builders.weights import build_weight_variation


@dataclass(frozen=True, kw_only=True)
class WeightVariation(ModelMethod, abc.ABC):
    """A mean-field normal posterior over all weights and biases.

    Attributes:
        initial_scale: Posterior standard deviation at the start, relative to the prior's.
        kl_weight: Weight of the KL in the loss; 1 for the ELBO.
    """

    estimator: ClassVar[str]

    initial_scale: float = 0.1
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")
        require_kl_weight(self.kl_weight)

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of layers with a mean-field posterior."""
        build = partial(
            build_weight_variation,
            estimator=self.estimator,
            initial_scale=self.initial_scale,
            kl_weight=self.kl_weight,
        )
        return build, network


@dataclass(frozen=True, kw_only=True)
class Reparameterization(WeightVariation):
    """Variation in the weights: Bayes by Backprop, one draw of the weights in each step.

    The posterior of all weights and biases is approximated by independent normal distributions, which are trained by
    the negative evidence lower bound (Blundell et al. 2015, arXiv 1505.05424). In a training step all rows share one
    draw of the weights. A function sample is one draw of the weights, too.

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
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Reparameterization(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    estimator = "reparameterization"


@dataclass(frozen=True, kw_only=True)
class Flipout(WeightVariation):
    """Variation in the weights: Flipout, whose draws are nearly independent between rows.

    The posterior of all weights and biases is approximated by independent normal distributions, which are trained by
    the negative evidence lower bound. In a training step all rows share one draw of the weights' perturbations, whose
    signs are flipped at random for each row, so that gradients vary less (Wen et al. 2018, arXiv 1803.04386). A
    function sample is one draw of the weights.

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
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.Flipout(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    estimator = "flipout"


@dataclass(frozen=True, kw_only=True)
class LocalReparameterization(WeightVariation):
    """Variation in the weights: in training, each row's layer outputs are drawn instead.

    The posterior of all weights and biases is approximated by independent normal distributions, which are trained by
    the negative evidence lower bound. In a training step the outputs of each layer are drawn for each row from the
    normal distribution that uncertain weights give them, so that gradients vary less (Kingma et al. 2015, arXiv
    1506.02557). A function sample is one draw of the weights.

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
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.LocalReparameterization(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    estimator = "local_reparameterization"
