"""The architecture on one page: what is described, what is measured, and the two protocols between them.

A `Dataset` and a `Network` go into a `Method`; out comes a `Posterior`, whose `Predictive` splits the variance of y
into what the model does not know (epistemic) and what it takes for noise (aleatoric). Measured by region, that is a
`Result`. No TensorFlow here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from variational_bnn.checks import (
    Array,
    Floats,
    finite_table,
    flattened,
    is_positive,
    require,
    require_count,
    require_known,
    require_seed,
)

NEAR, BETWEEN, BEYOND = REGIONS = ("near", "between", "beyond")
LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Of the central predictive intervals whose coverage and width are reported."""

TAU = 10
"""Inputs predicted jointly (Osband et al. 2022, arXiv 2110.04629)."""

MAX_R_HAT, MIN_ESS = 1.01, 400
"""Of Markov chains, before anything is concluded from them; after Vehtari et al. 2021 (arXiv 1903.08008)."""

LARGEST = 1e100
"""Beyond it squares overflow."""

ACTIVATIONS = ("elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh")


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A table: the rows to train on and, where there are labels to test with, held-out rows by region.

    Attributes:
        name: What tables and figures call it.
        x: Training inputs `[N, F]`.
        y: Training targets `[N, D]`, in the units that everything is reported in.
        feature_names: F names.
        target_names: D names.
        class_names: Names of the classes, if y holds their numbers 0, 1, ...; one without training rows is fine.
        x_test: Held-out inputs `[M, F]`, or None.
        y_test: Held-out targets `[M, D]`, or None.
        test_regions: `[M]` strings of `REGIONS`, where the split put each held-out row; None without such rows.
        noise_scale: Standard deviation of the noise in y where it is known, in its units, or None.
        fourfold: Four times as many rows from the same source, to measure the contraction of a posterior with; None
            where the data cannot be made larger.

    Raises:
        ValueError: If a value is missing or infinite, a size does not fit, there are fewer than two training rows,
            a feature or a target is constant over the training rows, there is one class, or y is none of them.
    """

    name: str
    x: Array
    y: Array
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    x_test: Array | None = None
    y_test: Array | None = None
    test_regions: npt.NDArray[np.str_] | None = None
    noise_scale: float | None = None
    fourfold: Dataset | None = None

    def __post_init__(self) -> None:
        """Check the tables and give unnamed columns their names."""
        self._set(x=finite_table("x", self.x, self.feature_names), y=finite_table("y", self.y, self.target_names))
        self._set(
            feature_names=tuple(self.feature_names) or _numbered("x", self.x.shape[1]),
            target_names=tuple(self.target_names) or _numbered("y", self.y.shape[1]),
            class_names=tuple(map(str, self.class_names)),
        )
        sizes = f"got {list(self.x.shape)} and {list(self.y.shape)}"
        require(len(self.x) == len(self.y), f"x and y must have as many rows, {sizes}")
        require(len(self.x) >= 2, f"dataset {self.name!r} needs at least 2 training rows, got {len(self.x)}")
        self._check_classes("y", self.y)
        for kind, table, names in (("feature", self.x, self.feature_names), ("target", self.y, self.target_names)):
            require(len(names) == table.shape[1], f"{table.shape[1]} {kind} names are wanted, got {len(names)}")
            for column, name in enumerate(names):
                values = table[:, column]
                high = np.abs(values).max()
                require(high < LARGEST, f"{kind} {name!r} is too large to be standardised: {high:g}")
                constant = values.min() == values.max()
                require(not constant, f"{kind} {name!r} is constant over the training rows (always {values[0]:g})")
        self._check_fourfold()
        known = self.noise_scale is None or is_positive(self.noise_scale)
        require(known, f"noise_scale must be None or > 0, got {self.noise_scale!r}")
        if self.x_test is not None:
            self._check_held_out()

    @property
    def output_names(self) -> tuple[str, ...]:
        """What a predictive has a mean of: each target, or each class of the one target."""
        return tuple(f"{self.target_names[0]}={name}" for name in self.class_names) or self.target_names

    def outputs(self, y: Array) -> Array:
        """Targets `[N, D]` as that mean would have them: themselves, or one-hot `[N, K]` if they are of K classes."""
        return np.eye(len(self.class_names))[y[:, 0].astype(int)] if self.class_names else y

    def _check_classes(self, name: str, y: Array) -> None:
        names, count = self.class_names, len(self.class_names)
        if count:
            different = count == len(set(names)) >= 2
            wanted = f"target {self.target_names[0]!r} must have two or more classes of different names"
            require(different, f"{wanted}, got {', '.join(names)}")
            require(self.noise_scale is None, f"a class has no noise_scale, got {self.noise_scale!r}")
            require(y.shape[1] == 1, f"{name} must have one column, that of the class, got {y.shape[1]}")
            bad = y[~np.isin(y, np.arange(count))]
            require(not bad.size, f"{name} must hold the numbers 0 to {count - 1} of classes, got {bad[:1].tolist()}")

    def _check_fourfold(self) -> None:
        more = self.fourfold
        require(more is None or isinstance(more, Dataset), f"fourfold must be a Dataset or None, got {more!r}")
        if more is not None:
            (rows, features), outputs = self.x.shape, self.y.shape[1]
            wanted, got = ([4 * rows, features], [4 * rows, outputs]), (list(more.x.shape), list(more.y.shape))
            require(got == wanted, f"fourfold must have x and y of shape {wanted}, got {got}")
            classes, there = list(self.class_names), list(more.class_names)
            require(there == classes, f"fourfold must have the class_names {classes}, got {there}")

    def _check_held_out(self) -> None:
        require(
            self.y_test is not None and self.test_regions is not None,
            "x_test comes with y_test and test_regions",
        )
        self._set(
            x_test=finite_table("x_test", self.x_test, self.feature_names),  # type: ignore[arg-type]
            y_test=finite_table("y_test", self.y_test, self.target_names),  # type: ignore[arg-type]
            test_regions=np.asarray(self.test_regions, dtype=np.str_),
        )
        rows = {len(self.x_test), len(self.y_test), len(self.test_regions)}  # type: ignore[arg-type]
        require(len(rows) == 1, f"x_test, y_test and test_regions must have as many rows, got {sorted(rows)}")
        self._check_classes("y_test", self.y_test)  # type: ignore[arg-type]
        for region in np.unique(self.test_regions):  # type: ignore[arg-type]
            require_known("region", region, REGIONS)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple(f"{letter}{i}" for i in range(count))


@runtime_checkable
class Likelihood(Protocol):
    """How the parameters that a network puts out become a distribution of y.

    Attributes:
        discrete: Whether y is a class, which has no units; its mean is then the classes' probabilities.
    """

    @property
    def discrete(self) -> bool:
        """See above."""
        ...

    def num_parameters(self, output_size: int) -> int:
        """Parameters that the network puts out for each row."""
        ...

    def num_shared_parameters(self, output_size: int) -> int:
        """Trained parameters that do not depend on the row."""
        ...

    def distribution(self, parameters: Any, shared: Any, event_shape: tuple[int, ...]) -> Any:
        """The tfp distribution, of an event shape of D elements, by row parameters `[..., P]` and shared ones `[Q]`."""
        ...

    def require_targets(self, y: Floats) -> None:
        """Refuse targets that it gives no density, with a `ValueError`."""
        ...

    def in_units_of(self, scale: Array) -> Likelihood:
        """The likelihood of `y / scale`, where scale is `[D]`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which the same likelihood is made again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Network:
    """The description of a fully connected network, which every builder and reference reads.

    Prior: with `prior_scale` s, each weight of a layer is N(0, s^2 / fan-in) and each bias N(0, s^2), so that the
    functions' scale does not depend on the width (Neal 1996). With `scale_prior_by_fan_in=False` all are N(0, s^2).

    Attributes:
        input_shape: Shape of one row of x; more than one axis is flattened.
        output_size: D, the number of targets.
        hidden_units: Units of each hidden layer; empty for linear regression.
        activation: Of the hidden layers, one of `ACTIVATIONS`.
        likelihood: Of y, for instance `Normal()`.
        prior_scale: s above, in the units of the standardised or raw values that the network is given.
        scale_prior_by_fan_in: Whether the weights' prior variance is divided by the fan-in.

    Raises:
        ValueError: If a size is not a whole number >= 1, the scale is not > 0, or the activation is unknown.
        TypeError: If the likelihood is none.
    """

    input_shape: tuple[int, ...]
    output_size: int
    hidden_units: tuple[int, ...] = (50,)
    activation: str = "relu"
    likelihood: Likelihood
    prior_scale: float = 1.0
    scale_prior_by_fan_in: bool = True

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("input_shape", "hidden_units"):
            sizes = getattr(self, name)
            require(isinstance(sizes, (tuple, list)), f"{name} must be a tuple of whole numbers, got {sizes!r}")
            for size in sizes:
                require_count(name, size)
            object.__setattr__(self, name, tuple(int(size) for size in sizes))
        require(len(self.input_shape) > 0, "input_shape must have at least one axis, got ()")
        require_count("output_size", self.output_size)
        require_known("activation", self.activation, ACTIVATIONS)
        require(is_positive(self.prior_scale), f"prior_scale must be > 0, got {self.prior_scale!r}")
        object.__setattr__(self, "output_size", int(self.output_size))
        object.__setattr__(self, "prior_scale", float(self.prior_scale))
        if isinstance(self.likelihood, type) or not isinstance(self.likelihood, Likelihood):
            raise TypeError(f"likelihood must be a Likelihood such as Normal(), got {self.likelihood!r}")
        self.likelihood.num_parameters(self.output_size)  # Which refuses a size that the likelihood cannot have.

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for settings files."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "likelihood": self.likelihood.to_dict()}


