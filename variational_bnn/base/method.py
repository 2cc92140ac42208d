"""The two protocols between a dataset and what is measured: a method, and the posterior that it returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from variational_bnn.base.checks import Array, Floats, require
from variational_bnn.base.constants import MAX_R_HAT, MIN_ESS
from variational_bnn.base.dataset import Dataset
from variational_bnn.base.network import Network
from variational_bnn.base.predictive import Predictive


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnostics:
    """What a posterior says of itself: its size and, if Markov chains made it, how they went.

    Args:
        num_parameters: How many numbers were trained or sampled.
        num_random_variables: How many random numbers make one function sample, at one row.
        likelihood: The likelihood of y that was fitted, in words such as "Normal(scale=1)"; empty if it is not known.
        note: What a reader of the results should know, in one line, such as that latents ignore x; empty if nothing.
        acceptance: Mean acceptance rate of the chains, or the mean of the statistic that NUTS has in its place.
        r_hat: Rank-normalised split R-hat (Vehtari et al. 2021, arXiv 1903.08008) of the function values, the largest
            over query points and outputs; 1 where the chains agree. NaN with one chain, or fewer than four draws.
        ess: Bulk effective sample size of the function values, of all chains together, the smallest over query points
            and outputs.
        ess_tail: Tail effective sample size of the function values, the smallest over query points and outputs.
        trace: Log posterior density `[steps, chains]` in nats, up to a constant, of the warm-up and the kept draws;
            None without chains.
        warmup: How many steps of the trace are warm-up.

    Example:
        >>> import variational_bnn as vbnn
        >>> vbnn.Diagnostics(r_hat=1.004, ess=2400, ess_tail=1900).converged
        True
    """

    num_parameters: int = 0
    num_random_variables: int = 0
    likelihood: str = ""
    note: str = ""
    acceptance: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    ess_tail: float = math.nan
    trace: Array | None = field(default=None, repr=False)
    warmup: int = 0

    @property
    def converged(self) -> bool:
        """Whether R-hat is at most 1.01 and both effective sample sizes are at least 400 (Vehtari et al. 2021)."""
        return self.r_hat <= MAX_R_HAT and self.ess >= MIN_ESS and self.ess_tail >= MIN_ESS


class FitError(RuntimeError):
    """Raised by a method that finds no posterior, for instance because its loss diverged.

    `compare` makes the message the status of the run's rows, and goes on with the other runs.

    Args:
        message: Why there is no posterior.
        diagnostics: Diagnostics of the Markov chains, if there were any.

    Example:
        >>> import variational_bnn as vbnn
        >>> raise vbnn.FitError("diverged: the loss became nan")
        Traceback (most recent call last):
        variational_bnn.base.method.FitError: diverged: the loss became nan
    """

    def __init__(self, message: str, diagnostics: Diagnostics | None = None) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


@runtime_checkable
class Posterior(Protocol):
    """What a method returns: a distribution over functions, in the units of the dataset.

    The same seed gives the same function samples at every x, so that a function sample is one function.

    Example:
        A posterior that knows its function values in closed form:

        >>> import variational_bnn as vbnn
        >>> class Slopes:
        ...     diagnostics = None
        ...
        ...     def sample_functions(self, x, *, num_samples, seed):
        ...         return np.random.default_rng(seed).normal(size=(num_samples, 1, 1)) * x
        ...
        ...     def predict(self, x, *, num_samples, seed):
        ...         functions = self.sample_functions(x, num_samples=num_samples, seed=seed)
        ...         return vbnn.Predictive.from_functions(functions, noise_variance=0.01)
        >>> isinstance(Slopes(), vbnn.Posterior)
        True
        >>> Slopes().predict(np.ones((5, 1)), num_samples=20, seed=0).mean.shape
        (5, 1)
    """

    @property
    def diagnostics(self) -> Diagnostics | None:
        """What the posterior says of itself; None if it says nothing."""
        ...

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        """The predictive at inputs `[N, F]` from `num_samples` function samples."""
        ...

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Floats:
        """Function samples `[S, N, D]`: draws of E[y given x, function], each the same function at every x.

        Of K classes they are the classes' probabilities `[S, N, K]`.
        """
        ...


@runtime_checkable
class Method(Protocol):
    """A way to find a posterior over the functions of a network, or over functions of its own.

    A method is best a frozen dataclass whose fields are its settings: `compare` stores them with the results. It may
    also have

    - `exact(network) -> bool`, which says whether its posterior is the exact one of the network: then `compare`
      measures the distances of the other methods to it.
    - `fits_together(dataset, network) -> bool` and `fit_together(dataset, network, seeds) -> list`: whether it can fit
      from several seeds in less time together than one after the other; and such fits, in the order of the seeds. Each
      entry of the list is the posterior of one seed or, if its fit failed, the error that `fit` would have raised. A
      posterior must not depend on which other seeds are fitted with it. If `fit_together` itself raises an error,
      `compare` warns, and fits from one seed after the other.

    Example:
        Scikit-learn's Bayesian linear regression, ready to be passed to `compare`:

        >>> import dataclasses
        >>> from sklearn.linear_model import BayesianRidge
        >>> import variational_bnn as vbnn
        >>> class RidgePosterior:
        ...     diagnostics = None
        ...
        ...     def __init__(self, ridge):
        ...         self.ridge = ridge
        ...
        ...     def sample_functions(self, x, *, num_samples, seed):
        ...         mean, covariance = self.ridge.coef_, self.ridge.sigma_
        ...         weights = np.random.default_rng(seed).multivariate_normal(mean, covariance, num_samples)
        ...         return (self.ridge.intercept_ + weights @ x.T)[:, :, None]
        ...
        ...     def predict(self, x, *, num_samples, seed):
        ...         functions = self.sample_functions(x, num_samples=num_samples, seed=seed)
        ...         return vbnn.Predictive.from_functions(functions, noise_variance=1 / self.ridge.alpha_)
        >>> @dataclasses.dataclass(frozen=True)
        ... class Ridge:
        ...     alpha_1: float = 1e-6
        ...
        ...     def supports(self, dataset, network):
        ...         return "it does not support classes" if dataset.class_names else None
        ...
        ...     def fit(self, dataset, network, seed):
        ...         return RidgePosterior(BayesianRidge(alpha_1=self.alpha_1).fit(dataset.x, dataset.y[:, 0]))
        >>> isinstance(Ridge(), vbnn.Method)
        True
        >>> posterior = Ridge().fit(vbnn.lecture(), network=None, seed=0)
        >>> posterior.predict(np.zeros((5, 1)), num_samples=100, seed=0).mean.shape
        (5, 1)
    """

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        """Why the method cannot fit the network to the dataset, as a sentence; None if it can."""
        ...

    def fit(self, dataset: Dataset, network: Network, seed: int) -> Posterior:
        """The posterior given the training rows, in the units of the dataset.

        Raises:
            FitError: If there is none.
        """
        ...


def require_compatible(network: Network, dataset: Dataset) -> None:
    """Raise a `ValueError` unless the network's sizes and its likelihood are those of the dataset."""
    got = (network.input_shape, network.output_size)
    needed = (dataset.x.shape[1:], dataset.y.shape[1])
    require(got == needed, f"network must have input_shape, output_size = {needed} for the dataset, got {got}")
    likelihood, count = network.likelihood, len(dataset.class_names)
    kind = f"a Categorical likelihood of the dataset's {count} classes" if count else "a likelihood of numbers"
    fits = getattr(likelihood, "num_classes", 0) == count
    require(fits, f"network must have {kind}, got {likelihood!r}")
    more = dataset.larger_sample
    for y in (dataset.y, dataset.y_test, None if more is None else more.y):
        if y is not None:
            likelihood.require_targets(y)
