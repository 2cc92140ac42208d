"""The description of a network, and of how its outputs become a distribution of y."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from variational_bnn.base.checks import Array, Floats, is_positive, require, require_count, require_known, require_sizes
from variational_bnn.base.constants import ACTIVATIONS


@runtime_checkable
class Likelihood(Protocol):
    """Protocol of likelihoods: how the numbers that a network puts out become a distribution of y."""

    @property
    def discrete(self) -> bool:
        """Whether y is a class, which has no units; the mean of y is then the probabilities of the classes."""
        ...

    def num_parameters(self, output_size: int) -> int:
        """How many parameters of the distribution the network puts out for each row of D = `output_size` targets."""
        ...

    def num_shared_parameters(self, output_size: int) -> int:
        """How many parameters of the distribution are trained and are the same for every row."""
        ...

    def distribution(self, parameters: Any, shared: Any, event_shape: tuple[int, ...]) -> Any:
        """The distribution of y given the parameters.

        Args:
            parameters: Tensor `[..., P]`: the `num_parameters` of each row.
            shared: Tensor `[Q]`: the `num_shared_parameters`.
            event_shape: Shape of one row of y, of D elements.

        Returns:
            A distribution of TensorFlow Probability with that event shape.
        """
        ...

    def require_targets(self, y: Floats) -> None:
        """Raise a `ValueError` unless the likelihood has a density at all of the targets `[N, D]`."""
        ...

    def in_units_of(self, scale: Array) -> Likelihood:
        """The likelihood of `y / scale`, where scale is `[D]`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The likelihood's settings as plain values, from which the same likelihood can be made again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Network:
    """The description of a fully connected network: its sizes, activation, likelihood and prior. It is immutable.

    Every builder and every method reads it; it holds no weights itself.

    Prior: with `prior_scale` s, each weight of a layer is N(0, s^2 / fan-in) and each bias N(0, s^2), so that the
    scale of the functions does not depend on the width (Neal 1996, Bayesian Learning for Neural Networks). With
    `scale_prior_by_fan_in=False`, weights and biases alike are N(0, s^2).

    Attributes:
        input_shape: Shape of one row of x; several axes are flattened.
        output_size: D, the number of targets, >= 1.
        hidden_units: How many units each hidden layer has; empty for a linear network.
        activation: Activation of the hidden layers: "elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus",
            "softsign", "swish" or "tanh".
        likelihood: Distribution of y given the outputs, for instance `Normal()` or `Categorical(3)`.
        prior_scale: Standard deviation s of the prior above, > 0, in the units of the values that the network is
            trained on, standardised or raw.
        scale_prior_by_fan_in: Whether the prior variance of the weights is divided by the fan-in.

    Raises:
        ValueError: If a size is not a whole number >= 1, `prior_scale` is not > 0, the activation is unknown, or the
            likelihood does not support `output_size` targets.
        TypeError: If `likelihood` is not a `Likelihood`.

    Example:
        >>> import variational_bnn as vbnn
        >>> network = vbnn.Network(
        ...     input_shape=(1,), output_size=1, hidden_units=(50, 50), likelihood=vbnn.Normal(scale=0.1)
        ... )
        >>> model = vbnn.build_weight_variation(network, num_examples=20)
        >>> model(np.zeros((3, 1), np.float32)).mean().shape
        TensorShape([3, 1])
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
            object.__setattr__(self, name, require_sizes(name, getattr(self, name)))
        require(len(self.input_shape) > 0, "input_shape must have at least one axis, got ()")
        require_count("output_size", self.output_size)
        require_known("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "output_size", int(self.output_size))
        object.__setattr__(self, "prior_scale", require_prior(self.prior_scale, self.scale_prior_by_fan_in))
        require_likelihood(self.likelihood)
        self.likelihood.num_parameters(self.output_size)  # It raises if it does not support the size.

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for settings files."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "likelihood": self.likelihood.to_dict()}


def require_prior(scale: float, by_fan_in: bool) -> float:
    """Return the prior's scale as a float, or raise a `ValueError` unless it is > 0 and `by_fan_in` is a bool."""
    require(is_positive(scale), f"prior_scale must be > 0, got {scale!r}")
    require(isinstance(by_fan_in, bool), f"scale_prior_by_fan_in must be True or False, got {by_fan_in!r}")
    return float(scale)


def require_likelihood(likelihood: object) -> None:
    """Raise a `TypeError` unless the object is a `Likelihood`."""
    if isinstance(likelihood, type) or not isinstance(likelihood, Likelihood):
        raise TypeError(f"likelihood must be a Likelihood such as Normal(), got {likelihood!r}")


def require_network(network: object) -> None:
    """Raise a `TypeError` unless the object is a `Network`."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