def require_network(network: object) -> None:
    """Refuse what is not a network."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")


def require_fit(network: Network, dataset: Dataset) -> None:
    """Refuse a network whose sizes are not the dataset's, or whose likelihood is not one of its targets."""
    got = (network.input_shape, network.output_size)
    wanted = (dataset.x.shape[1:], dataset.y.shape[1])
    require(got == wanted, f"network must have input_shape, output_size = {wanted} for the dataset, got {got}")
    likelihood, count = network.likelihood, len(dataset.class_names)
    kind = f"a Categorical likelihood of the dataset's {count} classes" if count else "a likelihood of numbers"
    fits = getattr(likelihood, "num_classes", 0) == count
    require(fits, f"network must have {kind}, got {likelihood!r}")
    more = dataset.fourfold
    for y in (dataset.y, dataset.y_test, None if more is None else more.y):
        if y is not None:
            likelihood.require_targets(y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictive:
    """What a posterior says of y at N inputs, D outputs each.

    The law of total variance, over the draws: Var[y] = Var_draws(E[y given draw]) + E_draws(Var[y given draw]).

    Where y is a class, mean and variances are those of its one-hot vector, `[N, K]` for K classes (of several outputs
    that are 0 or 1, `[N, D]` still), and its entropy is split likewise, as mutual information and expected entropy:
    H[y] = I[y, draw] + E_draws(H[y given draw]) (Depeweg et al. 2018, arXiv 1710.07283). Images are flattened.

    Attributes:
        mean: `[N, D]`, the units of y.
        epistemic_variance: `[N, D]`, squared units of y: how much the draws disagree.
        aleatoric_variance: `[N, D]`, squared units of y: the noise that the draws agree there is.
        log_likelihood: `[N, D]` targets and tau to `[N // tau]` log densities of tau rows at a time, in their order:
            the log of the mean over the same draws of the product over the rows.
        sampler: A seed to `[S, N, D]` draws of y, one from each of the same draws; rows of one draw share its function
            and have noise of their own.
        entropy: Of y where it is a class, of each output apart, `[N, D]`, in nats; else None.
        expected_entropy: Likewise, the mean over the draws of the entropy of y given the draw: what more data cannot
            tell.
    """

    mean: Array
    epistemic_variance: Array
    aleatoric_variance: Array
    log_likelihood: Callable[[Array, int], Array] = field(repr=False)
    sampler: Callable[[int], Floats] = field(repr=False)
    entropy: Array | None = None
    expected_entropy: Array | None = None

    @property
    def probabilities(self) -> Array:
        """Of the classes `[N, K]`, or of a 1 in each output `[N, D]`.

        Raises:
            ValueError: If y is a number.
        """
        require(self.entropy is not None, "y is a number here: it has a mean, and no probabilities of classes")
        return self.mean

    @property
    def mutual_information(self) -> Array:
        """Of y and the draw, `[N, D]`, in nats: how much the draws disagree on the class, the epistemic part.

        Raises:
            ValueError: If y is a number.
        """
        if self.entropy is None or self.expected_entropy is None:
            raise ValueError("y is a number here: its epistemic part is epistemic_variance")
        return np.maximum(self.entropy - self.expected_entropy, 0.0)

    @property
    def variance(self) -> Array:
        """Total variance `[N, D]`, the exact sum of its two parts."""
        return self.epistemic_variance + self.aleatoric_variance

    def log_prob(self, y: npt.ArrayLike) -> Array:
        """Log predictive density `[N]` of targets `[N, D]`, or `[N]` if D = 1, in nats; of a class, by its number.

        Raises:
            ValueError: If the targets' shape is not the predictive's, a target is not finite, or is no class.
        """
        return self.joint_log_prob(y, tau=1)

    def joint_log_prob(self, y: npt.ArrayLike, *, tau: int = TAU) -> Array:
        """Joint log predictive density `[N // tau]` of tau rows at a time, in their order, in nats.

        Two posteriors may agree at every row and yet not on what rows have in common: this tells them apart (Osband et
        al. 2022, arXiv 2110.04629). Rows that are left over are not scored.

        Args:
            y: Targets `[N, D]`, or `[N]` if D = 1.
            tau: Rows scored together; 1 for `log_prob`.

        Raises:
            ValueError: If the targets' shape is not the predictive's, a target is not finite, or tau is not a whole
                number from 1 to N.
        """
        targets = finite_table("y", flattened(y))
        shape = (self.mean if self.entropy is None else self.entropy).shape
        require(targets.shape == shape, f"y must have shape {list(shape)}, got {list(targets.shape)}")
        require_count("tau", tau)
        require(tau <= len(targets), f"tau must be at most the number of rows, {len(targets)}, got {tau}")
        return self.log_likelihood(targets, tau)

    def sample(self, *, seed: int) -> Floats:
        """Draws of y `[S, N, D]`: one from each draw of the posterior, with noise from the seed."""
        require_seed(seed)
        return self.sampler(seed)

    def in_units(self, *, shift: Array, scale: Array) -> Predictive:
        """The predictive of `shift + scale * y`; shift and scale are `[D]`, scale > 0; of a class, 0 and 1."""
        return dataclasses.replace(
            self,
            mean=shift + scale * self.mean,
            epistemic_variance=scale**2 * self.epistemic_variance,
            aleatoric_variance=scale**2 * self.aleatoric_variance,
            log_likelihood=lambda y, tau: self.log_likelihood((y - shift) / scale, tau) - tau * np.log(scale).sum(),
            sampler=lambda seed: shift + scale * self.sampler(seed),
        )


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


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row: a method on a dataset, from one seed, in one region.

    Attributes:
        dataset: Its name.
        method: Its name in `METHODS`.
        seed: Of the initial values, the training noise and the draws.
        region: One of `REGIONS`.
        queries: How many inputs the means below are over.
        epistemic_variance: Mean over the region's inputs and outputs, squared units of y; of classes, those of their
            probabilities.
        aleatoric_variance: Likewise.
        growth: p in epistemic sd ~ distance^p over the region's inputs, by least squares in logs; NaN if undefined.
        entropy: Of the class, mean over the region's inputs and outputs, nats; NaN if y is a number, as the next two.
        mutual_information: Of the class and the draw, likewise: the epistemic part of the entropy.
        train_accuracy: As `accuracy`, of the training rows.
        train_rmse: Of the mean over the training rows, units of y: whether the method fits at all. Of K classes, of
            their probabilities: the root of the Brier score over K.
        accuracy: Share of the held-out targets whose most probable class is right; NaN without, or if y is a number.
        rmse: Of the mean over the region, units of y, or as `train_rmse`; NaN without held-out targets.
        log_likelihood: Mean log predictive density, nats per row; NaN without held-out targets.
        joint_log_likelihood: Mean joint log predictive density of `TAU` rows at a time, nats per row; NaN without as
            many held-out targets. From the draws, so an underestimate where their noise is far below their spread.
        crps: Mean continuous ranked probability score, units of y; NaN without held-out targets, and for classes, as
            are coverage and width.
        coverage_50: Share of the held-out targets inside their central 50 % predictive interval (PICP); likewise for
            the other levels.
        width_50: Mean width of those intervals (MPIW), units of y; likewise.
        contraction: Mean epistemic variance near the data over that with four times as much of it, at the same inputs;
            about 4 where the data settle all parameters. NaN in other regions, and where the data cannot be made
            larger.
        contraction_status: "ok", or why there is no contraction although the data can be made larger.
        parameters: Trained or sampled numbers.
        random_variables: Random numbers that make one function.
        fit_seconds: Wall clock.
        predict_seconds: Wall clock, all regions together.
        peak_memory: Most memory that the process held meanwhile, beyond what it held before, MiB; what earlier fits
            had freed is not counted again.
        acceptance: Of Markov chains; NaN for other methods. See `Diagnostics`, also for the next two.
        r_hat: Largest over queries.
        ess: Smallest over queries.
        status: "ok", or what went wrong; the measures are NaN then.
    """

    dataset: str
    method: str
    seed: int
    region: str
    queries: int = 0
    epistemic_variance: float = math.nan
    aleatoric_variance: float = math.nan
    growth: float = math.nan
    entropy: float = math.nan
    mutual_information: float = math.nan
    train_accuracy: float = math.nan
    train_rmse: float = math.nan
    accuracy: float = math.nan
    rmse: float = math.nan
    log_likelihood: float = math.nan
    joint_log_likelihood: float = math.nan
    crps: float = math.nan
    coverage_50: float = math.nan
    coverage_80: float = math.nan
    coverage_90: float = math.nan
    coverage_95: float = math.nan
    width_50: float = math.nan
    width_80: float = math.nan
    width_90: float = math.nan
    width_95: float = math.nan
    contraction: float = math.nan
    contraction_status: str = "ok"
    parameters: int = 0
    random_variables: int = 0
    fit_seconds: float = math.nan
    predict_seconds: float = math.nan
    peak_memory: float = math.nan
    acceptance: float = math.nan
    r_hat: float = math.nan
    ess: float = math.nan
    status: str = "ok"
