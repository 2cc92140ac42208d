"""The two protocols: a method, and the posterior that it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from variational_bnn.base.checks import Array, Floats, is_positive, require, require_count
from variational_bnn.base.dataset import Dataset
from variational_bnn.base.network import Network
from variational_bnn.base.predictive import Predictive


def require_fit(network: Network, dataset: Dataset) -> None:
    """Refuse a network whose sizes are not the dataset's, or whose likelihood is not one of its targets."""
    got = (network.input_shape, network.output_size)
    wanted = (dataset.x.shape[1:], dataset.y.shape[1])
    require(got == wanted, f"network must have input_shape, output_size = {wanted} for the dataset, got {got}")
    likelihood, count = network.likelihood, len(dataset.class_names)
    kind = f"a Categorical likelihood of the dataset's {count} classes" if count else "a likelihood of numbers"
    fits = getattr(likelihood, "num_classes", 0) == count
    require(fits, f"network must have {kind}, got {likelihood!r}")
    more = dataset.larger_sample
    for y in (dataset.y, dataset.y_test, None if more is None else more.y):
        if y is not None:
            likelihood.require_targets(y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnostics:
    """How Markov chains went.

    Attributes:
        acceptance: Mean acceptance rate, or the mean of what NUTS has in its place.
        r_hat: Split R-hat (Gelman et al. 2013) of the functions, the largest over the queries of the dataset and the
            outputs; 1 where the chains agree. NaN with one chain, or fewer than four draws.
        ess: Effective sample size of the functions, of all chains together, the smallest likewise.
        trace: Log posterior density `[steps, chains]`, up to a constant, of the warm-up and the kept draws.
        warmup: Steps of the trace that are warm-up.
    """

    acceptance: float
    r_hat: float
    ess: float
    trace: Array = field(repr=False)
    warmup: int


class Posterior(Protocol):
    """What a method returns: a distribution over functions."""

    @property
    def num_parameters(self) -> int:
        """How many numbers were trained, or sampled."""
        ...

    @property
    def num_random_variables(self) -> int:
        """How many numbers are drawn at random for one function."""
        ...

    @property
    def diagnostics(self) -> Diagnostics | None:
        """How the Markov chains went that made it, if any did."""
        ...

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at `[N, F]` inputs from S draws."""
        ...

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Floats:
        """Coherent draws `[S, N, D]` of E[y given x, draw]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Training:
    """How methods are trained; each reads what concerns it.

    Attributes:
        steps: Gradient steps.
        batch_size: Rows a step; all of them where there are fewer.
        learning_rate: Of Adam, at the start; it falls to zero along a cosine.
        dropout_rate: Of the hidden units, for `dropout`.
        members: Of an `ensemble`.
        chains: Markov chains, for `hmc`, `metropolis` and `sgld`.
        warmup: Steps of each chain that are thrown away, in which `hmc` and `metropolis` adapt; in whole hundreds.
        draws: Draws kept of each chain.
        thinning: Steps that `metropolis` and `sgld` make for one of the above; a step of `hmc` is many by itself.
    """

    steps: int = 5000
    batch_size: int = 256
    learning_rate: float = 0.02
    dropout_rate: float = 0.05
    members: int = 5
    chains: int = 4
    warmup: int = 1000
    draws: int = 1000
    thinning: int = 100

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("steps", "batch_size", "members", "chains", "warmup", "draws", "thinning"):
            require_count(name, getattr(self, name))
        require(is_positive(self.learning_rate), f"learning_rate must be > 0, got {self.learning_rate!r}")
        within = is_positive(self.dropout_rate) and self.dropout_rate < 1
        require(within, f"dropout_rate must be > 0 and < 1, got {self.dropout_rate!r}")


class Method(Protocol):
    """`(dataset, network, training, seed) -> posterior`, in the units that the dataset is given in."""

    def __call__(self, dataset: Dataset, network: Network, training: Training, seed: int) -> Posterior:
        """Fit the network to the training rows."""
        ...
