"""Variation in the hidden units, of three kinds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_count, require_kl_weight, require_sizes
from variational_bnn.evaluation.subsample import some_rows
from variational_bnn.methods.problem import ModelPosterior
from variational_bnn.methods.training import Builder, GradientMethod, PointWeights
from variational_bnn.models.builders.hidden import build_hidden_variation

COLLAPSED = 0.1
"""The largest mean KL of the latents of a row, in nats, that counts as none: at most so much they tell of x."""


@dataclass(frozen=True, kw_only=True)
class _Hidden(PointWeights):
    """A network with random hidden units and point weights.

    Attributes:
        initial_scale: Standard deviation of the units' noise at the start.
    """

    latents: ClassVar[str]

    initial_scale: float = 0.2

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.initial_scale), f"initial_scale must be > 0, got {self.initial_scale!r}")

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the network is not supported: it has no hidden units. None if it has some."""
        return None if network.hidden_units else "it needs hidden units, got hidden_units=()"

    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """The builder of this kind of hidden units."""
        of_training = {field.name for field in dataclasses.fields(GradientMethod)}
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        of_builder = {name: value for name, value in own.items() if name not in of_training}
        return partial(build_hidden_variation, latents=self.latents, **of_builder), network


@dataclass(frozen=True, kw_only=True)
class _Latents(_Hidden):
    """A network with latents of each row between an encoder and a decoder.

    Attributes:
        latent_size: Number of latents of a row.
        decoder_units: Units of each hidden layer of the decoder; None for those of the network in reverse order.
    """

    latent_size: int = 2
    decoder_units: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("latent_size", self.latent_size)
        if self.decoder_units is not None:
            object.__setattr__(self, "decoder_units", require_sizes("decoder_units", self.decoder_units))


@dataclass(frozen=True, kw_only=True)
class HiddenVariation(_Latents):
    """Variation in the hidden units: latents of each row, as in a variational autoencoder.

    An encoder with the network's hidden units puts out a mean and a scale of a few latents for each x, whose prior is
    N(0, I), and a decoder puts out y (Kingma & Welling 2014, arXiv 1312.6114); the weights are points. It is trained by
    the bound -log p(y given z) + KL(q(z given x) || N(0, I)), and the penalty of the prior of the decoder's weights.

    The latents are noise of the row, not uncertainty about parameters: their variance is `latent_variance`, which need
    not shrink with more data. The bound is one of log p(y), not of log p(y given x). Where the noise level is learned,
    or y is a class, the best latents may ignore x altogether; `Diagnostics.note` then says so.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        latent_size: Number of latents of a row, >= 1.
        decoder_units: Units of each hidden layer of the decoder; None for those of the network in reverse order.
        initial_scale: Standard deviation of the latents before the training, > 0; that of their prior is 1.
        kl_weight: Weight of the KL divergence in the loss, >= 0; with 1 the loss is the negative evidence lower bound.
        point_prior: Whether the decoder's weights have the network's prior as a penalty; otherwise they have none. The
            encoder's weights belong to the posterior of the latents, and have none.
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
        >>> predictive = posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0)
        >>> predictive.mean.shape, bool((predictive.epistemic_variance == 0).all())
        ((5, 1), True)
    """

    latents = "amortized"

    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_kl_weight(self.kl_weight)

    def finished(self, posterior: ModelPosterior, dataset: Dataset, network: Network) -> ModelPosterior:
        """The posterior, with a note if the latents ignore x."""
        known = isinstance(getattr(network.likelihood, "scale", None), float)
        return posterior.with_note(_note_of_collapse(posterior, dataset, of_bound=self.kl_weight == 1 and not known))


@dataclass(frozen=True, kw_only=True)
class SharedHiddenVariation(_Hidden):
    """Variation in the hidden units: one random factor a unit, shared by all rows.

    Each hidden unit is multiplied by a factor with a trained normal posterior and the prior N(1,
    `latent_prior_scale`^2) (Dusenberry et al. 2020, arXiv 2005.07186; Trinh et al. 2022, arXiv 2206.02435); the weights
    are points. It is trained by the negative evidence lower bound, whose KL divergence is divided by the number of
    examples, and the penalty of the weights' prior. A function sample is one draw of the factors, so its variance is
    epistemic.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        latent_prior_scale: Standard deviation of the factors' prior, > 0.
        initial_scale: Standard deviation of the factors before the training, in units of that of their prior, > 0.
        kl_weight: Weight of the KL divergence in the loss, >= 0; with 1 the loss is the negative evidence lower bound.
        point_prior: Whether the weights have the network's prior as a penalty; otherwise they have none.
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
        >>> posterior = vbnn.SharedHiddenVariation(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> predictive = posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0)
        >>> predictive.mean.shape, bool((predictive.latent_variance == 0).all())
        ((5, 1), True)
    """

    latents = "shared"

    latent_prior_scale: float = 1.0
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        scale = self.latent_prior_scale
        require(is_positive(scale), f"latent_prior_scale must be > 0, got {scale!r}")
        require_kl_weight(self.kl_weight)


@dataclass(frozen=True, kw_only=True)
class ConditionalHiddenVariation(_Latents):
    """Variation in the hidden units: latents of each row, with a learned prior p(z given x).

    An encoder with the network's hidden units puts out a mean and a scale of a few latents for each x, and a decoder
    puts out y; the weights are points. It is trained by the bound -log mean_k p(y given z_k) of K draws of the latents
    (Tang & Salakhutdinov 2013; Burda et al. 2015, arXiv 1509.00519), a bound of -log p(y given x), and the penalty of
    the weights' prior. The latents are noise of the row, not uncertainty about parameters. On few rows this noise may
    take the place of a function that needs large weights, against their prior, as on the 20 points of the lecture.

    Args:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
        latent_size: Number of latents of a row, >= 1.
        decoder_units: Units of each hidden layer of the decoder; None for those of the network in reverse order.
        num_draws: K, >= 1.
        initial_scale: Standard deviation of the latents before the training, > 0.
        point_prior: Whether the weights have the network's prior as a penalty; otherwise they have none.
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
        >>> posterior = vbnn.ConditionalHiddenVariation(steps=20).fit(vbnn.lecture(), network, seed=0)
        >>> predictive = posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0)
        >>> predictive.mean.shape, bool((predictive.epistemic_variance == 0).all())
        ((5, 1), True)
    """

    latents = "conditional"

    num_draws: int = 10

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("num_draws", self.num_draws)


def _note_of_collapse(posterior: ModelPosterior, dataset: Dataset, *, of_bound: bool) -> str:
    """A note that the latents ignore x, if their mean KL at the training rows is nearly 0; otherwise empty.

    Of very many training rows, some stand for all.

    Args:
        posterior: The fit.
        dataset: What it was fitted to.
        of_bound: Whether the bound itself asks for it, so that the note says why.
    """
    x = posterior.x_scaler.transform(dataset.x[some_rows(len(dataset.x))]).astype(np.float32)
    posterior.model(x)
    kl = float(posterior.model.get_layer("latents").kl)
    if kl > COLLAPSED:
        return ""
    why = ": the bound of log p(y), -log p(y given z) + KL, is then least where q(z given x) is the prior"
    return f"latents ignore x (KL {kl:.2g} nats a row){why if of_bound else ''}"
