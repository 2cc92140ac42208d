"""Training by gradient steps, and the settings of all methods that do so."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from variational_bnn.base import Dataset, FitError, Network
from variational_bnn.base.checks import is_positive, require, require_count, require_known
from variational_bnn.methods.problem import ModelPosterior, NetworkMethod, Problem, require_finite
from variational_bnn.methods.progress import report_steps
from variational_bnn.models.backend import tf, tf_keras
from variational_bnn.models.batches import ShuffledBatches
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.together import train_together
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.models.weight_space import WeightSpace

TOGETHER = 5
"""How many models are trained together: places for seeds, by the remainder of their division by it."""

MOST_WEIGHTS_TOGETHER = 5_000
"""Up to so many weights a step is mostly overhead, which models that are trained together have once."""

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


Builder = Callable[..., tf_keras.Model]
"""A builder of models, `(network, num_examples, seed=...) -> model`."""


@dataclass(frozen=True, kw_only=True)
class ModelMethod(GradientMethod):
    """A method that builds a Keras model of scaled values, and trains it on the training rows."""

    @abc.abstractmethod
    def builder(self, dataset: Dataset, network: Network) -> tuple[Builder, Network]:
        """What builds the model for a dataset, and the network that it is to build."""

    def finished(self, posterior: ModelPosterior, dataset: Dataset, network: Network) -> ModelPosterior:
        """The posterior of a fit, with what else there is to say of it."""
        return posterior

    def fit(self, dataset: Dataset, network: Network, seed: int) -> ModelPosterior:
        """Train the model.

        Raises:
            FitError: If the loss is not finite at the end.
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        problem, model, batches = next(self._tasks(dataset, network, [seed]))
        settings = {"steps_per_epoch": self.steps, "callbacks": [report_steps(self.steps)], "verbose": 0}
        history = model.fit(batches, **settings)
        return self._posterior(problem, history, dataset, network)

    def fits_together(self, dataset: Dataset, network: Network) -> bool:
        """Whether models of several seeds are trained side by side: it pays where the network is small."""
        return WeightSpace.of(network).size <= MOST_WEIGHTS_TOGETHER

    def fit_together(self, dataset: Dataset, network: Network, seeds: Sequence[int]) -> list[ModelPosterior | FitError]:
        """Train the models of several seeds side by side, each as if it were alone.

        The fit of a seed is the same to the last digit whichever the other seeds are.

        Returns:
            For each seed the posterior, or the error if its loss is not finite at the end.

        Raises:
            ValueError: If the network does not fit the dataset, or the method does not support it.
        """
        tasks = list(self._tasks(dataset, network, seeds))
        models, batches = [model for _, model, _ in tasks], [own for *_, own in tasks]
        places = [seed % TOGETHER for seed in seeds]
        histories = train_together(models, batches, steps=self.steps, places=places, size=TOGETHER)
        found = list[ModelPosterior | FitError]()
        for (problem, _, _), history in zip(tasks, histories, strict=True):
            try:
                found.append(self._posterior(problem, history, dataset, network))
            except FitError as error:
                found.append(error)
        return found

    def _tasks(
        self, dataset: Dataset, network: Network, seeds: Sequence[int]
    ) -> Iterator[tuple[Problem, VariationalModel, ShuffledBatches]]:
        """For each seed the problem, a model to be trained, and its batches."""
        build, fitted = self.builder(dataset, network)
        problem = self.problem(dataset, fitted)
        rows = tf.constant(problem.x), tf.constant(problem.y)
        for seed in seeds:
            model = build(problem.network, len(problem.x), seed=seed)
            model.compile(self.optimizer(), loss=negative_log_likelihood)
            yield problem, model, ShuffledBatches(rows, self.batch_size, seed)

    def _posterior(
        self, problem: Problem, history: tf_keras.callbacks.History, dataset: Dataset, network: Network
    ) -> ModelPosterior:
        require_finite(history.history["loss"][-1])
        return self.finished(problem.posterior(history.model), dataset, network)


@dataclass(frozen=True, kw_only=True)
class PointWeights(ModelMethod):
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
