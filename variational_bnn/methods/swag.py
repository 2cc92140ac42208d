"""A normal distribution around the averaged iterates of stochastic gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import Array, is_positive, require, require_count
from variational_bnn.base.progress import report
from variational_bnn.methods.optimisation import batch_log_posterior, optimise
from variational_bnn.methods.problem import ModelPosterior, require_finite
from variational_bnn.methods.training import GradientMethod
from variational_bnn.models.backend import tf, tf_keras, tfp
from variational_bnn.models.whole_networks import normal_model


@dataclass(frozen=True, kw_only=True)
class SWAG(GradientMethod):
    """SWAG: a normal posterior with the moments of the iterates of gradient descent.

    From the mode of the posterior, which Adam finds, gradient descent goes on with a constant learning rate on small
    batches, and every so many steps its weights are noted. Their mean m, their variances and their last K deviations D
    from the running mean make the posterior N(m, diag(variances) / 2 + D D^T / (2 (K - 1))) (Maddox et al. 2019,
    arXiv 1902.02476). So its width is that of the noise of the gradients: it grows with the learning rate, falls with
    the batch size, and is nearly zero if a batch holds all rows.

    Args:
        steps: Number of steps of Adam to the mode, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam (Kingma & Ba 2015, arXiv 1412.6980) at the first step, > 0.
        schedule: "cosine" to lower the learning rate of Adam to 0 along a cosine (Loshchilov & Hutter 2017, arXiv
            1608.03983), or "constant".
        descent_rate: Learning rate of the gradient descent from the mode on, > 0; of the loss averaged over the rows.
        snapshots: How often its weights are noted, >= 2.
        steps_apart: Steps between two of these, >= 1.
        rank: K, the number of deviations, >= 2.
        standardise: Whether inputs and targets are standardised before the fit, by the means and standard deviations of
            the training rows. The prior is then one of standardised values. Predictions are in the dataset's units in
            either case.

    Raises:
        FitError: By `fit`, if the loss or a weight is not finite at the end of the training.
        ValueError: If a setting is out of its range. By `fit`, if the network does not have the sizes of the dataset.

    Example:
        >>> import numpy as np
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(10,), likelihood=vbnn.Normal(scale=1.0)
        ... )
        >>> posterior = vbnn.SWAG(steps=20, snapshots=10, rank=5).fit(vbnn.lecture(), network, seed=0)
        >>> posterior.predict(np.linspace(-1, 1, 5)[:, None], num_samples=50, seed=0).mean.shape
        (5, 1)
    """

    batch_size: int = 10
    descent_rate: float = 0.01
    snapshots: int = 100
    steps_apart: int = 50
    rank: int = 20

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(is_positive(self.descent_rate), f"descent_rate must be > 0, got {self.descent_rate!r}")
        require_count("steps_apart", self.steps_apart)
        for name in ("snapshots", "rank"):
            require_count(name, getattr(self, name))
            require(getattr(self, name) >= 2, f"{name} must be >= 2, got {getattr(self, name)}")
        require(self.rank <= self.snapshots, f"rank must be at most snapshots = {self.snapshots}, got {self.rank}")

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Find the mode, and go on from there.

        Raises:
            FitError: If the loss or a weight is not finite at the end.
            ValueError: If the network does not fit the dataset.
        """
        problem = self.problem(dataset, network)
        mode = optimise(problem, problem.space.prior_draws(1, seed), self, seed, prior=True)
        z, optimizer = tf.Variable(mode), tf_keras.optimizers.SGD(self.descent_rate)

        def loss(seed: tf.Tensor) -> tf.Tensor:
            log_prior, log_likelihood = batch_log_posterior(problem, z, self.batch_size, seed)
            return -tf.reduce_sum(log_prior + log_likelihood) / len(problem.x)

        @tf.function(autograph=False, jit_compile=True)
        def descend(seed: tf.Tensor) -> tf.Tensor:
            return tfp.math.minimize(loss, self.steps_apart, optimizer, trainable_variables=[z], seed=seed)[-1]

        mean, square, deviations = np.zeros(z.shape[1]), np.zeros(z.shape[1]), list[Array]()
        for number in range(self.snapshots):
            require_finite(float(descend(tf.constant([seed % 2**31, number + 1]))))
            weights = z.numpy()[0].astype(np.float64)
            require_finite(float(np.abs(weights).max()))
            mean += (weights - mean) / (number + 1)
            square += (weights**2 - square) / (number + 1)
            deviations = [*deviations, weights - mean][-self.rank :]
            report(number + 1, self.snapshots, "snapshots")
        scale = np.sqrt(np.maximum(square - mean**2, 0) / 2)
        root = np.stack(deviations, axis=1) / math.sqrt(2 * (self.rank - 1))
        return problem.posterior(normal_model(problem.network, mean, scale=scale, root=root), len(mean))
