"""The model: a network and how its outputs become a distribution of y."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from variational_bnn.base.checks import Array, Floats, is_positive, require, require_count, require_known, require_sizes
from variational_bnn.base.constants import ACTIVATIONS


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
            object.__setattr__(self, name, require_sizes(name, getattr(self, name)))
        require(len(self.input_shape) > 0, "input_shape must have at least one axis, got ()")
        require_count("output_size", self.output_size)
        require_known("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "output_size", int(self.output_size))
        object.__setattr__(self, "prior_scale", require_prior(self.prior_scale, self.scale_prior_by_fan_in))
        require_likelihood(self.likelihood)
        self.likelihood.num_parameters(self.output_size)  # Which refuses a size that the likelihood cannot have.

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for settings files."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "likelihood": self.likelihood.to_dict()}


def require_prior(scale: float, by_fan_in: bool) -> float:
    """Refuse a prior's scale that is not > 0, and a switch that is none; the scale as a float."""
    require(is_positive(scale), f"prior_scale must be > 0, got {scale!r}")
    require(isinstance(by_fan_in, bool), f"scale_prior_by_fan_in must be True or False, got {by_fan_in!r}")
    return float(scale)


def require_likelihood(likelihood: object) -> None:
    """Refuse what is not a likelihood."""
    if isinstance(likelihood, type) or not isinstance(likelihood, Likelihood):
        raise TypeError(f"likelihood must be a Likelihood such as Normal(), got {likelihood!r}")


def require_network(network: object) -> None:
    """Refuse what is not a network."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
