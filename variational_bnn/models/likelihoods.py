"""The likelihoods by name: each turns the numbers that a network puts out into a distribution of y."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from variational_bnn.base import Likelihood
from variational_bnn.base.checks import require_known
from variational_bnn.models.continuous_likelihoods import MixtureNormal, Normal
from variational_bnn.models.discrete_likelihoods import Bernoulli, Categorical

__all__ = ["LIKELIHOODS", "Bernoulli", "Categorical", "MixtureNormal", "Normal", "likelihood_from_dict"]

LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "Normal": Normal,
    "MixtureNormal": MixtureNormal,
    "Bernoulli": Bernoulli,
    "Categorical": Categorical,
}


def likelihood_from_dict(values: dict[str, Any]) -> Likelihood:
    """Make a likelihood from the plain values of its `to_dict`.

    Raises:
        ValueError: If its name is unknown.
    """
    require_known("likelihood", values.get("name"), tuple(LIKELIHOODS))
    return LIKELIHOODS[values["name"]](**{key: value for key, value in values.items() if key != "name"})
