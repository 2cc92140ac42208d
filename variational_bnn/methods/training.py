"""Training by gradient steps, and the settings of all methods that do so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from variational_bnn.base import Dataset, Network
from variational_bnn.base.checks import is_positive, require, require_count, require_known
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod, require_finite
from variational_bnn.methods.progress import report_steps
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.batches import ShuffledBatches
from variational_bnn.models.losses import negative_log_likelihood

STEPS_PER_EXECUTION = 250
"""Steps a compiled call: on few rows nearly all the time is what each call costs besides its steps."""

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True, kw_only=True)
class GradientMethod(NetworkMethod):
    """A method that is trained by Adam (Kingma & Ba 2015, arXiv 1412.6980).

    Attributes:
        steps: Number of gradient steps, >= 1.
        batch_size: Rows of each gradient step, >= 1; all training rows if there are fewer.
        learning_rate: Learning rate of Adam at the first step, > 0.
        schedule: "cosine" to lower the learning rate to 0 along a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983),
            or "constant".
    """

    steps: int = 5000
    batch_size: int = 256
    learning_rate: float = 0.02
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require_count("steps", self.steps)
        require_count("batch_size", self.batch_size)
        require(is_positive(self.learning_rate), f"learning_rate must be > 0, got {self.learning_rate!r}")
        require_known("schedule", self.schedule, SCHEDULES)

    def optimizer(self) -> tf_keras.optimizers.Optimizer:
        """Adam with the settings' learning rate."""
        if self.schedule == "constant":
            return tf_keras.optimizers.Adam(self.learning_rate)
        return tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(self.learning_rate, self.steps))

    def train(
        self, build: Callable[..., tf_keras.Model], dataset: Dataset, network: Network, seed: int
    ) -> ModelPosterior:
        """Build a model of the network, of scaled values, and train it on the training rows.

        Args:
            build: A builder, `(network, num_examples, seed=...) -> model`.
            dataset: In its own units.
            network: With known noise, if any, in the units of y.
            seed: Of initial values, noise and batches.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        problem = self.problem(dataset, network)
        model = build(problem.network, len(problem.x), seed=seed)
        model.compile(
            self.optimizer(),
            loss=negative_log_likelihood,
            steps_per_execution=min(STEPS_PER_EXECUTION, self.steps),
        )
        batches = ShuffledBatches((problem.x, problem.y), self.batch_size, seed)
        callbacks = [report_steps(self.steps)]
        history = model.fit(batches, steps_per_epoch=self.steps, callbacks=callbacks, verbose=0).history
        require_finite(history["loss"][-1])
        return problem.posterior(model)


@dataclass(frozen=True, kw_only=True)
class PointWeights(GradientMethod):
    """A method whose weights are points.

    Attributes:
        point_prior: Whether the weights have the network's prior, as a penalty -log p(w) / N in the loss, so that the
            fit is the mode of the posterior (MAP); otherwise it is plain maximum likelihood.
    """

    point_prior: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        require(isinstance(self.point_prior, bool), f"point_prior must be True or False, got {self.point_prior!r}")
